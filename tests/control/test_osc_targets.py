"""Targets of feedback: a fake clock, real sockets, and a socket with simulated errors."""

import errno
import socket
import threading

import pytest

from tpos_live.control.osc_targets import LEASE, MAX_HOSTS, MAX_SUBSCRIBERS, Targets, is_loop
from tpos_live.core.parameter import ParameterError


class FailingSocket:
    """A fake socket; `errors`: the error of sending, by port."""

    def __init__(self):
        self.errors, self.sent = {}, []

    def sendto(self, packet, target):
        if code := self.errors.get(target[1]):
            raise OSError(code, errno.errorcode[code])
        self.sent.append(target)

    def close(self):
        pass


def test_it_goes_to_whoever_sends():
    targets = Targets()
    assert targets.all() == [("127.0.0.1", 9001)]
    targets.heard("10.0.0.2", 5.0)
    assert targets.all() == [("10.0.0.2", 9001)]
    targets.heard("10.0.0.3", 6.0)
    assert set(targets.all()) == {("10.0.0.2", 9001), ("10.0.0.3", 9001)}
    targets.heard("10.0.0.3", 90.0)
    assert targets.all() == [("10.0.0.3", 9001)]
    for number in range(100):
        targets.heard(f"10.0.1.{number}", 91.0)
    assert len(targets.all()) == MAX_HOSTS and targets.all()[-1] == ("10.0.1.99", 9001)
    assert targets.of("10.0.0.9") == [("10.0.0.9", 9001)]


def test_fixed_targets_stay():
    fixed = [("10.0.0.7", 9001), ("10.0.0.255", 9011)]
    targets = Targets(fixed)
    targets.heard("10.0.0.2", 5.0)
    assert targets.all() == fixed and targets.of("10.0.0.2") == fixed


@pytest.mark.parametrize("fixed", [[], [("10.0.0.7", 9001)]])
def test_subscribers_get_it_too_until_they_stop_renewing(fixed, messages):
    targets = Targets(fixed)
    usual = targets.all()
    targets.subscribe("127.0.0.1", 9011, 0.0)
    targets.subscribe("127.0.0.1", 9012, 1.0)
    mine = [("127.0.0.1", 9011), ("127.0.0.1", 9012)]
    assert targets.all() == usual + mine
    assert targets.of("127.0.0.1") == usual + mine and not set(mine) & set(targets.of("10.0.0.2"))
    targets.subscribe("127.0.0.1", 9012, 30.0)
    targets.expire(LEASE)
    assert targets.all() == [*usual, ("127.0.0.1", 9012)]
    targets.unsubscribe("127.0.0.1", 9012)
    targets.unsubscribe("127.0.0.1", 9999)
    assert targets.all() == usual
    for _ in range(50):
        targets.subscribe("127.0.0.1", 9011, 100.0)
        targets.expire(100.0 + LEASE)
    assert len(messages) == 3 and "9011 as well" in messages[0] and "9011 ended" in messages[2]


def test_subscribers_are_bounded():
    targets = Targets()
    for number in range(MAX_SUBSCRIBERS):
        targets.subscribe("10.0.0.2", 10_000 + number, 0.0)
    with pytest.raises(ParameterError, match="16 programs"):
        targets.subscribe("10.0.0.3", 9011, 0.0)
    targets.subscribe("10.0.0.2", 10_000, 1.0)
    targets.expire(LEASE)
    targets.subscribe("10.0.0.3", 9011, LEASE)
    assert len(targets.all()) == 1 + 2


def test_it_never_comes_back_to_us():
    targets = Targets(own_port=9000)
    with pytest.raises(ParameterError, match="tpos-live's own"):
        targets.subscribe("127.0.0.1", 9000, 0.0)
    targets.subscribe("192.0.2.1", 9000, 0.0)  # the same port of another machine
    assert Targets(own_port=9001).all() == [] and Targets(own_port=9001).of("192.0.2.1") == [("192.0.2.1", 9001)]
    assert is_loop(("localhost", 9000), 9000, "127.0.0.1") and is_loop(("127.0.0.5", 9000), 9000, "0.0.0.0")
    assert is_loop(("10.0.0.255", 9000), 9000, "0.0.0.0") and not is_loop(("127.0.0.1", 9001), 9000, "127.0.0.1")
    assert not is_loop(("192.0.2.1", 9000), 9000, "127.0.0.1")


def test_a_failure_is_told_once_for_each_target_and_cause_and_tried_again(messages):
    targets = Targets([("10.0.0.7", 9001), ("10.0.0.8", 9002)])
    targets._socket.close()
    targets._socket = out = FailingSocket()
    out.errors = {9001: errno.ENETUNREACH}
    for _ in range(100):
        targets.send(b"x", targets.all())
    assert len(messages) == 1 and "10.0.0.7:9001" in messages[0] and "ENETUNREACH" in messages[0]
    assert out.sent == [("10.0.0.8", 9002)] * 100
    out.errors = {9001: errno.EACCES, 9002: errno.EACCES}
    targets.send(b"x", targets.all())
    assert len(messages) == 3
    out.errors = {}
    for _ in range(3):
        targets.send(b"x", targets.all())
    assert out.sent.count(("10.0.0.7", 9001)) == 3
    assert [line for line in messages if "is sent again" in line] == messages[3:] and len(messages) == 5
    out.errors = {9001: errno.ENETUNREACH}
    targets.send(b"x", targets.all())
    assert len(messages) == 5, "a cable that comes and goes must not fill the terminal"


def test_what_no_datagram_can_hold_is_told_and_the_next_one_arrives(messages):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        targets = Targets([ear.getsockname()])
        for _ in range(3):
            targets.send(b"x" * 70_000, targets.all())
        targets.send(b"next", targets.all())
        assert ear.recv(100) == b"next"
    assert len(messages) == 2 and "cannot be sent" in messages[0] and "sent again" in messages[1]


def test_a_full_buffer_is_no_failure(messages):
    targets = Targets([("10.0.0.7", 9001)])
    targets._socket.close()
    targets._socket = out = FailingSocket()

    def full(packet, target):
        raise BlockingIOError(errno.EAGAIN, "full")

    out.sendto = full
    targets.send(b"x", targets.all())
    assert messages == []


def test_lines_do_not_grow_without_end(messages):
    targets = Targets()
    targets._socket.close()
    targets._socket = out = FailingSocket()
    out.errors = dict.fromkeys(range(1000, 3000), errno.ENETUNREACH)
    targets.send(b"x", [("10.0.0.7", port) for port in range(1000, 3000)])
    assert len(messages) == 64


def test_a_broadcast_reaches_every_program_that_listens(messages):
    ears = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    try:
        for ear in ears:
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ear.settimeout(5)
        ears[0].bind(("127.255.255.255", 0))
        port = ears[0].getsockname()[1]
        ears[1].bind(("127.255.255.255", port))
        targets = Targets([("127.255.255.255", port)])
        targets.send(b"hello", targets.all())
        assert [ear.recv(100) for ear in ears] == [b"hello"] * 2 and messages == []
    except OSError as error:  # macOS and Windows have no broadcast on loopback
        pytest.skip(f"no broadcast on loopback here: {error}")
    finally:
        for ear in ears:
            ear.close()


def test_a_name_is_looked_up_beside_the_show_until_it_is_found(messages, monkeypatch):
    monkeypatch.setattr("tpos_live.control.osc_targets._LOOKUP_SECONDS", 0.001)
    known = threading.Event()

    def resolve(host):
        assert host == "laptop.local"
        if not known.is_set():
            raise socket.gaierror(-2, "Name or service not known")
        return "10.0.0.9"

    targets = Targets([("10.0.0.7", 9001), ("laptop.local", 9002)], resolve=resolve)
    while not messages:
        pass
    assert targets.all() == [("10.0.0.7", 9001)] and "no host named laptop.local" in messages[0]
    assert "--osc-reply" in messages[0]
    known.set()
    while len(targets.all()) < 2:
        pass
    assert targets.all()[1] == ("10.0.0.9", 9002) and len(messages) == 1
    targets.close()


def test_nothing_is_said_after_the_end(messages):
    targets = Targets([("10.0.0.7", 9001)])
    targets.close()
    targets.send(b"x", targets.all())
    assert messages == []
