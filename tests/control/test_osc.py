"""OscControl with real sockets and a client in another process."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fakes.waiting import wait_until
from osc_client import message

from tpos_live.control import osc_receiver as receiver_module
from tpos_live.control import osc_server
from tpos_live.control.osc_packets import read
from tpos_live.control.osc_receiver import (
    BUFFER_BYTES,
    Datagram,
    OscError,
    Receiver,
    buffer_advice,
    granted_buffer,
    granted_bytes,
)
from tpos_live.control.osc_server import OscControl
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.status import Status

CLIENT = Path(__file__).with_name("osc_client.py")


def client(port, *words):
    """Run the client to its end in another process."""
    subprocess.run([sys.executable, str(CLIENT), str(port), *map(str, words)], check=True, timeout=60)


class Show:
    """A store that OSC controls."""

    def __init__(self, **options):
        self.store = ParameterStore()
        self.osc = OscControl(self.store, Status, port=-1, **options)

    def __getitem__(self, name):
        return self.store.snapshot()[name]


@pytest.fixture
def show():
    one = Show(reply=[("127.0.0.1", 9)])
    with one.osc:
        yield one


@contextlib.contextmanager
def collecting():
    """A receiver, and the datagrams that it passed on."""
    got = []
    with Receiver("127.0.0.1", 0, got.extend) as receiver:
        yield receiver, got


def test_a_burst_from_another_process_arrives_whole_and_in_order():
    with collecting() as (receiver, got):
        if receiver.granted_bytes < BUFFER_BYTES:
            pytest.skip(buffer_advice(receiver.granted_bytes))
        client(receiver.port, "burst", 2000)
        assert wait_until(lambda: len(got) >= 2000)
        numbers = [read(datagram.data)[0][0].args[0] for datagram in got]
    assert numbers == list(range(2000))


def test_a_burst_waits_for_a_handler_that_is_busy():
    busy = threading.Event()
    got = []

    def handle(batch):
        busy.wait(10)
        got.extend(batch)

    with Receiver("127.0.0.1", 0, handle) as receiver:
        client(receiver.port, "burst", 1000)
        busy.set()
        assert wait_until(lambda: len(got) == 1000)
    assert receiver.dropped == 0


def test_the_store_ends_at_the_last_value_of_a_burst(show):
    if show.osc.granted_bytes < BUFFER_BYTES:
        pytest.skip(buffer_advice(show.osc.granted_bytes))
    client(show.osc.port, "burst", 2000)
    assert wait_until(lambda: show.osc.received == 2000)
    assert wait_until(lambda: show["seed"] == 1999)
    assert show.osc.bad == 0


def test_touchdesigner_sends_every_channel_in_every_frame_from_a_clock_that_is_ahead(show, messages):
    client(show.osc.port, "touchdesigner", 40)
    assert wait_until(lambda: show.osc.received == 160)
    now = show.store.snapshot()
    assert (now["motion.zoom"], now["out.hud"], now["prompt.select"]) == (0.25, True, 2)
    assert now.fired("seed.random") == 1 and show.osc.bad == 0 and messages == []


def test_max_splits_text_at_spaces_and_mixes_ints_and_floats(show, messages):
    client(show.osc.port, "max")
    assert wait_until(lambda: show.osc.received == 5)
    assert wait_until(lambda: len(show["prompt.1"]) == 60_000)
    now = show.store.snapshot()
    assert now["prompt"] == "neon jellyfish at 3 fathoms"
    assert (now["audio.sensitivity"], now["audio.weight"], now.fired("tempo.tap")) == (2.0, 0.5, 1)
    assert messages == []


def test_rubbish_is_counted_told_once_and_stops_nothing(show, messages):
    for _ in range(3):
        client(show.osc.port, "rubbish")
    assert wait_until(lambda: show.osc.received >= 21)
    assert show["motion.pan_x"] == 0.5 and show["motion.zoom"] == 0.0
    assert show.osc.bad >= 15
    assert len(messages) == len(set(messages)) == 4  # the host's packets, /, /tpos/nothing, /tpos/motion/zoom


def test_status_reaches_a_controller_before_anything_else_happens_and_echoes_keys():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(0.1)
        show = Show(reply=[ear.getsockname()])
        heard = {}

        def hear(address):
            with contextlib.suppress(TimeoutError):
                for one in read(ear.recv(65536))[0]:
                    heard[one.address] = one.args[0]
            return address in heard

        with show.osc:
            start = time.monotonic()
            assert wait_until(lambda: hear("/tpos/status/state"))
            assert time.monotonic() - start < 1 and heard["/tpos/status/state"] == "starting"
            show.store.set("out.blackout", True)
            assert wait_until(lambda: hear("/tpos/out/blackout"))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(message("/tpos/get", "motion.pan_y"), ("127.0.0.1", show.osc.port))
                udp.sendto(message("/tpos/nothing", 1.0), ("127.0.0.1", show.osc.port))
            assert wait_until(lambda: hear("/tpos/motion/pan_y"))
            assert wait_until(lambda: "nothing" in (hear("/tpos/status/error") and heard["/tpos/status/error"]))
            assert heard["/tpos/motion/pan_y"] == pytest.approx(0.02)


def test_two_programs_on_one_machine_hear_on_ports_of_their_own(show, messages):
    """One client listens on its sending port, one names a port; the fixed target (--osc-reply) is another."""
    programs = [
        subprocess.Popen(
            [sys.executable, str(CLIENT), str(show.osc.port), "listen", own], stdout=subprocess.PIPE, text=True
        )
        for own in ("here", "port")
    ]
    assert wait_until(lambda: sum("as well" in line for line in messages) == 2, 30)
    show.store.set("out.hud", True)  # a key
    for program in programs:
        heard = dict(line.split(" ", 1) for line in program.communicate(timeout=60)[0].splitlines())
        assert set(heard) == {"/tpos/subscribed", "/tpos/status/alive", "/tpos/out/hud", "/tpos/audio/weight"}
        assert heard["/tpos/subscribed"] == "60.0" and heard["/tpos/out/hud"] == "1.0"
    assert show.osc.bad == 0


def test_a_stranger_cannot_be_subscribed(show, messages):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(message("/tpos/subscribe", "192.0.2.1", 9011), ("127.0.0.1", show.osc.port))
        udp.sendto(message("/tpos/subscribe", show.osc.port), ("127.0.0.1", show.osc.port))
        assert wait_until(lambda: show.osc.bad == 2)
    assert len(messages) == 1 and "only your own address" in messages[0]


def test_without_feedback_a_subscription_is_refused_in_a_line(messages):
    with OscControl(ParameterStore(), Status, port=0) as osc:
        osc._handle([Datagram(message("/tpos/subscribe", 9011), "127.0.0.1", 0.0, 5)])
    assert len(messages) == 1 and "no feedback" in messages[0]


def test_a_port_that_is_taken_is_said_and_the_show_goes_on(messages):
    with Show(reply=[("127.0.0.1", 9)]).osc as first:
        messages.clear()
        store = ParameterStore()
        with OscControl(store, Status, port=first.port, reply=[("127.0.0.1", 9)]) as second:
            assert second.port == 0 and second.received == 0
            assert len(messages) == 1
            assert f"port {first.port} is taken" in messages[0] and "--osc-port" in messages[0]


def test_a_port_that_is_taken_is_listened_to_when_it_is_free(messages, monkeypatch):
    """A killed show holds its ports for seconds on a busy computer; the next show must get them later."""
    monkeypatch.setattr(osc_server, "RETRY_SECONDS", 0.05)
    store = ParameterStore()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as us,
    ):
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with OscControl(store, Status, port=port, reply=[("127.0.0.1", 9)]) as osc:
            time.sleep(0.3)
            assert osc.port == 0
            other.close()
            assert wait_until(lambda: osc.port == port)
            us.sendto(message("/tpos/prompt", "sea"), ("127.0.0.1", port))
            assert wait_until(lambda: store.snapshot()["prompt"] == "sea")
    assert [line for line in messages if str(port) in line][1:] == [f"OSC on 127.0.0.1:{port}"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))  # closed with the show


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_is_not_ours_is_one_line(host):
    with pytest.raises(OscError, match="--osc-host") as error:
        Receiver(host, 0, lambda batch: None).__enter__()
    assert "\n" not in str(error.value)


def test_port_0_is_no_osc_at_all(messages):
    with OscControl(ParameterStore(), Status, port=0) as osc:
        assert osc.port == 0 and messages == []


def test_our_own_port_is_no_reply_address(messages):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with OscControl(ParameterStore(), Status, port=port, reply=[("127.0.0.1", port)]) as osc:
        assert osc.port == port and "our own port" in messages[0]


def test_an_open_network_is_warned_of(messages):
    show = Show(host="0.0.0.0", reply=[("127.0.0.1", 9)])
    with show.osc:
        assert any("whole network" in line for line in messages)
        client(show.osc.port, "burst", 1)
        assert wait_until(lambda: show.osc.received == 1)


def test_it_is_bound_to_this_machine_unless_told_otherwise(show):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.2", show.osc.port))  # free: we hold 127.0.0.1 alone


def test_it_closes_at_once_and_frees_the_port():
    show = Show(reply=[("127.0.0.1", 9)])
    with show.osc:
        port = show.osc.port
        start = time.perf_counter()
    assert time.perf_counter() - start < 0.2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("osc-")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", port))


def test_it_closes_at_once_in_the_middle_of_a_storm():
    show = Show(reply=[("127.0.0.1", 9)])
    with show.osc:
        storm = subprocess.Popen([sys.executable, str(CLIENT), str(show.osc.port), "stream"])
        try:
            assert wait_until(lambda: show.osc.received > 1000)
            start = time.perf_counter()
            show.osc.__exit__(None, None, None)
            took = time.perf_counter() - start
        finally:
            storm.kill()
            storm.wait()
    assert took < 0.3


def test_a_fault_of_ours_is_reported_once_and_control_goes_on(messages):
    got = []

    def handle(batch):
        got.extend(batch)
        raise RuntimeError("a fault")

    with Receiver("127.0.0.1", 0, handle) as receiver:
        for number in range(3):
            client(receiver.port, "burst", 1)
            assert wait_until(lambda wanted=number + 1: len(got) == wanted)
    assert len(messages) == 1 and "a fault" in messages[0]


def test_the_granted_buffer_is_read_back(monkeypatch):
    granted = granted_buffer()
    assert granted > 0 and bool(buffer_advice(granted)) == (granted < BUFFER_BYTES)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        assert granted_bytes(udp) == granted
    monkeypatch.setattr(receiver_module.sys, "platform", "linux")
    assert "sudo sysctl -w net.core.rmem_max=4194304" in buffer_advice(212_992)
    monkeypatch.setattr(receiver_module.sys, "platform", "darwin")
    assert "kern.ipc.maxsockbuf" in buffer_advice(212_992)
    assert buffer_advice(BUFFER_BYTES) == ""


def test_a_small_buffer_is_told_at_the_start(monkeypatch, messages):
    monkeypatch.setattr(receiver_module, "granted_bytes", lambda udp: 212_992)
    show = Show(reply=[("127.0.0.1", 9)])
    with show.osc:
        assert len(messages) == 1 and "208 KiB of 4096" in messages[0]


def test_a_datagram_that_cannot_be_stored_does_not_end_the_receiver(monkeypatch, messages):
    from tpos_live.control.osc_senders import AllowList

    with collecting() as (receiver, got):
        with monkeypatch.context() as patch, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            full = threading.Event()

            def fail(_list, _host):
                full.set()
                raise MemoryError

            patch.setattr(AllowList, "allows", fail)
            udp.sendto(b"one", ("127.0.0.1", receiver.port))
            assert full.wait(20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"two", ("127.0.0.1", receiver.port))
            assert wait_until(lambda: [each.data for each in got] == [b"two"])
    assert len(messages) == 1 and "MemoryError" in messages[0]
