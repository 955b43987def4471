"""Settings: order of sources, and one line that names file, line, key and remedy for every mistake."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tpos_live.core.config_text import config_text
from tpos_live.core.parameters import TABLE
from tpos_live.core.setting_values import parse_address, parse_size
from tpos_live.core.settings import Settings
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.settings_loader import load_settings

ROOT = Path(__file__).parents[2]


def test_config_toml_is_generated() -> None:
    assert (ROOT / "config.toml").read_text(encoding="utf-8") == config_text()


def test_config_toml_says_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(config_text(), encoding="utf-8")
    settings = load_settings({}, here=tmp_path)
    assert settings.model_copy(update={"parameters": {}}) == Settings()
    assert all(TABLE[name].default == value for name, value in settings.parameters.items())
    assert settings.parameters and "prompt" in tomllib.loads(config_text())["parameters"]


def test_order_of_sources(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("seconds = 1\n[osc]\nport = 1\nhost = 'a'\n[sound]\ndevice = 'x'\n")
    over = tmp_path / "over.toml"
    over.write_text("[osc]\nport = 2\n[sound]\ndevice = 'y'\n")
    settings = load_settings({"sound.device": "z", "parameters.prompt": "fire"}, over, here=tmp_path)
    assert (settings.seconds, settings.osc.port, settings.osc.host) == (1, 2, "a")
    assert settings.sound.device == "z"
    assert settings.start_values() == {"prompt": "fire"}


def test_nested_and_quoted_parameter_names(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[parameters]\nmap.kick.zoom = 0.1\n'prompt.fade' = 3\n")
    assert load_settings({}, path, here=tmp_path).start_values() == {"map.kick.zoom": 0.1, "prompt.fade": 3.0}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[sound]\nmut = true", 2, ["sound.mut", "unknown key", "mute"]),
        ("[sound]\nmute = 3", 2, ["sound.mute", "true or false", "3"]),
        ("\n[osc]\n# far\nport = 99999", 4, ["osc.port", "65535"]),
        ("[osc]\nport = 'x'", 2, ["osc.port", "whole number"]),
        ("[engine]\nsize = '3y'", 2, ["engine.size", "512x288"]),
        ("[osc]\nreply = 'here'", 2, ["osc.reply", "HOST:PORT"]),
        ("[sound]\nchannels = [0]", 2, ["sound.channels", "count from 1"]),
        ("[parameters]\n'prompt.fade' = 99", 2, ["prompt.fade", "0 to 60"]),
        ("[parameters]\n'out.fit' = 'wide'", 2, ["out.fit", "cover"]),
        ("[parameters]\nnope = 1", 2, ["nope", "--list-osc"]),
        ("[parameters]\nreset = 1", 2, ["reset", "no such parameter"]),
        ("[foo]\na = 1", 1, ["foo", "unknown key", "sound, engine"]),
        ("[recrod]\nfile = 'x'", 1, ["recrod", "did you mean record?"]),
        ("[osc]\nprot = 1", 2, ["osc.prot", "did you mean port?"]),
        ("sekunden = 9", 1, ["sekunden", "allowed here: sound, engine"]),
        ("[engine]\naccelerator = 'x'", 2, ["engine.accelerator", 'no accelerator "x"; choose auto']),
        ("[record]\nfile = 'a\\u0000.mp4'".replace("'", '"'), 2, ["record.file", "no NUL"]),
        ("[output]\nto = ['a\\u0000.mp4']".replace("'", '"'), 2, ["output.to", "no NUL"]),
        (f"[osc]\nallow = '{'y' * 5000}'", 2, ["osc.allow", "an address such as"]),
        (f"[sound]\naudio = '{'y' * 5000}'", 2, ["sound.audio", "at most 4000 letters"]),
        (f"[web]\nhost = '{'y' * 90}'", 2, ["web.host", "takes an address of this machine"]),
        ("[parameters]\n'out.fit' = 7", 2, ["allowed is cover, contain, mirror, not 7"]),
        ("[parameters]\npause = -1", 2, ["allowed is true or false, not -1"]),
        ("second = 9", 1, ["second", "did you mean seconds?"]),
        ("[audio]\ndevice = 'mic'", 1, ["audio", "[parameters]", "sound, engine"]),
        ("[record]\nfile = 12", 2, ["record.file", "a text in quotes, not 12"]),
        ("[parameters]\nseed = -1", 2, ["0 to 2147483647, not -1"]),
        ("x = [", 1, ["not valid TOML"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, path, here=tmp_path)
    message = str(caught.value)
    assert "bad.toml" in message and "\n" not in message
    assert all(word in message for word in words), message
    assert len(message) < 300 + len(str(tmp_path)), "one line that can be read"
    assert f"line {line}" in message or "TOML" in message


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({}, tmp_path / "none.toml", here=tmp_path)
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_settings({}, binary, here=tmp_path)


def test_a_folder_in_place_of_config_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(SettingsError, match=r"config.toml: cannot be read"):
        load_settings({}, here=tmp_path)


def test_sizes_and_addresses() -> None:
    assert parse_size("256") == (256, 256)
    assert parse_size("512x288") == (512, 288)
    assert parse_address("10.0.0.2:9001") == ("10.0.0.2", 9001)
    for bad in ("0", "1x1", "512x", "-3", "99999"):
        with pytest.raises(ValueError):
            parse_size(bad)
    for bad in ("host", "host:", ":9", "h:70000"):
        with pytest.raises(ValueError):
            parse_address(bad)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("sound.channels = [0]", "channels count from 1; there is none with the number 0"),
        ("sound.channels = [2, 2]", "channel 2 is named twice"),
        ('osc.allow = "all"', 'an address such as 192.168.1.20 or a network such as 192.168.1.0/24, not "all"'),
        ('output.to = "udp://host"', "udp://host names no port: udp://HOST:PORT"),
        (
            'output.to = ["rtmp://h/a/KEY", "rtmp://h/a/KEY"]',
            "rtmp://h/a/*** is named twice; give each output a place of its own",
        ),
        ('engine.size = "a"', "a size is written 256 or 512x288, not 'a'"),
    ],
)
def test_a_message_says_once_what_was_given(written: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(written)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, tmp_path / "a.toml")
    assert str(caught.value).endswith(f"{written.split()[0]}: {message}")
