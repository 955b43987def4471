"""The show file of a session: read at the start, written after each change of its looks."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from tpos_live.control import look_player
from tpos_live.core.atomic import atomic_write
from tpos_live.core.errors import reason
from tpos_live.core.looks import Show
from tpos_live.core.messages import NOTICE
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.show_file import read_show, write_show
from tpos_live.display.output_file import is_folder, is_there, numbered

log = logging.getLogger(__name__)

SHIPPED = Path(look_player.__file__).with_name("looks.toml")
"""Sixteen looks for Ember."""


def check_show_file(path: Path) -> None:
    """Raise SettingsError for a name that no show file has. A missing file is no error: it is created, with its
    folder."""
    if path.name.lower() == ".toml":
        raise SettingsError(f"{path} has no name before .toml; name it NAME.toml")
    if path.suffix.lower() != ".toml":
        raise SettingsError(f"{path}: a show file ends in .toml")
    if is_folder(path):
        raise SettingsError(f"{path} is a folder; name a file")
    if is_there(path) and not path.is_file():
        raise SettingsError(f"{path} is a device or a pipe; name a file")


class ShowKeeper(OwnThread):
    """A context manager; leaving it waits for the last write.

    Thread contract: `save` may be called on the display's thread: it hands the newest show to a thread of its own and
    returns.
    """

    def __init__(self, file: str) -> None:
        """file: "" = the shipped looks; changes are kept until the end of the show. A file that is not there yet is
        an empty show.

        Raises SettingsError for one that cannot be read.
        """
        super().__init__("show file", patience=2.0)
        self._path = Path(file) if file else None
        self._written = b""
        self._copy: Path | None = None
        self.show = Show()
        if self._path is None:
            self.show = read_show(SHIPPED)
        else:
            check_show_file(self._path)
            if self._path.exists():
                self.show = read_show(self._path)
                self._written = _bytes(self._path)
                log.info(f"{self._path}: looks: {len(self.show.looks)}, cues: {len(self.show.cues)}")
        self._newest: Show | None = None
        self._change = threading.Condition()
        self._hint_logged = False

    @property
    def keeps_nothing(self) -> bool:
        """Whether there is no file to write looks to."""
        return self._path is None

    def _wake(self) -> None:
        with self._change:
            self._change.notify()

    def save(self, show: Show) -> None:
        """Write `show` soon, in place of an older one that still waits."""
        if self._path is None:
            if not self._hint_logged:
                self._hint_logged = True
                hint = "start with --show-file FILE to keep them"
                log.log(NOTICE, f"looks and cues are kept until the end of the show; {hint}")
            return
        with self._change:
            self._newest = show
            self._change.notify()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._newest is not None or self._stop.is_set())
                show, self._newest = self._newest, None
            if show is None:
                return
            assert self._path is not None
            try:
                self._copy_foreign_changes(self._path)
                write_show(self._path, show)
                self._written = _bytes(self._path)
            except Exception as error:  # this thread must not end: it writes later looks, too
                log.warning(
                    f"{self._path}: cannot be written ({reason(error)}); the looks stay until the end of the show"
                )

    def _copy_foreign_changes(self, path: Path) -> None:
        """Copy the file if another program has changed it: an editor, or a second show. One copy per session is enough,
        because a later change by the same program includes the earlier one. Raises OSError."""
        found = _bytes(path)
        if found in (b"", self._written):
            return
        if self._copy is None:
            self._copy = next(name for n in range(2, 10_000) if not (name := numbered(path, n)).exists())
            what = f"what it wrote is kept in {self._copy.name}; give each program a show file of its own"
            log.warning(f"{path}: another program has changed it; {what}")
        with atomic_write(self._copy) as part:
            part.write_bytes(found)


def _bytes(path: Path) -> bytes:
    """Content of a file; empty if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
