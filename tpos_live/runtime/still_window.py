"""The still: a process whose window lies below that of the show, at the same place, and shows the last frame while no
show does.

    python -m tpos_live.runtime.still_window DESCRIPTOR

DESCRIPTOR is that of a FrameMemory. It obeys lines on its standard input, "show" and "hide", and ends with it. It
imports no PyTorch. X11 only.

The X server paints no background for this window. So if the show's window disappears, its last image stays on the
screen until this process has drawn the same image.
"""

from __future__ import annotations

import os
import sys

from tpos_live.display.errors import DisplayError
from tpos_live.display.gl_compositor import GlCompositor
from tpos_live.display.open_window import open_window
from tpos_live.display.seamless import leave_unpainted, lift, lower, on_x11, put_below, take_away
from tpos_live.runtime.frame_memory import FrameMemory
from tpos_live.runtime.last_frame import ShownFrame, read_frame
from tpos_live.runtime.still_process import NO_WINDOW, read_commands

AGAIN = 0.05
"""Seconds between two drawings of the still: another window may have covered it."""
FOLLOW = 0.5
"""Seconds between two checks of the position of the show's window."""
TITLE = "tpos-live still"


class StillWindow:
    """The window of the still. Thread contract: one thread."""

    def __init__(self, memory: FrameMemory) -> None:
        """memory: with a frame. Raises DisplayError where no window can be opened."""
        self.visible = False
        """Whether the still is shown."""
        self._memory = memory
        self._window = open_window((64, 64), visible=False, title=TITLE)
        if not on_x11(self._window):
            raise DisplayError("a still is shown on X11 only")
        self._window.set_mouse_visible(False)
        leave_unpainted(self._window)
        self._compositor = GlCompositor()
        self._place = (0, 0, 0, 0)
        self._compose()  # compiles the shaders and allocates memory in advance
        put_below(self._window)
        self._below = True

    def _compose(self) -> None:
        """Compose the last frame for the place where it was shown."""
        shown = read_frame(self._memory)
        if shown is not None:
            self._go_to(shown)
            self._window.switch_to()
            self._compositor.compose(shown.postfx, shown.frame, None, self._place[2:])

    def _go_to(self, shown: ShownFrame) -> None:
        if shown.place != self._place:
            self._place = shown.place
            self._window.set_size(*shown.place[2:])
            self._window.set_location(*shown.place[:2])

    def show(self) -> None:
        """Show the last frame."""
        self.visible = True
        self._put_away(False)
        lift(self._window)
        self._compose()
        self.step()

    def hide(self) -> None:
        """Go below the show's window."""
        self.visible = False
        lower(self._window)

    def step(self) -> None:
        """Draw the still again, or follow the show's window."""
        self._window.switch_to()
        self._window.dispatch_events()
        if self.visible:
            self._compositor.show(self._place[2:])
            self._window.flip()
        elif (shown := read_frame(self._memory)) is not None:
            self._go_to(shown)
            self._put_away(shown.hidden)

    def _put_away(self, away: bool) -> None:
        """Unmap the still while the show's window is hidden, or it would be visible; else map it below that window."""
        if away == self._below:
            (take_away if away else put_below)(self._window)
            self._below = not away


def main() -> int:
    """Run until standard input ends; returns the exit status."""
    try:
        still = StillWindow(FrameMemory(int(sys.argv[1])))
    except DisplayError as error:
        print(error, file=sys.stderr)
        return NO_WINDOW
    while True:
        commands = read_commands(sys.stdin.fileno(), AGAIN if still.visible else FOLLOW)
        if commands is None:
            return 0
        if commands:
            (still.show if commands[-1] == "show" else still.hide)()
        still.step()


if __name__ == "__main__":
    os._exit(main())  # the watchdog waits for it, and Python's own end takes 0.1 s more
