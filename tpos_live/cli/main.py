"""The command line: arguments become Settings, each subcommand calls one function.

Only light modules are imported here, so that help, errors and a first sign of life come at once.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from tpos_live import __version__
from tpos_live.cli.engines import engines
from tpos_live.core.settings import (
    Settings,
    SettingsError,
    load_settings,
    parse_address,
    parse_channels,
    parse_screen,
    parse_size,
)
from tpos_live.evaluation.cli import evaluate

F = TypeVar("F", bound=Callable[..., Any])


def _checked(parse: Callable[[str], Any]) -> Callable[[Any, Any, str | None], str | None]:
    def check(_context: Any, _option: Any, value: str | None) -> str | None:
        try:
            parse(value or "")
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
        return value

    return check


def _channels(_context: Any, _option: Any, value: str | None) -> list[int] | None:
    try:
        return None if value is None else parse_channels(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _replies(_context: Any, _option: Any, values: tuple[str, ...]) -> list[str] | None:
    """None where the option was not given, as with every other option."""
    for value in values:
        _checked(parse_address)(_context, _option, value)
    return [value for value in values if value] if values else None


_FILE = click.Path(dir_okay=False, path_type=Path)
_OFFSCREEN = click.option(
    "--offscreen", is_flag=True, help="Draw with OpenGL as a window does, without a display (EGL)."
)
_PICTURE = [
    click.option("--prompt", "parameters_prompt", metavar="TEXT", help="What the picture shows."),
    click.option("--engine", "engine_name", metavar="NAME|PATH|HUB-ID", help="auto, ember, a folder or a hub id."),
    click.option("--size", "engine_size", metavar="SIZE", callback=_checked(parse_size), help="256 or 512x288."),
    click.option("--seed", "parameters_seed", type=click.IntRange(0, 2**31 - 1), help="Which picture of a prompt."),
    click.option("--threads", "engine_threads", type=click.IntRange(0, 256), help="CPU threads of the engine."),
    click.option("--stream-batch", "engine_stream_batch", is_flag=True, default=None, help="2 to 4 steps in flight."),
    click.option(
        "--residual-guidance", "engine_residual_guidance", is_flag=True, default=None, help="Guidance at no cost."
    ),
    click.option("--accelerator", "engine_accelerator", metavar="NAME", help="auto or one of docs/engines.md's."),
    click.option("--config", type=_FILE, help="Settings file, laid over ./config.toml."),
]
_CAP = click.option(
    "--fps-cap", "engine_fps_cap", type=click.FloatRange(0, 1000), help="Most engine pictures a second."
)
_SHOW = [
    _CAP,
    click.option("--fullscreen", "parameters_out_fullscreen", is_flag=True, default=None, help="Fill the screen."),
    click.option(
        "--screen", "window_screen", metavar="N|NAME", callback=_checked(parse_screen), help="Screen to fill."
    ),
    click.option("--record", "record_file", metavar="FILE", help="Record the show to this .mp4."),
    click.option("--headless", "window_headless", is_flag=True, default=None, help="No window."),
    click.option("--seconds", type=click.FloatRange(0, 1e6), help="End after this time."),
    click.option("--osc-host", "osc_host", metavar="HOST", help="Address to listen on for OSC."),
    click.option("--osc-port", "osc_port", type=click.IntRange(0, 65535), help="UDP port for OSC; 0 = none."),
    click.option(
        "--osc-reply",
        "osc_reply",
        metavar="HOST:PORT",
        multiple=True,
        callback=_replies,
        help="Where status goes; may be given several times.",
    ),
    click.option("--mute", "sound_mute", is_flag=True, default=None, help="Do not play the sound that is analysed."),
]


def _with(options: list[Callable[[F], F]]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _settings(options: dict[str, Any]) -> Settings:
    """Settings from options named section_key; `parameters_out_fullscreen` is the parameter out.fullscreen."""
    overrides = {}
    for name, value in options.items():
        if value is None or name == "config":
            continue
        section, _, rest = name.partition("_")
        if section == "parameters":
            overrides[f"parameters.{rest.replace('_', '.')}"] = value
        else:
            overrides[f"{section}.{rest}" if rest else name] = value
    try:
        return load_settings(overrides, options.get("config"))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tpos-live")
@click.option("--device", "sound_device", metavar="NAME|N", help='Input by name or number; "mic" = the default one.')
@click.option("--audio", "sound_audio", metavar="FILE", help="Play this file instead of listening.")
@click.option("--loop", "sound_loop", is_flag=True, default=None, help="Play the file of --audio again and again.")
@click.option(
    "--fallback", "sound_fallback", metavar="NAME|FILE", help="Input or file to hear while the input is lost."
)
@click.option("--channels", "sound_channels", metavar="1,2", callback=_channels, help="Channels to listen to.")
@_with(_PICTURE)
@_with(_SHOW)
@click.option("--list-osc", is_flag=True, help="Print every OSC address and end.")
@click.pass_context
def cli(context: click.Context, list_osc: bool, **options: Any) -> None:
    """Sound's meaning, live: pictures that follow what a room sounds like.

    Without a command the show starts, listening to the default input.
    """
    if context.invoked_subcommand is not None:
        given = [name for name, value in options.items() if value is not None]
        if given or list_osc:
            raise click.UsageError(f"options of {context.invoked_subcommand} are written after its name")
        return
    if list_osc:
        from tpos_live.control.docs import list_osc as table

        click.echo(table())
        return
    if options["sound_audio"] and options["sound_device"]:
        raise click.UsageError("--audio and --device exclude each other: one source at a time")
    settings = _settings(options)
    if options["sound_loop"] and not settings.sound.audio:
        raise click.UsageError("--loop is for a file; name it with --audio")
    if options["sound_fallback"] and settings.sound.audio:
        raise click.UsageError("--fallback is for an input; a file of --audio is never lost")
    from tpos_live.runtime.live_session import run_live_session

    run_live_session(settings)


@cli.command()
@_with(_PICTURE)
@_with(_SHOW)
def demo(**options: Any) -> int:
    """Play the built-in track; without a display, write tpos-demo.mp4."""
    settings = _settings(options)
    from tpos_live.display.screens import has_display

    if settings.window.headless or not has_display():
        from tpos_live.runtime.offline import render_demo

        return render_demo(settings)
    from tpos_live.runtime.live_session import run_live_session

    return run_live_session(settings, demo=True)


@cli.command()
@click.argument("audio", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="The .mp4 to write.")
@click.option("--fps", "record_fps", type=click.IntRange(1, 120), help="Pictures a second.")
@click.option("--resolution", "record_resolution", callback=_checked(parse_size), help="Size of the video.")
@click.option("--seconds", type=click.FloatRange(0, 1e6), help="Only the first seconds.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes that draw side by side.")
@_with(_PICTURE)
def render(audio: Path, output: Path, workers: int, **options: Any) -> int:
    """Make a video of an audio file: every picture, sound included."""
    from tpos_live.runtime.offline import render_file

    return render_file(_settings(options), audio, output, workers)


@cli.command()
@click.option("-o", "--output", type=_FILE, required=True, help="The picture to write: .png, .jpg or .webp.")
@click.option("--steps", "parameters_steps", type=click.IntRange(1, 4), help="Denoising steps.")
@click.option("--resolution", callback=_checked(parse_size), help="As a show shows it, so large.")
@click.option("--audio", type=_FILE, help="Hear this file, and make the picture at the end of what is heard.")
@click.option("--seconds", type=click.FloatRange(0.1, 1e6), default=10.0, show_default=True, help="Of it, at most.")
@_with(_PICTURE)
def still(output: Path, resolution: str | None, audio: Path | None, seconds: float, **options: Any) -> int:
    """Make one picture: in silence, or of what a file sounds like."""
    from tpos_live.runtime.offline import still as make

    shown = parse_size(resolution) if resolution else None
    return make(_settings(options), output, shown, audio, seconds)


@cli.command()
def devices() -> int:
    """List sound devices."""
    from tpos_live.cli.doctor import print_devices

    return print_devices()


@cli.command()
def doctor() -> int:
    """Say what works on this machine, and what to install for the rest."""
    from tpos_live.cli.doctor import run_doctor

    return run_doctor()


@cli.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@click.option("--seconds", type=click.FloatRange(1, 3600), default=20.0, show_default=True)
@click.option("--append", type=_FILE, help="Add the result to this file of JSON lines.")
@_OFFSCREEN
@_with([*_PICTURE, _CAP])
@click.pass_context
def bench(
    context: click.Context, as_json: bool, seconds: float, append: Path | None, offscreen: bool, **options: Any
) -> None:
    """Measure the whole path: every stage, pictures a second, losses."""
    if context.invoked_subcommand is None:
        from tpos_live.bench.session import bench_show

        context.exit(bench_show(_settings(options), seconds, as_json, append, offscreen))


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@click.option("--clicks", type=click.IntRange(3, 1000), default=100, show_default=True)
@_OFFSCREEN
@_with(_PICTURE)
def latency(as_json: bool, clicks: int, offscreen: bool, **options: Any) -> int:
    """Click into the input, first changed pixel read back from the window."""
    from tpos_live.bench.latency import bench_latency

    return bench_latency(_settings(options), clicks, as_json, offscreen)


@bench.command("engine")
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@click.option("--frames", type=click.IntRange(3, 100_000), default=200, show_default=True, help="Of each loop.")
@click.option("--steps", type=click.IntRange(1, 4), default=1, show_default=True)
@click.option("--baselines/--no-baselines", default=True, help="Measure the stock pipeline and the loop apart as well.")
@click.option("--show", "show_seconds", type=click.FloatRange(0, 3600), default=0.0, help="Then a whole show as long.")
@click.option("--append", type=_FILE, help="Add the results to this file of JSON lines.")
@_OFFSCREEN
@_with(_PICTURE)
def bench_engine_(
    as_json: bool, frames: int, steps: int, baselines: bool, show_seconds: float, append: Path | None,
    offscreen: bool, **options: Any,
) -> int:  # fmt: skip
    """Measure the engine alone, and on the same weights what others do."""
    from tpos_live.bench.engine import bench_engine

    return bench_engine(_settings(options), frames, steps, baselines, show_seconds, append, as_json, offscreen)


def _names(listed: str) -> list[str]:
    """What stands between the commas."""
    return [name.strip() for name in listed.split(",") if name.strip()]


@cli.group()
def train() -> None:
    """Train the networks that are in the box."""


@train.command()
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint, or from the engine in -o.")
@click.option("--minutes", type=click.FloatRange(0.1, 100_000), default=60.0, show_default=True)
@click.option("--of", type=click.FloatRange(0.1, 100_000), help="Of so many minutes of the UNet's training in all.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/ember/engine"))
@click.option("--run", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/ember"))
@click.option("--families", default="", metavar="A,B", help="Learn these scene families alone.")
@click.option("--batch", type=click.IntRange(1, 65_536), default=None, help="Default: for the device.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=None)
@click.option("--accelerator", type=click.Choice(["cpu", "cuda", "mps"]), default=None, help="Default: the best.")
def ember(
    resume: bool, minutes: float, of: float | None, output: Path, run: Path, families: str, batch: int | None,
    seed: int, threads: int | None, accelerator: str | None,
) -> None:  # fmt: skip
    """Train Ember: scenes, text encoder, autoencoder, UNet."""
    from tpos_live.training.image_model.train import train_ember
    from tpos_live.training.scenes.families import FAMILIES

    unknown = sorted(set(_names(families)) - set(FAMILIES))
    if unknown or len(_names(families)) == 1:
        known = ", ".join(FAMILIES)
        raise click.UsageError(f"--families wants two or more of {known}; not {', '.join(unknown) or families}")
    train_ember(
        output, minutes=minutes, resume=resume, accelerator=accelerator, seed=seed, threads=threads, run=run, of=of,
        families=_names(families), batch=batch,
    )  # fmt: skip


@train.command()
@click.option("--sounds", type=click.Path(path_type=Path), required=True, help="A folder of sounds that nobody named.")
@click.option("--teacher", type=click.Path(path_type=Path), required=True, help="YAMNet as a TFLite file.")
@click.option("--minutes", type=click.FloatRange(0, 100_000), default=10.0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on with the ears that are there.")
@click.option("--data", type=click.Path(path_type=Path), help="Clips of `train encoder`, to be heard as well, unnamed.")
@click.option("--leave-out-fold", type=click.IntRange(min=0), metavar="K", help="Of --data, leave out this fold.")
@click.option("--leave-out-classes", default="", metavar="A,B", help="Of --data, leave out these.")
@click.option("--run", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/encoder"))
@click.option("--soundfont", type=click.Path(path_type=Path), help="General MIDI (.sf2), to make music with.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=None)
def ears(
    sounds: Path,
    teacher: Path,
    minutes: float,
    resume: bool,
    data: Path | None,
    leave_out_fold: int | None,
    leave_out_classes: str,
    soundfont: Path | None,
    run: Path,
    seed: int,
    threads: int | None,
) -> None:
    """Teach the sound encoder's ears by a teacher, before it learns names."""
    from tpos_live.training.audio_model.pretrain import train_ears

    if (leave_out_fold is not None or leave_out_classes) and data is None:
        raise click.UsageError("--leave-out-… says which clips of --data are not heard; give --data")
    train_ears(
        sounds, teacher, minutes=minutes, run=run, seed=seed, threads=threads, resume=resume, data=data,
        leave_out_fold=leave_out_fold, without=_names(leave_out_classes), soundfont=soundfont,
    )  # fmt: skip


@train.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A folder with a folder of clips a class.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option("--minutes", type=click.FloatRange(0, 100_000), default=20.0, show_default=True)
@click.option("--leave-out-fold", type=click.IntRange(min=0), metavar="K", help="Train without this fold, to measure.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Default: the one in the box.")
@click.option("--run", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/encoder"))
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=None)
@click.option(
    "--without", type=click.Choice(["lstm", "attention", "level"]), multiple=True, help="Leave a part out, to compare."
)
@click.option("--variant", type=click.Choice(["own", "paper"]), default="own", help="paper: TPoS as it was released.")
@click.option("--leave-out-classes", default="", metavar="A,B", help="Train without these, to measure zero-shot.")
@click.option("--ears", type=click.Path(path_type=Path), help="Of `train ears`; default: those in --run that fit.")
@click.option("--steps", type=click.IntRange(min=1), help="Train so many steps, whatever the clock says.")
def encoder(
    data: Path,
    resume: bool,
    minutes: float,
    leave_out_fold: int | None,
    output: Path | None,
    run: Path,
    seed: int,
    threads: int | None,
    without: tuple[str, ...],
    variant: str,
    leave_out_classes: str,
    ears: Path | None,
    steps: int | None,
) -> None:
    """Train the sound encoder on clips and procedural sounds."""
    from tpos_live.audio_encoder.streaming import Layout
    from tpos_live.training.audio_model.train import train_encoder

    train_encoder(
        data, output, minutes=minutes, leave_out_fold=leave_out_fold, resume=resume, seed=seed, threads=threads,
        run=run, layout=Layout(**dict.fromkeys(without, False)), steps=steps,  # type: ignore[arg-type]
        paper=variant == "paper", without=_names(leave_out_classes), ears=ears,
    )  # fmt: skip


@train.command()
@click.option("--minutes", type=click.FloatRange(0, 100_000), default=15.0, show_default=True)
@click.option("--families", default="", metavar="NAME,…|all", help="Default: those that the engine was trained on.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Engine folder; default: Ember.")
@click.option("--resume", is_flag=True, help="Go on from the judge that is there.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=None)
@click.option("--accelerator", type=click.Choice(["cpu", "cuda", "mps"]), default=None, help="Default: the best.")
def judge(
    minutes: float, families: str, output: Path | None, resume: bool, seed: int, threads: int | None,
    accelerator: str | None,
) -> int:  # fmt: skip
    """Train the judge that `evaluate ember` asks, on fresh renders alone."""
    from tpos_live.evaluation.classifier.command import run

    return run(minutes, families, output, resume, seed, threads, accelerator)


@train.command()
@click.option("--engine", metavar="NAME|PATH|HUB-ID", required=True, help="ember, a folder or a fetched engine.")
@click.option("--minutes", type=click.FloatRange(0.1, 10_000), default=5.0, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=None)
def mapping(engine: str, minutes: float, seed: int, threads: int | None) -> None:
    """Fit the way from what is heard to an engine's own text states; without it a bank of phrases goes between."""
    from tpos_live.training.audio_model.train_projection import train_mapping

    train_mapping(engine, minutes=minutes, seed=seed, threads=threads)


cli.add_command(evaluate)
cli.add_command(engines)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line (arguments: default sys.argv), one line for an expected error, 130 for Ctrl-C."""
    try:
        code = cli.main(args=arguments, standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        hint = " (see tpos-live --help)" if isinstance(error, click.UsageError) else ""
        click.echo(f"tpos-live: {error.format_message()}{hint}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 141
    except Exception as error:
        if expected(error):
            click.echo(f"tpos-live: {error}", err=True)
        else:
            sys.excepthook(*sys.exc_info())
        code = 1
    leave(code if isinstance(code, int) else 0)


def leave(code: int) -> NoReturn:
    """End the process with this exit status.

    A thread that is inside a library, such as the loader importing PyTorch when a file cannot be decoded, cannot be
    interrupted. Python would end it while it takes itself down, and C++ code does not survive that: "FATAL: exception
    not rethrown", status 134. So everything is cleaned up here, and then the process ends without Python's own end.
    """
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # no such stream, or nobody reads it any more
            stream.flush()
    os._exit(code)


def expected(error: BaseException) -> bool:
    """True for our own errors, whose text is written for a person: no traceback."""
    return type(error).__module__.startswith("tpos_live.") or isinstance(error, FileNotFoundError | PermissionError)
