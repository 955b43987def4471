"""Which instructions this CPU has for bfloat16; the backends choose their precision by it."""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path

import torch


def bfloat16_is_native() -> bool:
    """Whether this CPU has instructions for bfloat16 products (AVX512-BF16, AMX)."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _says("_is_avx512_bf16_supported")
    except (AttributeError, RuntimeError):
        return False


@cache
def bfloat16_is_faster() -> bool:
    """Whether networks run faster in bfloat16 than in single precision: where AMX multiplies, and on AMD's CPUs.

    An Intel CPU with AVX512-BF16 alone takes 1.6 times as long in bfloat16 (Ember in OpenVINO, two cores of a Xeon in a
    virtual machine without AMX: 157 GFLOP/s against 247 to 262; the same in PyTorch), AMD's take 0.6 times as long. The
    rule asks what the CPU is and measures nothing, so that a loaded machine gives the same images as an idle one.
    """
    return bfloat16_is_native() and (_says("_is_amx_tile_supported") or not _is_intel())


def _says(check: str) -> bool:
    """The result of a check in torch.cpu; False where this PyTorch does not have it."""
    function = getattr(torch.cpu, check, None)
    return bool(function()) if function is not None else False


def _is_intel() -> bool:
    if sys.platform == "linux":
        try:
            return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
    return "GenuineIntel" in platform.processor()
