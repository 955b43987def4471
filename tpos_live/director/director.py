"""The director: decides on the bar grid which scene accompanies the prompt, where the frame stands, and the palette.

It takes features and the label of the sound, and returns a Direction. Each rule has a depth, which is a live parameter;
one switch turns all rules off. Decisions are made on downbeats; between them, values only ease or drift.
"""

from __future__ import annotations

import math
import random
from collections.abc import Container
from dataclasses import dataclass, field

from tpos_live.core.direction import (
    BREAKDOWN,
    BUILD_UP,
    INTRO,
    MAIN,
    NO_DIRECTION,
    PEAK,
    SILENCE,
    Direction,
)
from tpos_live.core.envelope import follow
from tpos_live.core.parameter_store import Snapshot
from tpos_live.director.controls import DirectorControls
from tpos_live.director.framing import OPENING, Framing, Shot, draw
from tpos_live.director.memory import DirectorMemory
from tpos_live.director.scene_choice import UNKNOWN, Abilities, SceneChoice
from tpos_live.director.scene_table import KINDS, TYPICAL, pace_of, places_beside, suits_a_prompt
from tpos_live.director.sections import BarClock, MusicKind, SectionTracker
from tpos_live.features.features import HOP_SECONDS, Features

PHRASE_BARS = 8
"""Bars of a phrase. Without a change of section, the scene changes at the end of a phrase."""
SCENE_SECONDS = (12.0, 24.0, 44.0)
"""Seconds after which a new section ends a scene; after which the end of a phrase ends it; and its longest time. Each
times 1 / depth."""
NAMED_SECONDS = 4.0
"""Shortest time in seconds of a scene that was chosen before the kind of music was clear, times 1 / depth."""
SCENE_FADE_BARS = 2.0
"""Bars in which a scene is faded in; twice as many in CALM sections, except for the first scene."""
CALM, QUIETER = (INTRO, BREAKDOWN, SILENCE), (INTRO, BREAKDOWN, MAIN)
HALF_BARS, SECOND_SECONDS = 4, 5.0
"""Without a prompt a phrase lasts HALF_BARS, except in build-ups and peaks. At its end the next scene comes to an edge
of the image, if it suits the scene that is shown and that one is SECOND_SECONDS old, times 1 / depth."""
SHOT_BARS = 1.0
"""Bars of the ease from one shot to the next; three times as many in CALM sections without a prompt."""
AREAS = {SILENCE: 0.5, INTRO: 0.5, BREAKDOWN: 0.6, MAIN: 0.72, BUILD_UP: 0.72, PEAK: 0.79}
"""Factor on the area of the scene beside a prompt, by section; tension raises that of a build-up. Sounds that are no
music have the factor 1."""
AREA_SECONDS = 1.5
"""Time constant of the area."""
PALETTE = {"section": 0.11, "drop": 0.37}
"""Turns of the palette at a new section or phrase, and at a drop. A drop also turns the colours of the image (`hue`),
and the next drop, or the end of the phrase, turns them back: the turn of a palette that ends near red, such as that of
a fire, is not visible."""
TURN_BARS = 4.0
"""Shortest time in bars for which colours stay turned where no CALM section begins."""
PALETTE_SECONDS = 2.0
"""Time constant of palette and hue."""
PACE_SECONDS = 1.0
"""Time constant of the speed that suits the scene."""
SWITCH_SECONDS = 1.0
"""Seconds in which the frame returns to the centre after the director is turned off."""


@dataclass
class Director:
    """One step per hop; deterministic: the same features, labels and parameters give the same directions.

    Thread contract: one thread calls `step`; another one may replace `abilities`, and read `memory`, which is
    replaced as a whole.
    """

    abilities: Abilities = UNKNOWN
    memory: DirectorMemory = field(default_factory=DirectorMemory)
    """State after the newest decision, for `resume`."""
    _clock: BarClock = field(default_factory=BarClock)
    _sections: SectionTracker = field(default_factory=SectionTracker)
    _choice: SceneChoice = field(default_factory=SceneChoice)
    _framing: Framing = field(default_factory=Framing)
    _time: float = 0.0
    _music: MusicKind = field(default_factory=MusicKind)
    _scene: str = ""
    _second: str = ""
    _second_kind: str = ""
    _scene_at: float = -math.inf
    _scene_kind: str = ""
    _fade: float = SCENE_FADE_BARS * 2
    _changes: int = 0
    _area: float | None = None
    _pace: float = 1.0
    _palette: float = 0.0
    _palette_goal: float = 0.0
    _hue: float = 0.0
    _hue_goal: float = 0.0
    _turned_at: float = 0.0
    _shots: int = 0
    _shot: Shot = OPENING
    _on: float = 0.0
    _decision: str = ""
    _controls: DirectorControls = field(default_factory=DirectorControls)

    def resume(self, memory: DirectorMemory, snapshot: Snapshot) -> None:
        """Continue from another director's state: its scene, palette and frame apply at once, and the scene's time
        starts again. Call it before the first step."""
        self.memory = memory
        self._scene, self._music.kind, self._fade, self._scene_at = memory.scene, memory.kind, 0.0, self._time
        self._scene_kind = memory.kind
        self._changes, self._shots, self._shot = memory.changes, memory.shots, memory.shot
        self._palette = self._palette_goal = memory.palette
        self._hue = self._hue_goal = memory.hue
        self._framing.take(memory.shot, 0.0)
        self._choice.resume(memory.choices, memory.scene, self._time)
        self._on = float(snapshot["director"])

    def step(self, features: Features, label: str, snapshot: Snapshot) -> Direction:
        """Advance by one hop. label: name of the sound, "" in silence."""
        self._time += HOP_SECONDS
        bar = self._clock.step(features)
        section = self._sections.step(features, self._clock.bar_seconds)
        self._music.step(label)
        depth = self._controls.step(snapshot)
        on = bool(snapshot["director"])
        if on:
            if features.dropped and self._music.kind:
                self._at_drop(features, depth, int(snapshot["seed"]))
            elif section or bar:
                self._on_bar(features, depth, int(snapshot["seed"]), section)
        else:
            self._scene, self._second, self._scene_at, self._decision = "", "", -math.inf, ""
        if self._scene != self.memory.scene or bar or section or features.dropped:
            self.memory = DirectorMemory(
                self._scene, self._music.kind, self._palette_goal, self._shot, self._changes, self._choice.count,
                self._shots, self._hue_goal,
            )  # fmt: skip
        return self._advance(features, depth, on)

    def _at_drop(self, features: Features, depth: dict[str, float], seed: int) -> None:
        """Change scene, palette and frame together, by a cut or a blend of half a bar."""
        self._second = ""
        rng = random.Random(f"{seed} cut {self._changes}")
        cut = rng.random() < depth["cuts"]
        seconds = 0.0 if cut else 0.5 * self._clock.bar_seconds
        self._decision = "drop"
        if depth["scenes"] > 0 and self._choose(features, seed, seconds, 0.9):
            self._decision = f"drop: {'cut' if cut else 'blend'} to {self._scene}"
        self._palette_goal += PALETTE["drop"] * depth["palette"]
        self._hue_goal, self._turned_at = 1.0 - self._hue_goal, self._time
        if cut:
            self._palette, self._hue = self._palette_goal, self._hue_share(depth)
        self._take_shot(seed, seconds)

    def _on_bar(self, features: Features, depth: dict[str, float], seed: int, section: bool) -> None:
        """Decide at the start of a bar or a section what changes."""
        bars = int(self._sections.bars + 0.5)
        phrase = section or bars % PHRASE_BARS == 0
        half = phrase or (bars % HALF_BARS == 0 and not self._controls.has_prompt and self._sections.name in QUIETER)
        calm, changed = self._sections.name in CALM, False
        fade = (2.0 if self._scene and calm else 1.0) * SCENE_FADE_BARS * self._clock.bar_seconds
        if self._wants_scene(depth["scenes"], section, half):
            changed = self._choose(features, seed, fade, self._sections.energy)
        elif half and self._wants_second(depth["scenes"]):
            self._plan(features, seed, fade)
        if phrase:
            self._palette_goal += PALETTE["section"] * depth["palette"] if self._music.kind else 0.0
        if half or changed:
            slow = 3.0 if calm and not self._controls.has_prompt else 1.0
            self._take_shot(seed, slow * SHOT_BARS * max(self._clock.bar_seconds, 1.5))
        turned = self._time - self._turned_at
        if (section and self._sections.name in CALM) or (phrase and turned >= TURN_BARS * self._clock.bar_seconds):
            self._hue_goal = 0.0
        if changed:
            scene = f"blend to {self._scene}" if self._scene else "the sound's own scene"
            self._decision = f"{self._sections.name}: {scene}"
        elif section:
            self._decision = self._sections.name

    def _wants_scene(self, depth: float, section: bool, phrase: bool) -> bool:
        """Whether another scene is due."""
        requested = self._controls.take_next()
        if (self._music.kind == "") != (self._scene == "") or requested:
            return depth > 0 or requested
        if self._controls.has_prompt and self._scene and not self._suits(self._scene):
            return depth > 0  # it was chosen without a prompt, or for another one
        if depth <= 0 or not self._music.kind or self._sections.name == SILENCE:
            return False
        shown_for = self._time - self._scene_at
        shortest, phrase_end, longest = (seconds / depth for seconds in SCENE_SECONDS)
        if self._music.kind in TYPICAL and self._music.kind != self._scene_kind:
            return shown_for >= (shortest if self._scene_kind in TYPICAL else NAMED_SECONDS / depth)
        return shown_for >= shortest and (section or (phrase and shown_for >= phrase_end) or shown_for >= longest)

    def _wants_second(self, depth: float) -> bool:
        """Whether the next scene may come to an edge of the image."""
        if self._controls.has_prompt or self._second or not self._scene or self._sections.name not in QUIETER:
            return False
        return depth > 0 and self._time - self._scene_at >= max(SECOND_SECONDS / depth, self._fade)

    def _plan(self, features: Features, seed: int, fade: float) -> None:
        """Choose the next scene, and show it at an edge of the image if it suits there. fade: seconds."""
        beside = self.abilities.beside(self._scene)
        text = self._pick(features, seed, self._sections.energy, beside) if self._music.kind and beside else ""
        if text and text != self._scene and text in beside:
            self._choice.take(text, self._time)
            self._second, self._second_kind, self._fade = text, self._music.kind, fade
            self._decision = f"{self._sections.name}: {text} comes"

    def _pick(self, features: Features, seed: int, energy: float, beside: Container[str] | None = None) -> str:
        """Text of a scene for the music of now. energy: 0 to 1. beside: see `SceneChoice.pick`."""
        light = features.high_presence / (features.high_presence + features.bass_presence + 1e-3)
        suits = self._suits if self._controls.has_prompt else None
        offered = self.abilities.offered
        return self._choice.pick(self._music.kind, energy, light, self._time, seed, offered, suits, beside)

    def _choose(self, features: Features, seed: int, fade: float, energy: float) -> bool:
        """Take the next scene; returns whether it differs from the last one. fade: seconds. energy: 0 to 1."""
        text, kind = "", self._music.kind
        if kind and self._second and not self._controls.has_prompt:
            text, kind = self._second, self._second_kind
        elif kind and (text := self._pick(features, seed, energy)):
            self._choice.take(text, self._time)
        changed = text != self._scene
        self._scene, self._second, self._scene_at, self._scene_kind, self._fade = text, "", self._time, kind, fade
        self._changes += changed
        return changed

    def _suits(self, text: str) -> bool:
        """Whether a scene may be shown beside the prompt."""
        suited = self.abilities.suited()
        return suits_a_prompt(text) if suited is None else text in suited

    def _hue_share(self, depth: dict[str, float]) -> float:
        """Target of the turn of the image's colours, 0 to 1."""
        return self._hue_goal * depth["palette"] if self._hue_goal and self.abilities.turns() else 0.0

    def _take_shot(self, seed: int, seconds: float) -> None:
        self._shots += 1
        rng = random.Random(f"{seed} shot {self._shots}")
        places = places_beside(self._second or self._scene)
        drawn = draw(self._sections.name, self._shot, rng, places, self._controls.has_prompt)
        self._shot = drawn if self._music.kind else OPENING
        self._framing.take(self._shot, seconds)

    def _advance(self, features: Features, depth: dict[str, float], on: bool) -> Direction:
        """Advance the eases and drifts by one hop."""
        self._on = follow(self._on, float(on), SWITCH_SECONDS / 3, SWITCH_SECONDS / 3, HOP_SECONDS)
        shot = self._framing.step()
        unclear = self._controls.has_prompt and (not self._music.label or self._music.label in KINDS)
        area = AREAS[self._sections.name] if self._scene or unclear else 1.0
        if self._sections.name == BUILD_UP:
            area += 0.15 * features.tension
        previous = area if self._area is None else self._area
        self._area = follow(previous, area, AREA_SECONDS, AREA_SECONDS, HOP_SECONDS)
        pace = 1.0 if self._controls.has_prompt else pace_of(self._scene)
        self._pace = follow(self._pace, pace, PACE_SECONDS, PACE_SECONDS, HOP_SECONDS)
        self._palette = follow(self._palette, self._palette_goal, PALETTE_SECONDS, PALETTE_SECONDS, HOP_SECONDS)
        self._hue = follow(self._hue, self._hue_share(depth), PALETTE_SECONDS, PALETTE_SECONDS, HOP_SECONDS)
        if not on and self._on < 1e-3:
            return NO_DIRECTION
        frame, camera = self._on * depth["framing"], self._on * depth["camera"]
        return Direction(
            section=self._sections.name if on else "",
            energy=features.energy,
            tension=features.tension,
            scene=self._scene,
            second="" if self._controls.has_prompt else self._second,
            fade=self._fade,
            changes=self._changes,
            area=1.0 + (self._area - 1.0) * depth["area"],
            pace=1.0 + (self._pace - 1.0) * self._on,
            palette=self._palette * self._on,
            hue=self._hue * self._on,
            zoom=shot.zoom * frame,
            x=shot.x * frame,
            y=shot.y * frame,
            roll=shot.roll * frame,
            drift_x=shot.drift_x * camera,
            drift_y=shot.drift_y * camera,
            across=shot.across * frame,
            down=shot.down * frame,
            aside=shot.aside * frame,
            decision=self._decision,
        )
