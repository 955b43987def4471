from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from tpos_live.audio import devices, portaudio
from tpos_live.audio.devices import Device, find_input
from tpos_live.audio.source import AudioError

WINDOWS = [
    Device(0, "Microsoft Sound Mapper - Input", "MME", 2, 0, 44_100),
    Device(1, "Mikrofon (Focusrite USB Audio Interfac", "MME", 2, 0, 44_100),
    Device(2, "Line In (Focusrite USB Audio Interface)", "Windows DirectSound", 2, 0, 44_100),
    Device(3, "Speakers (Realtek)", "Windows WASAPI", 0, 2, 48_000, default_output=True),
    Device(4, "Mikrofon (Focusrite USB Audio Interface)", "Windows WASAPI", 2, 0, 48_000, default_input=True),
    Device(5, "Line In (Focusrite USB Audio Interface)", "Windows WASAPI", 2, 0, 48_000),
    Device(6, "Webcam", "Windows WASAPI", 1, 0, 48_000),
]
LINUX = [
    Device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)", "ALSA", 2, 2, 44_100),
    Device(1, "USB Audio CODEC: Audio (hw:1,0)", "ALSA", 2, 0, 44_100),
    Device(2, "pulse", "ALSA", 32, 32, 44_100),
    Device(3, "pulse rear", "ALSA", 32, 32, 44_100),
    Device(4, "default", "ALSA", 32, 32, 44_100, default_input=True),
]


@pytest.mark.parametrize("wanted", [None, "mic", "MIC", " mic ", ""])
def test_mic_is_the_default_input(wanted: str | None) -> None:
    assert find_input(wanted, LINUX).index == 4
    assert find_input(wanted, WINDOWS).index == 4


def test_without_a_default_the_first_input_is_it() -> None:
    assert find_input("mic", LINUX[:2]).index == 0


@pytest.mark.parametrize("wanted", [1, "1", " 1 "])
def test_a_number_is_an_index(wanted: str | int) -> None:
    assert find_input(wanted, LINUX).index == 1


@pytest.mark.parametrize(("words", "index"), [("usb", 1), ("CODEC usb", 1), ("alsa intel", 0), ("default", 4)])
def test_words_in_any_case_and_order(words: str, index: int) -> None:
    assert find_input(words, LINUX).index == index


def test_an_exact_name_wins() -> None:
    assert find_input("pulse", LINUX).index == 2
    assert find_input("Pulse, ALSA", LINUX).index == 2


def test_an_ambiguous_name_lists_all_matches() -> None:
    with pytest.raises(AudioError, match=r'2 inputs match "hw".*0 HDA Intel.*1 USB Audio') as caught:
        find_input("hw", LINUX)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wanted", ["theremin", 99, "99", -1, "-1", 3.5, "--5", "²", "9" * 5000])
def test_an_unknown_name_lists_the_inputs(wanted: Any) -> None:
    with pytest.raises(AudioError, match=r"no input matches.*0 HDA Intel.*4 default"):
        find_input(wanted, LINUX)


def test_an_output_is_no_input() -> None:
    with pytest.raises(AudioError, match="no input matches"):
        find_input("speakers", WINDOWS)
    with pytest.raises(AudioError, match="no input matches"):
        find_input(3, WINDOWS)


def test_windows_prefers_wasapi_for_the_same_device() -> None:
    assert find_input("line focusrite", WINDOWS).index == 5
    assert find_input("mikrofon", WINDOWS).index == 4
    with pytest.raises(AudioError, match="2 inputs match"):
        find_input("focusrite", WINDOWS)


def test_no_input_at_all_says_what_still_works() -> None:
    with pytest.raises(AudioError, match=r"no sound input.*--audio"):
        find_input("mic", [WINDOWS[3]])


@pytest.mark.parametrize(
    ("system", "remedy"), [("linux", "apt install libportaudio2"), ("win32", "pip install"), ("darwin", "pip install")]
)
def test_missing_portaudio_names_the_package(monkeypatch: pytest.MonkeyPatch, system: str, remedy: str) -> None:
    """As on a Linux without the library: importing sounddevice raises OSError."""
    real_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real_import(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(portaudio.sys, "platform", system)
    with pytest.raises(AudioError, match=remedy) as caught:
        devices.list_devices()
    assert "demo" in str(caught.value) and "\n" not in str(caught.value)
