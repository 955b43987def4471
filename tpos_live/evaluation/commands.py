"""`tpos-live evaluate ...`: how good the networks in the box are, in figures.

Only light modules are imported here; each command imports what it needs when it runs.
"""

from __future__ import annotations

import click


@click.group()
def evaluate() -> None:
    """Measure how good the networks in the box are."""
