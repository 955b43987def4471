"""Recovery of a show's connections (sources, receivers, controllers, pages) after each was cut many times.

    python benchmarks/unplug.py [--times 20] [--only udp,ndi,osc,page,folder,camera] [--size 128]

Prints a JSON line for each kind: number of recoveries, seconds from the return of the other side to the recovery
(median and worst; target: at most 2), and the longest time without a new engine frame. KINDS describes the kinds.
`faults.py` tests the sound input, an RTMP server and disks, `source_times.py` an NDI source. `ndi` needs the extra.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fakes.ndi_loopback import LOOPBACK
from fakes.ports import free_port
from show_watch import LONGEST, ShowWatch, fault_options

from tpos_live.audio.demo import DEMO
from tpos_live.bench.results import processor
from tpos_live.bench.waiting import run_until_first_frame
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession

AWAY = 0.5
"""Seconds for which a receiver is away."""
KINDS = {
    "udp": "the receiver of a UDP stream is closed and opened again; time until a key frame",
    "ndi": "an NDI receiver is closed, and a new one opened; time until it has a frame",
    "osc": "the receiver of OSC feedback closes its port and opens it again; time until a message",
    "page": "a page's connection is cut, and the page connects again; time until it has the show's values",
    "folder": "the folder of the source is moved away until the show reports it, and back; time until it is shown",
    "camera": "the sender of a UDP source is killed until the show reports it, and restarted; since its first picture",
}
SENDER = """
import sys, time
import av, numpy

with av.open(sys.argv[1], "w", format="mpegts") as out:
    stream = out.add_stream("mpeg2video", rate=25, options={"g": "5"})
    stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
    n = 0
    while True:
        pixels = numpy.full((120, 160, 3), n % 200, numpy.uint8)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        if n == 1:
            print("sends", flush=True)
        n += 1
        time.sleep(0.04)
"""


class Receiver:
    """A UDP port of this machine."""

    def __init__(self, port: int, right: Callable[[bytes], bool] = bool) -> None:
        """right: returns True for the datagram to wait for."""
        self._socket, self._right = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), right
        self._socket.bind(("127.0.0.1", port))
        self._socket.setblocking(False)

    def came(self) -> bool:
        try:
            while not self._right(self._socket.recv(65_536)):
                pass
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


class NdiReceiver:
    def __init__(self, name: str) -> None:
        from cyndilib.finder import Finder
        from cyndilib.receiver import Receiver as Ndi
        from cyndilib.video_frame import VideoFrameSync

        self._finder, self._ndi, self._frame = Finder(), Ndi(), VideoFrameSync()
        self._finder.open()
        self._ndi.frame_sync.set_video_frame(self._frame)
        self._name, self._found = name, False

    def came(self) -> bool:
        if not self._found:
            names = [name for name in self._finder.get_source_names() if f"({self._name})" in name]
            if not names:
                self._finder.wait_for_sources(0.01)
                return False
            self._ndi.set_source(self._finder.get_source(names[0]))
            self._found = True
        self._ndi.frame_sync.capture_video()
        return min(self._frame.get_resolution()) > 0

    def close(self) -> None:
        self._ndi.disconnect()
        self._finder.close()


class PageReceiver:
    """A page that connects on a thread."""

    def __init__(self, url: str) -> None:
        self._came, self._gone = threading.Event(), threading.Event()
        threading.Thread(target=self._run, args=(url,), daemon=True).start()

    def _run(self, url: str) -> None:
        with connect(url, compression=None) as connection:
            while "values" not in json.loads(connection.recv(LONGEST)):
                pass
            self._came.set()
            self._gone.wait()
            connection.socket.shutdown(socket.SHUT_RDWR)  # like a phone that leaves the network: no closing handshake

    def came(self) -> bool:
        return self._came.is_set()

    def close(self) -> None:
        self._gone.set()


class Show:
    """Cuts the connections of one show."""

    def __init__(self, session: LiveSession, folder: Path, ports: dict[str, int]) -> None:
        self._session, self._folder, self._ports = session, folder, ports
        self.watch = ShowWatch(session)
        self._sender: subprocess.Popen[str] | None = None

    def happen(self, kind: str, times: int) -> list[float]:
        """Seconds until the recovery, for each of `times` cuts. Raises TimeoutError."""
        self.watch.begin()
        return self._sources(kind, times) if kind in ("folder", "camera") else self._receivers(kind, times)

    def close(self) -> None:
        if self._sender is not None:
            self._sender.kill()
            self._sender.wait()

    def _receivers(self, kind: str, times: int) -> list[float]:
        make: dict[str, Callable[[], Any]] = {
            "udp": lambda: Receiver(self._ports["stream"], has_key_frame),
            "ndi": lambda: NdiReceiver("unplug"),
            "osc": lambda: Receiver(self._ports["feedback"]),
            "page": lambda: PageReceiver(f"ws://127.0.0.1:{self._ports['page']}/socket"),
        }
        back = list[float]()
        for turn in range(times + 1):
            begun = time.perf_counter()
            receiver = make[kind]()
            took = self.watch.wait(receiver.came, begun)
            back += [took] * (turn > 0)  # the first connection is no recovery
            receiver.close()
            away = time.perf_counter() + AWAY
            self.watch.wait(lambda away=away: time.perf_counter() > away)  # type: ignore[misc]
        return back

    def _sources(self, kind: str, times: int) -> list[float]:
        store, back = self._session.store, list[float]()
        if kind == "camera":
            self._send()
        store.set("source", f"udp://127.0.0.1:{self._ports['camera']}" if kind == "camera" else str(self._folder))
        for _ in range(times):
            self.watch.wait(lambda: "fps" in self._line())
            self.close() if kind == "camera" else self._folder.rename(self._folder.with_suffix(".away"))
            self.watch.wait(lambda: "fps" not in self._line())
            begun = time.perf_counter()
            if kind == "camera":
                self._send()
                begun = time.perf_counter()
            else:
                self._folder.with_suffix(".away").rename(self._folder)
            back.append(self.watch.wait(lambda: "fps" in self._line(), begun))
        store.set("source", "none")
        self.watch.wait(lambda: not self._line())
        return back

    def _send(self) -> None:
        url = f"udp://127.0.0.1:{self._ports['camera']}"
        self._sender = subprocess.Popen([sys.executable, "-c", SENDER, url], stdout=subprocess.PIPE, text=True)
        assert self._sender.stdout is not None
        self._sender.stdout.readline()

    def _line(self) -> str:
        assert self._session.pipeline is not None and self._session.pipeline.source is not None
        return str(getattr(self._session.pipeline.source, "line", ""))


def has_key_frame(datagram: bytes) -> bool:
    """Whether one of the transport stream packets in a datagram begins a key frame (random access indicator)."""
    packets = [datagram[at : at + 188] for at in range(0, len(datagram) - 187, 188)]
    return any(packet[3] & 0x20 and packet[4] and packet[5] & 0x40 and packet[1] & 0x40 for packet in packets)


def main() -> None:
    given = fault_options(__doc__, KINDS)
    ports = {name: free_port(socket.SOCK_DGRAM) for name in ("stream", "feedback", "camera", "osc")}
    ports["page"], failed = free_port(), False
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "ndi-config.v1.json").write_text(json.dumps(LOOPBACK))
        os.environ["NDI_CONFIG_DIR"] = str(folder)
        (folder / "stick").mkdir()
        for n in range(3):
            Image.fromarray(np.full((64, 64, 3), 80 * n, np.uint8)).save(folder / "stick" / f"{n}.png")
        values: dict[str, Any] = {
            "sound.audio": str(DEMO), "sound.mute": True, "sound.loop": True, "engine.size": given.size,
            "engine.accelerator": "eager", "engine.fps_cap": 15.0, "window.headless": True,
            "record.resolution": "320x180", "osc.port": ports["osc"], "web.port": ports["page"],
            "osc.reply": [f"127.0.0.1:{ports['feedback']}"], "parameters.source.seconds": 0.2,
            "output.to": [f"udp://127.0.0.1:{ports['stream']}", *(["ndi:unplug"] if "ndi" in given.kinds else [])],
        }  # fmt: skip
        session = stack.enter_context(LiveSession(load_settings(values, here=Path("/nowhere")), page=True))
        run_until_first_frame(session)
        show = Show(session, folder / "stick", ports)
        stack.callback(show.close)
        for kind in given.kinds:
            try:
                back = show.happen(kind, given.times)
            except TimeoutError:
                back = []
            failed = failed or not back
            figures = {"median_s": round(statistics.median(back), 2), "worst_s": round(max(back), 2)} if back else {}
            oldest = {"oldest_frame_s": round(show.watch.oldest, 2), "cpu": processor()}
            print(json.dumps({"kind": kind, "times": len(back), **figures, **oldest}), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
