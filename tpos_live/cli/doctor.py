"""`tpos-live doctor`: checks the installation, and names what to install."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from tpos_live.bench.findings import Finding, print_findings
from tpos_live.cli.machine import probe_sound, probe_window
from tpos_live.cli.machine_findings import sound_finding, torch_findings, window_finding
from tpos_live.core.errors import first_line
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.cuda.diagnosis import nvidia_cards, torch_build


def run_doctor() -> int:
    """Print one line per topic. Returns 0 if the main job (image from sound) works, else 1."""
    return 0 if print_findings(_findings()) else 1


def _findings() -> Iterator[Finding]:
    for check in CHECKS:
        try:
            yield from list(check())
        except Exception as error:  # a check that fails must not stop the others
            yield Finding(check.__name__.strip("_"), False, first_line(error, 200))


def print_devices() -> int:
    """List inputs and outputs, with the numbers and names for `--device`."""
    from tpos_live.audio.devices import list_devices

    rows = list_devices()
    for row in rows:
        marks = [word for word, true in (("mic", row.default_input), ("default output", row.default_output)) if true]
        ways = f"{row.inputs} in, {row.outputs} out"
        extra = f"  ({', '.join(marks)})" if marks else ""
        click.echo(f"{row.index:>3}  {row.full_name}  {ways}  {row.rate:g} Hz{extra}")
    if not any(row.inputs for row in rows):
        click.echo("no sound input found; --audio FILE and `tpos-live demo` work without one", err=True)
    return 0


def _python() -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.platform()}")


def _settings() -> Iterator[Finding]:
    load_settings({})
    file = Path("config.toml").resolve()
    yield Finding("settings", True, str(file) if file.is_file() else f"no {file.name} in this folder: the defaults")


def _torch() -> Iterator[Finding]:
    yield from torch_findings(nvidia_cards(), torch_build())


def _engine() -> Iterator[Finding]:
    from tpos_live.diffusion.hub.resolve import resolve_engine
    from tpos_live.diffusion.model.engine import load_engine

    path, reason = resolve_engine("auto")
    load_engine(path)
    yield Finding("engine", True, reason.removeprefix("engine: "))


def _backends() -> Iterator[Finding]:
    from tpos_live.core.backend_table import NAMES
    from tpos_live.diffusion.backends.registry import is_available

    for name in NAMES:
        ready, why = is_available(name)
        yield Finding(name, ready or None, why or "available")


def _sound() -> Iterator[Finding]:
    yield sound_finding(probe_sound())


def _window() -> Iterator[Finding]:
    window = probe_window()
    yield window_finding(window)
    if not window.gl:
        return
    yield Finding("screens", True, _screens())
    yield Finding("keys", True, _keys())
    yield _screen_saver()


def _screens() -> str:
    from pyglet.display import get_display

    from tpos_live.display.screens import Screens

    return str(Screens(get_display()))


def _keys() -> str:
    from pyglet.display import get_display

    from tpos_live.control.keys import LETTERS
    from tpos_live.display.keyboard import describe_layout

    return describe_layout(get_display(), LETTERS) or "by their physical position, as on a US keyboard (docs/keys.md)"


def _screen_saver() -> Finding:
    from tpos_live.display.screen_saver import ScreenSaverInhibitor

    with ScreenSaverInhibitor(warn=False) as inhibitor:
        inhibitor.ready.wait(10.0)
        names = ", ".join(inhibitor.active)
    return Finding(
        "screen saver", bool(names) or None, f"inhibited during a show by {names}" if names else inhibitor.advice
    )


def _video() -> Iterator[Finding]:
    import av

    missing = [name for name in ("libx264", "aac") if name not in av.codecs_available]
    text = f"PyAV {av.__version__} " + (f"without {', '.join(missing)}" if missing else "with H.264 and AAC")
    yield Finding("video", not missing, text + ("; pip install --force-reinstall av" if missing else ""))


def _osc() -> Iterator[Finding]:
    from tpos_live.control.osc_receiver import buffer_advice, granted_buffer

    advice = buffer_advice(granted_buffer())
    yield Finding("osc", True if not advice else None, advice or "receive buffer of 4 MiB granted")


CHECKS: list[Callable[[], Iterator[Finding]]] = [
    _python,
    _settings,
    _torch,
    _engine,
    _backends,
    _sound,
    _window,
    _video,
    _osc,
]
