"""OscControl with liblo's tools and Pure Data as clients in their own processes."""

import socket
import subprocess

import pytest
from fakes.ports import free_port
from fakes.tools import require_tool
from fakes.waiting import wait_until

from tpos_live.control.osc_server import OscControl
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.status import Status


@pytest.fixture
def show(messages):
    store = ParameterStore()
    with OscControl(store, Status, port=-1, reply=[("127.0.0.1", 9)]) as osc:
        osc.store, osc.messages = store, messages
        yield osc


def test_liblo_sends_every_type_and_hears_on_its_own_port(show):
    require_tool("oscsend", "oscdump")
    sent = [
        ("/tpos/seed", "h", "42"),
        ("/tpos/audio/weight", "d", "0.75"),
        ("/tpos/audio/sensitivity", "s", " 2 "),
        ("/tpos/intensity", "S", "0.5"),
        ("/tpos/out/hud", "T"),
        ("/tpos/out/flash_limit", "F"),
        ("/tpos/out/freeze", "s", "on"),
        ("/tpos/motion/pan", "ff", "0.25", "-0.25"),
        ("/tpos/seed/random", "I"),
        ("/tpos/tempo", "f", "0.216"),
        ("/tpos/prompt", "ss", "red", "rose"),
        ("/tpos/tempo/tap", "ii", "36", "127"),
    ]
    for words in sent:
        subprocess.run(["oscsend", "127.0.0.1", str(show.port), *words], check=True, timeout=20)
    assert wait_until(lambda: show.received == len(sent))
    assert wait_until(lambda: show.store.snapshot().fired("tempo.tap") == 1)
    now = show.store.snapshot()
    assert now["seed"] == (1103515245 * 42 + 12345) % 2**31 and now["audio.weight"] == 0.75
    assert (now["audio.sensitivity"], now["intensity"], now["out.hud"]) == (2.0, 0.5, True)
    assert (now["out.flash_limit"], now["out.freeze"], now["tempo"], now["prompt"]) == (False, True, 0.0, "red rose")
    assert (now["motion.pan_x"], now["motion.pan_y"]) == (0.25, -0.25)
    assert show.messages == [] and show.bad == 0

    port = free_port(socket.SOCK_DGRAM)
    dump = subprocess.Popen(["oscdump", "-L", str(port)], stdout=subprocess.PIPE, text=True)
    try:
        subprocess.run(["oscsend", "127.0.0.1", str(show.port), "/tpos/subscribe", "i", str(port)], check=True)
        line = next(line for line in dump.stdout if "/tpos/status/alive" in line)
        assert " f " in line
    finally:
        dump.kill()
        dump.communicate()


PATCH = """#N canvas 0 0 450 300 12;
#X obj 0 0 loadbang;
#X obj 0 20 t b b b b;
#X msg 0 40 connect 127.0.0.1 {port};
#X obj 0 60 netsend -u -b;
#X obj 0 80 list prepend send;
#X obj 0 100 list trim;
#X msg 0 120 {own};
#X obj 0 140 oscformat tpos subscribe;
#X msg 0 160 0.25 -0.25;
#X obj 0 180 oscformat tpos motion pan;
#X msg 0 200 list on;
#X obj 0 220 oscformat tpos out hud;
#X obj 0 240 netreceive -u -b {own};
#X obj 0 260 oscparse;
#X obj 0 280 print heard;
#X connect 0 0 1 0;
#X connect 1 3 2 0;
#X connect 2 0 3 0;
#X connect 1 2 6 0;
#X connect 1 1 8 0;
#X connect 1 0 10 0;
#X connect 6 0 7 0;
#X connect 8 0 9 0;
#X connect 10 0 11 0;
#X connect 7 0 4 0;
#X connect 9 0 4 0;
#X connect 11 0 4 0;
#X connect 4 0 5 0;
#X connect 5 0 3 0;
#X connect 12 0 13 0;
#X connect 13 0 14 0;
"""


def test_pure_data_steers_and_hears_on_its_own_port(show, tmp_path):
    require_tool("pd")
    patch = tmp_path / "patch.pd"
    patch.write_text(PATCH.format(port=show.port, own=free_port(socket.SOCK_DGRAM)))
    pd = subprocess.Popen(
        ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", str(patch)], stderr=subprocess.PIPE, text=True
    )
    try:
        line = next(line for line in pd.stderr if "status alive" in line)
        assert line.startswith("heard: list tpos status alive") or line.startswith("heard: tpos status alive")
    finally:
        pd.kill()
        pd.communicate()
    now = show.store.snapshot()
    assert (now["motion.pan_x"], now["motion.pan_y"], now["out.hud"]) == (0.25, -0.25, True)
    assert show.bad == 0
