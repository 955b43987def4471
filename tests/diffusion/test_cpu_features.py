"""When networks run in bfloat16 on a CPU."""

from __future__ import annotations

import pytest
import torch

from tpos_live.diffusion.backends import cpu_features


@pytest.mark.fast
@pytest.mark.parametrize(
    ("native", "amx", "intel", "faster"),
    [
        (True, True, True, True),  # a Xeon since Sapphire Rapids
        (True, False, True, False),  # the same in a virtual machine that hides AMX, and Cooper Lake
        (True, False, False, True),  # AMD since Zen 4
        (False, False, True, False),
        (False, False, False, False),
    ],
)
def test_bfloat16_is_taken_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, native: bool, amx: bool, intel: bool, faster: bool
) -> None:
    monkeypatch.setattr(cpu_features, "bfloat16_is_native", lambda: native)
    monkeypatch.setattr(cpu_features, "_is_intel", lambda: intel)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert cpu_features.bfloat16_is_faster.__wrapped__() is faster


@pytest.mark.fast
def test_a_torch_that_does_not_know_the_question_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_features, "bfloat16_is_native", lambda: True)
    monkeypatch.setattr(cpu_features, "_is_intel", lambda: True)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert cpu_features.bfloat16_is_faster.__wrapped__() is False
