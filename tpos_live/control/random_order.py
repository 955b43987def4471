"""A random order of names in rounds: each name once per round, and no name soon after its last turn."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tpos_live.core.looks import MOST_LOOKS


@dataclass
class RandomOrder:
    """Thread contract: one thread. Deterministic: the same calls give the same order."""

    _left: list[str] = field(default_factory=list)
    _shown: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LOOKS))
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def note(self, name: str) -> None:
        """Record that a name is shown now, chosen by this order or not."""
        self._shown.append(name)

    def next(self, names: Sequence[str], shown: str) -> str | None:
        """The next of `names`, never `shown`; None if there is no other. A round begins with a third of the names that
        were not among the last third shown."""
        return self._left.pop(0) if self.ahead(names, shown) is not None else None

    def ahead(self, names: Sequence[str], shown: str) -> str | None:
        """The name that `next` will return."""
        there = set(names) - {shown}
        self._left = [name for name in self._left if name in there]
        if not self._left:
            others = [name for name in names if name != shown]
            self._random.shuffle(others)
            third = len(others) // 3
            late = list(self._shown)[-third:] if third else []
            first = [name for name in others if name not in late][:third]
            self._left = first + [name for name in others if name not in first]
        return self._left[0] if self._left else None
