"""Results of checks, and how they are printed. Used by `doctor`, `setup` and the rehearsal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Finding:
    """The result of one check. ok: True = works, False = the main job does not work without it, None = optional and
    missing, or a risk."""

    topic: str
    ok: bool | None
    text: str


def print_findings(findings: Iterable[Finding]) -> bool:
    """Print one line each; True if none is False."""
    fine = True
    for finding in findings:
        mark = {True: "ok", False: "NO", None: "--"}[finding.ok]
        click.echo(f"{mark:>3}  {finding.topic:<12} {finding.text}")
        fine &= finding.ok is not False
    return fine
