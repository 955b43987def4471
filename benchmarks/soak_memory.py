"""Where the memory of a show is: a row for soak.py that tells one kind of growth from another.

used_mb grows: something is kept. objects too: by Python; tensors_mb: as tensors; neither: in a C library. free_mb grows
while used_mb does not: what the C library has kept of freed memory. shared_mb: X, PulseAudio, or shared with a process.
"""

from __future__ import annotations

import ctypes
import gc
import sys

import psutil
import torch

_MB = 2**20


class _Heap(ctypes.Structure):
    """mallinfo2 of glibc 2.33 and newer."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    ))  # fmt: skip


def memory() -> dict[str, float]:
    """Of this process; without the C library's where it does not say."""
    process = psutil.Process()
    info = process.memory_info()
    count, tensors = _objects()
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
    row = {
        "rss_mb": info.rss / _MB,
        "shared_mb": getattr(info, "shared", 0) / _MB,
        "objects": float(count),
        "blocks": float(sys.getallocatedblocks()),
        "tensors_mb": sum(storages.values()) / _MB,
        "threads": float(process.num_threads()),
        "handles": float(process.num_fds() if hasattr(process, "num_fds") else process.num_handles()),
    }
    if heap := _heap():
        row |= {"used_mb": (heap.uordblks + heap.hblkhd) / _MB, "free_mb": heap.fordblks / _MB}
    return row


def _objects() -> tuple[int, list[torch.Tensor]]:
    """How many objects Python has, and the tensors of them.

    No other thread may run meanwhile: a tuple that one of them is making would have two owners, and Python gives up to
    make it with "bad argument to internal function".
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(60.0)
    try:
        objects = gc.get_objects()
        count, tensors = len(objects), [each for each in objects if type(each) in (torch.Tensor, torch.nn.Parameter)]
        del objects
    finally:
        sys.setswitchinterval(usual)
    return count, tensors


def _heap() -> _Heap | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except AttributeError:  # another C library
        return None
    ask.restype = _Heap
    found: _Heap = ask()
    return found
