"""Session controls: carries out parameters and keys that other parts must act on.

Recording, other outputs, snapshots, change of input, change of screen. Reads the parameters once per refresh, on the
display's thread, and never waits: slow work runs on threads of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from tpos_live.audio.source import AudioSource, Chunk
from tpos_live.control.keys import apply_key, key_name
from tpos_live.core.guard import Guard
from tpos_live.core.messages import NOTICE
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.settings import OutputSettings, RecordSettings
from tpos_live.display.errors import DisplayError
from tpos_live.display.logo import open_logo
from tpos_live.display.output import Output
from tpos_live.display.output_file import save_image
from tpos_live.display.output_transform import OutputTransform
from tpos_live.runtime.outputs import ExtraOutputs
from tpos_live.runtime.recordings import Recordings

log = logging.getLogger(__name__)


class Display(Protocol):
    """The part of a display, with or without a window, that the session controls use."""

    outputs: list[Output]

    @property
    def size(self) -> tuple[int, int]: ...

    def read_back(self) -> np.ndarray: ...

    def close_soon(self) -> None: ...

    def next_screen(self) -> int: ...


class SessionControls:
    """Thread contract: `update`, `key` and `close` on the display's thread; `recordings` and `outputs`
    have their own contracts."""

    def __init__(
        self,
        store: ParameterStore,
        sound: AudioSource,
        record: RecordSettings | None = None,
        output: OutputSettings | None = None,
    ) -> None:
        record, output = record or RecordSettings(), output or OutputSettings()
        self._store, self._sound = store, sound
        self._folder = Path(record.folder or ".")
        logo, why = open_logo(output.logo)
        if why:
            log.warning(f"{why}; the show goes on without it")
        self.overlay = OutputTransform("window", store.snapshot, logo)
        """Logo and test card of the window."""
        drawn = OutputTransform("recording", store.snapshot, logo if record.logo else None, card=False)
        self.recordings = Recordings(record.file, record.folder, record.fps, spare=record.spare, transform=drawn)
        self.outputs = ExtraOutputs(output, store.snapshot, logo)
        self.outputs.screens.on_close = self._wall_closed
        self._closing: list[threading.Thread] = []
        self._pressed = Guard(log, "the keyboard")
        self._followed = tuple(
            (Guard(log, what), follow)
            for what, follow in (
                ("the recording", self._follow_recording),
                ("the show without an output", self._follow_outputs),
                ("the show without that command", self._follow_triggers),
                ("the input", self._follow_device),
            )
        )
        snapshot = store.snapshot()
        self._device = str(snapshot["audio.device"])
        self._snaps = snapshot.fired("out.snapshot")
        self._acknowledged = snapshot.fired("out.acknowledge")
        if record.file:
            store.set("out.record", True)

    @property
    def audio_sinks(self) -> dict[str, Callable[[Chunk], None]]:
        """What takes each chunk of sound, on the audio thread; by its name in log lines."""
        return {
            "the sound of the recording": self.recordings.add_audio,
            "the sound of the outputs": self.outputs.add_audio,
        }

    def update(self, display: Display) -> None:
        """Carry out changes since the last call. A failure is logged, and does not affect the other steps."""
        snapshot = self._store.snapshot()
        for guard, follow in self._followed:
            with guard:
                follow(display, snapshot)

    def _follow_recording(self, display: Display, snapshot: Snapshot) -> None:
        recordings = self.recordings
        if recordings.running and not snapshot["out.record"]:
            recordings.end(display.outputs)
        elif recordings.running and not recordings.update(display.size, display.outputs):
            self._store.set("out.record", False)
        elif snapshot["out.record"] and not recordings.running:
            shown = display.size[0] > 0
            if shown and not recordings.begin(display.size, display.outputs):
                self._store.set("out.record", False)

    def _follow_outputs(self, display: Display, snapshot: Snapshot) -> None:
        self.outputs.update(time.perf_counter(), display.size, display.outputs)

    def _follow_triggers(self, display: Display, snapshot: Snapshot) -> None:
        if snapshot.fired("out.acknowledge") != self._acknowledged:
            self._acknowledged = snapshot.fired("out.acknowledge")
            self.recordings.acknowledge()
        if snapshot.fired("out.snapshot") != self._snaps:
            self._snaps = snapshot.fired("out.snapshot")
            self._save(display.read_back())

    def _follow_device(self, display: Display, snapshot: Snapshot) -> None:
        device = str(snapshot["audio.device"])
        if device != self._device:
            self._device = device
            if device:
                self._sound.reopen(device)

    def key(self, name: str, modifiers: frozenset[str], display: Display) -> None:
        """Carry out a key; keys without a parameter are handled here."""
        with self._pressed:
            action = apply_key(key_name(name), modifiers, self._store)
            if action == "quit":
                display.close_soon()
            elif action == "next_screen":
                self._store.set("out.screen", display.next_screen())
            elif action == "next_device":
                self._later(self._next_device, "next-device")

    def close_pressed(self, page: bool, osc: bool) -> bool:
        """The window's close button was pressed. True if the window is hidden and the show goes on, because the control
        page or OSC can open it again."""
        ways = [*["out.window on the control page"] * page, *["/tpos/out/window 1 by OSC"] * osc]
        if ways:
            self._store.set("out.window", False)
            ends = "Ctrl-C in the terminal ends it, or Ctrl+Q in the window"
            log.log(NOTICE, f"the window is closed, the show goes on: {' or '.join(ways)} opens it again; {ends}")
        return bool(ways)

    def _wall_closed(self, number: int, name: str) -> None:
        """The close button of a screen's window was pressed."""
        self._store.set(f"out.wall.{number}", False)
        log.log(NOTICE, f"{name} is closed; out.wall.{number} on the control page or by OSC opens it again")

    def end(self, display: Display, *, failed: bool = False) -> None:
        """End the outputs and the recording, which is finished on a thread of its own. failed: the session did not
        start."""
        if self.recordings.running:
            self.recordings.end(display.outputs, quiet=failed)
        self.outputs.close(display.outputs)

    def close(self, display: Display, *, failed: bool = False) -> None:
        """Do the same, and wait for recordings and snapshots."""
        try:
            self.end(display, failed=failed)
        finally:
            self.recordings.close(display.outputs, quiet=failed)
            for thread in self._closing:
                thread.join(5.0)

    def _save(self, pixels: np.ndarray) -> None:
        path = self._folder / f"tpos-{datetime.now():%Y%m%d-%H%M%S}-{time.perf_counter_ns() % 1000:03d}.png"

        def write() -> None:
            try:
                log.log(NOTICE, f"saved {save_image(path, pixels)}")
            except DisplayError as error:
                log.warning(str(error))

        self._later(write, "snapshot")

    def _next_device(self) -> None:
        from tpos_live.audio.devices import list_devices
        from tpos_live.audio.source import AudioError

        try:
            inputs = [row for row in list_devices() if row.inputs]
        except AudioError as error:
            log.warning(str(error))
            return
        if inputs:
            now = self._sound.status(time.perf_counter()).name
            here = next((i for i, row in enumerate(inputs) if row.name == now), -1)
            self._store.set("audio.device", inputs[(here + 1) % len(inputs)].full_name)

    def _later(self, work: Callable[[], None], name: str) -> None:
        self._closing = [thread for thread in self._closing if thread.is_alive()]

        def guarded() -> None:
            with Guard(log, "the show"):
                work()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        self._closing.append(thread)
