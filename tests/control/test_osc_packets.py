"""Parsing of datagrams: order, foreign types, and invalid data."""

import random
import struct
import time

import pytest
from osc_client import bundle, message, raw

from tpos_live.control.osc_packets import Message, Problem, read


def test_message_with_each_type_that_programs_send():
    data = struct.pack(">ifqd", 7, 0.5, 1 << 40, 0.25) + b"two words\0\0\0" + b"sym\0" + struct.pack(">i", 65)
    messages, problems = read(raw("/a", "ifhdsScTFNI", data))
    assert problems == []
    assert messages == [Message("/a", (7, 0.5, 1 << 40, 0.25, "two words", "sym", 65, True, False, None, True))]


def test_arrays_are_laid_flat():
    assert read(raw("/a", "[i[f]]i", struct.pack(">ifi", 1, 2, 3)))[0] == [Message("/a", (1, 2.0, 3))]


def test_bundles_keep_the_written_order_whatever_their_time_tags():
    late = bundle(message("/1", 1), bundle(message("/2", 2), ahead=50.0), message("/3", 3), ahead=100.0)
    messages, problems = read(bundle(message("/0", 0), ahead=-100.0)[:16] + struct.pack(">i", len(late)) + late)
    assert [m.address for m in messages] == ["/1", "/2", "/3"] and problems == []


def test_one_broken_message_does_not_cost_its_bundle():
    good, broken = message("/good", 1.0), raw("/broken", "i")
    elements = b"".join(struct.pack(">i", len(e)) + e for e in (good, broken, good))
    messages, problems = read(b"#bundle\0" + bytes(8) + elements)
    assert [m.address for m in messages] == ["/good", "/good"]
    assert problems == [Problem("/broken", "a message that is cut short")]


@pytest.mark.parametrize("size", [-4, -24, 0, 5000, -(2**31), 2**31 - 1])
def test_bundle_element_of_impossible_size(size):
    messages, problems = read(b"#bundle\0" + bytes(8) + struct.pack(">i", size) + message("/a", 1))
    assert messages == [] and len(problems) == 1


def test_deep_bundles_end():
    data = message("/a", 1)
    for _ in range(2000):
        data = b"#bundle\0" + bytes(8) + struct.pack(">i", len(data)) + data
    messages, problems = read(data)
    assert messages == [] and "nested" in problems[0].text


@pytest.mark.parametrize("tag", "brmtZ")
def test_types_that_no_parameter_takes_are_named(tag, caplog):
    messages, problems = read(raw("/tpos/seed", "i" + tag, bytes(12)))
    assert messages == [] and problems[0].address == "/tpos/seed" and repr(tag) in problems[0].text
    assert not caplog.records


def test_text_that_is_not_utf8():
    assert read(raw("/a", "s", b"\xff\xfe\0\0"))[1] == [Problem("/a", "text that is not UTF-8")]


def test_any_bytes_are_read_without_an_exception_and_in_time(caplog):
    chance = random.Random(5)
    seeds = [
        message("/tpos/prompt", "a", 1, 0.5, True),
        bundle(message("/tpos/seed", 3), bundle(message("/tpos/out/level", 0.5))),
        raw("/tpos/a", "[i[f]]", struct.pack(">if", 1, 2)),
        raw("/tpos/a", "ISchdbrmt", bytes(64)),
    ]
    start = time.thread_time()
    for round_ in range(5000):
        if round_ % 5 == 0:
            data = chance.randbytes(chance.randrange(0, 200))
        else:
            data = bytearray(chance.choice(seeds))
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(len(data))] = chance.choice((0, 0xFF, 0x2F, 0x2C, chance.randrange(256)))
            data = bytes(data[: chance.randrange(len(data) + 1)]) if chance.random() < 0.3 else bytes(data)
        read(data)
    assert time.thread_time() - start < 5
    assert not caplog.records


def test_a_full_datagram_of_small_messages_is_read_in_time():
    one = message("/tpos/seed", 1)
    data = b"#bundle\0" + bytes(8) + (struct.pack(">i", len(one)) + one) * (65_000 // (len(one) + 4))
    start = time.thread_time()
    messages, problems = read(data)
    assert len(messages) > 2000 and problems == []
    assert time.thread_time() - start < 0.5
