"""An OSC client for another process: `python osc_client.py PORT KIND [COUNT]` sends messages and ends."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import SimpleUDPClient


def message(address: str, *args: object) -> bytes:
    """One message; floats, ints, texts and switches by their Python type."""
    builder = OscMessageBuilder(address)
    for arg in args:
        builder.add_arg(arg)
    return bytes(builder.build().dgram)


def bundle(*messages: bytes, ahead: float = 2.0) -> bytes:
    """A bundle whose time tag lies `ahead` seconds in the future."""
    builder = OscBundleBuilder(time.time() + ahead)
    for one in messages:
        builder.add_content(OscBundle(one) if one.startswith(b"#bundle") else OscMessage(one))
    return bytes(builder.build().dgram)


def raw(address: str, tags: str, data: bytes = b"") -> bytes:
    """A message with any type tags and any data."""

    def padded(text: str) -> bytes:
        plain = text.encode() + b"\0"
        return plain + b"\0" * (-len(plain) % 4)

    return padded(address) + padded("," + tags) + data


def main() -> None:
    """The messages of each KIND."""
    port, kind = int(sys.argv[1]), sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    client = SimpleUDPClient("127.0.0.1", port)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if kind == "burst":
        packets = [message("/tpos/seed", number) for number in range(count)]
        for packet in packets:
            udp.sendto(packet, ("127.0.0.1", port))
    elif kind == "stream":  # for ever, as fast as it goes, until it is ended
        packets = [message("/tpos/motion/zoom", number / 1000) for number in range(256)]
        while True:
            for packet in packets:
                udp.sendto(packet, ("127.0.0.1", port))
    elif kind == "touchdesigner":  # every channel, every frame, bundled, stamped by a clock that is ahead
        for frame in range(count):
            channels = [
                message("/tpos/motion/zoom", 0.25),
                message("/tpos/out/hud", 1.0),
                message("/tpos/prompt/select", 2.0),
                message("/tpos/seed/random", 1.0 if frame >= 5 else 0.0),
            ]
            udp.sendto(bundle(*channels), ("127.0.0.1", port))
            time.sleep(1 / 60)
    elif kind == "max":
        client.send_message("/tpos/prompt", ["neon", "jellyfish", "at", 3, "fathoms"])
        client.send_message("/tpos/audio/sensitivity", 2)
        client.send_message("/tpos/audio/weight", 0.5)
        client.send_message("/tpos/tempo/tap", "bang")
        client.send_message("/tpos/prompt/1", ["x" * 60_000])
    elif kind == "rubbish":
        for packet in (b"rubbish", b"/", b"#bundle\0", b"#bundle\0" + bytes(8) + struct.pack(">i", -4)):
            udp.sendto(packet, ("127.0.0.1", port))
        client.send_message("/tpos/nothing", 1.0)
        client.send_message("/tpos/motion/zoom", "fast")
        client.send_message("/tpos/motion/zoom", float("nan"))
        client.send_message("/tpos/motion/pan_x", 0.5)


def listen(port: int, own: str) -> None:
    """Subscribe, and print what comes until the heartbeat, an echo and an answer have come.

    own: "port" subscribes a second socket by its number, "here" the socket that sends.
    """
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear = out if own == "here" else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if ear is not out:
        ear.bind(("127.0.0.1", 0))
    ear.settimeout(0.2)
    words = [] if own == "here" else [ear.getsockname()[1]]
    wanted = {"/tpos/subscribed", "/tpos/status/alive", "/tpos/out/hud", "/tpos/audio/weight"}
    deadline = time.monotonic() + 30
    while wanted and time.monotonic() < deadline:
        out.sendto(message("/tpos/subscribe", *words), ("127.0.0.1", port))
        out.sendto(message("/tpos/get", "audio.weight"), ("127.0.0.1", port))
        with contextlib.suppress(TimeoutError):
            while wanted:
                one = OscMessage(ear.recv(65536))
                if one.address in wanted:
                    wanted.discard(one.address)
                    print(one.address, *one.params, flush=True)


if __name__ == "__main__" and sys.argv[2] == "listen":
    listen(int(sys.argv[1]), sys.argv[3])
elif __name__ == "__main__":
    main()
