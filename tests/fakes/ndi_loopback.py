"""NDI on one machine, without multicast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

LOOPBACK = {"ndi": {"networks": {"ips": "127.0.0.1", "discovery": ""}}}


def find_on_loopback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The NDI runtime of this process and of its children finds the sources of this machine."""
    pytest.importorskip("cyndilib", reason="the extra ndi is not installed")
    (folder / "ndi-config.v1.json").write_text(json.dumps(LOOPBACK))
    monkeypatch.setenv("NDI_CONFIG_DIR", str(folder))
