"""The modulation integrator: audio features to FrameParams, one record per 10 ms of audio.

Audio changes velocities, never positions, so the noise position never jumps. All motion is integrated here on the
audio's clock, so a frame at a given moment is the same at every frame rate.

A beat that is drawn when it is heard is visible late, by the latency of audio input, analysis, refresh and screen.
Beats are predicted, so they are drawn earlier by that latency. Onsets are not predicted and keep it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tpos_live.core.direction import NO_DIRECTION, Direction
from tpos_live.core.envelope import follow, share
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.parameters import LORAS, TARGETS
from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import HOP_SECONDS, TRUST, Features
from tpos_live.modulation.matrix import ModulationMatrix, Pair, Smoother

BASE_SPEED = 0.15
"""Speed of the noise trajectory without sound, at seed.walk 1. A higher one masks the kicks (docs/accuracy.md)."""
SCALING = ("drop", "silence")
"""Features that multiply the speed by 1 + their contribution; all others add to it."""
SLOW = frozenset({"loudness", "presence", "buildup", "drop", "silence"})
"""Features without rhythm: the limit BEAT_LIGHT does not apply to their exposure."""
BEAT_LIGHT = math.log2(1.1)
"""Largest exposure change by beats, in stops: 10 % of luminance."""
USUAL_ONSETS, ONSETS_SECONDS = 0.035, 8.0
"""Mean onset strength up to which each onset moves the noise fully, and the time constant of this mean. In denser music
(a mean of 0.1) each onset moves it less, so that the mean speed is not higher."""
CUT_BEATS = 16.0
"""Fewest beats between two cuts."""
SOUND_ATTACK, SOUND_RELEASE = 0.3, 1.0
"""Time constants in seconds with which the audio's weight follows the noise gate."""
DELAY_SECONDS, LONGEST_DELAY = 2.0, 0.5
"""Time constant of the measured delay, so that a single late frame does not move the beat, and its limit, positive and
negative."""


@dataclass
class ModulationIntegrator:
    """State of the modulation. One step per hop.

    Thread contract: one thread calls `step`; the returned FrameParams is immutable.
    """

    noise_position: float = 0.0
    pan_x: float = 0.0
    pan_y: float = 0.0
    zoom_steady: float = 0.0
    source_time: float = 0.0
    source_rounds: float = 0.0
    cut_index: int = 0
    beat_trust: float = 0.0
    turn: float = 1.0
    sounding: float = 0.0
    delay: float | None = None
    """Seconds from sound in the room to light on the screen, smoothed; None before the first step."""
    _bar_phase: float = 0.0
    _onsets: float = 0.0
    _since_cut: float = math.inf
    _smoother: Smoother = field(default_factory=Smoother)
    _matrix: ModulationMatrix = field(default_factory=ModulationMatrix)

    def step(
        self, features: Features, snapshot: Snapshot, heard_at: float, delay: float = 0.0,
        direction: Direction = NO_DIRECTION,
    ) -> FrameParams:  # fmt: skip
        """Advance by one hop.

        heard_at: perf_counter at which the newest sample of the hop arrived. delay: measured seconds from sound in the
        room to light on the screen, may be negative; predicted beats are drawn earlier by this delay plus tempo.trim,
        which the user adds for latency that cannot be measured. direction: the director's decision for this hop.
        """
        dt = HOP_SECONDS
        now = self._smoother.step(snapshot, dt)
        self._onsets = follow(self._onsets, features.onset, ONSETS_SECONDS, ONSETS_SECONDS, dt)
        delay = _clip(delay, -LONGEST_DELAY, LONGEST_DELAY) if math.isfinite(delay) else 0.0
        self.delay = delay if self.delay is None else self.delay + (delay - self.delay) * share(DELAY_SECONDS, dt)
        features = advance_beat(features, self.delay + 1e-3 * now["tempo.trim"])
        parts = self._matrix.step(features, snapshot, now, dt)
        self._update_beat_state(features, dt)
        sums, speed, beat_light = self._sum_contributions(parts, features)
        light, drop = now["finish.light"] + sums["light"], parts.get(("drop", "light"), 0.0)
        exposure = _clip(light, -3.0, 3.0)
        speed = 0.0 if snapshot["pause"] else now["seed.walk"] * speed * direction.pace
        self.noise_position += speed * dt
        self.pan_x += (now["motion.pan_x"] + direction.drift_x) * speed * dt
        self.pan_y += (now["motion.pan_y"] + direction.drift_y) * speed * dt
        self.zoom_steady += now["motion.zoom"] * speed * dt
        if not snapshot["pause"]:
            self._play_source(float(now["source.speed"]), float(snapshot["source.beats"]), features.tempo, dt)
        self.sounding = follow(self.sounding, 1.0 - features.silence, SOUND_ATTACK, SOUND_RELEASE, dt)
        return FrameParams(
            time=features.time,
            heard_at=heard_at,
            noise_position=self.noise_position,
            speed=speed,
            pan_x=self.pan_x,
            pan_y=self.pan_y,
            zoom_steady=self.zoom_steady,
            zoom=_clip(sums["zoom"] + direction.zoom, -0.5, 0.5),
            rotate=now["motion.rotate"] + sums["rotate"] + direction.roll,
            bloom=max(now["finish.bloom"] + sums["bloom"], 0.0),
            exposure=exposure,
            saturation=_clip(now["finish.saturation"] + sums["saturation"], 0.0, 2.0),
            level=now["out.level"],
            grain=float(snapshot["finish.grain"]),
            intensity=_clip(now["intensity"] + sums["intensity"], 0.0, 1.0),
            strength=_clip(now["strength"] + sums["strength"], 0.1, 1.0),
            audio_weight=now["audio.weight"] * self.sounding,
            guidance=now["guidance"],
            audio_guidance=now["audio.guidance"],
            cut_index=self.cut_index,
            source_amount=_clip(now["source.amount"] + sums["source"], 0.0, 1.0),
            source_time=self.source_time,
            source_rounds=self.source_rounds,
            loras=tuple(now[name] for name in LORAS),
            direction=direction,
            kick_zoom=parts.get(("kick", "zoom"), 0.0),
            beat_light=beat_light,
            drop_light=exposure - _clip(light - drop, -3.0, 3.0),
        )

    def _play_source(self, speed: float, beats: float, tempo: float, dt: float) -> None:
        """Advance the clip of --source. beats: length of a whole clip in beats, 0 = its own length. speed: a factor."""
        if beats > 0:
            self.source_rounds += speed * dt * (tempo or 120.0) / 60.0 / beats
        else:
            self.source_time += speed * dt

    def _update_beat_state(self, features: Features, dt: float) -> None:
        beat = 60.0 / features.tempo if features.tempo > 0.0 else 0.5
        step = dt / (4.0 * beat)
        self.beat_trust = _clip(self.beat_trust + (step if features.confidence >= TRUST else -step), 0.0, 1.0)
        if features.bar_phase < self._bar_phase - 0.5:
            self.turn = -self.turn
        self._bar_phase = features.bar_phase
        self._since_cut += dt / beat
        if features.dropped and self._since_cut >= CUT_BEATS:
            self.cut_index += 1
            self._since_cut = 0.0

    def _sum_contributions(
        self, parts: Mapping[Pair, float], features: Features
    ) -> tuple[dict[str, float], float, float]:
        """The sum of the contributions per target, the speed at seed.walk 1, and the exposure by beats in stops."""
        sums = dict.fromkeys(TARGETS, 0.0)
        scale, beat_light = 1.0, 0.0
        for (feature, target), part in parts.items():
            if feature == "beat":
                part *= self.beat_trust
            if target == "speed" and feature in SCALING:
                scale *= max(1.0 + part, 0.0)
            elif target == "speed" and feature == "onset":
                sums["speed"] += part * USUAL_ONSETS / max(self._onsets, USUAL_ONSETS)
            elif target == "speed" and feature == "buildup":
                sums["speed"] += part * self._pulse(features)
            elif target == "rotate" and feature == "snare":
                sums["rotate"] += part * self.turn
            elif target == "light" and feature not in SLOW:
                beat_light += part
            else:
                sums[target] += part
        beat_light = _clip(beat_light, -BEAT_LIGHT, BEAT_LIGHT)
        sums["light"] += beat_light
        return sums, max(BASE_SPEED + sums["speed"], 0.0) * scale, beat_light

    def _pulse(self, features: Features) -> float:
        """Motion pulse of a build-up, 0 to 1: one per beat, then per half beat, then per quarter beat."""
        pulses = 1.0 if features.buildup < 1 / 3 else 2.0 if features.buildup < 2 / 3 else 4.0
        remaining = 1.0 - features.beat_phase * pulses % 1.0
        return self.beat_trust * remaining * remaining


def advance_beat(features: Features, seconds: float) -> Features:
    """`features` with beat and bar as predicted for `seconds` later; all other fields stay."""
    if seconds == 0.0 or features.tempo <= 0.0:
        return features
    turns = seconds * features.tempo / 60.0
    beat, bar = features.beat_phase + turns, features.bar_phase + turns / BEATS_PER_BAR
    return replace(features, beat_phase=beat % 1.0, bar_phase=bar % 1.0)


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
