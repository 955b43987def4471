"""Show files: a round trip, and one line for each error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tpos_live.core.looks import MOST_LOOKS, Cue, Look, Show, capture
from tpos_live.core.midi_map import MidiControl, MidiMapping
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.show_file import read_show, write_show

SHOW = Show(
    (
        Look("deep", {"prompt": 'a "deep" sea — \\ 海', "finish.bloom": 1.0, "director": False, "steps": 2}),
        Look("loud", {"map.kick.zoom": 0.2, "audio.mode": "blend"}),
    ),
    (Cue("loud", 0.0, "4 bars"), Cue("deep", 8.5)),
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_show(tmp_path / "show.toml", SHOW)
    assert read_show(tmp_path / "show.toml") == SHOW
    write_show(tmp_path / "empty.toml", Show(had_number=True))
    assert read_show(tmp_path / "empty.toml") == Show(had_number=True)


def test_a_look_of_everything_that_can_be_set(tmp_path: Path) -> None:
    look = capture("  all \n of it ", ParameterStore({"prompt": "x\ny\t\x7f\x01", "seed": 3}).snapshot().values)
    write_show(tmp_path / "show.toml", Show((look,)))
    assert read_show(tmp_path / "show.toml").looks[0] == look and look.name == "all of it"


def test_names_in_files_written_by_hand_need_no_quotes_for_sections(tmp_path: Path) -> None:
    (tmp_path / "show.toml").write_text('[[look]]\nname = "a"\nparameters = { prompt = "sea", "finish.bloom" = 1 }\n')
    assert read_show(tmp_path / "show.toml").looks == (Look("a", {"prompt": "sea", "finish.bloom": 1.0}),)


def test_a_look_of_a_newer_version_loses_nothing(tmp_path: Path, messages: list[str]) -> None:
    path = tmp_path / "show.toml"
    path.write_text('format = 9\n[[look]]\nname = "a"\n[look.parameters]\nprompt = "sea"\n"finish.smell" = 0.5\n')
    show = read_show(path)
    assert show.looks[0].values == {"prompt": "sea"} and len(messages) == 1 and "finish.smell" in messages[0]
    write_show(path, show)
    assert '"finish.smell" = 0.5' in path.read_text() and read_show(path) == show
    assert "format = 9" in path.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("look = 3", "[[look]]"),
        ("[[look]]\n", "name is a text"),
        ('[[look]]\nname = ""\n', "name is a text"),
        ("[[look]]\nname = 5\n", "name is a text"),
        (f'[[look]]\nname = "{"x" * 61}"\n', "name is a text"),
        ('[[look]]\nname = "a"\n[[look]]\nname = "A"\n', "two looks are called"),
        ('[[look]]\nname = "a"\ncolour = 1\n', "colour"),
        ('[[look]]\nname = "a"\nparameters = 4\n', "is a table"),
        ('[[look]]\nname = "a"\n[look.parameters]\n"out.blackout" = true\n', "out.blackout is not part of a look"),
        ('[[look]]\nname = "a"\n[look.parameters]\n"finish.bloom" = "much"\n', "finish.bloom takes a number"),
        ('[[look]]\nname = "a"\n[look.parameters]\n"finish.bloom" = nan\n', "finish.bloom takes a number"),
        ('[[cue]]\nlook = "a"\n', "there is no look 'a'"),
        ('[[look]]\nname = "a"\n[[cue]]\nlook = "a"\nfade = 1e9\n', "fade is 0 to 60"),
        ('[[look]]\nname = "a"\n[[cue]]\nlook = "a"\nfade = true\n', "fade is 0 to 60"),
        ('[[look]]\nname = "a"\n[[cue]]\nlook = "a"\nstart = "soon"\n', "start is one of now, beat"),
        ('[[look]]\nname = "a"\n[[cue]]\nlook = "a"\nwhen = 1\n', "a cue has look, fade and start"),
        ("format = true", "format is a whole number"),
        ("colour = 1", "a show file has"),
        ("format = 9\ncolour = 1", "the file is of a newer version"),
        ("[[look]\n", "not valid TOML"),
        ("\0\1\2", "not valid TOML"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "show.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as found:
        read_show(path)
    assert says in str(found.value) and str(path) in str(found.value) and "\n" not in str(found.value)
    assert path.read_text() == text


def test_too_many_looks(tmp_path: Path) -> None:
    (tmp_path / "show.toml").write_text("".join(f'[[look]]\nname = "{n}"\n' for n in range(501)))
    with pytest.raises(SettingsError, match="500 is the most"):
        read_show(tmp_path / "show.toml")


@pytest.mark.parametrize("name", ["a\0b", "a\u200bb", "\x1b[31mred", "\x7fa", "\u202ea", "x" * 59 + " y", "\ud800a"])
def test_whatever_name_is_stored_the_file_can_be_read_again(tmp_path: Path, name: str) -> None:
    show = Show().with_look(capture(name, ParameterStore({"prompt": "half a pair \ud800"}).snapshot().values))
    write_show(tmp_path / "show.toml", show)
    assert [look.name for look in read_show(tmp_path / "show.toml").looks] == [show.looks[0].name]


def test_unknown_values_of_every_kind_of_toml_survive_a_write(tmp_path: Path) -> None:
    path = tmp_path / "show.toml"
    lines = ["when = 2020-01-01", "at = 10:00:00", "no = nan", "much = [inf, {a = 1}]", "deep.er = 1"]
    path.write_text("\n".join(['[[look]]\nname = "a"\n[look.parameters]', *lines]))
    write_show(path, read_show(path))
    unknown = read_show(path).looks[0].unknown
    assert set(unknown) == {"when", "at", "no", "much", "deep.er"}
    assert unknown["much"] == [float("inf"), {"a": 1}]


def test_numbers_of_osc_and_midi_are_short_in_the_file(tmp_path: Path) -> None:
    """OSC has 32 bits: 0.3 comes as 0.30000001192092896. A MIDI fader has steps of 1/127."""
    values = {"finish.bloom": 0.30000001192092896, "finish.light": 100 / 127, "seed": 2_147_483_647}
    show = Show((Look("a", values),), (Cue("a", 0.10000000149011612),))
    write_show(tmp_path / "show.toml", show)
    text = (tmp_path / "show.toml").read_text()
    assert '"finish.bloom" = 0.3\n' in text and '"finish.light" = 0.787402\n' in text and "fade = 0.1\n" in text
    assert read_show(tmp_path / "show.toml").looks[0].values["seed"] == 2_147_483_647


def test_a_parameter_without_quotes_is_the_same_parameter(tmp_path: Path) -> None:
    path = tmp_path / "show.toml"
    path.write_text('[[look]]\nname = "a"\n[look.parameters]\nfinish.light = 1\n')
    assert read_show(path).looks[0].values == {"finish.light": 1.0}


def test_a_cue_by_number_keeps_its_look_when_another_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "show.toml"
    path.write_text('[[look]]\nname = "a"\n[[look]]\nname = "b"\n[[cue]]\nlook = "2"\n')
    show = read_show(path)
    show = show.without(show.looks[0])
    write_show(path, show)
    assert read_show(path).cues[0].look == "b"


def test_midi_mappings_are_kept_and_old_files_have_none(tmp_path: Path) -> None:
    path = tmp_path / "show.toml"
    midi = (
        MidiMapping(MidiControl("cc", 1, 21), "finish.bloom"),
        MidiMapping(MidiControl("cc14", 16, 31), "of.the.future"),
        MidiMapping(MidiControl("note", 2, 127), 'look "deep"'),
    )
    write_show(path, Show(midi=midi))
    assert read_show(path).midi == midi
    path.write_text('[[look]]\nname = "one"\n')
    assert read_show(path).midi == ()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('control = "cc 128"\ntarget = "seed"', "control is"),
        ('control = "cc14 32"\ntarget = "seed"', "control is"),
        ('control = 7\ntarget = "seed"', "control is"),
        ('control = "cc 1"\nchannel = 17\ntarget = "seed"', "channel is 1 to 16"),
        ('control = "cc 1"\nchannel = true\ntarget = "seed"', "channel is 1 to 16"),
        ('control = "cc 1"', "target is"),
        ('control = "cc 1"\ntarget = "seed"\ncurve = 2', "curve"),
    ],
)
def test_a_wrong_mapping_is_one_line(tmp_path: Path, entry: str, said: str) -> None:
    path = tmp_path / "show.toml"
    path.write_text(f"[[midi]]\n{entry}\n")
    with pytest.raises(SettingsError, match=f"midi 1: .*{said}"):
        read_show(path)


def test_as_many_looks_as_can_be_stored_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "show.toml"
    looks = tuple(Look(f"look {n}", {"prompt": "x" * 3000}) for n in range(MOST_LOOKS))
    write_show(path, Show(looks))
    assert path.stat().st_size > 1 << 20 and read_show(path).looks == looks


def test_a_number_stays_a_name_after_the_look_was_deleted_and_the_file_read_again(tmp_path: Path) -> None:
    path = tmp_path / "show.toml"
    show = Show((Look("a", {}), Look("b", {}), Look("2", {})))
    write_show(path, show.without(show.looks[2]))
    assert read_show(path).find("2") is None
    write_show(path, Show(show.looks[:2]))
    assert read_show(path).find("2") == show.looks[1]
