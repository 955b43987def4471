"""Doors that take bytes from outside, with good input to damage: any bytes give a result or one of the named errors.

for door in open_doors(folder):
    for data in damaged(door.corpus, chance, 500):
        door.enter(data)              # raises what is a fault
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from fakes.fuzz_network import Door, network_doors
from fakes.fuzz_osc import osc_doors
from fakes.tiny_engine import make_tiny_engine
from PIL import Image
from safetensors.torch import save

from tpos_live.audio.files import read_audio
from tpos_live.audio.source import AudioError
from tpos_live.control.midi_clock import MidiClock
from tpos_live.control.midi_inbox import MidiInbox
from tpos_live.core.errors import EngineError
from tpos_live.core.optional_library import MissingLibraryError
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.settings_loader import load_settings
from tpos_live.core.show_file import read_show
from tpos_live.diffusion.hub.single_file import import_checkpoint
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.model.lora import read_lora
from tpos_live.diffusion.model.textual_inversion import read_inversions
from tpos_live.image_source.clip import Clip
from tpos_live.image_source.pictures import read_picture
from tpos_live.image_source.reader import SourceError
from tpos_live.runtime.autosave import read_state

CORPUS = Path(__file__).parent.parent / "fuzz_corpus"
"""Files DOOR--WHAT, spaces of the door's name as dashes: inputs that were faults once, by name, and those that reach
the most lines, by hash (`benchmarks/fuzz_guided.py`)."""
_NASTY = (b"", b"\0", b"\xff" * 8, b"[" * 5000, b"{" * 5000, b"nan", b"-1", b"1e999", b"\n", b'"', b"9" * 400)
_NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 2**32 - 1)

SHOW = b"""format = 1
[[look]]
name = "deep"
[look.parameters]
"prompt" = "deep sea"
"finish.bloom" = 1.5
[[cue]]
look = "deep"
fade = 2.0
[[midi]]
channel = 1
control = 7
target = "finish.bloom"
"""
SETTINGS = b"""[sound]
device = "mic"
channels = [1, 2]
[engine]
size = "512x288"
[osc]
reply = ["127.0.0.1:9001"]
[parameters]
prompt = "sea"
"finish.bloom" = 1.5
"""


def kept_inputs(door: Door) -> list[bytes]:
    """What CORPUS has for a door."""
    return [path.read_bytes() for path in sorted(CORPUS.glob(f"{door.name.replace(' ', '-')}--*"))]


def damaged(corpus: Sequence[bytes], chance: random.Random, count: int) -> Iterator[bytes]:
    """`count` inputs: bytes changed, cut, doubled, exchanged with others, and random ones."""
    for _ in range(count):
        if chance.random() < 0.1:
            yield chance.randbytes(chance.randrange(300))
            continue
        data = bytearray(chance.choice(corpus))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data) + 1)
            kind = chance.randrange(5)
            if kind == 0 and data:
                data[at % len(data)] = chance.randrange(256)
            elif kind == 1:
                data[at : at + chance.randrange(40)] = chance.choice(_NASTY)
            elif kind == 2:
                del data[at:]
            elif kind == 3:
                data[at:at] = data[: chance.randrange(60)]
            else:
                data[at : at + 4] = (chance.choice(_NUMBERS) & 0xFFFFFFFF).to_bytes(4, chance.choice(("big", "little")))
        yield bytes(data)


def open_doors(folder: Path) -> list[Door]:
    """folder: for the files that are read. MIDI is a door only with the extra `midi`."""
    parts = {"unet": torch.nn.ModuleDict({"proj": torch.nn.Linear(8, 6)})}

    def file(suffix: str, read: Callable[[Path], object], *errors: type[Exception]) -> Callable[[bytes], None]:
        path = folder / f"input{suffix}"

        def enter(data: bytes) -> None:
            path.write_bytes(data)
            try:
                read(path)
            except errors as error:
                assert "\n" not in str(error), f"more than one line: {error}"

        return enter

    return [
        *_midi(),
        *network_doors(),
        Door(
            "image", [_image(kind) for kind in ("PNG", "JPEG", "WEBP", "BMP")], file(".png", read_picture, SourceError)
        ),
        Door("video", [_video(folder)], file(".mp4", _play, SourceError)),
        *osc_doors(),
        Door("show", [SHOW], file(".toml", read_show, SettingsError)),
        Door("settings", [SETTINGS], file(".ini.toml", lambda p: load_settings({}, p, folder / "none"), SettingsError)),
        Door("state", [_state()], file(".json", read_state, ValueError)),
        Door("lora", [_lora()], file(".safetensors", lambda p: read_lora(parts, p), EngineError)),
        Door(
            "inversion",
            [save({"<cat>": torch.zeros(2, 32)}), save({"clip_l": torch.zeros(1, 32), "clip_g": torch.zeros(1, 48)})],
            file(".inversion.safetensors", lambda p: read_inversions(p, [32]), EngineError),
        ),
        Door("checkpoint", [_checkpoint()], file(".checkpoint.safetensors", import_checkpoint, EngineError)),
        _engine(folder),
        *(
            Door(f"audio {kind}", [_audio(kind)], file(f".{kind}", read_audio, AudioError))
            for kind in ("wav", "flac", "ogg", "mp3")
        ),
        Door("audio m4a", [_m4a(folder)], file(".m4a", read_audio, AudioError)),
    ]


def _engine(folder: Path) -> Door:
    """Files of configuration of an engine: the first byte of an input says which."""
    engine = make_tiny_engine(folder / "fuzzed-engine", "flow")
    files = sorted(path for path in engine.rglob("*.json") if path.stat().st_size < 10_000)
    good = [path.read_bytes() for path in files]

    def enter(data: bytes) -> None:
        number = data[0] % len(files) if data else 0
        files[number].write_bytes(data[1:])
        try:
            load_engine(engine, "cpu", lazy=True)
        except EngineError as error:
            assert "\n" not in str(error), f"more than one line: {error}"
        finally:
            files[number].write_bytes(good[number])

    return Door("engine", [bytes([number]) + content for number, content in enumerate(good)], enter)


def _checkpoint() -> bytes:
    """What a checkpoint of Stable Diffusion 1 begins with."""
    names = ("input_blocks.0.0.weight", "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", "out.2.weight")
    return save({f"model.diffusion_model.{name}": torch.zeros(4, 4) for name in names})


def _m4a(folder: Path) -> bytes:
    path = folder / "good.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), "fltp", "stereo")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path.read_bytes()


def _image(kind: str) -> bytes:
    with io.BytesIO() as buffer:
        Image.fromarray(np.arange(24 * 16 * 3, dtype=np.uint8).reshape(16, 24, 3)).save(buffer, kind)
        return buffer.getvalue()


def _video(folder: Path) -> bytes:
    path = folder / "good.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for number in range(4):
            picture = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 60 * number, np.uint8), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path.read_bytes()


def _play(path: Path) -> None:
    clip = Clip(path)
    try:
        for moment in (0.0, 0.2, 0.1, 9.0):
            clip.at(moment)
    finally:
        clip.close()


def _midi() -> list[Door]:
    try:
        inbox = MidiInbox(MidiClock())
    except MissingLibraryError:
        return []

    def enter(data: bytes) -> None:
        inbox.feed("port", data, 0.0)
        inbox.take()

    corpus = [b"\xb0\x07\x40", b"\x90\x3c\x64\x80\x3c\x00", b"\xf8\xfa\xf2\x10\x20", b"\xf0\x7e\x00\xf7"]
    return [Door("midi", corpus, enter)]


def _state() -> bytes:
    motion = dict.fromkeys(("noise_position", "pan_x", "pan_y", "zoom_steady"), 0.5)
    return json.dumps({"values": {"prompt": "sea", "seed": 3}, "look": "a", "cue": 1, "motion": motion}).encode()


def _lora() -> bytes:
    down, up = torch.zeros(2, 8), torch.zeros(6, 2)
    return save({"lora_unet_proj.lora_down.weight": down, "lora_unet_proj.lora_up.weight": up})


def _audio(kind: str) -> bytes:
    samples = 0.1 * np.random.default_rng(0).standard_normal((4800, 2)).astype(np.float32)
    with io.BytesIO() as buffer:
        soundfile.write(buffer, samples, 48_000, format=kind.upper())
        return buffer.getvalue()
