"""Scenes as a source of images: the procedural scenes that Ember learned from, drawn live from the sound's parameters.

A scene is drawn from the noise, intensity, hue and phase of the frame's moment. Ember draws from the same ones, so
`source.amount` goes from Ember's own drawing of a prompt to the crisp original of the same shapes. Another engine is
given structure and motion that follow the sound.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from statistics import median

import av
import torch

from tpos_live.core.torch_threads import use_threads
from tpos_live.diffusion.model.metadata import Scalar
from tpos_live.diffusion.sampling.noise_field import NoiseField, SeedScalars
from tpos_live.image_source.open import SCENE, Opener, open_source
from tpos_live.image_source.reader import Reader, SourceError, Wanted
from tpos_live.scenes.base import HUE_RATE, PHASE_RATE, Family
from tpos_live.scenes.draw import draw_scene
from tpos_live.scenes.noise_fields import PIXELS

log = logging.getLogger(__name__)

FIELDS = 4
"""Channels of the noise that scenes are drawn from; the first ones of Ember's."""
SCALARS = (
    Scalar(name="intensity", source="intensity"),
    Scalar(name="hue", source="seed", rate=HUE_RATE, cyclic=True),
    Scalar(name="phase", source="clock", rate=PHASE_RATE, cyclic=True),
)
SLOW = 15.0
"""Images per second below which a scene says that this processor is too slow for it."""
_TRIED = 8
"""Images that the speed is judged by, and seen by now."""


class SceneReader(Reader):
    """Draws one scene. Belongs to one thread, which may be another one than the one that makes it."""

    def __init__(self, name: str, family: Family, threads: int = 0) -> None:
        """name: for the status. threads: of PyTorch for the thread that draws; 0 = as they are."""
        self.name = SCENE + name
        self._family, self._threads = family, threads
        self._scalars = SeedScalars(SCALARS)
        self._noise: NoiseField | None = None
        self._size = (0, 0)
        self._moment: tuple[float, ...] = ()
        self._wanted: Wanted | None = None
        self._frame: av.VideoFrame | None = None
        self._took: list[float] = []

    def prepare(self, wanted: Wanted) -> None:
        self._wanted = wanted

    @torch.inference_mode()
    def at(self, seconds: float) -> av.VideoFrame | None:
        """The scene at the moment that was wanted, whatever the place: a scene has no length."""
        if self._wanted is None:
            return None
        params, snapshot, (width, height) = self._wanted
        seed, look = int(snapshot["seed"]), params.cut_index
        values = self._scalars.at(seed, look, params.noise_position, params.intensity, palette=params.direction.palette)
        moment = (seed, look, params.noise_position, params.pan_x, params.pan_y, *values, width, height)
        if moment == self._moment:
            return self._frame
        begin = time.perf_counter()
        if self._noise is None or self._size != (width, height):
            if self._threads:
                use_threads(self._threads)
            self._noise, self._size = NoiseField(FIELDS, -(-height // PIXELS), -(-width // PIXELS)), (width, height)
        noise = self._noise.at(seed, look, params.noise_position, params.pan_x, params.pan_y)
        image = draw_scene(self._family, noise, *values)[:height, :width]
        self._frame, self._moment = av.VideoFrame.from_ndarray(image.contiguous().numpy(), format="rgb24"), moment
        self._judge(time.perf_counter() - begin)
        return self._frame

    def _judge(self, seconds: float) -> None:
        """Say once that this scene is slow here."""
        if len(self._took) < _TRIED:
            self._took.append(seconds)
            rate = 1.0 / max(median(self._took), 1e-9)
            if len(self._took) == _TRIED and rate < SLOW:
                self.trouble = f"{self.name}: this processor draws {rate:.0f} images a second of it; try another scene"
                log.warning(self.trouble)


def open_scene_or_source(name: str, seconds_each: float, threads: int = 0) -> Reader:
    """As `open_source`, and `scene:NAME` too. Raises SourceError."""
    name = name.strip()
    if not name.startswith(SCENE):
        return open_source(name, seconds_each)
    from tpos_live.scenes.families import FAMILIES  # few shows want one, and all of them begin sooner without

    family = name.removeprefix(SCENE).strip().lower().replace(" ", "_")
    if family not in FAMILIES:
        raise SourceError(f"source {name[:60]}: there is no such scene; choose from {', '.join(sorted(FAMILIES))}")
    return SceneReader(family, FAMILIES[family], threads)


live_opener: Opener = partial(open_scene_or_source, threads=1)
"""For a live show, where the engine needs the other cores."""
