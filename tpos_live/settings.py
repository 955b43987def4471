"""Settings: what is read once, at the start. `config.toml` and the command line become one frozen tree.

Order, strongest first: command line, `--config FILE`, `./config.toml`, the defaults written here.
`config.toml` at the top of the project is generated from this file (`python -m tpos_live.settings`).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tpos_live.parameters import TABLE, ParameterError, Value


class SettingsError(ValueError):
    """A setting is wrong: file, line, key and what is allowed, in one line."""


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


def _checked(parse: Any) -> AfterValidator:
    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


Size = Annotated[str, _checked(parse_size)]
ScreenName = Annotated[str, _checked(parse_screen)]
Address = Annotated[str, _checked(parse_address)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SoundSettings(_Section):
    """Where the sound comes from."""

    device: str = Field("mic", description='input by name or number; "mic" is the default input')
    audio: str = Field("", description="play this file instead of listening to an input")
    channels: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        default_factory=list, description="channels of the input to listen to, for example [1, 2]; [] = all"
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
    size: Size = Field("1280x720", description="size of the window when it is not full screen")
    screen: ScreenName = Field("", description='screen to fill, by number or name ("HDMI-1"); "" = "out.screen"')


class RecordSettings(_Section):
    """Recording a show, and `tpos-live render`."""

    file: str = Field("", description='record the show to this .mp4 from the start; "" = do not')
    folder: str = Field("", description='where recordings and snapshots go; "" = the current folder')
    fps: int = Field(30, ge=1, le=120, description="pictures a second in a recording")
    resolution: Size = Field("1280x720", description="size of a headless recording and of `render`")


class OscSettings(_Section):
    """Control from other programs."""

    host: str = Field("127.0.0.1", description='address to listen on; "0.0.0.0" = the whole network')
    port: int = Field(9000, ge=0, le=65535, description="UDP port to listen on; 0 = no OSC")
    reply: Address = Field("", description='where status goes, "HOST:PORT"; "" = last sender, port 9001')
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
    _merge(merged, _validate(tree, "command line", ""))
    return Settings.model_validate(merged)


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"{path}: cannot be read ({reason})") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
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
            raise SettingsError(f"{place}: no such parameter; `tpos-live --list-osc` lists them")
        try:
            parsed[name] = parameter.parse(value)
        except ParameterError as error:
            raise SettingsError(f"{place}: {error}") from error
        if isinstance(value, int | float) and not parameter.low <= value <= parameter.high:
            raise SettingsError(f"{place}: allowed is {parameter.low:g} to {parameter.high:g}, not {value:g}")
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
    line = _line_of(text, path)
    return f"{where}, line {line}, {key}" if line else f"{where}, {key}"


def _line_of(text: str, path: list[str]) -> int:
    """Line number of a key in a TOML text, 0 if it is not found."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\]]+)\]", line)
        if header:
            section = header[1].strip()
            if path == [section]:
                return number
            continue
        key = re.match(r"""\s*("[^"]*"|'[^']*'|[\w.-]+)\s*=""", line)
        if key and [*filter(None, [section]), key[1].strip("\"'")] == path:
            return number
    return 0


def _explain(error: Any, path: list[str]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; allowed here: {', '.join(_allowed(path[:-1]))}"
    if kind.endswith(("_type", "_parsing")):
        wanted = kind.removesuffix("_type").removesuffix("_parsing")
        names = {"bool": "true or false", "int": "a whole number", "float": "a number", "string": 'a text in ""'}
        return f"takes {names.get(wanted, 'a ' + wanted)}, not {error['input']!r}"
    if kind == "value_error":
        return f"{context.get('error')}, not {error['input']!r}"
    limits = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for bound, words in limits.items():
        if bound in context:
            return f"allowed is {words} {context[bound]:g}, not {error['input']!r}"
    return f"{error['msg']}, not {error['input']!r}"


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
            about += f" ({parameter.low:g} to {parameter.high:g}{' ' + parameter.unit if parameter.unit else ''})"
        lines += [f"# {about}", f'"{parameter.name}" = {_toml(parameter.default)}']
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
