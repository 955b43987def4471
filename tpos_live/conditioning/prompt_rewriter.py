"""Prompt rewriting: the step between the typed prompt and the text encoder."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tpos_live.conditioning.prompt_syntax import plain
from tpos_live.conditioning.vocabulary import Vocabulary

log = logging.getLogger(__name__)


class PromptRewriter:
    """Rewrites a prompt for its engine: without other programs' syntax, and in words that the engine was trained with.

    Each rewriting is logged at level DEBUG. Any thread may call it.
    """

    def __init__(self, vocabulary: Callable[[], Vocabulary | None]) -> None:
        """vocabulary: gives the engine's vocabulary, None where it has none; called at the first prompt."""
        self._vocabulary = vocabulary

    def __call__(self, prompt: str) -> str:
        """The text to encode."""
        text = plain(prompt).text
        vocabulary = self._vocabulary()
        rewritten = vocabulary.rewrite(text) if vocabulary else text
        if rewritten != prompt:
            log.debug("prompt %r is rewritten as %r", prompt, rewritten)
        return rewritten
