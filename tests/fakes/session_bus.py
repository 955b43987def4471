"""A desktop's session bus from nothing, with a service on it that answers and remembers what it was asked.

    with session_bus() as address, Service(address, "org.freedesktop.ScreenSaver", "u", (7,)) as service:
        ...                                # DBUS_SESSION_BUS_ADDRESS=address for the program under test
        service.calls                      # [("Inhibit", ("name", "reason"))]

Needs dbus-daemon (Debian: dbus-daemon).
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from jeepney import HeaderFields, MessageType, message_bus, new_method_return
from jeepney.io.blocking import open_dbus_connection

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:tmpdir={folder}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>"""


@contextmanager
def session_bus() -> Iterator[str]:
    """Gives the bus's address."""
    with tempfile.TemporaryDirectory() as folder:
        # A configuration of its own, so that no service of the machine is started by it.
        config = Path(folder, "bus.conf")
        config.write_text(_CONFIG.format(folder=folder))
        daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--print-address", "--nofork", "--nopidfile"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert daemon.stdout is not None
            yield daemon.stdout.readline().strip()
        finally:
            daemon.terminate()
            daemon.wait(5)


class Service:
    """Owns a name on the bus and answers every call alike. `calls` may be read from anywhere."""

    def __init__(self, address: str, name: str, signature: str, answer: tuple[Any, ...]) -> None:
        """signature, answer: of the answer to calls of "Inhibit"; all others get an empty one."""
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.callers: list[str] = []
        self._signature, self._answer = signature, answer
        self._connection = open_dbus_connection(bus=address)
        self._connection.send_and_get_reply(message_bus.RequestName(name), timeout=5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._connection.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                message = self._connection.receive(timeout=0.1)
            except TimeoutError:
                continue
            if message.header.message_type is not MessageType.method_call:
                continue
            member = message.header.fields[HeaderFields.member]
            self.calls.append((member, tuple(message.body)))
            self.callers.append(message.header.fields[HeaderFields.sender])
            inhibit = member == "Inhibit"
            self._connection.send(
                new_method_return(message, self._signature if inhibit else None, self._answer if inhibit else ())
            )
