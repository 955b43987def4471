"""The audio devices of the machine, and how a name or number selects one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tpos_live.audio.portaudio import WITHOUT, portaudio
from tpos_live.audio.source import AudioError
from tpos_live.core.parameter import whole_number

DEFAULT = "mic"
"""The reserved word for the system's default input."""

_WINDOWS_TWINS = ("MME", "Windows DirectSound", "Windows WDM-KS")
_MME_NAME = 31
"""MME truncates device names to this length."""
_ADDED = re.compile(r"(?<=\()\d+- ?|^\d+- ?|\bhw[: ]\d+(?=,|\)|$)| ?#\d+(?=$|,)", re.IGNORECASE)
"""What systems add to the name of a device for its socket or the order of plugging in: "(2- Scarlett)" on Windows, the
card number in ALSA's "hw:1,0", "#2" at the end."""


@dataclass(frozen=True)
class Device:
    """An audio device as PortAudio lists it. rate: its default, in samples per second."""

    index: int
    name: str
    api: str
    inputs: int
    outputs: int
    rate: float
    default_input: bool = False
    default_output: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.name}, {self.api}"

    @property
    def names(self) -> tuple[str, str]:
        """Both names by which a user may select it."""
        return self.name, self.full_name


def list_devices() -> list[Device]:
    """All devices, in PortAudio's order. Raises AudioError where PortAudio is missing."""
    sd = portaudio()
    try:
        apis, entries = sd.query_hostapis(), sd.query_devices()
    except sd.PortAudioError as error:
        raise AudioError(f"PortAudio cannot list the sound devices ({error}); {WITHOUT}") from error
    default_in, default_out = _defaults(apis, sd.default.device)
    return [
        Device(
            index=index,
            name=entry["name"],
            api=apis[entry["hostapi"]]["name"],
            inputs=entry["max_input_channels"],
            outputs=entry["max_output_channels"],
            rate=entry["default_samplerate"],
            default_input=index == default_in,
            default_output=index == default_out,
        )
        for index, entry in enumerate(entries)
    ]


def _defaults(apis: Sequence[dict], chosen: Sequence[int]) -> tuple[int, int]:
    """PortAudio's default on Windows is MME, with 100 ms latency; WASAPI offers the same devices with less."""
    for api in apis:
        if api["name"] == "Windows WASAPI":
            return api["default_input_device"], api["default_output_device"]
    return chosen[0], chosen[1]


def find_input(wanted: str | int | None = None, devices: Sequence[Device] | None = None) -> Device:
    """The input selected by a number, by words of its name, or by "mic" or None for the default.

    The words of a name may come in any order and case and are searched in "NAME, HOST API"; an exact name wins. If
    nothing matches, a name matches that differs only in what systems add to it (`same_input`).
    devices: those of `list_devices` by default. Raises AudioError with a list of inputs for no match, for several, and
    for a machine without inputs.
    """
    inputs = [device for device in (list_devices() if devices is None else devices) if device.inputs > 0]
    if not inputs:
        raise AudioError(f"no sound input on this machine; plug in a microphone, or {WITHOUT}")
    if wanted is None or str(wanted).strip().lower() in (DEFAULT, ""):
        return next((device for device in inputs if device.default_input), inputs[0])
    text = str(wanted).strip().lower()
    if (number := whole_number(text)) is not None:
        hits = [device for device in inputs if device.index == number]
    else:
        hits = [device for device in inputs if text in map(str.lower, device.names)]
        hits = hits or [device for device in inputs if _matches(text, device)]
        hits = hits or [device for device in inputs if any(same_input(text, name) for name in device.names)]
        hits = [device for device in hits if not any(_is_twin(device, other) for other in hits)]
    if len(hits) == 1:
        return hits[0]
    what = f"{len(hits)} inputs match" if hits else "no input matches"
    raise AudioError(f'{what} "{wanted}"; name one of: {_listed(hits or inputs)}')


def same_input(a: str, b: str) -> bool:
    """Whether two names differ only in what systems add: the device is in another socket, or was plugged in again."""
    return _ADDED.sub("", a).strip().lower() == _ADDED.sub("", b).strip().lower()


def other_inputs(wanted: str | int | None, devices: Sequence[Device] | None = None) -> tuple[str, ...]:
    """The names of all inputs, each once, if none of them is `wanted`; empty if `wanted` is found.

    devices: those of `list_devices` by default, as PortAudio last scanned them.
    """
    try:
        devices = list_devices() if devices is None else devices
        find_input(wanted, devices)
    except AudioError:
        inputs = [device for device in devices or () if device.inputs > 0]
        real = [device.name for device in inputs if not any(_is_twin(device, other) for other in inputs)]
        return tuple(dict.fromkeys(real))
    return ()


def _matches(text: str, device: Device) -> bool:
    return all(word in device.full_name.lower() for word in text.split())


def _is_twin(device: Device, other: Device) -> bool:
    """Whether `other` is the same Windows device through WASAPI."""
    return (
        other.api == "Windows WASAPI"
        and device.api in _WINDOWS_TWINS
        and other.name[:_MME_NAME] == device.name[:_MME_NAME]
    )


def _listed(devices: Sequence[Device]) -> str:
    return "; ".join(f"{device.index} {device.full_name}" for device in devices)
