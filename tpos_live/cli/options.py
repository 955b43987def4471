"""Options that several commands share, and their conversion to Settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tpos_live.cli.option_types import Number, PathName
from tpos_live.core.backend_table import parse_accelerator
from tpos_live.core.output_names import parse_output
from tpos_live.core.setting_values import (
    parse_address,
    parse_channels,
    parse_network,
    parse_openvino_device,
    parse_screen,
    parse_size,
)
from tpos_live.core.settings import Settings
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.settings_loader import load_settings

F = TypeVar("F", bound=Callable[..., Any])


def checked(parse: Callable[[str], Any]) -> Callable[[Any, Any, str | None], str | None]:
    """A click callback that validates a text by `parse`, which raises ValueError, and returns the text."""

    def check(_context: Any, _option: Any, value: str | None) -> str | None:
        try:
            parse(value or "")
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
        return value

    return check


def channels(_context: Any, _option: Any, value: str | None) -> list[int] | None:
    try:
        return None if value is None else parse_channels(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def several(parse: Callable[[str], Any]) -> Callable[[Any, Any, tuple[str, ...]], list[str] | None]:
    """The same for an option that may be given several times; None if it was not given, as for other options."""
    check = checked(parse)

    def check_all(context: Any, option: Any, values: tuple[str, ...]) -> list[str] | None:
        given = [value for value in values if value]
        for value in given:
            check(context, option, value)
        return given if values else None

    return check_all


FILE = PathName(dir_okay=False)
IMAGE = [
    click.option("--prompt", "parameters_prompt", metavar="TEXT", help="What the image shows."),
    click.option(
        "--source",
        "parameters_source",
        metavar="SOURCE",
        help="Start from a camera, NDI, stream, file, folder or scene.",
    ),
    click.option(
        "--source-amount", "parameters_source_amount", type=Number(0, 1), help="How much of the source stays."
    ),
    click.option(
        "--engine",
        "engine_name",
        metavar="NAME|PATH|HUB-ID",
        help="auto, a name of `engines list`, a folder, file or hub id.",
    ),
    click.option(
        "--size",
        "engine_size",
        metavar="SIZE",
        callback=checked(parse_size),
        help="Size of the engine's images: 256 or 512x288.",
    ),
    click.option(
        "--seed",
        "parameters_seed",
        type=click.IntRange(0, 2**31 - 1),
        help="Seed of the noise: which image of a prompt.",
    ),
    click.option("--threads", "engine_threads", type=click.IntRange(0, 256), help="CPU threads of the engine."),
    click.option("--nice", "engine_nice", type=click.IntRange(0, 19), help="Lower priority beside a sound program."),
    click.option(
        "--stream-batch",
        "engine_stream_batch",
        is_flag=True,
        default=None,
        help="Compute 2 to 4 steps at once, on a card.",
    ),
    click.option(
        "--residual-guidance",
        "engine_residual_guidance",
        is_flag=True,
        default=None,
        help="Guidance without a second pass of the UNet.",
    ),
    click.option(
        "--accelerator",
        "engine_accelerator",
        metavar="NAME",
        callback=checked(lambda text: parse_accelerator(text or "auto")),
        help="auto, or a backend that `tpos-live doctor` lists.",
    ),
    click.option(
        "--mode",
        "parameters_engine_mode",
        type=click.Choice(("frames", "keyframes")),
        help="keyframes: an engine slower than 4 fps draws a few, and frames between them need no UNet.",
    ),
    click.option(
        "--keyframes-per-second",
        "parameters_engine_keyframes",
        type=Number(0, 30),
        help="Most keyframes per second; 0 = no limit.",
    ),
    click.option(
        "--openvino-device",
        "engine_openvino_device",
        metavar="auto|CPU|GPU|NPU",
        callback=checked(lambda text: parse_openvino_device(text or "auto")),
        help="What OpenVINO runs on; auto = the fastest, measured once.",
    ),
    click.option("--config", type=FILE, help="Settings file, laid over ./config.toml."),
]
SOUND = [
    click.option(
        "--device", "sound_device", metavar="NAME|N", help='Input by name or number; "mic" = the default one.'
    ),
    click.option("--audio", "sound_audio", metavar="FILE", help="Analyse and play this file instead of an input."),
    click.option("--loop", "sound_loop", is_flag=True, default=None, help="Play the file of --audio again and again."),
    click.option("--fallback", "sound_fallback", metavar="NAME|FILE", help="Input or file while the input is lost."),
    click.option("--channels", "sound_channels", metavar="1,2", callback=channels, help="Channels to listen to."),
]
FPS_CAP = click.option("--fps-cap", "engine_fps_cap", type=Number(0, 1000), help="Maximum engine frames per second.")
SHOW = [
    FPS_CAP,
    click.option("--fullscreen", "parameters_out_fullscreen", is_flag=True, default=None, help="Fill the screen."),
    click.option("--screen", "window_screen", metavar="N|NAME", callback=checked(parse_screen), help="Screen to fill."),
    click.option("--record", "record_file", metavar="FILE", help="Record the show to this .mp4 or .mkv."),
    click.option(
        "--output",
        "output_to",
        metavar="screen:N|ndi:NAME|URL|FILE",
        multiple=True,
        callback=several(parse_output),
        help="Another screen, NDI, spout:NAME, syphon:NAME, a virtual camera (camera), a stream (rtmp://, udp://) or a "
        "video file besides the window; may be given several times.",
    ),
    click.option("--logo", "output_logo", metavar="FILE", help="Image (.png) over every output."),
    click.option(
        "--show-file", "show_file", metavar="FILE", help="Looks and cues (.toml); stored looks are kept in it."
    ),
    click.option("--resume", "show_resume", is_flag=True, default=None, help="Continue the last show after a crash."),
    click.option(
        "--watchdog/--no-watchdog",
        "show_watchdog",
        default=None,
        help="Start the show again if it dies (Linux, macOS).",
    ),
    click.option("--headless", "window_headless", is_flag=True, default=None, help="No window."),
    click.option("--seconds", type=Number(0, 1_000_000), help="End after this many seconds."),
    click.option("--osc-host", "osc_host", metavar="HOST", help="Address to listen on for OSC."),
    click.option("--osc-port", "osc_port", type=click.IntRange(0, 65535), help="UDP port for OSC; 0 = none."),
    click.option(
        "--osc-allow",
        "osc_allow",
        metavar="ADDRESS",
        multiple=True,
        callback=several(parse_network),
        help="Address or network that may send OSC; may be given several times.",
    ),
    click.option(
        "--osc-reply",
        "osc_reply",
        metavar="HOST:PORT",
        multiple=True,
        callback=several(parse_address),
        help="Where status goes; may be given several times.",
    ),
    click.option("--web-host", "web_host", metavar="HOST", help="Address of the control page; 0.0.0.0 = the network."),
    click.option("--web-port", "web_port", type=click.IntRange(1, 65535), help="TCP port of the control page."),
    click.option("--no-web", "web_off", is_flag=True, default=None, help="No control page."),
    click.option("--midi", "midi_port", metavar="PORT|all", help="Use MIDI ports whose name contains this."),
    click.option("--link", "link_on", is_flag=True, default=None, help="Join the network's Ableton Link session."),
    click.option("--mute", "sound_mute", is_flag=True, default=None, help="Do not play the sound that is analysed."),
]


def with_options(options: list[Callable[[F], F]]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def show_settings(options: dict[str, Any]) -> Settings:
    """Settings of a show, from the options of SOUND, IMAGE and SHOW. Raises click.UsageError."""
    if options["sound_audio"] and options["sound_device"]:
        raise click.UsageError("--audio and --device exclude each other: one source at a time")
    settings = settings_from(options)
    if options["sound_loop"] and not settings.sound.audio:
        raise click.UsageError("--loop is for a file; name it with --audio")
    if options["sound_fallback"] and settings.sound.audio:
        raise click.UsageError("--fallback is for an input; a file of --audio is never lost")
    return settings


def settings_from(options: dict[str, Any]) -> Settings:
    """Settings from options named section_key; `parameters_out_fullscreen` is the parameter out.fullscreen. Raises
    click.UsageError."""
    given = {name: value for name, value in options.items() if value is not None and name != "config"}
    try:
        settings = load_settings({_key(name): value for name, value in given.items()}, options.get("config"))
        _refuse_empty(given, options.get("config"))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    return settings


def _key(name: str) -> str:
    section, _, rest = name.partition("_")
    return f"{section}.{rest.replace('_', '.') if section == 'parameters' else rest}" if rest else name


def _refuse_empty(given: dict[str, Any], config: Path | None) -> None:
    """Refuse an empty value, as from `--record "$FILE"` with an unset FILE: the show would run without a recording.

    It is allowed if it removes a value of a settings file, and for the prompt. Raises click.UsageError.
    """
    empty = [name for name, value in given.items() if value in ("", []) and name != "parameters_prompt"]
    if not empty:
        return
    default, written = Settings().model_dump(), load_settings({}, config).model_dump()
    context = click.get_current_context(silent=True)
    options = {option.name: option.opts[-1] for option in context.command.params} if context else {}
    for name in empty:
        section, _, field = _key(name).partition(".")
        if default[section].get(field) not in ("", []) or written[section].get(field) in ("", []):
            raise click.UsageError(f"{options.get(name, name)} is empty; give it a value, or leave it out")
