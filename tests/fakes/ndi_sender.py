"""Another program that sends NDI: python ndi_sender.py NAME [FIRST]; 25 numbered pictures a second (`clips.numbered`),
from FIRST on, until it is killed; prints the time and number of each."""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from cyndilib.sender import Sender
from cyndilib.video_frame import VideoSendFrame
from cyndilib.wrapper.ndi_structs import FourCC

sys.path.insert(0, str(Path(__file__).parent.parent))
from fakes.clips import numbered


def main() -> None:
    name, number = sys.argv[1], int((sys.argv[2:] or ["0"])[0])
    frame = VideoSendFrame()
    frame.set_resolution(128, 64)
    frame.set_frame_rate(Fraction(25))
    frame.set_fourcc(FourCC.RGBA)
    sender = Sender(name, clock_video=False)
    sender.set_video_frame(frame)
    with sender:
        while True:
            opaque = np.full((64, 128, 4), 255, np.uint8)
            opaque[..., :3] = numbered(number % 256)
            opaque[:, :32, 3] = 0
            sender.write_video(opaque.ravel())
            print(time.monotonic(), number, flush=True)
            number += 1
            time.sleep(0.04)


if __name__ == "__main__":
    main()
