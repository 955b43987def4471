"""Settings: what is read once, at the start. `config.toml` and the command line become one frozen tree.

Order, strongest first: command line, `--config FILE`, `./config.toml`, the defaults written here.
`config.toml` at the top of the project is generated from this file (`python -m tpos_live.core.settings`).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tpos_live.core.parameter import ParameterError, Value, shorten
from tpos_live.core.parameters import RANDOM_START, TABLE
from tpos_live.core.settings_file import SettingsError, line_of, read_toml
from tpos_live.core.shown import PROMPT, SELECT, WEIGHTS

__all__ = [
    "Settings",
    "SettingsError",
    "config_text",
    "load_settings",
    "parse_address",
    "parse_screen",
    "parse_size",
]


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
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("a reply address is written HOST:PORT, for example 127.0.0.1:9001")
    return host, int(port)


def parse_screen(text: str) -> int | str:
    """ "1" is the number 1, "HDMI-1" a name, "" too. Raises ValueError."""
    if not text.strip().lstrip("-").isdigit():
        return text.strip()
    most = TABLE["out.screen"].high
    if not 0 <= int(text) <= most:
        raise ValueError(f"a screen is a name, or a number from 0 to {most:g}")
    return int(text)


def _output_size(text: str) -> None:
    if parse_size(text) == (0, 0):
        raise ValueError("a size is written 1280x720; delete the line for the default")


def _listening(text: str) -> None:
    if not text.strip():
        raise ValueError("takes an address of this machine: 127.0.0.1, or 0.0.0.0 for the whole network")


def _reply(text: str) -> None:
    if not text:
        raise ValueError("a reply address is written HOST:PORT, for example 127.0.0.1:9001")
    parse_address(text)


def _several(value: object) -> object:
    """One text is a list of one; "" is none."""
    return ([value] if value else []) if isinstance(value, str) else value


def parse_channels(text: str) -> list[int]:
    """ "1,2" as [1, 2]. Raises ValueError with what is wrong."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f'channels are written 1 or 1,2 and count from 1, not "{text}"')
    return check_channels([int(part) for part in parts])


def check_channels(channels: list[int]) -> list[int]:
    """The same list. Raises ValueError for a channel below 1 or named twice."""
    for channel in channels:
        if channel < 1:
            raise ValueError(f"channels count from 1; there is none with the number {channel}")
        if channels.count(channel) > 1:
            raise ValueError(f"channel {channel} is named twice")
    return channels


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
Channels = Annotated[list[int], AfterValidator(check_channels)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SoundSettings(_Section):
    """Where the sound comes from."""

    device: str = Field("mic", description='input by name or number; "mic" is the default input')
    audio: str = Field("", description="play this file instead of listening to an input")
    loop: bool = Field(False, description="play that file again and again, without a gap")
    fallback: str = Field(
        "", description="input (by name) or file that is heard while the input is lost; a file is not played aloud"
    )
    channels: Channels = Field(
        default_factory=list, description="channels to listen to, for example [1, 2]; [] = the first two"
    )
    mute: bool = Field(False, description="do not play a file or the demo on the default output")


class EngineSettings(_Section):
    """What paints the pictures."""

    name: str = Field("auto", description='"auto", "ember", a folder, or the hub id of a fetched engine')
    size: Size = Field("", description='"256" or "512x288"; "" = that of the engine\'s own which suits the screen')
    accelerator: str = Field("auto", description='"auto", or one of those in docs/engines.md')
    threads: int = Field(0, ge=0, le=256, description="CPU threads of the engine; 0 = one for each core")
    stream_batch: bool = Field(False, description="2 to 4 steps: more pictures a second, each shown 1 to 3 later")
    residual_guidance: bool = Field(False, description="guidance that costs nothing and that every engine has")
    fps_cap: float = Field(0.0, ge=0, le=1000, description="most engine pictures a second; 0 = no cap")


class WindowSettings(_Section):
    """Where the pictures go."""

    headless: bool = Field(False, description="no window")
    size: OutputSize = Field("1280x720", description="size of the window when it is not full screen")
    screen: ScreenName = Field("", description='screen to fill, by number or name ("HDMI-1"); "" = "out.screen"')


class RecordSettings(_Section):
    """Recording a show, and `tpos-live render`."""

    file: str = Field("", description='record the show to this .mp4 from the start; "" = do not')
    folder: str = Field("", description='where recordings and snapshots go; "" = the current folder')
    fps: int = Field(30, ge=1, le=120, description="pictures a second in a recording")
    resolution: OutputSize = Field("1280x720", description="size of a headless recording and of `render`")


class OscSettings(_Section):
    """Control from other programs."""

    host: Host = Field("127.0.0.1", description='address to listen on; "0.0.0.0" = the whole network')
    port: int = Field(9000, ge=0, le=65535, description="UDP port to listen on; 0 = no OSC")
    reply: Addresses = Field(
        default_factory=list,
        description='where status goes: ["HOST:PORT", …], broadcast addresses too; [] = port 9001 of whoever sends',
    )
    audio: bool = Field(False, description="send the audio features too (/audio/level/bass and so on)")


class Settings(_Section):
    """Everything that is fixed for one run."""

    sound: SoundSettings = SoundSettings()
    engine: EngineSettings = EngineSettings()
    window: WindowSettings = WindowSettings()
    record: RecordSettings = RecordSettings()
    osc: OscSettings = OscSettings()
    seconds: float = Field(0.0, ge=0, le=1e6, description="end the show after this time; 0 = never")
    parameters: dict[str, Any] = Field(default_factory=dict, description="start values of live parameters")

    def start_values(self) -> dict[str, Value]:
        """Start values of live parameters that differ from the table's defaults."""
        screen = parse_screen(self.window.screen)
        return {**self.parameters, **({"out.screen": screen} if isinstance(screen, int) else {})}


def load_settings(overrides: Mapping[str, Any], config: Path | None = None, here: Path | None = None) -> Settings:
    """Read the configuration files and lay the command line over them.

    overrides: dotted keys such as "sound.device" with values that are not None; a key that starts with
    "parameters." sets the start value of a live parameter. config: the file named by `--config`.
    here: folder of `./config.toml` (default: the current one). Raises SettingsError.
    """
    merged: dict[str, Any] = {}
    for path in (Path(here or ".") / "config.toml", config):
        if path is None or (path is not config and not path.is_file()):
            continue
        _merge(merged, _read(path))
    tree: dict[str, Any] = {}
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        if name:
            tree.setdefault(section, {})[name] = value
        else:
            tree[key] = value
    _last_wins(merged, overrides)
    _merge(merged, _validate(tree, "command line", ""))
    return Settings.model_validate(merged)


def _last_wins(merged: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """A prompt on the command line is later than a slot that a file selects or gives weight (`shown.py`)."""
    parameters = merged.get("parameters")
    if isinstance(parameters, dict) and f"parameters.{PROMPT}" in overrides:
        for name in (SELECT, *WEIGHTS):
            parameters.pop(name, None)


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _read(path: Path) -> dict[str, Any]:
    data, text = read_toml(path)
    return _validate(data, str(path), text)


def _validate(data: dict[str, Any], where: str, text: str) -> dict[str, Any]:
    """The same data, with live parameters parsed. Raises SettingsError naming line, key and remedy."""
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"] if not isinstance(part, int)]
        raise SettingsError(f"{_place(where, text, path)}: {_explain(first, path)}") from error
    parsed = {}
    for name, value in _flatten(settings.parameters):
        place = _place(where, text, ["parameters", name])
        parameter = TABLE.get(name)
        if parameter is None or parameter.kind == "trigger":
            near = difflib.get_close_matches(name[:100], TABLE, n=1, cutoff=0.8)
            hint = f"did you mean {near[0]}?" if near and parameter is None else "`tpos-live --list-osc` lists them"
            raise SettingsError(f"{place}: no such parameter; {hint}")
        try:
            parsed[name] = parameter.parse(value)
            if not parameter.allows(value):
                raise ParameterError(f"allowed is {parameter.low:g} to {parameter.high:g}, not {shorten(value)}")
        except ParameterError as error:
            raise SettingsError(f"{place}: {error}") from error
    return {**data, "parameters": parsed} if parsed else data


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names may be written "map.kick.zoom" or, as TOML nests them, map.kick.zoom."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _place(where: str, text: str, path: list[str]) -> str:
    key = ".".join(path)
    line = line_of(text, path)
    return f"{where}, line {line}, {key}" if line else f"{where}, {key}"


def _explain(error: Any, path: list[str]) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), shorten(error["input"])
    if kind == "extra_forbidden":
        if path[-1] in TABLE or any(name.startswith(f"{path[-1]}.") for name in TABLE):
            return "a live parameter; write it below [parameters]"
        return f"unknown key; allowed here: {', '.join(_allowed(path[:-1]))}"
    if kind.endswith(("_type", "_parsing")):
        wanted = kind.removesuffix("_type").removesuffix("_parsing")
        return f"takes {_KINDS.get(wanted, 'a ' + wanted)}, not {given}"
    if kind == "value_error":
        return f"{context.get('error')}, not {given}"
    limits = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for bound, words in limits.items():
        if bound in context:
            return f"allowed is {words} {context[bound]:g}, not {given}"
    return f"{error['msg']}, not {given}"


_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": 'a text in ""',
    "list": "a list in []",
    "model": "keys of its own: write it as a [section]",
    "dict": "keys of its own: write it as a [section]",
}


def _allowed(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        model = annotation
    return list(model.model_fields)


def config_text() -> str:
    """The text of `config.toml`: every setting and every live parameter with its default and a comment."""
    lines = [
        "# tpos-live: every setting with its default. Delete what you do not change.",
        "# Order, strongest first: command line, --config FILE, ./config.toml, built-in defaults.",
        "",
    ]
    sections = []
    for name, field in Settings.model_fields.items():
        if name == "parameters":
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections.append((name, field.annotation))
        else:
            lines += [f"# {field.description}", f"{name} = {_toml(field.get_default())}"]
    for name, model in sections:
        lines += ["", f"[{name}]  # {(model.__doc__ or '').strip().rstrip('.').lower()}"]
        for key, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            lines += [f"# {field.description}{_range(field)}", f"{key} = {_toml(default)}"]
    lines += [
        "",
        "[parameters]  # start values of live parameters; OSC and keys change them during a show",
        "# map.<feature>.<target>: how far a feature of the sound moves the picture; .curve is the exponent,",
        "# .attack and .release are in seconds. Here are those that do something when nobody has touched them.",
    ]
    for parameter in TABLE.values():
        if parameter.kind == "trigger" or (parameter.name.startswith("map.") and not _map_in_use(parameter.name)):
            continue
        about = parameter.text
        if parameter.choices:
            about += f" ({', '.join(parameter.choices)})"
        elif parameter.kind in ("int", "float"):
            most = int(parameter.high) if parameter.high == round(parameter.high) else parameter.high
            about += f" ({parameter.low:g} to {most}{' ' + parameter.unit if parameter.unit else ''})"
        unset = "# " if parameter.name in RANDOM_START else ""
        lines += [f"# {about}", f'{unset}"{parameter.name}" = {_toml(parameter.default)}']
    return "\n".join(lines) + "\n"


def _map_in_use(name: str) -> bool:
    pair = ".".join(name.split(".")[:3])
    return TABLE[pair].default != 0


def _range(field: Any) -> str:
    bounds = {name: getattr(m, name) for m in field.metadata for name in ("ge", "le") if hasattr(m, name)}
    return f" ({bounds['ge']:g} to {bounds['le']:g})" if len(bounds) == 2 else ""


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    print(config_text(), end="")
