"""Another program that receives a stream: python stream_receiver.py URL SECONDS.

It prints a line when it is about to listen, and one of JSON at the end: the size of the frames, their count, and the
times in seconds at which the image becomes bright and the sound loud.
"""

from __future__ import annotations

import json
import sys

import av
import numpy as np


def main() -> None:
    url, seconds = sys.argv[1], float(sys.argv[2])
    options = {"listen": "1", "rtmp_live": "live"} if url.startswith("rtmp") else {"overrun_nonfatal": "1"}
    print("listening", flush=True)
    flashes: list[float] = []
    clicks: list[float] = []
    bright, count, first, size = True, 0, None, [0, 0]
    with av.open(url, options=options) as stream:
        for frame in stream.decode(video=0, audio=0):
            time = float(frame.time or 0)
            first = time if first is None else first
            if isinstance(frame, av.VideoFrame):
                was, bright = bright, bool(frame.to_ndarray(format="gray8").mean() > 120)
                flashes += [time] * (bright and not was)
                count, size = count + 1, [frame.width, frame.height]
            else:
                loud = np.abs(frame.to_ndarray()[0]) > 0.3
                if loud.any() and (not clicks or time - clicks[-1] > 0.3):
                    clicks.append(time + int(np.argmax(loud)) / frame.sample_rate)
            if time - first > seconds:
                break
    print(json.dumps({"flashes": flashes, "clicks": clicks, "frames": count, "size": size}), flush=True)


if __name__ == "__main__":
    main()
