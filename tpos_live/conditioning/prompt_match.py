"""What an engine understands of a prompt, and the line that reports it to the performer."""

from __future__ import annotations

from dataclasses import dataclass

_NAMED = 3
"""Number of words without effect that the line lists; the others are only counted."""


@dataclass(frozen=True)
class PromptMatch:
    """What an engine understands of a prompt.

    families: the families that are drawn, best match first; empty only for a prompt without words. others: colours,
    styles and moods that are drawn. near: cosine of the first family's nearest phrase, -1 to 1. missed: words that are
    not drawn. cut: the prompt has more words than are analysed. instead: the prompt is far from every family, so a
    substitute is drawn. taught: the prompt consists of phrases from the engine's training and of small words.
    """

    families: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    near: float = 0.0
    missed: tuple[str, ...] = ()
    cut: bool = False
    instead: bool = False
    taught: bool = False
    in_order: tuple[str, ...] = ()
    """The families, in the order of the prompt."""

    def __str__(self) -> str:
        """One line: `city at night · neon (0.61); not understood: samurai`."""
        parts = []
        if self.in_order:
            names = " + ".join(name.replace("_", " ") for name in self.in_order)
            drawn = "drawn instead: " if self.instead else ""
            parts.append(f"{drawn}{' · '.join((names, *self.others))} ({self.near:.2f})")
        if self.missed:
            more = f" and {len(self.missed) - _NAMED} more" if len(self.missed) > _NAMED else ""
            parts.append(f"not understood: {', '.join(word[:24] for word in self.missed[:_NAMED])}{more}")
        if self.cut:
            parts.append("the rest is too long")
        return "; ".join(parts)
