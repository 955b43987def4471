"""Two prompts in one pass of the UNet, without a jump where the second one comes or the first one goes.

A UNet that draws two prompts is trained on one prompt alone and on two with a share of the area. Between "no second
prompt" and "a second prompt without area" its image changes at once, by up to a third of the way between the two. So
the second prompt's embeddings come in from zero while its share is small. At the other end the second prompt also takes
the place of the first one, and its own place is then emptied: with a weight of one it is the only prompt there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch

from tpos_live.core.envelope import ease

END = 0.3
"""Weights up to END and from 1 - END lead from one prompt to two and back."""
MOVED, EMPTIED = 0.45, 0.3
"""Parts of the last END: by MOVED the second prompt is in the first place; from EMPTIED on its own place is emptied."""


def paired(first: torch.Tensor, second: torch.Tensor, weight: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """What the UNet is given in the first and in the second place, and the share of the second.

    first, second: embeddings [rows, dim] of one shape. weight: of the second, in (0, 1); the result is continuous in
    it, and at 0 and 1 that of one prompt alone (the second place zeros, the share 0).
    """
    share = ease(weight)  # the part of the area, as of `region_blend.shares`: of two, the eased weights are one in sum
    come, go = ease(weight / END), (weight - (1 - END)) / END
    if go <= 0:
        return first, second * come, share
    left = 1 - ease((go - EMPTIED) / (1 - EMPTIED))
    return torch.lerp(first, second, ease(go / MOVED)), second * left, share * left


def rows_of_pairs(
    embeds: Sequence[torch.Tensor], weights: Sequence[float], heard: bool = False
) -> tuple[list[tuple[torch.Tensor, torch.Tensor, float]], tuple[float, ...]]:
    """Two regions or more as rows of the UNet, each what `paired` gives, and the rows' weights, one in sum.

    heard: the last region is the sound's. It is then in the second place of them all: a fade between two prompts begins
    and ends with the row that a prompt and the sound have by themselves. Without a sound every two prompts are a row,
    with the product of their weights: wherever one of three comes or goes, the row of the two others is what is left.
    """
    if heard:
        *firsts, last = embeds
        *rest, weight = weights
        rows = [paired(first, last, weight) for first in firsts]
        return rows, tuple(part / sum(rest) for part in rest)
    places = list(combinations(range(len(embeds)), 2))
    rows = [paired(embeds[a], embeds[b], weights[b] / (weights[a] + weights[b])) for a, b in places]
    products = [weights[a] * weights[b] for a, b in places]
    return rows, tuple(product / sum(products) for product in products)
