"""Renders a show as `tpos-live render` does, at a small size, and collects the measurements of `show.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tpos_live.audio.files import AudioClip
from tpos_live.audio.source import RATE
from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.setting_values import parse_size
from tpos_live.core.settings import Settings
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.evaluation.classifier.model import SceneClassifier, load_classifier
from tpos_live.evaluation.harness.sampler import as_tensor
from tpos_live.evaluation.show import SAMPLES, BackRow, ShowError, Similarity
from tpos_live.features.features import Features
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.frame_analysis import analyze_frames
from tpos_live.runtime.offline import improve
from tpos_live.runtime.pipeline import Pipeline

SHORTEST = 4.0
"""Shortest track in seconds."""
KICK = 0.4
"""Smallest strength of a kick that counts, 0 to 1."""


@dataclass
class Heard:
    """Detected events of a track; times in seconds. drop_beats: seconds per beat at each drop. tempos: BPM, once each
    second. sounding: whether the track is not silent."""

    kicks: list[float] = field(default_factory=list)
    drops: list[float] = field(default_factory=list)
    drop_beats: list[float] = field(default_factory=list)
    tempos: list[float] = field(default_factory=list)
    sounding: bool = False
    _before: Features = field(default_factory=Features)

    def take(self, now: Features) -> None:
        """Take the features of the next hop."""
        before, self._before = self._before, now
        self.sounding = self.sounding or now.gate
        rested = not self.kicks or now.time - self.kicks[-1] > 0.05
        if rested and now.kick >= KICK and now.kick > before.kick + 0.05:
            self.kicks.append(now.time)
        if now.drop > before.drop:
            self.drops.append(now.time)
            self.drop_beats.append(60.0 / now.tempo if now.tempo else 0.5)
        if now.tempo and int(now.time) > int(before.time):
            self.tempos.append(now.tempo)

    @property
    def tempo(self) -> float:
        """Median tempo in BPM, 0 where none was found."""
        return float(np.median(self.tempos)) if self.tempos else 0.0


@dataclass
class SeenShow:
    """Measurements of one track. names: recognised scenes of SAMPLES images per second. wanted: the scene of the
    prompt, "" without one. limited: number of frames in which the flash limiter acted."""

    name: str
    fps: int
    change: np.ndarray
    light: np.ndarray
    heard: Heard
    similarity: dict[int, float]
    names: list[str]
    wanted: str
    limited: int

    @property
    def seconds(self) -> float:
        return len(self.change) / self.fps


def watch(path: Path, settings: Settings, fps: int) -> SeenShow:
    """Render a file and measure it. Memory grows only by 8 bytes for each frame.

    Raises AudioError for a file that cannot be read, ShowError for one that is too short or silent.
    """
    sound = AudioClip(path, settings.seconds or None, tuple(settings.sound.channels) or None)
    length = sound.check() / RATE
    if 0 < length < SHORTEST:
        raise ShowError(f"{path}: {length:.1f} s long; take {SHORTEST:.0f} s or more")
    size = parse_size(settings.record.resolution)
    snapshot = ParameterStore({**settings.start_values(), "out.inbetween": False}).snapshot()
    back, similar, heard, names, limited = BackRow(fps), Similarity(), Heard(), [], 0
    compositor, interpolator = CpuCompositor(size), FrameInterpolator(size)
    with Pipeline(settings, live=False, output=size) as pipeline:
        improve(pipeline)
        classifier, _ = load_classifier(pipeline.engine.folder)
        wanted = _prompt_scene(pipeline, str(snapshot["prompt"]), classifier)
        audio_processor = AudioProcessor(pipeline.encoder, abilities=pipeline.abilities)

        def hear() -> None:
            heard.take(audio_processor.features)

        for index, params in enumerate(analyze_frames(audio_processor, snapshot, sound, fps, hear)):
            frame = pipeline.draw(params, audio_processor.embedding.latest(), snapshot, now=params.time)
            assert frame is not None  # not live: it waits for the prompt
            interpolator.take(frame)
            display_frame = interpolator.display_frame(params.time, params, snapshot)
            shown = compositor.compose(display_frame.postfx, frame)
            limited += interpolator.limited
            back.push(shown)
            if index * SAMPLES // fps != (index - 1) * SAMPLES // fps:
                similar.push(shown)
                names.append(_name(classifier, frame.pixels))
    if not heard.sounding:
        raise ShowError(f"{path}: it is silent; take music")
    seen = SeenShow(path.stem, fps, back.change, back.light, heard, similar.means(), names, wanted, limited)
    if seen.seconds < SHORTEST:
        raise ShowError(f"{path}: {seen.seconds:.1f} s long; take {SHORTEST:.0f} s or more")
    return seen


def _prompt_scene(pipeline: Pipeline, prompt: str, classifier: SceneClassifier) -> str:
    """The scene of the prompt; "" where the classifier does not know it."""
    vocabulary = load_vocabulary(pipeline.engine.folder, pipeline.engine.texts.sentences)
    found = vocabulary.match(prompt).families if vocabulary is not None and prompt.strip() else ()
    return next((name for name in found if name in classifier.families), "")


def _name(classifier: SceneClassifier, pixels: np.ndarray) -> str:
    return classifier.families[int(classifier(as_tensor([pixels])).argmax())]
