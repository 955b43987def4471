"""The state of a running show on disk, so that `--resume` continues it after a crash.

One file per process, and one for looks that no show file keeps. They are written when something has changed, at most
every EVERY seconds, and deleted at a clean end: a file whose process no longer runs is of a show that crashed.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tpos_live.core.atomic import write_text
from tpos_live.core.errors import EngineHungError, reason
from tpos_live.core.frame_params import INTEGRATED
from tpos_live.core.guard import Guard
from tpos_live.core.looks import Show
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.parameter import ParameterError, Value
from tpos_live.core.parameters import ORDERS, TABLE, WALLS
from tpos_live.core.process_identity import born, is_running, this_boot
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.show_file import read_show, write_show
from tpos_live.director.memory import DirectorMemory

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two checks for a change."""
MOTION_EVERY = 30.0
"""Seconds after which a change of the motion alone is written: the noise position changes all the time."""
KEPT_SECONDS = 24 * 3600.0
"""Age in seconds up to which a crashed show can be continued."""
_COMMANDS = ("look.recall", "look.cue", *ORDERS, "midi.learn", "midi.forget")
_NOT_KEPT = (*_COMMANDS, "out.record", "out.window", *(f"out.wall.{n + 1}" for n in range(WALLS)))
SAVED = tuple(p.name for p in TABLE.values() if p.kind != "trigger" and p.name not in _NOT_KEPT)
"""Parameters that are saved: all but commands, the recording (a start must not begin a file that nobody asked for) and
closed windows (a show starts with all windows open)."""


@dataclass(frozen=True)
class ShowState:
    """values: of SAVED. look: recalled last, "" for none. cue: place among the cues (`cue_edits`). recording: whether
    one was running; only a watchdog begins another. motion: INTEGRATED. cut_index: of FrameParams; it selects the noise
    of the seed. directed: the director's decisions. show: looks and cues that no show file keeps, None without any."""

    values: Mapping[str, Value]
    look: str = ""
    cue: float = -1
    recording: bool = False
    motion: Mapping[str, float] = field(default_factory=dict)
    cut_index: int = 0
    directed: DirectorMemory = field(default_factory=DirectorMemory)
    show: Show | None = None

    @property
    def integrated(self) -> dict[str, float | int]:
        """Fields of FrameParams, INTEGRATED and `cut_index`, with which the next show begins."""
        return {**self.motion, "cut_index": self.cut_index}


class Autosave(OwnThread):
    """A context manager: entering starts a thread that writes, leaving deletes the file, except after an
    unexpected error.

    Thread contract: `state` is called on the thread of its own and must not block.
    """

    def __init__(
        self, folder: Path, state: Callable[[], ShowState], after: Path | None = None, watchdog: int = 0
    ) -> None:
        """after: file of the crashed show that this one continues; deleted once this one is written. watchdog: process
        number of the one that would continue it, 0 without one."""
        super().__init__("autosave", patience=2.0)
        self._path = folder / f"show-{os.getpid()}.json"
        self._state, self._after, self._watchdog = state, after, watchdog
        self._written: ShowState | None = None
        self._written_at = -math.inf
        self._failure_logged = self._ended = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        ours = type(error).__module__.startswith("tpos_live.")  # an expected error, such as a missing device
        hung = isinstance(error, EngineHungError)  # the watchdog starts it again
        if error is None or (ours and not hung) or not isinstance(error, Exception):  # Ctrl-C is a clean end
            self._ended = True
            _remove(self._path)

    def step(self, now: float) -> bool:
        """Write the state if it has changed; returns whether it was written. now: seconds of any steady clock."""
        state, before = self._state(), self._written
        if before is not None:
            same = replace(state, motion=before.motion) == before
            if same and (state.motion == before.motion or now - self._written_at < MOTION_EVERY):
                return False
        try:
            # Private: a source's address may hold a password.
            stale = [_looks_of(self._path), _marker_of(self._path)] if before is None else []
            for path in filter(Path.exists, stale):  # of another process that had this number
                path.unlink()
            if state.show is not None and (before is None or before.show is not state.show):
                write_show(_looks_of(self._path), state.show, private=True)
            write_text(self._path, _text(state, self._watchdog), private=True)
        except (OSError, ValueError) as error:
            if not self._failure_logged:
                self._failure_logged = True
                remedy = "without it --resume has nothing; set TPOS_LIVE_STATE to another folder"
                log.warning(f"{self._path}: cannot be written ({reason(error)}); {remedy}")
            return False
        if self._ended:  # the show has ended while this waited for the disk
            _remove(self._path)
        self._written, self._written_at = state, now
        if self._after is not None:
            _remove(self._after)
            self._after = None
        return True

    def _run(self) -> None:
        guard = Guard(log, "saving the state for --resume", logging.INFO)
        while True:
            with guard:
                self.step(time.monotonic())
            if self._stop.wait(EVERY):
                return


def left_by(folder: Path, process: int) -> Path | None:
    """The file left by the show with this process number; None if there is none."""
    path = folder / f"show-{process}.json"
    return path if process and path.exists() else None


def find_crashed(folder: Path, now: float | None = None) -> Path | None:
    """The newest file of a crashed show that no watchdog starts again; older files are deleted.
    now: seconds since the epoch."""
    now = time.time() if now is None else now
    found = []
    for path in folder.glob("show-*.json"):
        try:
            process = _process(path)
            if not is_running(process) and not is_running(process.get("watchdog", {})):
                found.append((_start_in_this_boot(process), path.stat().st_mtime, path))
        except OSError:  # it has just been deleted
            continue
    found.sort()
    newest = found.pop() if found and now - found[-1][1] < KEPT_SECONDS else None
    for *_, path in found:
        _remove(path)
    return newest[2] if newest else None


def was_reported(path: Path) -> bool:
    """Whether this function was called before for this file of a crashed show, which is reported once only."""
    try:
        _marker_of(path).touch(exist_ok=False)
    except FileExistsError:
        return True
    except OSError:  # without the marker the crash is reported again
        pass
    return False


def read_state(path: Path) -> ShowState:
    """The state in a file; values that this version does not know are left out. Raises ValueError in one line."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Value] = {}
        for name, value in dict(data["values"]).items():
            if name in SAVED:
                values[name] = TABLE[name].parse(value)
        motion = {name: float(dict(data["motion"])[name]) for name in INTEGRATED}
        look, cue, cut = str(data["look"]), float(data["cue"]), int(data.get("cut_index", 0))
        if not all(map(math.isfinite, (*motion.values(), cue))):
            raise ValueError("motion or cue")
        # Older versions do not save it.
        directed = DirectorMemory.read(data["directed"]) if "directed" in data else DirectorMemory()
        recording, show = bool(data.get("recording", False)), _read_looks(_looks_of(path))
        return ShowState(values, look, cue, recording, motion, cut, directed, show)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError, ParameterError) as error:
        raise ValueError(f"{path}: the state of the last show cannot be read; it starts anew") from error


def _looks_of(path: Path) -> Path:
    """The file with the looks of a state."""
    return path.with_suffix(".toml")


def _marker_of(path: Path) -> Path:
    """A marker: it exists once a show has reported the crash of this state."""
    return path.with_suffix(".told")


def _read_looks(path: Path) -> Show | None:
    """The saved looks; None if there are none, or, after a warning, if they cannot be read."""
    if not path.exists():
        return None
    try:
        return read_show(path)
    except SettingsError as error:
        log.warning(f"the looks of the last show are lost: {error}")
        return None


def _remove(path: Path) -> None:
    """Delete a state with its looks. If the disk refuses, the file stays: a show must start and end anyway."""
    try:
        path.unlink(missing_ok=True)
        _looks_of(path).unlink(missing_ok=True)
        _marker_of(path).unlink(missing_ok=True)
    except OSError as error:
        log.info(f"{path}: cannot be removed ({reason(error)}); the next start may offer to continue that show")


def _text(state: ShowState, watchdog: int) -> str:
    data: dict[str, Any] = _identity(os.getpid())
    with suppress(OSError, psutil.Error):  # the watchdog was killed
        data["watchdog"] = _identity(watchdog) if watchdog else {}
    data |= {
        "look": state.look,
        "cue": state.cue,
        "recording": state.recording,
        "motion": dict(state.motion),
        "cut_index": state.cut_index,
        "directed": state.directed.data(),
        "values": dict(state.values),
    }
    return json.dumps(data, ensure_ascii=True, indent=0)


def _identity(process: int) -> dict[str, Any]:
    return {"pid": process, "born": born(process)}


def _start_in_this_boot(process: Mapping[str, Any]) -> float:
    """Start of a process of `_process` in ticks since the boot, to sort by; -1 for an earlier boot, and if only the
    wall clock is known. So a clock that is set back does not make a show older."""
    boot, _, ticks = str(process.get("born", "")).partition(" ")
    return float(ticks) if ticks.isdigit() and boot == this_boot() else -1.0


def _process(path: Path) -> dict[str, Any]:
    """Identity of the process that wrote a file, and of its watchdog; {} for a damaged file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        process = {"pid": int(data["pid"]), "born": data["born"], "watchdog": {}}
        if watchdog := data.get("watchdog"):
            process["watchdog"] = {"pid": int(watchdog["pid"]), "born": watchdog["born"]}
        return process
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}
