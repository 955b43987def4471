"""The table of live parameters, the only place where they are defined.

A parameter changes during a show (a setting is read once, at the start: `settings.py`). Everything that shows or
changes a parameter (OSC, keys, help, docs, validation) is generated from `TABLE`. The name `motion.pan_x` is the OSC
address `/tpos/motion/pan_x`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from tpos_live.core.parameter import Kind, Parameter
from tpos_live.core.shown import SLOTS

AudioMode = Literal["append", "blend", "semantic", "grow"]
"""How a sound's meaning enters the image (`conditioning/builder.py`)."""
Start = Literal["now", "beat", "bar", "4 bars", "16 bars"]
"""When a recall of a look begins."""
STARTS: tuple[Start, ...] = get_args(Start)
RANDOM_START = ("seed",)
"""Parameters with a random start value, unless one is set (`runtime/run_session.py`)."""
LORAS = ("lora.1", "lora.2", "lora.3", "lora.4")
"""Parameters of an engine's live LoRAs."""
ORDERS = ("look.store", "look.delete", "look.cue.up", "look.cue.down", "look.cue.delete")
"""Text parameters that are commands: each text is carried out once, then the parameter is empty again
(`ParameterStore.take_orders`)."""


@dataclass(frozen=True)
class MapDefault:
    """How one audio feature moves one target: target += depth * shaped(feature) ** curve."""

    depth: float = 0.0
    curve: float = 1.0
    attack: float = 0.0
    release: float = 0.25


FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "level": "level of the sound",
        "bass": "level of the bass",
        "mid": "level of the middle",
        "midhigh": "level of the upper middle",
        "high": "level of the highs",
        "bass_hit": "transients of the bass",
        "mid_hit": "transients of the middle",
        "midhigh_hit": "transients of the upper middle",
        "high_hit": "transients of the highs",
        "presence": "level of the sound, slow",
        "onset": "onset strength",
        "kick": "kick drum, 20 to 150 Hz",
        "snare": "snare drum, 0.15 to 2 kHz",
        "hats": "hi-hats, 6 to 16 kHz",
        "harmonic": "level of the harmonic part: chords, voices, drones",
        "percussive": "level of the percussive part",
        "loudness": "loudness over 3 s",
        "beat": "cosine of the beat phase times confidence",
        "buildup": "build-up, 0 to 1",
        "drop": "1 at a drop, then decaying",
        "energy": "level over 2 s relative to the usual level of this music",
        "tension": "expectation of a drop, 0 to 1",
        "silence": "1 while the noise gate is closed",
    }
)
"""Audio features that can be mapped, each 0 to 1 (beat: -1 to 1)."""

TARGETS: Mapping[str, tuple[float, float, str, str]] = MappingProxyType(
    {
        "zoom": (-0.5, 0.5, "", "size of the image, 0.025 = 2.5 % larger"),
        "rotate": (-45.0, 45.0, "degrees", "rotation of the image"),
        "speed": (-4.0, 4.0, "x", "speed along the noise trajectory"),
        "bloom": (-1.0, 1.0, "", "glow of bright parts"),
        "light": (-2.0, 2.0, "stops", "exposure"),
        "saturation": (-1.0, 1.0, "", "saturation of the colours"),
        "intensity": (-1.0, 1.0, "", "intensity token, from a candle to an inferno"),
        "strength": (-1.0, 1.0, "", "how much of a frame is generated anew"),
        "source": (-1.0, 1.0, "", "how much of the source of images stays"),
    }
)
"""Map targets: lowest and highest depth, unit, text."""

MAP_DEFAULTS: Mapping[tuple[str, str], MapDefault] = MappingProxyType(
    {
        ("kick", "zoom"): MapDefault(0.065, 0.5, 0.0, 0.08),
        ("kick", "light"): MapDefault(0.11, 0.5, 0.0, 0.08),
        ("kick", "bloom"): MapDefault(0.04, 2.0, 0.0, 0.16),
        ("onset", "speed"): MapDefault(2.0, 1.0, 0.0, 0.04),
        ("bass", "speed"): MapDefault(0.1, 1.5, 0.03, 0.25),
        ("snare", "rotate"): MapDefault(0.8, 2.0, 0.0, 0.22),
        ("snare", "light"): MapDefault(0.04, 2.0, 0.0, 0.12),
        ("hats", "bloom"): MapDefault(0.2, 1.0, 0.0, 0.08),
        ("loudness", "intensity"): MapDefault(0.85, 1.0, 0.4, 1.5),
        ("loudness", "saturation"): MapDefault(0.3, 1.0, 0.4, 1.5),
        ("beat", "zoom"): MapDefault(0.008, 1.0, 0.0, 0.0),
        ("buildup", "zoom"): MapDefault(0.08, 2.0, 0.5, 0.1),
        ("buildup", "saturation"): MapDefault(-0.3, 2.0, 0.5, 0.1),
        ("buildup", "speed"): MapDefault(1.5, 2.0, 0.5, 0.1),
        ("drop", "light"): MapDefault(0.5, 1.0, 0.0, 0.6),
        ("drop", "speed"): MapDefault(1.0, 1.0, 0.0, 2.7),
        ("silence", "speed"): MapDefault(-0.6, 1.0, 1.5, 0.2),
        ("silence", "light"): MapDefault(-0.5, 1.0, 1.5, 0.2),
    }
)
"""Default connections of the map.

Three pairs are not added to their target (`modulation/integrator.py`): drop and silence multiply the speed by 1 + their
contribution, and the release of drop.speed is for 120 BPM (three time constants are 4 bars); a build-up moves the speed
in pulses of 1, 1/2, 1/4 beat. In a bright image saturation replaces a drop's light (`display/postfx.py`). Each onset
moves the noise by its strength. This makes the images of two sounds distinguishable (`tpos-live evaluate sync`): the
level of the bass does so less, because it lasts between the hits, and equal steps would not separate one bar from the
next.
"""

PUNCH: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("kick", "zoom"): 0.025 / 0.065,
        ("kick", "light"): 0.0,
        ("kick", "bloom"): 0.0,
        ("snare", "rotate"): 0.6 / 0.8,
        ("snare", "light"): 0.0,
        ("hats", "bloom"): 0.15 / 0.2,
    }
)
"""Pairs that `finish.punch` scales, and the factor on their depth at a punch of 0. The factor is linear in punch, and 1
at 0.5."""

WALLS = 4
"""Number of outputs screen:… that have parameters, in the order of the settings."""
CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")

_F: Kind = "float"
_I: Kind = "int"
_B: Kind = "bool"
_T: Kind = "text"
_C: Kind = "choice"
_X: Kind = "trigger"


def _prompts() -> Iterator[Parameter]:
    yield Parameter("prompt", _T, "neon jellyfish", "the prompt; several words are joined")
    yield Parameter("prompt.negative", _T, "", "the negative prompt, where the engine has guidance")
    yield Parameter("prompt.fade", _F, 2.0, "duration of the fade to a new prompt", 0, 60, "s")
    yield Parameter(
        "prompt.between",
        _C,
        "grow",
        "between prompts: a blend by region, or a mix of their embeddings",
        choices=("grow", "mix"),
    )
    yield Parameter(
        "prompt.select", _I, 0, "show this slot of the bank alone; 0, or a slot without a text, is the prompt", 0, 8
    )
    for n in SLOTS:
        yield Parameter(f"prompt.{n}", _T, "", f"text of slot {n} of the prompt bank")
        yield Parameter(f"prompt.{n}.weight", _F, 0.0, f"weight of slot {n} in the blend", 0, 1, smoothing=0.1)


def _image() -> Iterator[Parameter]:
    text = "seed of the noise; random at the start of a show unless it is set"
    yield Parameter("seed", _I, 0, text, 0, 2**31 - 1)
    yield Parameter("seed.random", _X, False, "take another seed")
    yield Parameter("seed.walk", _F, 1.0, "factor on the speed along the noise trajectory", 0, 4, "x", smoothing=0.3)
    yield Parameter(
        "strength",
        _F,
        1.0,
        "how much of each frame is generated anew; below 1 it continues the last frame",
        0.1,
        1,
        smoothing=0.1,
    )
    yield Parameter("steps", _I, 1, "denoising steps", 1, 4)
    yield Parameter(
        "guidance", _F, 1.0, "guidance scale, where the engine has guidance; 1 is off", 1, 10, smoothing=0.1
    )
    for n, name in enumerate(LORAS, 1):
        text = f"weight of the engine's live LoRA {n}, relative to its own; 0 is off"
        yield Parameter(name, _F, 1.0, text, 0, 1.5, "x", smoothing=0.3)
    yield Parameter("intensity", _F, 0.15, "base of the intensity token; the sound adds to it", 0, 1, smoothing=0.2)
    yield Parameter(
        "motion.zoom",
        _F,
        0.0,
        "steady zoom into the last frame; works where strength is below 1",
        -0.5,
        0.5,
        "octaves/s",
        smoothing=0.3,
    )
    yield Parameter("motion.pan_x", _F, 0.0, "steady drift to the right", -1, 1, "widths/s", smoothing=0.3)
    yield Parameter("motion.pan_y", _F, 0.02, "steady drift upwards", -1, 1, "heights/s", smoothing=0.3)
    yield Parameter("motion.rotate", _F, 0.0, "rotation of the image", -180, 180, "degrees", smoothing=0.3)


def _source() -> Iterator[Parameter]:
    text = "images that frames are drawn from: camera, camera:NAME, ndi:NAME, a stream, a video, a picture, a folder"
    yield Parameter("source", _T, "", f"{text}, scene:NAME; none is the prompt alone")
    text = "how much of the source stays: 0 is the prompt alone, 1 the source itself"
    yield Parameter("source.amount", _F, 0.35, text, 0, 1, smoothing=0.1)
    yield Parameter("source.speed", _F, 1.0, "speed of a clip", 0, 4, "x", smoothing=0.1)
    yield Parameter("source.position", _F, 0.0, "where a clip begins, as a share of its length", 0, 1)
    yield Parameter("source.beats", _F, 0.0, "beats that a clip lasts; 0 is its own speed", 0, 256, "beats")
    yield Parameter("source.seconds", _F, 4.0, "how long each picture of a folder is shown", 0.1, 600, "s")
    text = "how the source fills the frame: cut at the edges, whole, or stretched"
    yield Parameter("source.fit", _C, "cover", text, choices=("cover", "contain", "stretch"))
    yield Parameter("source.zoom", _F, 1.0, "enlarges the source, to show a part of it", 1, 4, "x")
    yield Parameter("source.x", _F, 0.0, "part of a source that is cut: -1 its left, 0 its middle, 1 its right", -1, 1)
    yield Parameter("source.y", _F, 0.0, "part of a source that is cut: -1 its top, 0 its middle, 1 its bottom", -1, 1)
    mirrors = ("off", "horizontal", "vertical", "both")
    yield Parameter("source.mirror", _C, "off", "mirror the source", choices=mirrors)
    yield Parameter("source.blur", _F, 0.0, "blur of the source: leaves large shapes to the prompt", 0, 1)
    yield Parameter("source.delay", _F, 0.0, "delay of the source", 0, 2000, "ms")
    text = "what is beside a source that is shown whole: black, or the source itself, blurred"
    yield Parameter("source.edges", _C, "black", text, choices=("black", "blurred"))
    text = "where the source counts: everywhere, where it is opaque, where it is bright, or where a file says so"
    yield Parameter("source.mask", _C, "off", text, choices=("off", "alpha", "luma", "file"))
    text = "lay a masked source over the drawn image, in one pass of the UNet, instead of drawing on it in two"
    yield Parameter("source.mask.over", _B, False, text)
    text = "picture for the mask file: the source counts where it is bright, or opaque if it has see-through places"
    yield Parameter("source.mask.file", _T, "", text)


def _audio() -> Iterator[Parameter]:
    yield Parameter("audio.gain", _F, 0.0, "gain before the features are computed", -24, 24, "dB", smoothing=0.05)
    yield Parameter("audio.sensitivity", _F, 1.0, "factor on all depths of the map", 0, 4, "x", smoothing=0.1)
    yield Parameter("audio.smooth", _F, 0.0, "added to every release of the map", 0, 5, "s")
    yield Parameter("audio.agc", _B, True, "automatic gain control of the features")
    yield Parameter("audio.mute", _B, False, "ignore the sound")
    yield Parameter(
        "audio.device", _T, "", "name or number of another input; empty keeps the current one", numbered=True
    )
    yield Parameter("audio.weight", _F, 0.35, "weight of the sound's meaning against the prompt", 0, 1, smoothing=0.3)
    yield Parameter(
        "audio.mode",
        _C,
        "auto",
        "how the sound's meaning enters: append audio tokens, blend the embeddings, semantic guidance, or grow as a "
        "scene of its own by region; auto is what suits the engine",
        choices=(*get_args(AudioMode), "auto"),
    )
    yield Parameter(
        "audio.guidance",
        _F,
        2.0,
        "semantic: strength; multiplied with audio.weight, 1 is the sound's own image",
        0,
        10,
        smoothing=0.1,
    )
    yield Parameter("audio.guidance.quantile", _F, 0.5, "semantic: share of the image that is not edited", 0, 0.95)
    yield Parameter("audio.guidance.momentum", _F, 0.3, "semantic: momentum from frame to frame", 0, 0.9)
    yield Parameter("audio.guidance.warmup", _F, 0.25, "semantic: share of the steps before it begins", 0, 0.75)
    yield Parameter(
        "audio.guidance.directions", _I, 1, "semantic: phrases at once; each costs as much as the prompt", 1, 3
    )


def _tempo() -> Iterator[Parameter]:
    yield Parameter(
        "tempo", _F, 0.0, "fixed tempo; 0, or anything below 20, follows the sound", 20, 240, "BPM", off_below=True
    )
    yield Parameter("tempo.tap", _X, False, "tap the tempo, four times or more")
    yield Parameter("tempo.resync", _X, False, "the next beat is now")
    yield Parameter("tempo.double", _X, False, "twice as many beats, until the music changes its tempo")
    yield Parameter("tempo.halve", _X, False, "half as many beats, until the music changes its tempo")
    text = "fastest tempo that is followed; half the tempo is taken above it"
    yield Parameter("tempo.fastest", _F, 180.0, text, 120, 240, "BPM")
    yield Parameter("tempo.source", _C, "auto", "source of the beat", choices=("auto", "tap", "off"))
    text = "moves the beat earlier by this time, or later below 0; a tap or a resync sets it to 0"
    yield Parameter("tempo.shift", _F, 0.0, text, -1000, 1000, "ms")
    yield Parameter(
        "tempo.trim",
        _F,
        0.0,
        "beats are shown this much earlier, for a slow screen; negative is later",
        -300,
        300,
        "ms",
        smoothing=0.3,
    )


def _director() -> Iterator[Parameter]:
    text = "let the music's sections choose the scene beside the prompt, place and size, camera and palette"
    yield Parameter("director", _B, True, text)
    text = "how often the scene of the music changes: 2 is twice as often, 0 is never"
    yield Parameter("director.scenes", _F, 1.0, text, 0, 2, "x")
    yield Parameter("director.cuts", _F, 1.0, "share of drops that cut to the next scene; the others blend", 0, 1)
    text = "how far the section changes the area of the scene beside a prompt"
    yield Parameter("director.area", _F, 1.0, text, 0, 2, "x")
    text = "how far the frame, and the scene beside a prompt, move from section to section"
    yield Parameter("director.framing", _F, 1.0, text, 0, 2, "x")
    yield Parameter("director.camera", _F, 1.0, "speed of the director's drift", 0, 2, "x")
    yield Parameter("director.palette", _F, 1.0, "how far the palette moves at a section", 0, 2, "x")
    yield Parameter("director.next", _X, False, "the next scene, at the next bar")


def _finish() -> Iterator[Parameter]:
    yield Parameter("finish.bloom", _F, 0.35, "glow of bright parts", 0, 2, smoothing=0.1)
    yield Parameter("finish.light", _F, 0.0, "exposure", -3, 3, "stops", smoothing=0.1)
    yield Parameter("finish.saturation", _F, 0.75, "saturation of the colours; the map adds to it", 0, 2, smoothing=0.1)
    text = "how hard kick, snare and hi-hats hit the image: 0 is calm, 1 hard; scales their depths of the map"
    yield Parameter("finish.punch", _F, 0.5, text, 0, 1, smoothing=0.1)
    yield Parameter("finish.grain", _F, 0.015, "film grain", 0, 0.1)
    yield Parameter("finish.detail", _F, 1.0, "fine structure added to the enlarged images of a soft engine", 0, 3)


def _looks() -> Iterator[Parameter]:
    yield Parameter(
        "look.recall", _T, "", "recall a look by name or number; the text then becomes empty", numbered=True
    )
    text = "recall a cue by its number, from 1 on, or a look if there are no cues; the text then becomes empty"
    yield Parameter("look.cue", _T, "", text, numbered=True)
    text = "store the look that is shown as a cue at the end, with look.fade and look.start"
    yield Parameter("look.cue.store", _X, False, text)
    text = "move a cue one place {}, by its number; the text then becomes empty"
    for way, where in (("up", "towards the start"), ("down", "towards the end")):
        yield Parameter(f"look.cue.{way}", _T, "", text.format(where), numbered=True)
    yield Parameter("look.cue.delete", _T, "", "delete a cue by its number; its look stays", numbered=True)
    yield Parameter("look.store", _T, "", "store what is shown as a look of this name; + finds a free name")
    yield Parameter("look.delete", _T, "", "delete a look by name or number", numbered=True)
    yield Parameter("look.next", _X, False, "the next cue, or the next look if there are no cues")
    yield Parameter("look.previous", _X, False, "the previous cue, or look")
    yield Parameter("look.keep", _X, False, "keep this look: the autopilot counts its bars from 0 again")
    yield Parameter("look.fade", _F, 4.0, "duration of the fade to a look", 0, 60, "s")
    yield Parameter("look.start", _C, "now", "when a recalled look begins", choices=STARTS)
    text = "when a new prompt, a recalled look or another seed takes effect; faders and safe controls never wait"
    yield Parameter("quantise", _C, "off", text, choices=("off", "beat", "bar", "4 bars"))
    yield Parameter("autopilot", _B, False, "recall another look every few bars, sooner at a drop")
    yield Parameter("autopilot.bars", _I, 16, "bars for which the autopilot keeps a look", 4, 128)
    text = "look of the autopilot, of the cues if there are any: the next, or by chance, each once before any repeats"
    yield Parameter("autopilot.order", _C, "order", text, choices=("order", "random"))


def _midi() -> Iterator[Parameter]:
    text = "parameter, trigger or look NAME that the next MIDI control moves; + takes the next one that changes"
    yield Parameter("midi.learn", _T, "", text)
    yield Parameter("midi.forget", _T, "", "remove the MIDI mappings of this target; all removes all mappings")


def _output() -> Iterator[Parameter]:
    yield Parameter("out.level", _F, 1.0, "master fader; 0 is black", 0, 1, smoothing=0.03)
    yield Parameter("out.blackout", _B, False, "black at once")
    yield Parameter("out.freeze", _B, False, "hold the image that is shown")
    yield Parameter(
        "out.panic",
        _X,
        False,
        "back to a safe image: start values of motion and finish, no blackout, freeze, pause or test card, level 1, "
        "slot weights 0",
    )
    yield Parameter("out.flash_limit", _B, True, "limit flashes to three a second (WCAG 2.3.1)")
    yield Parameter("out.inbetween", _B, True, "interpolate the motion between two engine frames")
    yield Parameter("out.fit", _C, "cover", "how the image fills the screen", choices=("cover", "contain", "mirror"))
    yield Parameter("out.fullscreen", _B, False, "fill the screen")
    yield Parameter("out.screen", _I, 0, "number of the screen", 0, 15)
    yield Parameter("out.hud", _B, False, "show the status over the image (never recorded)")
    text = "the control page's address as a QR code over the image (never recorded): who reads it can control the show"
    yield Parameter("out.page_code", _B, False, text)
    yield Parameter(
        "out.messages",
        _C,
        "auto",
        "messages and start screen texts over the image (never recorded); auto: in a window, not in full screen",
        choices=("off", "on", "auto"),
    )
    yield Parameter(
        "out.record", _B, False, "record video and sound, with blackout and freeze, without status and messages"
    )
    text = "transparency of the NDI, Spout and Syphon outputs: none, or the dark places"
    yield Parameter("out.alpha", _C, "off", text, choices=("off", "luma"))
    yield Parameter("out.testcard", _B, False, "a test card on every output: its name, size, edges, grid and colours")
    yield Parameter("out.logo.x", _F, 1.0, "place of the logo (`logo` in config.toml): 0 left, 1 right", 0, 1)
    yield Parameter("out.logo.y", _F, 1.0, "place of the logo: 0 top, 1 bottom", 0, 1)
    yield Parameter("out.logo.size", _F, 0.15, "height of the logo, as a share of the image's", 0.01, 1)
    text = "opacity of the logo; blackout hides it, the master fader does not dim it"
    yield Parameter("out.logo.opacity", _F, 1.0, text, 0, 1)
    yield from _window()
    yield from _walls()
    yield Parameter("out.snapshot", _X, False, "save the image as PNG")
    yield Parameter("out.acknowledge", _X, False, "remove the message that a recording was lost")


def _engine() -> Iterator[Parameter]:
    text = "draw every frame, or keyframes, with frames between them that need no UNet: for an engine slower than 4 fps"
    yield Parameter("engine.mode", _C, "frames", text, choices=("frames", "keyframes"))
    text = "most keyframes per second; 0 is no limit, and one per second in `render`"
    yield Parameter("engine.keyframes", _F, 0.0, text, 0, 30, "1/s")


def _window() -> Iterator[Parameter]:
    text = "the output window is open; closed, the show, its recording and its other outputs go on"
    yield Parameter("out.window", _B, True, text)
    mirrors = ("off", "horizontal", "vertical", "both")
    yield Parameter("out.window.mirror", _C, "off", "mirror the window's image", choices=mirrors)
    text = "turn the window's image clockwise: right 90, half 180, left 270 degrees"
    yield Parameter("out.window.rotate", _C, "off", text, choices=("off", "right", "half", "left"))
    for side in ("left", "top", "right", "bottom"):
        text = f"share of the image that the window leaves out at the {side}"
        yield Parameter(f"out.window.crop.{side}", _F, 0.0, text, 0, 0.99)
    text = "corner of the image that Ctrl and the arrow keys move; out.wall.pin says whose"
    yield Parameter("out.window.pin", _C, "off", text, choices=("off", *CORNERS))
    yield from _geometry("out.window", "the window")


def _walls() -> Iterator[Parameter]:
    text = "whose corner Ctrl and the arrow keys move: 0 the window's, 1 to 4 that wall's"
    yield Parameter("out.wall.pin", _I, 0, text, 0, WALLS)
    for number in range(1, WALLS + 1):
        text = f"wall {number} is open: the screen of this place among the outputs screen:…"
        yield Parameter(f"out.wall.{number}", _B, True, text)
        yield from _geometry(f"out.wall.{number}", f"wall {number}")


def _geometry(name: str, what: str) -> Iterator[Parameter]:
    """Corner pin, soft edges, gamma and black of an output for a projector. what: its name in the texts."""
    for corner in CORNERS:
        for axis, way in (("x", "to the right"), ("y", "down")):
            text = f"corner pin: {corner.replace('_', ' ')} corner {way}, as a share of {what}"
            yield Parameter(f"{name}.corner.{corner}.{axis}", _F, 0.0, text, -0.5, 0.5)
    for side in ("left", "top", "right", "bottom"):
        text = f"soft edge at the {side}: its width, as a share of {what}'s image"
        yield Parameter(f"{name}.edge.{side}", _F, 0.0, text, 0, 0.5)
    yield Parameter(f"{name}.gamma", _F, 1.0, f"above 1 the middle of {what}'s image is brighter", 0.2, 5)
    text = f"level of black in {what}, for projectors that overlap; blackout stays black"
    yield Parameter(f"{name}.black", _F, 0.0, text, 0, 0.5)


def _show() -> Iterator[Parameter]:
    yield Parameter("pause", _B, False, "stop the movement of noise and drift; light and zoom still follow the sound")
    text = (
        "set the image's parameters to their start values; prompt bank, window, screen, logo, recording and input stay"
    )
    yield Parameter("reset", _X, False, text)


def _map() -> Iterator[Parameter]:
    for feature, what in FEATURES.items():
        for target, (low, high, unit, _) in TARGETS.items():
            d = MAP_DEFAULTS.get((feature, target), MapDefault())
            name = f"map.{feature}.{target}"
            yield Parameter(name, _F, d.depth, f"how far {what} moves {target}", low, high, unit, smoothing=0.1)
            yield Parameter(f"{name}.curve", _F, d.curve, "exponent of the response", 0.25, 4)
            yield Parameter(f"{name}.attack", _F, d.attack, "attack", 0, 10, "s")
            yield Parameter(f"{name}.release", _F, d.release, "release", 0, 30, "s")


_GROUPS = (_prompts, _image, _source, _audio, _tempo, _director, _looks, _midi, _finish, _output, _engine, _show, _map)
TABLE: Mapping[str, Parameter] = MappingProxyType({p.name: p for group in _GROUPS for p in group()})
