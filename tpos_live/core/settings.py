"""Settings: values that are read once, at the start. Live parameters change during a show (`parameters.py`)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tpos_live.core.parameter import Value
from tpos_live.core.setting_values import (
    Accelerator,
    Addresses,
    Channels,
    Host,
    Networks,
    OpenVinoDevice,
    Outputs,
    OutputSize,
    ScreenName,
    Size,
    check_text,
    parse_screen,
    parse_size,
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @field_validator("*")
    @classmethod
    def _texts(cls, value: object) -> object:
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str):
                check_text(text)
        return value


class SoundSettings(_Section):
    """Where the sound comes from."""

    device: str = Field("mic", description='input by name or number; "mic" is the default input')
    audio: str = Field("", description="play this file instead of listening to an input")
    loop: bool = Field(False, description="repeat that file without a gap")
    fallback: str = Field(
        "", description="input (by name) or file to use while the input is lost; a file is not played aloud"
    )
    channels: Channels = Field(
        default_factory=list, description="channels to listen to, for example [1, 2]; [] = the first two"
    )
    mute: bool = Field(False, description="do not play a file or the demo on the default output")


class EngineSettings(_Section):
    """The engine that generates the frames."""

    name: str = Field(
        "auto", description='"auto", a name of `tpos-live engines list`, a folder, a .safetensors file, or a hub id'
    )
    size: Size = Field("", description='"256" or "512x288"; "" = the engine\'s own size that fits the screen')
    accelerator: Accelerator = Field("auto", description='"auto", or one of those in docs/engines.md')
    openvino_device: OpenVinoDevice = Field(
        "auto", description='what OpenVINO runs on: "CPU", "GPU", "NPU"; "auto" = the fastest, measured once'
    )
    threads: int = Field(
        0, ge=0, le=256, description="CPU threads of the engine; 0 = one for each core, but 1 of 2 beside outputs"
    )
    nice: int = Field(0, ge=0, le=19, description="niceness of engine and encoders beside other programs; Linux")
    stream_batch: bool = Field(False, description="2 to 4 steps: more frames per second, each shown 1 to 3 later")
    residual_guidance: bool = Field(False, description="guidance without cost, for every engine")
    fps_cap: float = Field(0.0, ge=0, le=1000, description="limit of engine frames per second; 0 = no limit")


class WindowSettings(_Section):
    """Where the frames are shown."""

    headless: bool = Field(False, description="no window")
    size: OutputSize = Field("1280x720", description="size of the window when it is not full screen")
    screen: ScreenName = Field("", description='screen to fill, by number or name ("HDMI-1"); "" = "out.screen"')


class RecordSettings(_Section):
    """Recording a show, and `tpos-live render`."""

    file: str = Field("", description='record the show to this .mp4 or .mkv from the start; "" = no')
    folder: str = Field("", description='where recordings and snapshots go; "" = the current folder')
    spare: str = Field("", description='where a recording goes on when its disk is full or gone; "" = your home folder')
    fps: int = Field(30, ge=1, le=120, description="frames per second of a recording")
    logo: bool = Field(False, description="the logo is in recordings too")
    resolution: OutputSize = Field("1280x720", description="size of a recording without a window, and of `render`")


class OutputSettings(_Section):
    """Where the frames go besides the window."""

    to: Outputs = Field(
        default_factory=list,
        description='["screen:1", "ndi:NAME", "rtmp://HOST/APP/KEY", "udp://HOST:PORT", "FILE.mp4"]: docs/capture.md',
    )
    bitrate: int = Field(6000, ge=100, le=100_000, description="limit of a stream's image in kbit/s")
    fps: int = Field(30, ge=1, le=120, description="frames per second of these outputs")
    logo: str = Field("", description='image (.png) over the window and these outputs; "" = none')


class OscSettings(_Section):
    """Control from other programs."""

    host: Host = Field("127.0.0.1", description='address to listen on; "0.0.0.0" = the whole network')
    port: int = Field(9000, ge=0, le=65535, description="UDP port to listen on; 0 = no OSC")
    reply: Addresses = Field(
        default_factory=list,
        description='where status goes: ["HOST:PORT", …], broadcast addresses too; [] = port 9001 of whoever sends',
    )
    allow: Networks = Field(
        default_factory=list,
        description='who is heard beside this machine: addresses and networks, ["192.168.1.0/24", …]; [] = everybody',
    )
    audio: bool = Field(False, description="send the audio features too (/audio/level/bass and so on)")


class WebSettings(_Section):
    """The control page in a browser."""

    off: bool = Field(False, description="no control page")
    host: Host = Field("127.0.0.1", description='address to listen on; "0.0.0.0" = the whole network, with a token')
    port: int = Field(9080, ge=1, le=65535, description="TCP port of the page")


class MidiSettings(_Section):
    """MIDI controllers and clock; needs `pip install "tpos-live[midi]"`."""

    port: str = Field("", description='part of a port\'s name, or "all"; "" = no MIDI')


class LinkSettings(_Section):
    """Ableton Link; needs `pip install "tpos-live[link]"`."""

    on: bool = Field(False, description="join the Link session of the local network")


class ShowSettings(_Section):
    """Looks and cues."""

    file: str = Field("", description="show file (.toml) with looks and cues; it is made when the first look is stored")
    resume: bool = Field(False, description="continue the last show, if it crashed less than a day ago")
    watchdog: bool = Field(False, description="a second process starts the show again, with its last state, if it dies")


class Settings(_Section):
    """Everything that is fixed for one run."""

    sound: SoundSettings = SoundSettings()
    engine: EngineSettings = EngineSettings()
    window: WindowSettings = WindowSettings()
    record: RecordSettings = RecordSettings()
    output: OutputSettings = OutputSettings()
    osc: OscSettings = OscSettings()
    web: WebSettings = WebSettings()
    midi: MidiSettings = MidiSettings()
    link: LinkSettings = LinkSettings()
    show: ShowSettings = ShowSettings()
    seconds: float = Field(0.0, ge=0, le=1e6, description="end the show after this time; 0 = never")
    parameters: dict[str, Any] = Field(default_factory=dict, description="start values of live parameters")

    @property
    def output_size(self) -> tuple[int, int]:
        """(width, height) at which frames are shown or written: of the window, while it is one."""
        return parse_size(self.record.resolution if self.window.headless else self.window.size)

    def start_values(self) -> dict[str, Value]:
        """Start values of live parameters that differ from the table's defaults."""
        screen = parse_screen(self.window.screen)
        return {**self.parameters, **({"out.screen": screen} if isinstance(screen, int) else {})}
