"""Port claims: a watchdog keeps the ports of its show, so that another show does not take them during a restart.

There is one file per port in the state folder, written by the show that listens. It names the show's watchdog and is
valid while that process runs, so it need not be removed. Other programs, and other users' shows, do not read it.
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
    """folder: the state folder; None = no claims. watchdog: process id of this show's watchdog, 0 without one."""

    folder: Path | None = None
    watchdog: int = 0

    def check(self, kind: str, host: str, port: int) -> None:
        """Raise KeptPortError if another show's watchdog keeps this port. kind: "osc" (UDP) or "page" (TCP). port:
        below 1 = any port."""
        if self.folder is None or port < 1:
            return
        claim = _read(_path(self.folder, kind, port))
        same = claim.get("host") == host or is_whole_network(host) or is_whole_network(str(claim.get("host")))
        if same and claim.get("pid") != self.watchdog and is_running(claim):
            raise KeptPortError

    def keep(self, kind: str, host: str, port: int) -> None:
        """Let the watchdog, if there is one, keep the port on which the show listens now."""
        if self.folder is None or port < 1 or not self.watchdog:
            return
        with suppress(
            OSError, psutil.Error
        ):  # the watchdog has ended, or the folder cannot be written, which Autosave reports
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
    """The claim in a file; empty if there is none, or it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {"pid": int(data["pid"]), "born": data["born"], "host": str(data["host"]), "port": int(data["port"])}
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}
