"""A cache of encoded texts, which encodes on a thread of its own so that the render thread never waits for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Self

import torch

from tpos_live.core.errors import first_line
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.torch_threads import use_threads

Encode = Callable[[str], torch.Tensor]
"""Text to float [tokens, dim]."""
CACHED = 48
"""Texts whose states are cached: the bank, the prompt, and the texts of a set."""


class TextCache(OwnThread):
    """Encoded texts, encoded on a worker thread, or at once when synchronous.

    Thread contract: one thread calls `get` and `want`; the worker encodes. `get` returns None until a text is ready. A
    new list of wanted texts replaces the old one; there is no queue.
    """

    def __init__(self, encode: Encode, synchronous: bool = False) -> None:
        """encode: the engine's text encoder. synchronous: encode inside `get`, for offline rendering."""
        super().__init__("text encoder", patience=0.5)
        self._encode, self._synchronous = encode, synchronous
        self._known: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._wanted: list[str] = []
        self._change = threading.Condition()
        self._failed: str | None = None
        self.error = ""
        """Why the last text could not be encoded, one line; "" if there is none, or once that text is not wanted."""

    def __enter__(self) -> Self:
        return self if self._synchronous else super().__enter__()

    def _wake(self) -> None:
        with self._change:
            self._change.notify_all()

    def get(self, text: str) -> torch.Tensor | None:
        """The states of `text`, None while they are not ready."""
        with self._change:
            known = self._known.get(text)
            if known is not None:
                self._known.move_to_end(text)
                return known
        if self._synchronous:
            return self._encode_into_cache(text)
        return None

    def name(self, states: torch.Tensor) -> str:
        """The text whose states, as returned by `get`, are this very object; "" where there is none."""
        with self._change:
            return next((text for text, known in self._known.items() if known is states), "")

    def want(self, texts: list[str]) -> None:
        """Encode those of `texts` that are not cached, in this order, instead of earlier ones."""
        with self._change:
            if self._failed is not None and self._failed not in texts:
                self._known.pop(self._failed, None)  # so that it is tried again when it is wanted again
                self._failed, self.error = None, ""
            self._wanted = [text for text in texts if text not in self._known]
            if self._wanted:
                self._change.notify_all()

    def _encode_into_cache(self, text: str) -> torch.Tensor | None:
        try:
            states = self._encode(text)
            if states.is_cuda:  # frames are rendered on another stream, which does not wait for this one
                torch.cuda.current_stream(states.device).synchronize()
        except Exception as error:  # a text must never stop the session
            self._failed, self.error = text, f"cannot encode the prompt {text[:40]!r}: {first_line(error)}"
            states = None
        with self._change:
            if states is None:
                # Use the states of the empty text, not those of the current prompt.
                states = self._known.get("")
                if states is None:
                    return None
            self._known[text] = states
            while len(self._known) > CACHED:
                self._known.popitem(last=False)
        return states

    def _run(self) -> None:
        use_threads(1)  # the renderer has the cores
        while True:
            with self._change:
                self._change.wait_for(lambda: self._wanted or self._stop.is_set())
                if self._stop.is_set():
                    return
                text = self._wanted.pop(0)
            self._encode_into_cache(text)
