"""The rows and texts of the HUD."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.status import Status
from tpos_live.display.hud import BAD, DIM, WARN, continued, fitting, forgotten, lines
from tpos_live.display.label_text import EAST_ASIAN, FONTS, columns, fonts_for, shorten, text_scale, wrapped


@pytest.mark.parametrize(
    ("line", "seen", "unknown"),
    [
        ("city at night · neon (0.61); not understood: samurai", "city at night · neon (0.61)", "samurai"),
        ("fire (1.00)", "fire (1.00)", None),
        ("not understood: 海", None, "海"),
        ("", None, None),
    ],
)
def test_what_was_understood_and_what_not_have_a_line_each(line: str, seen: str | None, unknown: str | None) -> None:
    rows = {row.name: row.value for row in lines(Status(understood=line), 60.0)}
    assert rows.get("seen as") == seen and rows.get("unknown") == unknown


@pytest.mark.parametrize(
    ("look", "cue", "following", "row"),
    [("deep", 2, 3, "deep · cue 2 · next 3"), ("deep", 0, 0, "deep"), ("", 0, 1, "next 1"), ("", 0, 0, None)],
)
def test_a_look_has_the_numbers_of_its_cue_and_the_next(look: str, cue: int, following: int, row: str | None) -> None:
    rows = {line.name: line.value for line in lines(Status(look=look, cue=cue, next_cue=following), 60.0)}
    assert rows.get("look") == row


def test_every_output_has_a_row_and_those_that_failed_come_first() -> None:
    def rows(outputs: str) -> list[str]:
        found = lines(Status(outputs=outputs), 60.0)
        first = next((at for at, line in enumerate(found) if line.name == "outputs"), len(found))
        rest = next((at for at in range(first + 1, len(found)) if found[at].name), len(found))
        return [line.value for line in found[first:rest]]

    address = "udp://239.255.255.255:12345 crop=0,0,0.5,1 30 fps, 12 dropped"
    three = rows(f"ndi:stage to 0 · {address} · side.mp4 failed")
    assert three[:2] == ["side.mp4 failed", "ndi:stage to 0"]
    assert three[2].startswith("…") and three[2].endswith(" 30 fps, 12 dropped") and len(three[2]) == 36
    assert rows("") == []
    wall = [f"ndi:wall {tile} to 1" for tile in range(1, 7)]
    assert rows(" · ".join(wall[:4])) == wall[:4]
    assert rows(" · ".join(wall)) == [*wall[:3], "and 3 more"]


def test_a_small_window_shows_the_recording_and_what_is_wrong_before_the_rest() -> None:
    status = Status(outputs="side.mp4 failed · ndi:stage to 1", recording="show.mp4", latency_ms=400.0)
    rows = lines(status, 60.0)
    few = fitting(rows, 5)
    assert len(few) == 5 and few[0].name == "fps"
    assert {line.value for line in rows if line.colour == BAD} <= {line.value for line in few}
    assert few == [line for line in rows if line in few] and fitting(rows, 99) == rows and len(fitting(rows, -3)) == 1


def test_a_message_keeps_its_end_in_a_narrow_window() -> None:
    text = "source nothere.mp4: there is no such file; use camera, camera:NAME, ndi:NAME, a video, a picture or none"
    said = wrapped(text, 71)
    assert said.replace("\n", " ") == text and len(said.splitlines()) == 2
    assert len(wrapped("word " * 500, 71).splitlines()) == 3 and len(wrapped("x" * 500, 20)) <= 3 * 21


def test_a_line_of_wide_letters_has_half_as_many() -> None:
    said = wrapped("海の底で光るくらげ" * 4, 20)
    assert [len(line) for line in said.splitlines()] == [10, 10, 10] and said.endswith("…")


@pytest.mark.parametrize(
    ("window", "scale"),
    [((800, 480), 1.0), ((1280, 720), 1.0), ((1600, 900), 1.25), ((1920, 1080), 1.5), ((1080, 1920), 1.5),
     ((2560, 1080), 1.5), ((3840, 2160), 3.0), ((220, 160), 0.5)],
)  # fmt: skip
def test_the_size_of_texts_follows_the_window(window: tuple[int, int], scale: float) -> None:
    assert text_scale(window) == scale


def test_it_says_what_the_arrow_keys_and_the_controls_do_instead() -> None:
    store = ParameterStore({"out.window.pin": "top_left", "out.window.corner.top_left.x": 0.012, "midi.learn": "+"})
    rows = {row.name: row for row in lines(Status(), 60.0, forgotten(store.snapshot()))}
    assert rows["corner"].value == "top left of window · +1.2 %, +0.0 %" and rows["corner"].colour == WARN
    assert rows["learn"].value == "change a parameter, move a control" and rows["learn"].colour == WARN
    store.update({"out.wall.pin": 2, "out.wall.2.corner.top_left.y": -0.3, "midi.learn": "finish.bloom"})
    values = [row.value for row in forgotten(store.snapshot())]
    assert values == ["top left of wall 2 · +0.0 %, -30.0 %", "move a control for finish.bloom"]


def test_a_long_prompt_has_two_rows_where_there_is_room() -> None:
    prompt = "a glowing jellyfish drifting through a deep sea of neon light and far beyond it, cinematic, detailed"
    rows = lines(Status(prompt=prompt, section="main", decision="main: blend to " + prompt), 60.0)
    shown = continued(rows, len(rows) + 5)
    at = next(n for n, row in enumerate(shown) if row.name == "prompt")
    assert [row.name for row in shown[at : at + 2]] == ["prompt", ""] and len(shown) == len(rows) + 1
    assert shown[at].value == "a glowing jellyfish drifting through a deep" and shown[at + 1].value.endswith("…")
    assert [row.name for row in continued(rows, len(rows))] == [row.name for row in rows]


def test_a_larger_font_has_fewer_letters_in_a_line() -> None:
    """Else the window breaks the broken lines again, in the middle."""
    assert columns(640, 13) == 61 and columns(640, 15) == 53 and columns(64, 15) == 20


def test_a_decision_that_only_repeats_the_section_is_not_said_and_moves_no_row() -> None:
    status = Status(section="main", decision="main")
    before = lines(status, 60.0)
    assert {line.name: line.value for line in before}["decided"] == "-"
    told = lines(replace(status, decision="main: blend to the sea"), 60.0)
    assert "main: blend to the sea" in [line.value for line in told]
    assert [line.name for line in told] == [line.name for line in before]


def test_what_waits_for_its_bar_moves_no_other_row() -> None:
    before = [line.name for line in lines(Status(section="main", prompt="fire", look="Deep"), 60.0)]
    waits = lines(Status(section="main", prompt="fire", look="Deep", waiting="Storm"), 60.0)
    assert [line.name for line in waits] == [*before, "waits"]


def test_lost_sound_is_in_colour_while_it_is_news() -> None:
    def colour(losing: bool) -> object:
        return {line.name: line.colour for line in lines(Status(samples_lost=480), 60.0, losing=losing)}["lost"]

    assert colour(True) == BAD and colour(False) == DIM


def test_what_is_drawn_instead_fits_into_its_row() -> None:
    rows = {row.name: row.value for row in lines(Status(understood="drawn instead: city at night · bright (0.34)"), 60)}
    assert rows["instead"] == "city at night · bright (0.34)" and "seen as" not in rows


def test_it_says_why_the_image_is_black_or_still() -> None:
    store = ParameterStore()
    assert forgotten(store.snapshot()) == []
    store.update({"out.level": 0.4, "out.blackout": True, "out.freeze": True, "pause": True, "audio.mute": True})
    rows = lines(Status(), 60.0, forgotten(store.snapshot()))
    assert (rows[0].name, rows[0].colour) == ("output", WARN)
    assert rows[0].value == "level 40% · blackout · frozen · paused · sound ignored"


def test_it_says_that_the_autopilot_is_on() -> None:
    rows = {row.name: row.value for row in lines(Status(look="Deep"), 60.0, autopilot=True)}
    assert rows["look"] == "Deep · autopilot"
    assert {row.name: row.value for row in lines(Status(), 60.0, autopilot=True)}["look"] == "autopilot"
    assert "look" not in {row.name for row in lines(Status(), 60.0)}


def test_it_says_how_much_of_the_time_the_engine_takes() -> None:
    rows = {row.name: row.value for row in lines(Status(latency_ms=79.2, engine_busy=0.304), 60.0)}
    assert rows["latency"] == "79 ms · engine busy 30%"


def test_it_says_what_the_sound_is_taken_for() -> None:
    rows = {line.name: line for line in lines(Status(heard="ratchet, pawl", density=0.416), 30.0)}
    assert rows["heard"].value == "ratchet, pawl · 42%"
    assert {line.name: line.value for line in lines(Status(), 30.0)}["heard"] == "-"


def test_a_recording_has_its_length_its_encoder_and_the_disk() -> None:
    status = Status(recording="/a/long/way/to/tonight.mp4", record_seconds=754.0, record_fps=28.42, record_lag_ms=240.0)
    rows = {row.name: row.value for row in lines(status, 60.0)}
    assert rows["record"] == "12:34 · tonight.mp4" and rows["encoder"] == "28.4 fps · 0.2 s late" and "disk" not in rows
    status = replace(status, record_minutes_left=53.4, record_dropped=12)
    rows = {row.name: row.value for row in lines(status, 60.0)}
    assert rows["disk"] == "53 min left" and rows["encoder"] == "28.4 fps · 0.2 s late · 12 lost"
    assert {row.name: row.value for row in lines(replace(status, record_minutes_left=1200.0), 60.0)}[
        "disk"
    ] == "20 h left"


def test_a_lost_recording_stays() -> None:
    rows = {row.name: row.value for row in lines(Status(record_error="recording lost: the disk is full"), 60.0)}
    assert rows["record"] == "recording lost: the disk is full"


def test_it_says_where_in_the_song_it_is_and_what_the_director_decided() -> None:
    status = Status(section="build-up", energy=0.614, decision="peak: blend to a neon grid")
    rows = {row.name: row.value for row in lines(status, 60.0)}
    assert rows["section"] == "build-up · energy 61%" and rows["decided"] == "peak: blend to a neon grid"
    assert not {"section", "decided"} & {row.name for row in lines(Status(), 60.0)}


def test_a_value_is_cut_by_the_width_of_its_letters() -> None:
    assert shorten("a  b\n c", 36) == "a b c" and shorten("", 36) == ""
    assert shorten("x" * 36, 36) == "x" * 36 and shorten("x" * 37, 36) == "x" * 35 + "…"
    assert shorten("NEON JELLYFISH IN THE DEEP BLUE SEA", 36) == "NEON JELLYFISH IN THE DEEP BLUE …"
    assert shorten("東" * 18, 36) == "東" * 18 and shorten("東" * 19, 36) == "東" * 17 + "…"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system takes each letter from a font that has it")
def test_japanese_is_drawn_in_a_font_that_has_it() -> None:
    assert fonts_for("fire · שלום · مدينة") == FONTS and fonts_for("東京 neon")[: len(EAST_ASIAN)] == EAST_ASIAN


@pytest.mark.parametrize(("backend", "row"), [("", "ember"), ("eager", "ember · 320x192 · eager")])
def test_an_engine_that_is_loaded_has_no_size_yet(backend: str, row: str) -> None:
    rows = {line.name: line.value for line in lines(Status(engine="ember", size=(320, 192), backend=backend), 60.0)}
    assert rows["engine"] == row
