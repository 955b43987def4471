"""From the typed prompt to the text that is encoded: removes the syntax of other programs, and rewrites other words.

`(fire:1.5)`, `((fire))`, `[ice]`, `a AND b`, `a BREAK b` and `<lora:x:1>` contain syntax. The engine gets only the
words, and the prompt report lists the removed syntax. `\\(` and `\\)` are literal brackets.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from tpos_live.conditioning.vocabulary import Vocabulary

log = logging.getLogger(__name__)

_LORA = re.compile(r"<(lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
_JOINTS = re.compile(r"(?<!\S)(AND|BREAK)(?!\S)")
_WEIGHT = re.compile(r"\s*:\s*[+-]?(\d+\.?\d*|\.\d+)\s*(?=[)\]])")
_BRACKETS = re.compile(r"(?<!\\)[()\[\]]")
_ESCAPED = re.compile(r"\\([()\[\]\\])")


@dataclass(frozen=True)
class Plain:
    """A prompt without syntax. text: its words. unused: kinds of removed syntax, each once."""

    text: str
    unused: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """One line that lists the removed syntax; "" where there was none."""
        return f"not used: {', '.join(self.unused)}" if self.unused else ""


def plain(prompt: str) -> Plain:
    """`prompt`, any text, without syntax; brackets need not be balanced. A prompt without syntax stays unchanged."""
    unused: list[str] = []
    text, loras = _LORA.subn(" ", prompt)
    text, joints = _JOINTS.subn(",", text)
    text, weights = _WEIGHT.subn("", text)
    text, brackets = _BRACKETS.subn(" ", text)
    text, escaped = _ESCAPED.subn(r"\1", text)
    if weights or brackets:
        unused.append("weights in brackets")
    if joints:
        unused.extend(dict.fromkeys(found.group(1) for found in _JOINTS.finditer(prompt)))
    if loras:
        unused.append("<lora:…>, see docs/engines.md")
    if not unused and not escaped:
        return Plain(prompt)
    text = re.sub(r"\s+([,.;!?])", r"\1", " ".join(text.split()))
    return Plain(re.sub(r"(,\s*)+,", ",", text).strip(" ,"), tuple(unused))


class PromptRewriter:
    """Rewrites a prompt for its engine: without other programs' syntax, and in words that the engine was trained with.

    Logs each change at level DEBUG. Any thread may call it.
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
