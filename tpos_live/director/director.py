"""The director: decides on the bar grid which scene accompanies the prompt, where the frame stands, and the palette.

Features and the label of the sound go in, a Direction comes out. Each rule has a depth, a live parameter, and one
switch turns all of them off. Decisions fall on downbeats; between them only eases and drifts move.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Container
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
from tpos_live.core.shown import shown_text
from tpos_live.director.framing import OPENING, Framing, Shot, draw
from tpos_live.director.memory import DirectorMemory
from tpos_live.director.scene_choice import SceneChoice
from tpos_live.director.scene_table import KINDS, TYPICAL, places_beside, suits_a_prompt
from tpos_live.director.sections import BarClock, SectionTracker
from tpos_live.features.features import HOP_SECONDS, Features

PHRASE_BARS = 8
"""Bars of a phrase: a scene without a change of section goes at the end of one."""
SCENE_SECONDS = (12.0, 24.0, 44.0)
"""A scene stays so long at least, until the end of a phrase from then on, and at most; all times 1 / depth."""
NAMED_SECONDS = 4.0
"""A scene that was chosen before it was clear which kind of music it is stays so long at least."""
SCENE_FADE_BARS = 2.0
CALM = (INTRO, BREAKDOWN, SILENCE)
SHOT_BARS = 1.0
"""Length of the ease from one shot to the next."""
KIND_SECONDS = 4.0
"""What is heard must be music, or no music, for so long before the scenes begin or end."""
AREAS = {SILENCE: 0.5, INTRO: 0.5, BREAKDOWN: 0.6, MAIN: 0.72, BUILD_UP: 0.72, PEAK: 0.79}
"""Factor on the area of the scene beside a prompt, by section; a build-up's grows by its tension. What is heard and is
no music has all of it."""
AREA_SECONDS = 1.5
PALETTE = {"section": 0.11, "drop": 0.37}
"""Turns of the palette at a new section or phrase, and at a drop. A drop also turns the colours of the image (`hue`),
and the next drop, or the next calm section, turns them back: of a palette that ends near red, as a fire's, nobody sees
the turn."""
PALETTE_SECONDS = 2.0
SWITCH_SECONDS = 1.0
"""Time in which the frame goes back where the director is turned off."""
DEPTHS = ("scenes", "cuts", "area", "framing", "camera", "palette")
DEPTH_SECONDS = 0.3
"""Time in which a depth follows its parameter, so that a fader moves nothing by a jump."""


@dataclass
class Director:
    """One step per hop; deterministic: the same features, labels and parameters give the same directions.

    Thread contract: one thread calls `step`; another one may replace `offered`, `suited` and `turns`, and read
    `memory`, which is replaced as a whole.
    """

    offered: Container[str] | None = None
    """Texts of the scenes that the engine draws, None for all; of a scene it does not offer nobody would see much."""
    suited: Callable[[], Container[str] | None] = lambda: None
    """Gives the texts of the scenes that suit beside the prompt that is shown, None where that is not known
    (`conditioning/beside.py`)."""
    turns: Callable[[], bool] = lambda: False
    """Gives whether the colours of what is shown may turn: the engine has a palette, and the prompt names no colour."""
    memory: DirectorMemory = field(default_factory=DirectorMemory)
    """What `resume` takes, of the newest decision."""
    _clock: BarClock = field(default_factory=BarClock)
    _sections: SectionTracker = field(default_factory=SectionTracker)
    _choice: SceneChoice = field(default_factory=SceneChoice)
    _framing: Framing = field(default_factory=Framing)
    _time: float = 0.0
    _kind: str = ""
    _heard: str = ""
    _heard_for: float = 0.0
    _scene: str = ""
    _scene_at: float = -math.inf
    _scene_kind: str = ""
    _fade: float = SCENE_FADE_BARS * 2
    _changes: int = 0
    _nexts: int | None = None
    _next: bool = False
    _area: float | None = None
    _palette: float = 0.0
    _palette_goal: float = 0.0
    _hue: float = 0.0
    _hue_goal: float = 0.0
    _shots: int = 0
    _shot: Shot = OPENING
    _on: float = 0.0
    _decision: str = ""
    _beside: bool = False
    _snapshot: Snapshot | None = None
    _depths: dict[str, float] = field(default_factory=dict)
    _goals: dict[str, float] = field(default_factory=dict)

    def resume(self, memory: DirectorMemory, snapshot: Snapshot) -> None:
        """Go on where another director stopped: its scene, palette and frame are there at once, and stay for as long as
        any. Before the first step."""
        self.memory = memory
        self._scene, self._kind, self._fade, self._scene_at = memory.scene, memory.kind, 0.0, self._time
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
        dropped = self._sections.dropped
        self._listen(label)
        depth = self._read(snapshot)
        on = bool(snapshot["director"])
        if on:
            if dropped and self._kind:
                self._at_drop(features, depth, int(snapshot["seed"]))
            elif section or bar:
                self._on_bar(features, depth, int(snapshot["seed"]), section)
        else:
            self._scene, self._scene_at, self._decision = "", -math.inf, ""
        if self._scene != self.memory.scene or bar or section or dropped:
            self.memory = DirectorMemory(
                self._scene, self._kind, self._palette_goal, self._shot, self._changes, self._choice.count, self._shots,
                self._hue_goal,
            )  # fmt: skip
        return self._move(features, depth, on)

    def _read(self, snapshot: Snapshot) -> dict[str, float]:
        """The depths; also whether there is a prompt, and whether another scene was asked for, which comes at the next
        bar. Nothing is computed while the parameters stay."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._beside = bool(shown_text(snapshot).strip())
            fired = snapshot.fired("director.next")
            self._next = self._next or (self._nexts is not None and fired != self._nexts)
            self._nexts = fired
            self._goals = {name: float(snapshot[f"director.{name}"]) for name in DEPTHS}
            if not self._depths:
                self._depths = dict(self._goals)
        if self._depths != self._goals:
            for name, goal in self._goals.items():
                now = follow(self._depths[name], goal, DEPTH_SECONDS, DEPTH_SECONDS, HOP_SECONDS)
                self._depths[name] = goal if abs(goal - now) < 1e-4 else now
        return self._depths

    def _listen(self, label: str) -> None:
        """Follow the kind of music; a moment of something else is none."""
        if label != self._heard:
            self._heard_for = self._heard_for if (label in KINDS) == (self._heard in KINDS) else 0.0
            self._heard = label
        self._heard_for += HOP_SECONDS
        if label and label in KINDS and (self._kind or self._heard_for >= KIND_SECONDS / 2):
            self._kind = label
        elif label and label not in KINDS and self._heard_for >= KIND_SECONDS:
            self._kind = ""  # in silence the scene of the music before it stays

    def _at_drop(self, features: Features, depth: dict[str, float], seed: int) -> None:
        """Scene, palette and frame change together, at once."""
        rng = random.Random(f"{seed} cut {self._changes}")
        cut = rng.random() < depth["cuts"]
        seconds = 0.0 if cut else 0.5 * self._clock.bar_seconds
        self._decision = "drop"
        if depth["scenes"] > 0 and self._choose(features, seed, seconds, 0.9):
            self._decision = f"drop: {'cut' if cut else 'blend'} to {self._scene}"
        self._palette_goal += PALETTE["drop"] * depth["palette"]
        self._hue_goal = 1.0 - self._hue_goal
        if cut:
            self._palette, self._hue = self._palette_goal, self._hue_share(depth)
        self._take_shot(seed, seconds)

    def _on_bar(self, features: Features, depth: dict[str, float], seed: int, section: bool) -> None:
        """A bar or a section begins."""
        phrase = section or int(self._sections.bars + 0.5) % PHRASE_BARS == 0
        changed = False
        if self._wants_scene(depth["scenes"], section, phrase):
            calm = 2.0 if self._sections.name in CALM else 1.0
            fade = calm * SCENE_FADE_BARS * self._clock.bar_seconds
            changed = self._choose(features, seed, fade, self._sections.energy)
        if phrase:
            self._palette_goal += PALETTE["section"] * depth["palette"] if self._kind else 0.0
        if phrase or changed:
            self._take_shot(seed, SHOT_BARS * max(self._clock.bar_seconds, 1.5))
        if section and self._sections.name in CALM:
            self._hue_goal = 0.0
        if changed:
            scene = f"blend to {self._scene}" if self._scene else "the sound's own scene"
            self._decision = f"{self._sections.name}: {scene}"
        elif section:
            self._decision = self._sections.name

    def _wants_scene(self, depth: float, section: bool, phrase: bool) -> bool:
        """Whether it is time for another scene."""
        asked, self._next = self._next, False
        if (self._kind == "") != (self._scene == "") or asked:
            return depth > 0 or asked
        if self._beside and self._scene and not self._suits(self._scene):
            return depth > 0  # it was chosen for an image of its own, or for another prompt
        if depth <= 0 or not self._kind or self._sections.name == SILENCE:
            return False
        stood = self._time - self._scene_at
        least, phrases, most = (seconds / depth for seconds in SCENE_SECONDS)
        if self._kind in TYPICAL and self._kind != self._scene_kind:
            return stood >= (least if self._scene_kind in TYPICAL else NAMED_SECONDS / depth)
        return stood >= least and (section or (phrase and stood >= phrases) or stood >= most)

    def _choose(self, features: Features, seed: int, fade: float, energy: float) -> bool:
        """Take the next scene; whether it is another one than before."""
        text = ""
        if self._kind:
            light = features.high_presence / (features.high_presence + features.bass_presence + 1e-3)
            suits = self._suits if self._beside else None
            text = self._choice.next(self._kind, energy, light, self._time, seed, self.offered, suits)
        changed = text != self._scene
        self._scene, self._scene_at, self._scene_kind, self._fade = text, self._time, self._kind, fade
        self._changes += changed
        return changed

    def _suits(self, text: str) -> bool:
        """Whether a scene may be shown beside the prompt."""
        suited = self.suited()
        return suits_a_prompt(text) if suited is None else text in suited

    def _hue_share(self, depth: dict[str, float]) -> float:
        """Where the turn of the colours goes to."""
        return self._hue_goal * depth["palette"] if self._hue_goal and self.turns() else 0.0

    def _take_shot(self, seed: int, seconds: float) -> None:
        self._shots += 1
        rng = random.Random(f"{seed} shot {self._shots}")
        places = places_beside(self._scene)
        self._shot = draw(self._sections.name, self._shot, rng, places) if self._kind else OPENING
        self._framing.take(self._shot, seconds)

    def _move(self, features: Features, depth: dict[str, float], on: bool) -> Direction:
        """What moves between two decisions."""
        self._on = follow(self._on, float(on), SWITCH_SECONDS / 3, SWITCH_SECONDS / 3, HOP_SECONDS)
        shot = self._framing.step()
        unclear = self._beside and (not self._heard or self._heard in KINDS)
        area = AREAS[self._sections.name] if self._scene or unclear else 1.0
        if self._sections.name == BUILD_UP:
            area += 0.15 * features.tension
        begins = area if self._area is None else self._area
        self._area = follow(begins, area, AREA_SECONDS, AREA_SECONDS, HOP_SECONDS)
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
            fade=self._fade,
            changes=self._changes,
            area=1.0 + (self._area - 1.0) * depth["area"],
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
