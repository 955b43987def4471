"""Settings files from real editors: those that can be read, and one line for each error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tpos_live.cli import main as cli
from tpos_live.core.errors import EngineError
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.hub.presets import load_preset
from tpos_live.diffusion.model.load_part import read_json
from tpos_live.diffusion.model.metadata import METADATA_FILE, read_metadata

DEEP = 3000

READ_ALL_THE_SAME = {
    "byte-order mark": ('\ufeffseconds = 3\n[parameters]\nprompt = "größe"\n'.encode(), {"prompt": "größe"}),
    "UTF-16, as Notepad saved it": (
        '\ufeffseconds = 3\r\n[parameters]\r\nprompt = "größe"'.encode("utf-16-le"), {"prompt": "größe"},
    ),
    "UTF-16, big end first": ('\ufeffseconds = 3\n'.encode("utf-16-be"), {}),
    "UTF-32": ('\ufeffseconds = 3\n'.encode("utf-32-le"), {}),
    "Windows line ends": (b'seconds = 3\r\n[parameters]\r\n"prompt.1" = "a"\r\n', {"prompt.1": "a"}),
    "names without quotes": (
        b'seconds = 3\n[parameters]\nprompt = "sea"\nprompt.1 = "a"\nprompt.1.weight = 0.5\nmap.kick.zoom = 0.1\n'
        b"map.kick.zoom.attack = 1\n",
        {"prompt": "sea", "prompt.1": "a", "prompt.1.weight": 0.5, "map.kick.zoom": 0.1, "map.kick.zoom.attack": 1.0},
    ),
    "names without quotes, the section in the middle": (
        b'seconds = 3\n[parameters]\nprompt.1 = "a"\nprompt = "sea"\n[osc]\nport = 0\n',
        {"prompt": "sea", "prompt.1": "a"},
    ),
    "tables": (b'seconds = 3\n[parameters.prompt]\n1 = "a"\nfade = 3\n', {"prompt.1": "a", "prompt.fade": 3.0}),
    "numbers and switches as text": (
        b'seconds = 3\n[parameters]\nstrength = "0.5"\n"out.hud" = "on"\n"out.fit" = "Mirror"\n"steps" = " 2 "\n',
        {"strength": 0.5, "out.hud": True, "out.fit": "mirror", "steps": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ_ALL_THE_SAME)
def test_a_file_is_read_however_it_was_saved(tmp_path: Path, name: str) -> None:
    data, values = READ_ALL_THE_SAME[name]
    path = tmp_path / "c.toml"
    path.write_bytes(data)
    settings = load_settings({}, path, here=tmp_path)
    assert settings.seconds == 3 and settings.start_values() == values


def test_replies_are_a_list_and_one_text_is_a_list_of_one(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    for text, replies in (
        ("reply = '10.0.0.7:9001'", ["10.0.0.7:9001"]),
        ("reply = ''", []),
        ("reply = ['10.0.0.7:9001', '10.0.0.255:9002']", ["10.0.0.7:9001", "10.0.0.255:9002"]),
    ):
        path.write_text(f"[osc]\n{text}\n")
        assert load_settings({}, path, here=tmp_path).osc.reply == replies


BAD = {
    "NUL bytes": (b"seconds = 3\0", ["NUL", "UTF-8"]),
    "UTF-16 without a mark": ("seconds = 3".encode("utf-16-le"), ["NUL", "UTF-8"]),
    "Latin-1": ('[parameters]\nprompt = "größe"'.encode("latin-1"), ["not UTF-8", "save it as UTF-8"]),
    "half a UTF-16 sign": (b"\xff\xfe\x00", ["not UTF-8"]),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), ["not UTF-8"]),
    "3,000 nested arrays": (b"[parameters]\nprompt = " + b"[" * DEEP + b"]" * DEEP, ["nested too deep"]),
    "100 nested arrays": (b"[parameters]\nprompt = " + b"[" * 100 + b"]" * 100, ["nested too deep"]),
    "3,000 nested arrays, not closed": (b"x = " + b"[" * DEEP, ["nested too deep"]),
    "3,000 nested tables": (b"[parameters]\nprompt = " + b"{a=" * DEEP + b"1" + b"}" * DEEP, ["nested too deep"]),
    "a key of 3,000 parts": (b"[parameters]\n" + b".".join([b"a"] * DEEP) + b" = 1", ["nested too deep"]),
    "a section of 3,000 parts": (b"[" + b".".join([b"a"] * DEEP) + b"]\nb = 1", ["nested too deep"]),
    "too large": (b"#" * (1 << 20) + b"\n", ["larger than 1 MiB"]),
    "an integer of 5,000 digits": (b"seconds = " + b"9" * 5000, ["not valid TOML", "digit"]),
    "an integer of 400 digits": (b"[parameters]\nseed = " + b"9" * 400, ["seed", "number"]),
    "a port of 400 digits": (b"[osc]\nport = " + b"9" * 400, ["line 2, osc.port", "65535"]),
    "a text of a million signs": (b'[osc]\nport = "' + b"x" * 1_000_000 + b'"', ["line 2, osc.port", "whole number"]),
    "no end of a text": (b'[parameters]\nprompt = "sea\n', ["not valid TOML", "line 2", "ends with a quote"]),
    "a text without quotes": (b"[parameters]\nprompt = deep sea", ["line 2", 'straight quotes: "neon jellyfish"']),
    "a text in a word processor's quotes": ("[parameters]\nprompt = “sea”".encode(), ["line 2", "straight quotes"]),
    "a size without quotes": (b"[window]\nsize = 512x288", ["line 2", "straight quotes"]),
    "a switch with a capital": (b"[window]\nheadless = True", ["line 2", "true or false"]),
    "a folder of Windows": (b'[record]\nfolder = "C:\\Users\\me"', ["line 2", "single quotes"]),
    "a file of Windows": (b'[record]\nfile = "D:\\shows\\a.mp4"', ["line 2", "single quotes"]),
    "a colon for the equals sign": (b"[parameters]\nprompt: sea", ["line 2", "name = value"]),
    "a sentence": (b"seconds = 3\nthe prompts of tonight", ["line 2", "name = value"]),
    "a list without an end": (b"[output]\nto = ['a.mp4'\n[osc]\nport = 1", ["a list ends with ]"]),
    "a key twice": (b"seconds = 1\nseconds = 2\n", ["line 2", "once"]),
    "a section twice": (b"[osc]\nport = 1\n[osc]\nport = 2", ["line 3", "below the [section] that is there"]),
    "a table and a text": (b'[parameters]\nprompt = "sea"\n[parameters.prompt]\n1 = "a"', ["in quotes", '"prompt.1"']),
    "a line break in a key": (b'"sea\\nsky" = 1', ["sea sky", "unknown key"]),
    "a size that is empty": (b'[record]\nresolution = ""', ["line 2, record.resolution", "1280x720"]),
    "a window size that is empty": (b'[window]\nsize = ""', ["line 2, window.size", "1280x720"]),
    "a size that is a number": (b"[record]\nresolution = 720", ["record.resolution", "a text in quotes"]),
    "a size that is a list": (b"[record]\nresolution = [1280, 720]", ["record.resolution", "a text in quotes"]),
    "a size of blanks": (b'[engine]\nsize = "  "', ["engine.size", "512x288"]),
    "a host that is empty": (b'[osc]\nhost = ""', ["line 2, osc.host", "127.0.0.1"]),
    "a reply without a port": (b'[osc]\nreply = ["10.0.0.7:9001", "10.0.0.8"]', ["osc.reply", "HOST:PORT", "10.0.0.8"]),
    "a reply that is empty": (b'[osc]\nreply = ["10.0.0.7:9001", ""]', ["osc.reply", "HOST:PORT"]),
    "a reply that is a number": (b"[osc]\nreply = 9001", ["osc.reply", "list"]),
    "17 replies": (b"[osc]\nreply = [" + b'"10.0.0.7:9001",' * 17 + b"]", ["osc.reply", "16"]),
    "a section that is a number": (b"sound = 3", ["line 1, sound", "[section]"]),
    "parameters that are a text": (b'parameters = "prompt"', ["line 1, parameters", "[section]"]),
    "a section that is a list": (b"[[sound]]\nmute = true", ["sound", "[section]"]),
    "a switch that is a text": (b'[sound]\nmute = "yes"', ["line 2, sound.mute", "true or false"]),
    "a channel that is a text": (b'[sound]\nchannels = ["1"]', ["sound.channels", "whole number"]),
    "channels that are a number": (b"[sound]\nchannels = 1", ["sound.channels", "list"]),
    "a number that is none": (b"seconds = nan", ["line 1, seconds", "allowed is", "nan"]),
    "a number without end": (b"seconds = inf", ["line 1, seconds", "at most 1e+06"]),
    "a number that is a switch": (b"seconds = true", ["line 1, seconds", "a number"]),
    "a date": (b"seconds = 2026-01-01", ["line 1, seconds", "a number"]),
    "a parameter outside its section": (b'[osc]\nport = 1\n"prompt.1" = "a"', ["line 3", "below [parameters]"]),
    "a parameter at the top": (b'prompt = "sea"', ["line 1, prompt", "below [parameters]"]),
    "a parameter at the top without quotes": (b'prompt.1 = "a"', ["prompt", "below [parameters]"]),
    "a parameter of the wrong kind": (b'[parameters]\nstrength = "much"', ["line 2, parameters.strength", "a number"]),
    "a parameter that is a list": (b'[parameters]\nprompt = ["a", "b"]', ["line 2, parameters.prompt", "a text"]),
    "a parameter that is none": (b"[parameters]\nstrength = nan", ["parameters.strength", "a number"]),
    "a parameter that is too large": (b'[parameters]\nprompt.fade = "99"', ["parameters.prompt.fade", "0 to 60"]),
    "a tempo of a fader": (b"[parameters]\ntempo = 0.216", ["line 2, parameters.tempo", "20 to 240"]),
    "a slip": (b"[parameters]\nmap.kick.zom = 1", ["line 2", "did you mean map.kick.zoom?"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, name: str) -> None:
    data, words = BAD[name]
    path = tmp_path / "c.toml"
    path.write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, path, here=tmp_path)
    line = str(caught.value)
    assert line.startswith(str(path)) and line.isprintable() and len(line) < len(str(path)) + 300
    assert all(word in line for word in words), line


def test_a_path_that_is_no_settings_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\)|cannot be read \(Permission denied\)"):
        load_settings({}, tmp_path, here=tmp_path)
    with pytest.raises(SettingsError, match=r"cannot be read .*name a TOML file"):
        load_settings({}, tmp_path / "none.toml", here=tmp_path)
    if os.path.exists("/dev/zero"):  # noqa: PTH110
        with pytest.raises(SettingsError, match="larger than 1 MiB"):
            load_settings({}, Path("/dev/zero"), here=tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_pipe_on_the_disk_is_never_opened_and_one_of_a_shell_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    with pytest.raises(SettingsError, match="is a pipe; name a TOML file"):
        load_settings({}, here=tmp_path)
    reading, writing = os.pipe()
    os.write(writing, b"seconds = 3.0")
    os.close(writing)
    assert load_settings({}, Path(f"/dev/fd/{reading}"), here=tmp_path / "none").seconds == 3.0
    os.close(reading)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_settings_file_without_permission_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("")
    path.chmod(0)
    with pytest.raises(SettingsError, match="Permission denied"):
        load_settings({}, path, here=tmp_path)


@pytest.mark.parametrize("name", ["byte-order mark", "3,000 nested arrays", "a size that is empty"])
def test_a_bad_settings_file_ends_a_command_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.toml"
    data = READ_ALL_THE_SAME[name][0] + b"[osc]\nport = -1" if name in READ_ALL_THE_SAME else BAD[name][0]
    path.write_bytes(data)
    command = [sys.executable, "-m", "tpos_live", "still", "-o", "x.png", "--config", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and str(path) in line


def test_other_files_that_people_write(tmp_path: Path) -> None:
    """A preset and an engine's description from the same editors."""
    preset, described = tmp_path / "mine.toml", tmp_path / METADATA_FILE
    preset.write_text('\ufeffsource = "a/b"\n', encoding="utf-8")
    assert load_preset("mine", tmp_path).source == "a/b"
    described.write_text('\ufeff{"name": "mine"}', encoding="utf-8")
    assert read_metadata(tmp_path).name == read_json(described)["name"] == "mine"
    preset.write_text("source = " + "[" * DEEP + "]" * DEEP)
    with pytest.raises(EngineError, match=r"mine\.toml: .*nested too deep"):
        load_preset("mine", tmp_path)
    for text in ("[" * 100_000, "[1]", "3", '"text"', "\0", '{"name": 3}'):
        described.write_text(text)
        with pytest.raises(EngineError, match=METADATA_FILE) as caught:
            read_metadata(tmp_path)
        assert str(caught.value).isprintable()
        if "{" not in text:
            with pytest.raises(EngineError, match=METADATA_FILE):
                read_json(described)


def test_reply_addresses_of_the_command_line_replace_those_of_the_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words, replies in (
        (["--osc-reply", "10.0.0.7:9001", "--osc-reply", "10.0.0.255:9002"], ["10.0.0.7:9001", "10.0.0.255:9002"]),
        (["--osc-reply", ""], []),
        ([], ["10.0.0.1:9001"]),
    ):
        (tmp_path / "config.toml").write_text("[osc]\nreply = '10.0.0.1:9001'\n")
        context = cli.cli.commands["demo"].make_context("demo", list(words))
        assert cli.settings_from(context.params).osc.reply == replies
