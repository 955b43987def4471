"""Another program that receives NDI: python ndi_receiver.py NAME FRAMES; prints what came as one line of JSON.

The frames carry their number (`clips.numbered`).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from cyndilib.finder import Finder
from cyndilib.receiver import Receiver
from cyndilib.video_frame import VideoFrameSync
from cyndilib.wrapper.ndi_recv import RecvBandwidth, RecvColorFormat

sys.path.insert(0, str(Path(__file__).parent.parent))
from fakes.clips import number_of


def main() -> None:
    name, wanted = sys.argv[1], int(sys.argv[2])
    finder, source, end = Finder(), None, time.monotonic() + 60
    finder.open()
    while source is None and time.monotonic() < end:
        finder.wait_for_sources(0.5)
        source = next((finder.get_source(n) for n in finder.get_source_names() if f"({name})" in n), None)
    receiver = Receiver(color_format=RecvColorFormat.RGBX_RGBA, bandwidth=RecvBandwidth.highest)
    frame = VideoFrameSync()
    receiver.frame_sync.set_video_frame(frame)
    receiver.set_source(source)
    numbers: list[int] = []
    alpha: set[int] = set()
    while len(numbers) < wanted and time.monotonic() < end:
        receiver.frame_sync.capture_video()
        width, height = frame.get_resolution()
        if min(width, height) > 0:
            pixels = np.array(frame.get_array(), np.uint8).reshape(height, width, 4)
            if (number := number_of(pixels[..., :3])) not in numbers[-1:]:
                numbers.append(number)
            alpha |= {int(pixels[..., 3].min()), int(pixels[..., 3].max())}
        time.sleep(0.004)
    dropped = receiver.get_performance_data()["video"]["frames_dropped"]
    size = list(frame.get_resolution())
    print(json.dumps({"numbers": numbers, "alpha": sorted(alpha), "size": size, "dropped": dropped}))


if __name__ == "__main__":
    main()
