"""The prompt report: one line about what an engine understands of the prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from tpos_live.conditioning.vocabulary import Vocabulary
from tpos_live.conditioning.words import without_syntax
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.torch_threads import use_threads
from tpos_live.scenes.palettes import HUES

_PATIENCE = 5.0
"""Longest wait for a prompt in seconds, after which the thread checks whether the session has ended."""


class PromptReport(OwnThread):
    """Analyses the newest prompt on a thread of its own.

    Thread contract: one thread calls `follow`, which returns at once; any thread reads `line`, `families`, `colours`.
    """

    def __init__(self, vocabulary: Callable[[], Vocabulary | None], synchronous: bool = False) -> None:
        """vocabulary: gives the engine's vocabulary, None where it has none; called on the thread, for each prompt.
        synchronous: analyse inside `follow`, for offline rendering."""
        super().__init__("interpreter", patience=0.5)
        self._vocabulary = vocabulary
        self._synchronous = synchronous
        self._wanted: Mailbox[str] = Mailbox()
        self._asked: str | None = None
        self.line = ""
        """What the engine understands of the newest prompt; "" before the first prompt, and without a vocabulary unless
        the prompt has unused syntax."""
        self.families: tuple[str, ...] = ()
        """The families that the engine draws for the newest prompt, nearest first; empty without a vocabulary."""
        self.colours: tuple[str, ...] = ()
        """The colours that the engine draws for the newest prompt."""

    def __enter__(self) -> Self:
        return self if self._synchronous else super().__enter__()

    def _wake(self) -> None:
        self._wanted.end()

    def follow(self, prompt: str) -> None:
        """Take the prompt that is shown; it may repeat."""
        if prompt == self._asked:
            return
        self._asked = prompt
        if self._synchronous:
            self._analyse(prompt)
        else:
            self._wanted.put(prompt)

    def _run(self) -> None:
        use_threads(1)  # the renderer has the cores
        while not self._stop.is_set():
            if self._wanted.wait(_PATIENCE) and not self._stop.is_set():
                self._analyse(self._wanted.take() or "")

    def _analyse(self, prompt: str) -> None:
        try:
            vocabulary, words = self._vocabulary(), without_syntax(prompt)
            match = vocabulary.match(words.text) if vocabulary else None
            self.families = match.families if match else ()
            self.colours = tuple(word for word in match.others if word in HUES) if match else ()
            self.line = "; ".join(filter(None, (words.line, str(match or ""))))
        except Exception:  # the report is optional and must not stop the session
            self.line, self.families, self.colours = "", (), ()
