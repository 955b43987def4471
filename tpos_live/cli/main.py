"""The command line: arguments become Settings, each subcommand calls one function.

Only light modules are imported here, so that help and errors appear at once.
"""

from __future__ import annotations

import difflib
import logging
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tpos_live import __version__
from tpos_live.cli.exit import complete_streams, leave, text_of
from tpos_live.cli.group import Group
from tpos_live.cli.option_types import Number
from tpos_live.cli.options import FILE, IMAGE, SHOW, SOUND, checked, settings_from, show_settings, with_options
from tpos_live.core.errors import one_line
from tpos_live.core.messages import terminal_messages
from tpos_live.core.setting_values import parse_size
from tpos_live.core.settings_file import SettingsError

if TYPE_CHECKING:
    from tpos_live.core.settings import Settings
    from tpos_live.runtime.watchdog import Run

log = logging.getLogger(__name__)

LAZY = {name: f"tpos_live.cli.{name}:{name}" for name in ("bench", "engines", "evaluate", "setup", "train")}


class LazyGroup(Group):
    """A group that imports the modules of its commands when they run, and for help.

    lazy: name of a command -> "module:attribute".
    """

    def __init__(self, *arguments: Any, lazy: dict[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._lazy:
            module, _, attribute = self._lazy[cmd_name].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=LazyGroup, lazy=LAZY, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="tpos-live")
@with_options(SOUND)
@with_options(IMAGE)
@with_options(SHOW)
@click.option("--list-osc", is_flag=True, help="Print every OSC address and end.")
@click.pass_context
def cli(context: click.Context, list_osc: bool, **options: Any) -> None:
    """A VJ engine: generates video that follows the sound, live.

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
    settings = show_settings(options)
    run = supervised(settings)
    if isinstance(run, int):
        context.exit(run)
    from tpos_live.runtime.run_session import run_live_session

    run_live_session(settings, run=run)


def supervised(settings: Settings) -> Run | int:
    """Fork the show under a watchdog, if it is asked for and the system can do it. Returns a Run in each show process,
    and the exit status in this process."""
    from tpos_live.core.paths import state_dir
    from tpos_live.runtime.watchdog import UNWATCHED, Watchdog, is_available

    if not settings.show.watchdog:
        return UNWATCHED
    if why := is_available():
        log.warning(why)
        return UNWATCHED
    return Watchdog(state_dir(), window=not settings.window.headless).run()


@cli.command()
@with_options(IMAGE)
@with_options(SHOW)
def demo(**options: Any) -> int:
    """Play the built-in track; without a display, write tpos-demo.mp4."""
    if options["show_watchdog"] or options["show_resume"]:
        raise click.UsageError("--watchdog and --resume are for a show; the demo always begins anew")
    settings = settings_from(options)
    from tpos_live.display.screens import has_display

    if settings.window.headless or not has_display():
        from tpos_live.runtime.offline import render_demo

        return render_demo(settings)
    from tpos_live.runtime.run_session import run_live_session

    return run_live_session(settings, demo=True)


@cli.command()
@click.argument("audio", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The .mp4 or .mkv to write.")
@click.option("--fps", "record_fps", type=click.IntRange(1, 120), help="Frames per second.")
@click.option("--resolution", "record_resolution", callback=checked(parse_size), help="Size of the video.")
@click.option("--seconds", type=Number(0, 1_000_000), help="Only the first seconds.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes that generate frames in parallel.")
@with_options(IMAGE)
def render(audio: Path, output: Path, workers: int, **options: Any) -> int:
    """Make a video of an audio file, with every frame and the sound."""
    from tpos_live.runtime.offline import render_file

    return render_file(settings_from(options), audio, output, workers)


@cli.command()
@click.option("-o", "--output", type=FILE, required=True, help="The image to write: .png, .jpg or .webp.")
@click.option("--steps", "parameters_steps", type=click.IntRange(1, 4), help="Denoising steps.")
@click.option(
    "--resolution", callback=checked(parse_size), help="Output resolution; post-processed as in the live window."
)
@click.option("--audio", type=FILE, help="Analyse this file; the image shows the end of the analysed part.")
@click.option(
    "--seconds",
    type=Number(0.1, 1_000_000),
    default=10.0,
    show_default=True,
    help="Length of the analysed part, at most.",
)
@with_options(IMAGE)
def still(output: Path, resolution: str | None, audio: Path | None, seconds: float, **options: Any) -> int:
    """Make one image, without sound or from an audio file."""
    from tpos_live.runtime.offline import still as make

    shown = parse_size(resolution) if resolution else None
    return make(settings_from(options), output, shown, audio, seconds)


@cli.command()
def devices() -> int:
    """List sound devices."""
    from tpos_live.cli.doctor import print_devices

    return print_devices()


@cli.command()
@click.option(
    "--show", "trial", is_flag=True, help="Try tonight's settings: run the show, and say what would go wrong."
)
@click.option("--hours", type=Number(0.1, 1000), help="Length of the show, for the space on the disk.  [default: 3]")
@click.option("--try", "seconds", type=Number(2, 1_000_000), help="Seconds of the trial.  [default: 60]")
@with_options(SOUND)
@with_options(IMAGE)
@with_options(SHOW)
def doctor(trial: bool, hours: float | None, seconds: float | None, **options: Any) -> int:
    """Check the installation: what works, and what to install for the rest.

    With --show and the options of a show, the show is tried instead.
    """
    if trial:
        settings = show_settings(options)
        from tpos_live.bench.rehearsal import rehearse

        return rehearse(settings, seconds or 60.0, hours or 3.0)
    if any(value is not None for value in (hours, seconds, *options.values())):
        raise click.UsageError("the options of a show go with --show")
    from tpos_live.cli.doctor import run_doctor

    return run_doctor()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line (arguments: default sys.argv), one line for an expected error, 130 for Ctrl-C."""
    complete_streams()
    try:
        with terminal_messages():
            code = cli.main(args=arguments, prog_name="tpos-live", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = error.exit_code
    except click.ClickException as error:
        click.echo(f"tpos-live: {one_line(_plain(_message(error)))}{_help_hint(error)}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 141
    except Exception as error:
        if line := text_of(error):
            click.echo(f"tpos-live: {one_line(line)}", err=True)
        else:
            sys.excepthook(*sys.exc_info())
        code = 1
    leave(code if isinstance(code, int) else 0)


def _message(error: click.ClickException) -> str:
    """click's message, but with at most one suggestion: click suggests up to three, and compares dashes, too."""
    found = getattr(error, "possibilities", None)
    if not found:
        return error.format_message()
    names = {name.lstrip("-"): name for name in found}
    given = str(getattr(error, "option_name", None) or getattr(error, "command_name", ""))
    near = difflib.get_close_matches(given.lstrip("-"), names, n=1, cutoff=0.65)
    return f"{error.message} Did you mean {names[near[0]]}?" if near else error.message


def _plain(message: str) -> str:
    """Replace click's technical type names, as in "'abc' is not a valid integer range."."""
    for type_name, noun in (("integer", "whole number"), ("float", "number")):
        message = re.sub(rf"is not a valid {type_name}( range)?\.", f"is not a {noun}.", message)
    return message


def _help_hint(error: click.ClickException) -> str:
    """A hint to --help after a usage error, but not after an error in a settings file, which --help does not
    explain."""
    if not isinstance(error, click.UsageError) or isinstance(error.__cause__, SettingsError):
        return ""
    return f" (see {error.ctx.command_path if error.ctx else 'tpos-live'} --help)"
