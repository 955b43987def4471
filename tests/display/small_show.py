"""A small show for the tests of the window: a program that takes commands on stdin.

Prints one JSON object a line: ready, then an answer to each command. Commands: `frame VALUE` puts a grey frame, `frame
LEFT RIGHT` a frame of two grey halves, `set NAME VALUE`, `message TEXT`, `next` (screen), `quiet` does nothing. Each
answer has the state of the window. The first argument may be a JSON object: start values of parameters, "screen": the
name of a screen, "acts": false if keys are only reported, "counts": true for an output that counts its frames ("sent"),
and "to": outputs on screens.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import time

import numpy as np

from tpos_live.control.keys import apply_key, key_name
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.messages import LineHandler, handling
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import OutputSettings
from tpos_live.core.status import Status
from tpos_live.display import window_text
from tpos_live.display.window import DisplayWindow
from tpos_live.runtime.outputs import ExtraOutputs


class Counter:
    """An output that takes every frame."""

    name, error, fixed_size = "counter", "", True
    sent, last = 0, 0.0

    def wants(self, now: float) -> bool:
        return True

    def send(self, pixels: np.ndarray, shown_at: float) -> None:
        self.sent, self.last = self.sent + 1, float(np.median(pixels))


def main() -> None:
    window_text.READ = math.inf  # a busy machine may take longer for a look at the screen
    start = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    screen, acts, counter = start.pop("screen", ""), start.pop("acts", True), Counter()
    counts, to = start.pop("counts", False), start.pop("to", [])
    store, frames = ParameterStore({"out.inbetween": False, **start}), Mailbox[Frame]()
    pressed: list[str] = []

    def on_key(name: str, modifiers: frozenset[str]) -> None:
        pressed.append("+".join([*sorted(modifiers), name]))
        if acts:
            apply_key(key_name(name), modifiers, store)

    def say(**what: object) -> None:
        print(json.dumps(what), flush=True)

    def listen(window: DisplayWindow) -> None:
        for line in sys.stdin:
            word, *rest = line.split()
            if word == "frame":
                now = time.perf_counter()
                pixels = np.full((64, 64, 3), int(rest[0]), np.uint8)
                pixels[:, 32:] = int(rest[-1])
                frames.put(Frame(pixels, 0, now, now, now))
            elif word == "set":
                store.set(rest[0], float(rest[1]))
            elif word == "message":
                message[0] = " ".join(rest)
            elif word == "next":
                store.set("out.screen", window.next_screen())
            before = window.meter.count
            while window.meter.count < before + 3 and not window.closing:
                time.sleep(0.005)
            inner = window._window
            now = store.snapshot()
            say(keys=pressed, slot=[now["prompt.select"], now["prompt.fade"]],
                shown=window.meter.count, fps=window.meter.fps, size=window.size, at=inner.get_location(),
                sent=counter.sent, last=counter.last,
                full=inner.fullscreen, screens=list(map(str, window.screens.all)), outputs=outputs.line,
                lines=lines)  # fmt: skip
        window.close_soon()

    outputs = ExtraOutputs(OutputSettings(to=to), store.snapshot)
    message = ["no sound: turn up the input"]
    lines: list[str] = []
    with handling(LineHandler(lines.append, logging.INFO)), DisplayWindow(
        frames, FrameParams, store.snapshot, lambda: Status(state="loading", engine="ember", message=message[0]),
        on_key=on_key, screen=screen, size=(640, 360), fps_cap=60,
    ) as window:  # fmt: skip
        window.screen_windows = outputs.screens
        outputs.screens.on_close = lambda number, name: store.set(f"out.wall.{number}", False)
        window.outputs += [counter] if counts else []  # type: ignore[list-item]
        say(ready=True, renderer=window.renderer)
        threading.Thread(target=listen, args=(window,), daemon=True).start()
        window.run()
    say(ended=True, shown=window.meter.count)


if __name__ == "__main__":
    main()
