"""What this CPU can do."""

from __future__ import annotations

import torch


def bfloat16_is_native() -> bool:
    """Whether this CPU has instructions for bfloat16 products (AVX512-BF16, AMX, ARM's BF16)."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(_cpu_multiplies_bfloat16())
    except (AttributeError, RuntimeError):
        return False


def _cpu_multiplies_bfloat16() -> bool:
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check()) if check is not None else False
