"""Counts the files and functions on the path of an audio sample to a pixel, and of a prompt to the UNet.

    python benchmarks/calls.py [--list]

A live session plays the demo track and draws with Ember and OpenGL, without a display. After the start,
`sys.setprofile` records for SECONDS each function of `tpos_live` that is called inside one of the functions of WAYS.
Calls inside the functions of BESIDE are left out, because they serve other purposes. Comprehensions and lambdas do not
count. Two runs differ by a few functions, because some branches are rare.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from itertools import groupby
from types import FrameType

from pythonosc.udp_client import SimpleUDPClient

from tpos_live.audio.demo import DEMO
from tpos_live.audio.microphone import Microphone
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession

SECONDS = 5.0
FAST = ("Capture.deliver", "Microphone.pull", "AudioProcessor.process", "DisplayWindow.step")
PROMPT = ("PromptBank.tokens", "FrameConditioner.update")
WAYS = {
    "a sample, to a pixel": FAST,
    "a sample, to the engine's frame": (*FAST, *PROMPT, "TposEncoder.push", "Tagger.follow", "RenderThread._turn"),
    "a prompt, to the UNet": (
        *PROMPT,
        "AllowList.allows",
        "Backlog.put",
        "Router.apply",
        "TextCache._encode_into_cache",
    ),
}
"""Entry functions of each path; a path has these and all functions that they call."""
BESIDE = {
    "DropoutMeter.see": "what a device has lost",
    "StageTimes.add": "how long it took",
    "LiveSession._refresh": "looks and devices",
    "StatusRegistry.status": "what the HUD says",
    "DisplayWindow._follow": "where the window is",
    "DisplayWindow._follow_visibility": "whether there is a window",
    "DisplayWindow._feed_outputs": "other outputs",
    "WindowText.follow": "the HUD",
    "WindowText.draw": "the HUD",
}
PORT = 9613

Function = tuple[str, str]
"""File, and name with its class."""


class Recorder:
    """Records calls inside the functions of WAYS while `on` is True, on the calling thread of `begin` and on threads
    that start later."""

    def __init__(self) -> None:
        self.on = False
        self.found: dict[str, set[Function]] = defaultdict(set)
        """Functions by the innermost function of WAYS or BESIDE that they were called in."""
        self._marks = {root for roots in WAYS.values() for root in roots} | BESIDE.keys()
        self._local = threading.local()

    def begin(self) -> None:
        threading.setprofile(self._event)
        sys.setprofile(self._event)

    def _event(self, frame: FrameType, event: str, _argument: object) -> None:
        stack: list[FrameType] = self._local.__dict__.setdefault("stack", [])
        if event == "call" and self.on:
            name = frame.f_code.co_qualname
            if name in self._marks:
                stack.append(frame)
            _, ours, path = frame.f_code.co_filename.rpartition("/tpos_live/")
            if stack and ours and "<" not in name.rpartition(".")[2]:
                self.found[stack[-1].f_code.co_qualname].add((path, name))
        elif event == "return" and stack and stack[-1] is frame:
            stack.pop()


def record() -> dict[str, set[Function]]:
    """Called functions, by the function of WAYS that they were called in."""
    recorder = Recorder()
    recorder.begin()
    settings = load_settings({"osc.port": PORT, "engine.accelerator": "eager"})
    sound = Microphone("no such input", fallback=str(DEMO))
    with LiveSession(settings, sound=sound, headless_gl=True) as session:
        begin = time.monotonic()
        session.run_until(lambda: (session.renderer is not None and session.renderer.drawn > 20) or late(begin, 300.0))
        recorder.on = True
        begin, heard = time.monotonic(), session.audio_processor.features.time
        SimpleUDPClient("127.0.0.1", PORT).send_message("/tpos/prompt", "aurora over black mountains")
        session.run_until(lambda: session.audio_processor.features.time > heard + SECONDS or late(begin, 300.0))
        recorder.on = False
    sys.setprofile(None)
    return recorder.found


def late(begin: float, seconds: float) -> bool:
    return time.monotonic() > begin + seconds


def main(listed: bool) -> None:
    found = record()
    if missing := sorted({*BESIDE, *(root for roots in WAYS.values() for root in roots)} - found.keys()):
        raise SystemExit(f"{', '.join(missing)}: never called; do WAYS and BESIDE have the names of today?")
    for way, roots in WAYS.items():
        functions = sorted(set().union(*(found[root] for root in roots)))
        files = [(path, [name for _, name in group]) for path, group in groupby(functions, lambda each: each[0])]
        print(f"{way}: {len(files)} files, {len(functions)} functions", flush=True)
        for path, names in files if listed else ():
            print(f"    {path}: {', '.join(names)}")


if __name__ == "__main__":
    main("--list" in sys.argv[1:])
