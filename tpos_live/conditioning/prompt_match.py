"""What an engine understands of a prompt, and the line that says it."""

from __future__ import annotations

from dataclasses import dataclass

_NAMED = 3
"""Words without effect that are named; the others are counted."""


@dataclass(frozen=True)
class PromptMatch:
    """What an engine understands of a prompt. near: cosine of the family's nearest phrase, -1 to 1.

    families: those that are drawn, nearest first; none only for a prompt without words. others: colours, styles and
    moods that are drawn. missed: words that are not drawn. cut: there were more words than are analysed. instead: the
    prompt is far from every family, and the nearest bright and clear one is drawn. taught: all words are of phrases
    that the engine was trained with, or small ones.
    """

    families: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    near: float = 0.0
    missed: tuple[str, ...] = ()
    cut: bool = False
    instead: bool = False
    taught: bool = False
    in_order: tuple[str, ...] = ()
    """The families in the order in which the prompt names them."""

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
