"""THE table of live parameters, and the store that threads read it from.

A parameter changes during a show (a setting is read once, at the start: `settings.py`). Everything
that shows or changes a parameter (OSC, keys, help, docs, validation) is generated from `TABLE`.
The name `motion.pan_x` is the OSC address `/tpos/motion/pan_x`.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from tpos_live.core.shown import CLEARED, settle
from tpos_live.core.shown import SLOTS as SLOTS

AudioMode = Literal["append", "blend", "semantic", "grow"]
"""How a sound's meaning enters the picture (`conditioning/builder.py`)."""
Kind = Literal["float", "int", "bool", "text", "choice", "trigger"]
Value = float | int | bool | str
RANDOM_START = ("seed",)
"""Parameters whose start value a show draws by chance where none is set (`app.choose_seed`)."""
LORAS = ("lora.1", "lora.2", "lora.3", "lora.4")
"""Parameters of an engine's live LoRAs."""


class ParameterError(ValueError):
    """A value that a parameter cannot take; the message says what is allowed."""


@dataclass(frozen=True)
class Parameter:
    """One live parameter.

    low, high: the range of a number, in `unit`; numbers outside are clamped.
    choices: the allowed words of a choice.
    smoothing: seconds in which a jump of the value is followed (time constant); 0 = at once.
    off_below: numbers below `low` mean 0, which is off, and numbers above `high` are refused: for a number that is
    harmful at the end of its range, which is where a fader of 0 to 1 would put it.
    numbered: a text that may also be a whole number, however it is sent.
    """

    name: str
    kind: Kind
    default: Value
    text: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    choices: tuple[str, ...] = ()
    smoothing: float = 0.0
    off_below: bool = False
    numbered: bool = False

    @property
    def address(self) -> str:
        """The OSC address."""
        return "/tpos/" + self.name.replace(".", "/")

    def parse(self, value: object) -> Value:
        """Turn a value from a controller into this parameter's type, clamped to its range.

        Floats are accepted everywhere but for a text (a bool is on from 0.5, an int and a choice's index are
        rounded), and so are numbers and switches that are written out ("0.5", "on"). Raises ParameterError for
        what has no meaning, such as a word or NaN for a number.
        """
        if self.kind == "text":
            return self._text(value)
        if self.kind == "choice" and isinstance(value, str) and value.strip().lower() in self.choices:
            return value.strip().lower()
        number = parse_number(value)
        if number is None:
            wanted = f"one of {', '.join(self.choices)}" if self.kind == "choice" else "a number"
            raise ParameterError(f"{self.name} takes {wanted}, not {shorten(value)}")
        if self.kind == "choice":
            return self.choices[min(max(round(number), 0), len(self.choices) - 1)]
        if self.kind in ("bool", "trigger"):
            return number >= 0.5
        if self.off_below:
            if number > self.high:
                raise ParameterError(
                    f"{self.name} takes {self.low:g} to {self.high:g} {self.unit}, or 0; {number:g} is too much"
                )
            return number if number >= self.low else 0.0
        number = min(max(number, self.low), self.high)
        return round(number) if self.kind == "int" else number

    def allows(self, value: Value) -> bool:
        """False for a number outside the range, which `parse` would clamp. value: one that `parse` takes."""
        if self.kind not in ("int", "float"):
            return True
        number = parse_number(value)
        assert number is not None
        return self.low <= number <= self.high or (self.off_below and number == 0)

    def _text(self, value: object) -> str:
        """A lone float is what a fader sends: as a text it would replace a prompt by "0.216"."""
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return shorten(value)
        if self.numbered and isinstance(value, float) and value.is_integer():
            return f"{value:.0f}"
        raise ParameterError(f"{self.name} takes a text, not {shorten(value)}")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SWITCH = {"true": 1.0, "on": 1.0, "yes": 1.0, "false": 0.0, "off": 0.0, "no": 0.0}


def parse_number(value: object) -> float | None:
    """A finite number from a number, a switch or their text ("0.5", " 1 ", "on", "False"); None for all else."""
    number = math.nan
    if isinstance(value, str):
        word = value.strip().lower()
        number = _SWITCH.get(word, math.nan)
        if _NUMBER.fullmatch(word):
            number = float(word)
    elif isinstance(value, bool | int | float):
        with contextlib.suppress(OverflowError):  # an integer that no float can hold
            number = float(value)
    return number if math.isfinite(number) else None


def shorten(value: object, most: int = 60) -> str:
    """A value as it would be written in Python, in one line that fits a message."""
    try:
        text = f"{value:g}" if isinstance(value, float) else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; thousands of nested lists
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= most else text[: most - 1] + "…"


@dataclass(frozen=True)
class MapDefault:
    """How one audio feature moves one target: target += depth * shaped(feature) ** curve."""

    depth: float = 0.0
    curve: float = 1.0
    attack: float = 0.0
    release: float = 0.25


FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "level": "level of the whole sound",
        "bass": "level of the bass",
        "mid": "level of the middle",
        "midhigh": "level of the upper middle",
        "high": "level of the highs",
        "bass_hit": "transients of the bass",
        "mid_hit": "transients of the middle",
        "midhigh_hit": "transients of the upper middle",
        "high_hit": "transients of the highs",
        "presence": "slow level of the whole sound",
        "onset": "strength of any stroke",
        "kick": "kick drum, 20 to 150 Hz",
        "snare": "snare drum, 0.15 to 2 kHz",
        "hats": "hi-hats, 6 to 16 kHz",
        "harmonic": "level of what sounds on: chords, voices, drones",
        "percussive": "level of what strikes",
        "loudness": "loudness over 3 s",
        "beat": "cosine of the beat phase times confidence",
        "buildup": "build-up, 0 to 1",
        "drop": "a drop, 1 at the drop, then decaying",
        "silence": "1 while the gate is closed",
    }
)
"""Audio features that can be mapped, each 0 to 1 (beat: -1 to 1)."""

TARGETS: Mapping[str, tuple[float, float, str, str]] = MappingProxyType(
    {
        "zoom": (-0.5, 0.5, "", "size of the picture, 0.025 = 2.5 % larger"),
        "rotate": (-45.0, 45.0, "degrees", "rotation of the picture"),
        "speed": (-4.0, 4.0, "x", "speed of the noise walk"),
        "bloom": (-1.0, 1.0, "", "light that spills from bright parts"),
        "light": (-2.0, 2.0, "stops", "exposure"),
        "saturation": (-1.0, 1.0, "", "strength of the colours"),
        "intensity": (-1.0, 1.0, "", "intensity token: a candle to an inferno"),
        "strength": (-1.0, 1.0, "", "how much of a picture is made anew"),
    }
)
"""Map targets: lowest and highest depth, unit, text."""

MAP_DEFAULTS: Mapping[tuple[str, str], MapDefault] = MappingProxyType(
    {
        ("kick", "zoom"): MapDefault(0.025, 2.0, 0.0, 0.16),
        ("onset", "speed"): MapDefault(4.0, 1.0, 0.0, 0.04),
        ("bass", "speed"): MapDefault(0.2, 1.5, 0.03, 0.25),
        ("snare", "rotate"): MapDefault(0.6, 2.0, 0.0, 0.22),
        ("hats", "bloom"): MapDefault(0.15, 1.0, 0.0, 0.08),
        ("loudness", "intensity"): MapDefault(0.85, 1.0, 0.4, 1.5),
        ("loudness", "saturation"): MapDefault(0.3, 1.0, 0.4, 1.5),
        ("beat", "zoom"): MapDefault(0.008, 1.0, 0.0, 0.0),
        ("buildup", "zoom"): MapDefault(0.08, 2.0, 0.5, 0.1),
        ("buildup", "saturation"): MapDefault(-0.3, 2.0, 0.5, 0.1),
        ("buildup", "speed"): MapDefault(1.5, 2.0, 0.5, 0.1),
        ("drop", "light"): MapDefault(0.5, 1.0, 0.0, 0.6),
        ("drop", "speed"): MapDefault(1.0, 1.0, 0.0, 2.7),
        ("silence", "speed"): MapDefault(-0.85, 1.0, 1.5, 0.2),
        ("silence", "light"): MapDefault(-0.5, 1.0, 1.5, 0.2),
    }
)
"""What moves what when nobody has touched anything (reactivity defaults).

Three pairs are more than a sum (`modulation/integrator.py`): drop and silence multiply the speed by 1 + their
part, and the release of drop.speed is for 120 BPM (three time constants are 4 bars); a build-up moves the speed
in pulses of 1, 1/2, 1/4 beat. Every stroke pushes the walk by its strength, which is what lets a picture be told from
that of another sound (`tpos-live evaluate sync`): the level of the bass hardly does, for it lasts between the hits, and
equal pushes do not tell one bar from the next.
"""


def _table() -> Iterator[Parameter]:
    f: Kind = "float"
    i: Kind = "int"
    b: Kind = "bool"
    t: Kind = "text"
    c: Kind = "choice"
    x: Kind = "trigger"
    P = Parameter
    yield P("prompt", t, "neon jellyfish", "what the picture shows; several words are joined")
    yield P("prompt.negative", t, "", "what the picture avoids, where the engine has guidance")
    yield P("prompt.fade", f, 2.0, "time of the fade to a new prompt", 0, 60, "s")
    yield P(
        "prompt.between",
        c,
        "grow",
        "between prompts: each grows through the other where it has most to show, or one mixture of both",
        choices=("grow", "mix"),
    )
    yield P("prompt.select", i, 0, "show this slot of the bank alone; 0, or a slot without a text = the prompt", 0, 8)
    for n in SLOTS:
        yield P(f"prompt.{n}", t, "", f"text of slot {n} of the prompt bank")
        yield P(f"prompt.{n}.weight", f, 0.0, f"weight of slot {n} in the blend", 0, 1, smoothing=0.1)
    text = "which picture of a prompt; a show takes another at each start unless one is set"
    yield P("seed", i, 0, text, 0, 2**31 - 1)
    yield P("seed.random", x, False, "another seed")
    yield P("seed.walk", f, 1.0, "speed of the walk through seeds, on top of the map", 0, 4, "x", smoothing=0.3)
    yield P(
        "strength",
        f,
        1.0,
        "how much of each picture is made anew; below 1 the last one feeds the next",
        0.1,
        1,
        smoothing=0.1,
    )
    yield P("steps", i, 1, "denoising steps", 1, 4)
    yield P("guidance", f, 1.0, "guidance scale, where the engine has guidance; 1 = off", 1, 10, smoothing=0.1)
    for n, name in enumerate(LORAS, 1):
        text = f"weight of the engine's live LoRA {n}, times its own; 0 = none of that style"
        yield P(name, f, 1.0, text, 0, 1.5, "x", smoothing=0.3)
    yield P("intensity", f, 0.15, "base of the intensity token, the sound adds to it", 0, 1, smoothing=0.2)
    yield P(
        "motion.zoom",
        f,
        0.0,
        "steady zoom into the last picture, so only where strength is below 1: noise that is enlarged is no noise",
        -0.5,
        0.5,
        "octaves/s",
        smoothing=0.3,
    )
    yield P("motion.pan_x", f, 0.0, "steady drift to the right", -1, 1, "widths/s", smoothing=0.3)
    yield P("motion.pan_y", f, 0.02, "steady drift upwards", -1, 1, "heights/s", smoothing=0.3)
    yield P("motion.rotate", f, 0.0, "rotation of the picture", -180, 180, "degrees", smoothing=0.3)
    yield P("audio.gain", f, 0.0, "gain in front of the analysis", -24, 24, "dB", smoothing=0.05)
    yield P("audio.sensitivity", f, 1.0, "all map depths at once", 0, 4, "x", smoothing=0.1)
    yield P("audio.smooth", f, 0.0, "added to every release of the map", 0, 5, "s")
    yield P("audio.agc", b, True, "automatic gain of the fast features")
    yield P("audio.mute", b, False, "the picture does not hear the sound")
    yield P("audio.device", t, "", "name or number of another input; empty = leave it", numbered=True)
    yield P("audio.weight", f, 0.35, "weight of the sound's meaning against the prompt", 0, 1, smoothing=0.3)
    yield P(
        "audio.mode",
        c,
        "auto",
        "how the sound's meaning enters: beside the prompt, blended into it, as guidance of what is drawn, or as a "
        "scene that grows through the prompt's; auto = what suits the engine",
        choices=(*get_args(AudioMode), "auto"),
    )
    yield P(
        "audio.guidance",
        f,
        2.0,
        "semantic: strength; times audio.weight, 1 is the sound's own picture",
        0,
        10,
        smoothing=0.1,
    )
    yield P("audio.guidance.quantile", f, 0.5, "semantic: share of the picture that it leaves alone", 0, 0.95)
    yield P("audio.guidance.momentum", f, 0.3, "semantic: how much it goes on from picture to picture", 0, 0.9)
    yield P("audio.guidance.warmup", f, 0.25, "semantic: share of the steps that the prompt has alone", 0, 0.75)
    yield P("audio.guidance.directions", i, 1, "semantic: sounds at once, each costs as much as the prompt", 1, 3)
    yield P("tempo", f, 0.0, "fixed tempo; 0, and all below 20, follows the sound", 20, 240, "BPM", off_below=True)
    yield P("tempo.tap", x, False, "tap the tempo, four times or more")
    yield P("tempo.resync", x, False, "the next beat is now")
    yield P("tempo.source", c, "auto", "where beats come from", choices=("auto", "tap", "off"))
    yield P(
        "tempo.trim",
        f,
        0.0,
        "beats come this much earlier, for a slow screen; negative = later",
        -300,
        300,
        "ms",
        smoothing=0.3,
    )
    yield P("finish.bloom", f, 0.35, "light that spills from bright parts", 0, 2, smoothing=0.1)
    yield P("finish.light", f, 0.0, "exposure", -3, 3, "stops", smoothing=0.1)
    yield P("finish.saturation", f, 0.75, "strength of the colours before the map adds to it", 0, 2, smoothing=0.1)
    yield P("finish.grain", f, 0.015, "film grain", 0, 0.1)
    yield P("finish.detail", f, 1.0, "fine structure in the large pictures of an engine that draws softly", 0, 3)
    yield P("out.level", f, 1.0, "master fade, 0 = black", 0, 1, smoothing=0.03)
    yield P("out.blackout", b, False, "black, at once")
    yield P("out.freeze", b, False, "hold the picture that is shown")
    yield P(
        "out.panic",
        x,
        False,
        "back to safety: motion and finish as at the start, no blackout, no freeze, level 1, no blend of slots",
    )
    yield P("out.flash_limit", b, True, "never more than three flashes a second (WCAG 2.3.1)")
    yield P("out.inbetween", b, True, "smooth motion between two engine pictures")
    yield P("out.fit", c, "cover", "how the picture fills the screen", choices=("cover", "contain", "mirror"))
    yield P("out.fullscreen", b, False, "fill the screen")
    yield P("out.screen", i, 0, "number of the screen", 0, 15)
    yield P("out.hud", b, False, "show the status over the picture (never recorded)")
    yield P(
        "out.messages",
        c,
        "auto",
        "messages and the words of the start screen over the picture (never recorded); auto: in a window, not where it "
        "fills a screen",
        choices=("off", "on", "auto"),
    )
    yield P("out.record", b, False, "record picture and sound; blackout and freeze too, HUD and messages not")
    yield P("out.snapshot", x, False, "save the picture as a PNG")
    yield P("out.acknowledge", x, False, "stop showing that a recording was lost")
    yield P("pause", b, False, "stop the walk and the drift; light and zoom still follow the sound")
    text = "the picture's parameters back to their start values; prompt bank, screen, recording and input stay"
    yield P("reset", x, False, text)
    for feature, what in FEATURES.items():
        for target, (low, high, unit, _) in TARGETS.items():
            d = MAP_DEFAULTS.get((feature, target), MapDefault())
            name = f"map.{feature}.{target}"
            yield P(name, f, d.depth, f"how far {what} moves {target}", low, high, unit, smoothing=0.1)
            yield P(f"{name}.curve", f, d.curve, "exponent of the response", 0.25, 4)
            yield P(f"{name}.attack", f, d.attack, "attack", 0, 10, "s")
            yield P(f"{name}.release", f, d.release, "release", 0, 30, "s")


TABLE: Mapping[str, Parameter] = MappingProxyType({p.name: p for p in _table()})


@dataclass(frozen=True)
class Snapshot:
    """All parameters at one moment. Immutable: keep it for a whole frame.

    triggers counts how often each trigger has fired since the start, so that a reader that looks
    seldom misses none: it compares the count with the one it saw last.
    """

    values: Mapping[str, Value]
    triggers: Mapping[str, int]
    version: int = 0

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def fired(self, name: str) -> int:
        """How often the trigger `name` has fired since the start."""
        return self.triggers.get(name, 0)


class ParameterStore:
    """Holds the live values.

    Thread contract: any thread may call `set`, `update`, `trigger` and `restore` (short lock among
    writers); any thread may call `snapshot`, which takes no lock and never waits.
    """

    def __init__(self, start: Mapping[str, Value] | None = None) -> None:
        """start: values that differ from the table's defaults; they are also what `reset` restores.

        Raises KeyError for an unknown name, ParameterError for a value it cannot take.
        """
        values = {p.name: p.default for p in TABLE.values() if p.kind != "trigger"}
        given = {name: TABLE[name].parse(value) for name, value in (start or {}).items()}
        values.update(given | settle(values, given)[0])
        self._start = dict(values)
        self._lock = threading.Lock()
        self._snapshot = Snapshot(MappingProxyType(values), MappingProxyType({}))

    def snapshot(self) -> Snapshot:
        """The newest values, consistent among themselves."""
        return self._snapshot

    def set(self, name: str, value: object) -> Value:
        """Set one parameter and return the value it took. Raises KeyError or ParameterError."""
        return self.update({name: value})[name]

    def update(self, values: Mapping[str, object]) -> dict[str, Value]:
        """Set several parameters as one change. Raises KeyError or ParameterError and then sets none.

        What is shown follows the last command (`shown.py`): a new prompt clears the slots' weights, and so on.
        """
        parsed = {name: TABLE[name].parse(value) for name, value in values.items()}
        for name in parsed:
            if TABLE[name].kind == "trigger":
                raise ParameterError(f"{name} is a trigger and holds no value")
        with self._lock:
            old = self._snapshot
            settled, cleared = settle(old.values, parsed)
            changed = parsed | settled
            if any(old.values[name] != value for name, value in changed.items()):
                fired = {CLEARED: old.fired(CLEARED) + 1} if cleared else {}
                self._replace({**old.values, **changed}, {**old.triggers, **fired})
        return parsed

    def trigger(self, name: str) -> None:
        """Fire a trigger once. Raises KeyError for a name that is no trigger."""
        if TABLE[name].kind != "trigger":
            raise KeyError(name)
        with self._lock:
            old = self._snapshot
            self._replace(dict(old.values), {**old.triggers, name: old.fired(name) + 1})

    def restore(self, names: Iterable[str] | None = None) -> None:
        """Set the named parameters (default: all) back to their start values."""
        chosen = self._start if names is None else {name: self._start[name] for name in names}
        self.update(chosen)

    def _replace(self, values: Mapping[str, Value], triggers: Mapping[str, int]) -> None:
        version = self._snapshot.version + 1
        self._snapshot = Snapshot(MappingProxyType(dict(values)), MappingProxyType(dict(triggers)), version)


class Smoother:
    """Follows the parameters that have a smoothing time, one step a hop.

    Stepping by t twice equals stepping by 2t once (exponential), so it does not depend on the rate. Costs
    nothing while nothing changes.
    """

    def __init__(self) -> None:
        self._now: dict[str, float] = {}
        self._view = MappingProxyType(self._now)
        self._moving: list[tuple[str, float, float]] = []
        self._seen: Snapshot | None = None

    def step(self, snapshot: Snapshot, dt: float) -> Mapping[str, float]:
        """Advance by dt seconds towards `snapshot`; returns the smoothed values by name."""
        if snapshot is not self._seen:
            self._seen = snapshot
            self._moving = [
                (name, seconds, goal)
                for name, seconds in _SMOOTHED
                if self._now.setdefault(name, goal := float(snapshot[name])) != goal
            ]
        still = []
        for name, seconds, goal in self._moving:
            now = self._now[name] + (goal - self._now[name]) * -math.expm1(-dt / seconds)
            if abs(goal - now) < 1e-5:
                now = goal
            else:
                still.append((name, seconds, goal))
            self._now[name] = now
        self._moving = still
        return self._view


_SMOOTHED = [(p.name, p.smoothing) for p in TABLE.values() if p.smoothing > 0]
