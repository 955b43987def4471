"""Parsers and pydantic types for texts of settings: sizes, addresses, screens, channels and others."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from tpos_live.core.backend_table import parse_accelerator
from tpos_live.core.output_names import check_outputs, parse_output
from tpos_live.core.parameter import shorten, whole_number
from tpos_live.core.parameters import TABLE

MOST_LETTERS = 4000
"""Most characters of a text: no system accepts a longer path."""


def check_text(text: str) -> None:
    """Raise ValueError for a text that can be no file name and no address."""
    if "\0" in text:
        raise ValueError("a text has no NUL character")
    if len(text) > MOST_LETTERS:
        raise ValueError(f"a text has at most {MOST_LETTERS} letters")


def parse_size(text: str) -> tuple[int, int]:
    """ "256" is (256, 256), "512x288" is (512, 288), "" is (0, 0). Raises ValueError."""
    if not text:
        return (0, 0)
    match = re.fullmatch(r"(\d{2,5})(?:x(\d{2,5}))?", text.strip().lower())
    if not match:
        raise ValueError("a size is written 256 or 512x288")
    width = int(match[1])
    height = int(match[2] or width)
    if not (64 <= width <= 8192 and 64 <= height <= 8192):
        raise ValueError("a size lies between 64 and 8192 pixels")
    return width, height


def parse_address(text: str) -> tuple[str, int]:
    """ "host:port" as a pair; "" is ("", 0). Raises ValueError."""
    if not text:
        return ("", 0)
    host, colon, port = text.rpartition(":")
    number = whole_number(port)
    if not colon or not host or not _can_be_a_host(host) or number is None or not 0 < number < 65536:
        raise ValueError("a reply address is written HOST:PORT, for example 127.0.0.1:9001")
    return host, number


def parse_screen(text: str) -> int | str:
    """ "1" is the number 1, "HDMI-1" a name, "" too. Raises ValueError."""
    number = whole_number(text)
    if number is None:
        return text.strip()
    most = TABLE["out.screen"].high
    if not 0 <= number <= most:
        raise ValueError(f"a screen is a name, or a number from 0 to {most:g}")
    return number


def _output_size(text: str) -> None:
    if parse_size(text) == (0, 0):
        raise ValueError("a size is written 1280x720; delete the line for the default")


def _listening(text: str) -> None:
    if not text.strip() or not _can_be_a_host(text):
        raise ValueError("takes an address of this machine: 127.0.0.1, or 0.0.0.0 for the whole network")


def _can_be_a_host(text: str) -> bool:
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True


def _reply(text: str) -> None:
    if not text:
        raise ValueError("a reply address is written HOST:PORT, for example 127.0.0.1:9001")
    parse_address(text)


def _several(value: object) -> object:
    """One text is a list of one; "" is none."""
    return ([value] if value else []) if isinstance(value, str) else value


def parse_network(text: str) -> None:
    """Raises ValueError for a text that is neither an IP address nor a network."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(
            f'an address such as 192.168.1.20 or a network such as 192.168.1.0/24, not "{text[:60]}"'
        ) from error


def parse_channels(text: str) -> list[int]:
    """ "1,2" as [1, 2]. Raises ValueError with what is wrong."""
    parts = [whole_number(part) for part in text.split(",")]
    numbers = [number for number in parts if number is not None and number >= 0]
    if len(numbers) < len(parts):
        raise ValueError(f"channels are written 1 or 1,2 and count from 1, not {shorten(text)}")
    return check_channels(numbers)


def check_channels(channels: list[int]) -> list[int]:
    """The same list. Raises ValueError for a channel below 1 or named twice."""
    for channel in channels:
        if channel < 1:
            raise ValueError(f"channels count from 1; there is none with the number {channel}")
        if channels.count(channel) > 1:
            raise ValueError(f"channel {channel} is named twice")
    return channels


def parse_openvino_device(text: str) -> str:
    """ "auto", or a device as OpenVINO names it: "gpu" is "GPU". Raises ValueError."""
    if text.lower() == "auto":
        return "auto"
    name = r"(?:CPU|GPU|NPU)(?:\.\d+)?"
    device = text.strip().upper()
    if not re.fullmatch(rf"{name}|AUTO:{name}(?:,{name})*|HETERO:{name}(?:,{name})*", device):
        raise ValueError("auto, CPU, GPU, GPU.1, NPU, or several such as HETERO:GPU,CPU")
    return device


def _checked(parse: Any) -> AfterValidator:
    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


Size = Annotated[str, _checked(parse_size)]
OutputSize = Annotated[str, _checked(_output_size)]
ScreenName = Annotated[str, _checked(parse_screen)]
Host = Annotated[str, _checked(_listening)]
Addresses = Annotated[list[Annotated[str, _checked(_reply)]], Field(max_length=16), BeforeValidator(_several)]
Networks = Annotated[list[Annotated[str, _checked(parse_network)]], Field(max_length=64), BeforeValidator(_several)]
Outputs = Annotated[
    list[Annotated[str, _checked(parse_output)]],
    Field(max_length=16),
    BeforeValidator(_several),
    AfterValidator(check_outputs),
]
OpenVinoDevice = Annotated[str, AfterValidator(parse_openvino_device)]
Accelerator = Annotated[str, AfterValidator(parse_accelerator)]
Channels = Annotated[list[int], AfterValidator(check_channels)]
