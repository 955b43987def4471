"""Ports that a watchdog keeps for its show: while that starts again after a crash, another show leaves them to it.

One file a port in the folder of states, written by the show that listens. It names the show's watchdog, and holds as
long as that runs; so nobody has to remove it. Other programs, and other users of the computer, do not look for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tpos_live.core.atomic import write_text
from tpos_live.core.network import KeptPortError, is_whole_network
from tpos_live.core.process_identity import born, is_running


@dataclass(frozen=True)
class PortClaims:
    """folder: of the states; None = nothing is kept. watchdog: process number of this show's, 0 without one."""

    folder: Path | None = None
    watchdog: int = 0

    def check(self, kind: str, host: str, port: int) -> None:
        """Raises KeptPortError where another show's watchdog keeps this port. kind: "osc" or "page", for UDP and TCP
        have ports of their own. port: below 1 for any."""
        if self.folder is None or port < 1:
            return
        claim = _read(_path(self.folder, kind, port))
        same = claim.get("host") == host or is_whole_network(host) or is_whole_network(str(claim.get("host")))
        if same and claim.get("pid") != self.watchdog and is_running(claim):
            raise KeptPortError

    def keep(self, kind: str, host: str, port: int) -> None:
        """The show listens there: its watchdog keeps the port from now on, where it has one and can be written."""
        if self.folder is None or port < 1 or not self.watchdog:
            return
        with suppress(OSError, psutil.Error):  # the watchdog has ended; the folder cannot be written, as Autosave says
            claim = {"pid": self.watchdog, "born": born(self.watchdog), "host": host, "port": port}
            write_text(_path(self.folder, kind, port), json.dumps(claim), private=True)

    def kept(self) -> list[int]:
        """The ports that this watchdog keeps."""
        claims = [_read(path) for path in sorted(self.folder.glob("port-*.json"))] if self.folder else []
        return [claim["port"] for claim in claims if claim.get("pid") == self.watchdog and is_running(claim)]


NO_CLAIMS = PortClaims()


def _path(folder: Path, kind: str, port: int) -> Path:
    return folder / f"port-{kind}-{port}.json"


def _read(path: Path) -> Mapping[str, Any]:
    """What a file says; nothing if there is none, or it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {"pid": int(data["pid"]), "born": data["born"], "host": str(data["host"]), "port": int(data["port"])}
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}
