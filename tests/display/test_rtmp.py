"""RTMP: what is sent can be read, and a server that fails in any way is an error in time."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from fakes.rtmp_server import RtmpServer

from tpos_live.display import amf, rtmp
from tpos_live.display.errors import DisplayError
from tpos_live.display.rtmp import RtmpConnection
from tpos_live.display.rtmp_chunks import DATA, SET_CHUNK_SIZE, USER_CONTROL, VIDEO, ChunkReader, to_chunks
from tpos_live.display.stream_writer import StreamWriter


def flv_tag(kind: int, payload: bytes, time_ms: int) -> bytes:
    header = bytes([kind]) + len(payload).to_bytes(3, "big") + (time_ms & 0xFFFFFF).to_bytes(3, "big")
    tag = header + bytes([time_ms >> 24, 0, 0, 0]) + payload
    return tag + len(tag).to_bytes(4, "big")


@pytest.mark.parametrize("time_ms", [0, 0xFFFFFE, 0xFFFFFF, 5 * 3600 * 1000])
@pytest.mark.parametrize("step", [1, 7, 5000])
def test_messages_come_back_from_their_chunks(time_ms: int, step: int) -> None:
    random = np.random.default_rng(step)
    payloads = [random.bytes(length) for length in (0, 1, 127, 128, 129, 3000)]
    sent = b"".join(to_chunks(VIDEO, payload, time=time_ms, channel=4, stream=1) for payload in payloads)
    sent += to_chunks(SET_CHUNK_SIZE, (4096).to_bytes(4, "big"))
    sent += to_chunks(DATA, payloads[-1], time=time_ms, size=4096)
    reader = ChunkReader()
    found = [message for at in range(0, len(sent), step) for message in reader.messages(sent[at : at + step])]
    assert [payload for kind, payload in found if kind == VIDEO] == payloads
    assert found[-1] == (DATA, payloads[-1])


def test_values_of_commands_come_back() -> None:
    values = ["connect", 1.0, None, True, {"app": "live", "kind": {"a": 2.5}}, "Übertragung"]
    assert amf.decode(amf.encode(*values)) == values
    for length in range(1, len(amf.encode("publish", 5.0))):
        try:
            amf.decode(amf.encode("publish", 5.0)[:length])
        except ValueError as error:
            assert "cut off" in str(error)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of a server that this process trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    key, made = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", *kind, *names, "-keyout", key, "-out", made], check=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


def test_a_stream_goes_over_tls_to_a_server_that_is_trusted_and_to_no_other(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    with RtmpServer("good", certificate) as server, StreamWriter(server.url, (64, 64), 30, live=True) as writer:
        for _ in range(30):
            writer.write_frame(black)
            writer.write_sound(np.zeros((1600, 2), np.float32))
        end = time.monotonic() + 10
        while sum(kind == VIDEO for kind, _ in server.received) < 20 and time.monotonic() < end:
            time.sleep(0.01)
    assert sum(kind == VIDEO for kind, _ in server.received) >= 20
    monkeypatch.setattr(rtmp, "CONNECTING", 0.4)
    with RtmpServer("silent") as silent, pytest.raises(DisplayError, match="the server does not answer"):
        StreamWriter(silent.url.replace("rtmp", "rtmps"), (64, 64), 30).__enter__()
    monkeypatch.delenv("SSL_CERT_FILE")
    with RtmpServer("good", certificate) as server, pytest.raises(DisplayError, match="certificate") as caught:
        StreamWriter(server.url, (64, 64), 30).__enter__()
    assert "\n" not in str(caught.value)


def test_tags_of_flv_become_messages_with_the_key_in_the_command() -> None:
    tags = [flv_tag(DATA, amf.encode("onMetaData"), 0), *(flv_tag(VIDEO, bytes(9000), 40 * n) for n in range(5))]
    data = b"FLV\1\5\0\0\0\x09" + bytes(4) + b"".join(tags)
    with RtmpServer("good") as server:
        connection = RtmpConnection(server.url + "?a=b")
        for at in range(0, len(data), 700):
            connection.write(data[at : at + 700])
        end = time.monotonic() + 10
        while sum(kind == VIDEO for kind, _ in server.received) < 5 and time.monotonic() < end:
            time.sleep(0.01)
        connection.close()
    assert [payload for kind, payload in server.received if kind == VIDEO] == 5 * [bytes(9000)]
    assert (DATA, amf.encode("@setDataFrame", "onMetaData")) in server.received
    assert (USER_CONTROL, b"\0\7abcd") in server.received, "the ping is answered"
    commands = [amf.decode(payload) for kind, payload in server.received if kind == 20]
    assert next(command for command in commands if command[0] == "publish")[3:] == ["a_key?a=b", "live"]
    assert commands[0][2]["app"] == "live" and "a_key" not in commands[0][2]["tcUrl"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("refusing", "the server refuses the stream: this key is not known"),
        ("silent", "the server does not answer"),
        ("other", "the server does not speak RTMP"),
        ("stalling", "the server does not answer"),
    ],
)
def test_a_server_that_fails_is_one_line_in_time(kind: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtmp, "STALLED", 0.4)
    monkeypatch.setattr(rtmp, "BUFFER", 20_000)
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    with RtmpServer(kind) as server:
        begin = time.monotonic()
        with pytest.raises(DisplayError) as caught, StreamWriter(server.url, (256, 256), 30, live=True) as writer:
            writer.write_sound(np.zeros((1024, 2), np.float32))
            for n in range(1000):
                writer.write_frame(np.roll(noise, n, 0))
                writer.write_sound(np.zeros((1600, 2), np.float32))
        assert str(caught.value) == why and time.monotonic() - begin < 8.0
