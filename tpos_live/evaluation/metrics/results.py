"""Keeps the figures of an evaluation in a file, section by section, so that a long evaluation can be resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tpos_live.core.atomic import write_text
from tpos_live.evaluation.metrics.report import Figure


@dataclass
class Section:
    """Figures that are measured together. counts: sample sizes. minutes: wall-clock time."""

    figures: list[Figure]
    counts: dict[str, Any]
    minutes: float


@dataclass
class Results:
    """Sections by name. about: the engine, classifier and seed that they belong to. path: the file; None = no file."""

    path: Path | None
    about: dict[str, Any]
    sections: dict[str, Section] = field(default_factory=dict)

    def read(self) -> None:
        """Read the sections of the file, if its `about` is the same; otherwise start with none."""
        if self.path is None or not self.path.exists():
            return
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if found["about"] != json.loads(json.dumps(self.about)):
                return
            self.sections = {
                name: Section(
                    [Figure.of(row) for row in section["figures"]], section["counts"], float(section["minutes"])
                )
                for name, section in found["sections"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # damaged, or not our file: measure again
            self.sections = {}

    def write(self) -> None:
        """Write the sections to the file."""
        if self.path is None:
            return
        sections = {
            name: {
                "figures": [figure.row() for figure in section.figures],
                "counts": section.counts,
                "minutes": round(section.minutes, 2),
            }
            for name, section in self.sections.items()
        }
        write_text(self.path, json.dumps({"about": self.about, "sections": sections}, indent=1))

    def has(self, name: str, counts: dict[str, Any]) -> bool:
        """Whether there is a section of this name with the same counts."""
        return name in self.sections and self.sections[name].counts == json.loads(json.dumps(counts))

    def figures(self, order: Sequence[str]) -> list[Figure]:
        """All figures, in the order of their sections."""
        return [figure for name in order if name in self.sections for figure in self.sections[name].figures]
