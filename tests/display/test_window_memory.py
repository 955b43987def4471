"""A window that changes to fullscreen and back again and again does not use more memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from fakes.tools import require_tool
from fakes.xvfb import one_screen

_CHANGES = """
from tpos_live.display.open_window import open_window
window = open_window((640, 360))
for change in range(12):
    window.dispatch_events()
    window.clear()
    window.flip()
    window.set_fullscreen(not window.fullscreen, **({"width": 640, "height": 360} if window.fullscreen else {}))
print(sum("SYSV" in line for line in open("/proc/self/maps")))
"""


@pytest.mark.display
@pytest.mark.skipif(sys.platform != "linux", reason="X11")
def test_windows_that_fullscreen_replaced_are_forgotten() -> None:
    """Mesa shares each window's image with the X server: one segment a buffer."""
    require_tool("Xvfb")
    with one_screen((640, 360)) as display:
        environment = {**os.environ, "DISPLAY": display}
        done = subprocess.run(
            [sys.executable, "-c", _CHANGES], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
    assert int(done.stdout) <= 4
