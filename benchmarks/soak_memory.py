"""Memory figures of a show for soak.py, which help to find the cause of growth.

If used_mb grows, memory leaks: with `objects` in Python, with tensors_mb in tensors, with neither in a C library. If
only free_mb grows, the C library keeps freed memory (fragmentation). shared_mb: X, PulseAudio, or shared memory with
another process.
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
    """Memory figures of this process; used_mb and free_mb only where the C library reports them."""
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
    """Number of objects that Python's garbage collector tracks, and the tensors among them.

    No other thread may run meanwhile: the list would hold a reference to a tuple that another thread is still building,
    and Python would raise "bad argument to internal function" there.
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
