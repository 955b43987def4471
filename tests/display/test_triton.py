"""Mesa's OpenGL driver and Triton, which comes with PyTorch for CUDA, in one process: each has its own LLVM."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

SHOW = """
import sys
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.status import Status
from tpos_live.display.window import DisplayWindow

with DisplayWindow(Mailbox(), FrameParams, ParameterStore().snapshot, Status, headless=True):
    assert "torch._dynamo" not in sys.modules
    import torch._dynamo
    from triton._C.libtriton import llvm

    llvm.init_targets()
"""


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None and not os.environ.get("NEEDS_TRITON"), reason="needs Triton (Linux)"
)
def test_a_show_with_a_window_imports_pytorch() -> None:
    """The window opens first, and the engine's thread imports PyTorch later."""
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-800:])
