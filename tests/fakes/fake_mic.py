"""A microphone from nothing: a private PulseAudio server with a null sink, and faults on demand.

    with fake_microphone() as mic:
        mic.play(samples)                 # float32 [n] or [n, c] at 48 kHz is what the room sounds like
        with Microphone(mic.device) as sound: ...
        mic.suspend(); mic.resume()       # stalls: the callbacks stop, PortAudio says "active"
        mic.unplug(); mic.replug()        # goes away, comes back
    mic.kill_server(); mic.serve()    # the sound server dies, another one is started

Needs pulseaudio, pactl, paplay, ALSA's pulse plugin and PortAudio (Debian: pulseaudio pulseaudio-utils
libasound2-plugins libportaudio2). Works as root, without hardware and without D-Bus.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import soundfile

_SINK = "tpos"
_MODULE = ("module-null-sink", f"sink_name={_SINK}", "rate=48000", "channels=2", "norewinds=1")
"""Without rewinds it works in blocks of 50 ms, as a device does. With them its first block comes after 1.8 s, and until
then PortAudio's thread takes a whole core."""
_ALSA = """</usr/share/alsa/alsa.conf>
pcm.tpos_mic {{ type pulse
  device "{sink}.monitor"
  hint {{ show on
         description "tpos fake microphone" }} }}
pcm.tpos_desk {{ type pulse
  device "{sink}.monitor"
  hint {{ show on
         description "tpos second fake microphone" }} }}
pcm.tpos_backup {{ type pulse
  server "unix:{backup}/socket"
  device "backup.monitor"
  hint {{ show on
         description "tpos microphone on another sink" }} }}
pcm.tpos_speaker {{ type pulse
  device "{sink}"
  hint {{ show on
         description "tpos fake speaker" }} }}
"""


class FakeMicrophone:
    """device: its name for PortAudio. other: a second one that hears the same. backup: one of another server (a
    server hands the streams of a sink that goes to another sink), silent, there after `add_backup`. speaker: an
    output whose sound arrives at the microphone."""

    device = "tpos_mic"
    backup = "tpos_backup"
    other = "tpos_desk"
    speaker = "tpos_speaker"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._backup = folder / "backup"
        self._playing: list[subprocess.Popen[bytes]] = []
        self._environ = {
            "XDG_RUNTIME_DIR": str(folder),
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
        }
        self._before = {name: os.environ.get(name) for name in self._environ}

    def start(self) -> None:
        (self._folder / "asound.conf").write_text(_ALSA.format(sink=_SINK, backup=self._backup))
        os.environ.update(self._environ)
        self.serve()

    def serve(self) -> None:
        """Start the sound server, at first or after `kill_server`."""
        (self._folder / "pulse" / "pid").unlink(missing_ok=True)
        log = f"--log-target=file:{self._folder / 'pulse.log'}"
        server = ["pulseaudio", "-n", "--daemonize=yes", "--exit-idle-time=-1", log]
        self._call(*server, "-L", "module-native-protocol-unix", "-L", " ".join(_MODULE))
        for _ in range(100):
            if subprocess.run(["pactl", "info"], capture_output=True, timeout=5).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError((self._folder / "pulse.log").read_text())

    def stop(self) -> None:
        self.quiet()
        self.kill_server()
        self._kill(self._backup / "pid")
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def clean(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def play(self, samples: np.ndarray, rate: int = 48_000) -> None:
        """Let the microphone hear `samples`; returns at once."""
        path = self._folder / f"play{len(self._playing)}.wav"
        soundfile.write(path, samples, rate, subtype="FLOAT")
        command = ["paplay", f"--device={_SINK}", "--latency-msec=200", str(path)]
        self._playing.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def quiet(self) -> None:
        """End what plays."""
        while self._playing:
            player = self._playing.pop()
            player.kill()
            player.wait(5)

    def suspend(self) -> None:
        self._call("pactl", "suspend-sink", _SINK, "1")

    def resume(self) -> None:
        self._call("pactl", "suspend-sink", _SINK, "0")

    def unplug(self) -> None:
        listed = subprocess.run(["pactl", "list", "short", "modules"], capture_output=True, text=True, timeout=10)
        for line in listed.stdout.splitlines():
            if f"sink_name={_SINK} " in f"{line} ":
                self._call("pactl", "unload-module", line.split()[0])

    def replug(self) -> None:
        self._call("pactl", "load-module", *_MODULE)

    def add_backup(self) -> None:
        self._backup.mkdir(mode=0o700)
        environ = {**os.environ, "XDG_RUNTIME_DIR": str(self._backup), "PULSE_RUNTIME_PATH": str(self._backup)}
        modules = (
            f"module-native-protocol-unix socket={self._backup}/socket",
            "module-null-sink sink_name=backup norewinds=1",
        )
        server = ["pulseaudio", "-n", "--daemonize=yes", "--exit-idle-time=-1"]
        command = [*server, *(part for module in modules for part in ("-L", module))]
        subprocess.run(command, check=True, capture_output=True, timeout=10, env=environ)

    def kill_server(self) -> None:
        self._kill(self._folder / "pulse" / "pid")

    @staticmethod
    def _kill(pid_file: Path) -> None:
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)

    @staticmethod
    def _call(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=10)


def sine(frequency: float, seconds: float, amplitude: float = 0.5, rate: int = 48_000) -> np.ndarray:
    """float32 [n]."""
    time_axis = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time_axis)).astype(np.float32)


def missing_parts() -> str:
    """What a fake microphone needs and this machine lacks; "" when all is there."""
    for tool in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(tool) is None:
            return f"needs {tool} (apt install pulseaudio pulseaudio-utils libasound2-plugins)"
    try:
        import sounddevice  # noqa: F401
    except OSError:
        return "needs PortAudio (apt install libportaudio2)"
    return ""


def require_fake_microphone() -> None:
    """Skip the test with the reason where there can be no fake microphone; in CI that is a failure."""
    import pytest

    if why := missing_parts():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@contextmanager
def fake_microphone() -> Iterator[FakeMicrophone]:
    """A running fake microphone that PortAudio already knows of."""
    require_fake_microphone()
    import sounddevice

    def look_again() -> None:
        sounddevice._terminate()
        sounddevice._initialize()

    with tempfile.TemporaryDirectory(prefix="tpos-mic-") as folder:
        Path(folder).chmod(0o700)
        mic = FakeMicrophone(Path(folder))
        try:
            mic.start()
            look_again()
            yield mic
        finally:
            mic.stop()
            look_again()
