"""RTMP: a real receiver reads the stream, and every failure of a server becomes an error within the time limit."""

from __future__ import annotations

import contextlib
import math
import shutil
import socket
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
from tpos_live.display.rtmp_chunks import COMMAND, DATA, SET_CHUNK_SIZE, USER_CONTROL, VIDEO, ChunkReader, to_chunks
from tpos_live.display.stream_writer import StreamWriter

SIZE_32 = to_chunks(SET_CHUNK_SIZE, (32).to_bytes(4, "big"))


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
        ("babbling", "the server does not answer"),
        ("ending", "the server refuses the stream: [2Jlive/*** is too long"),
    ],
)
def test_a_server_that_fails_is_one_line_in_time(kind: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtmp, "STALLED", 0.4)
    monkeypatch.setattr(rtmp, "OPENING", 0.4)
    monkeypatch.setattr(rtmp, "BUFFER", 20_000)
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    with RtmpServer(kind) as server:
        begin = time.monotonic()
        with (
            pytest.raises(DisplayError) as caught,
            StreamWriter(f"{server.url}?a=b", (256, 256), 30, live=True) as writer,
        ):
            writer.write_sound(np.zeros((1024, 2), np.float32))
            for n in range(1000):
                writer.write_frame(np.roll(noise, n, 0))
                writer.write_sound(np.zeros((1600, 2), np.float32))
        assert str(caught.value) == why and time.monotonic() - begin < 8.0


@pytest.mark.parametrize("number", [None, float("nan"), float("inf"), -1.0, 2.0**32, "1", {}])
def test_a_stream_without_a_number_is_no_stream(number: object) -> None:
    with RtmpServer("good", number=number) as server, pytest.raises(ValueError, match="does not speak RTMP"):
        RtmpConnection(server.url)


def test_what_a_server_sends_at_once_is_taken_in_pieces() -> None:
    """A server that sends without end would block the stream's thread, and fill the memory."""
    mine, other = socket.socketpair()
    with mine, other:
        connection = RtmpConnection.__new__(RtmpConnection)
        connection._socket, connection._until = mine, math.inf
        connection._reader, connection._commands = ChunkReader(), []
        junk = to_chunks(VIDEO, bytes(100))
        other.setblocking(False)

        def flood() -> None:
            with contextlib.suppress(BlockingIOError):
                for _ in range(100_000):
                    other.sendall(junk)

        sent = mine.recv

        class Flooded:
            """A socket that always has more to read."""

            def __getattr__(self, name: str) -> object:
                return getattr(mine, name)

            def recv(self, most: int) -> bytes:
                nonlocal reads
                reads += 1
                assert reads < 1000, "it reads for ever"
                flood()
                return sent(most)

        reads = 0
        connection._socket = Flooded()  # type: ignore[assignment]
        connection._check_server()
        assert reads == 1


def test_whatever_a_server_sends_is_a_message_or_a_value_error() -> None:
    random, found = np.random.default_rng(5), 0
    good = to_chunks(COMMAND, amf.encode("_result", 1.0, {"a": {"b": "c"}}, {"code": "ok"}), size=32)
    for n in range(3000):
        data = bytearray(random.bytes(200) if n % 3 == 0 else (SIZE_32 + good) * 3)
        for at in random.integers(0, len(data), n % 7):
            data[at] = random.integers(256)
        reader = ChunkReader()
        with contextlib.suppress(ValueError):
            for step in (data[:50], data[50:]):
                for kind, payload in reader.messages(bytes(step)):
                    found += kind == COMMAND and bool(amf.decode(payload))
    assert found > 1000


def test_a_header_begins_a_message_even_if_the_one_before_is_not_complete() -> None:
    begun = to_chunks(VIDEO, bytes(300), channel=5)[:140]
    reader = ChunkReader()
    assert list(reader.messages(begun + to_chunks(DATA, b"short", channel=5))) == [(DATA, b"short")]


def test_channels_with_long_numbers_are_told_apart() -> None:
    first, second = (bytes([0x40 * 0, number]) for number in (1, 2))  # channels 65 and 66
    header = bytes(3) + (200).to_bytes(3, "big") + bytes([VIDEO]) + bytes(4)
    data = first + header + b"a" * 128 + second + header + b"b" * 128
    data += b"\xc0\1" + b"a" * 72 + b"\xc1\2\0" + b"b" * 72  # once in the form of three bytes
    assert [payload for _, payload in ChunkReader().messages(data)] == [b"a" * 200, b"b" * 200]
    many = b"".join(to_chunks(VIDEO, bytes(100_000), channel=channel)[:140] for channel in range(3, 63))
    with pytest.raises(ValueError, match="not RTMP"):
        list(ChunkReader().messages(many))


def test_values_of_every_kind_are_read_and_nested_ones_end() -> None:
    listed = b"\x0a" + (2).to_bytes(4, "big") + amf.encode("a", 1.0)
    date = b"\x0b" + amf.encode(5.0)[1:] + b"\0\0"
    long = b"\x0c" + (3).to_bytes(4, "big") + b"abc"
    item = b"\3\0\1a" + listed + b"\0\1b" + date + b"\0\1c" + long + b"\0\0\x09"
    assert amf.decode(item + amf.encode(True)) == [{"a": ["a", 1.0], "b": 5.0, "c": "abc"}, True]
    for nested in (b"\3\0\1a" * 100_000, b"\x0a\xff\xff\xff\xff" * 100_000):
        with pytest.raises(ValueError, match="nested"):
            amf.decode(nested)
    with pytest.raises(ValueError, match="cut off"):
        amf.decode(b"\x0a\xff\xff\xff\xff" + bytes(9))


def test_a_reason_to_end_is_not_lost_to_the_closed_connection() -> None:
    """The reason may come between the check for it and the next write, which then fails with a connection error."""
    begin = b"FLV\1\5\0\0\0\x09" + bytes(4) + flv_tag(DATA, amf.encode("onMetaData"), 0)
    for _ in range(15):
        with RtmpServer("ending") as server, pytest.raises(ValueError, match="refuses the stream"):
            connection = RtmpConnection(server.url)
            with contextlib.closing(connection):
                connection.write(begin)
                for n in range(100_000):
                    connection.write(flv_tag(VIDEO, bytes(9000), n))


def test_an_address_of_ipv6_stays_one_in_what_the_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.create_connection
    with RtmpServer("good") as server:
        port = int(server.url.split(":")[2].split("/")[0])
        monkeypatch.setattr(socket, "create_connection", lambda _place, seconds: real(("127.0.0.1", port), seconds))
        RtmpConnection(server.url.replace("127.0.0.1", "[::1]")).close()
    connect = next(amf.decode(payload) for kind, payload in server.received if kind == COMMAND)
    assert connect[2]["tcUrl"] == f"rtmp://[::1]:{port}/live"
