"""Scenes as a source of images: the procedural scenes that Ember learned from, drawn live from the sound's parameters.

A scene is drawn from the noise, intensity, hue and phase of the frame's moment. Ember draws from the same ones, so
`source.amount` goes from Ember's own drawing of a prompt to the crisp original of the same shapes. Another engine is
given structure and motion that follow the sound. `scene:prompt` draws the scenes of the frame's own prompts and sound,
in the words of the engine's vocabulary, or of Ember's where it has none.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from statistics import median

import av
import torch

from tpos_live.conditioning.conditioning import ShownText
from tpos_live.conditioning.vocabulary import Vocabulary
from tpos_live.core.torch_threads import use_threads
from tpos_live.diffusion.model.metadata import Scalar
from tpos_live.diffusion.sampling.noise_field import NoiseField
from tpos_live.diffusion.sampling.scene_place import ScenePlace
from tpos_live.diffusion.sampling.unet_tokens import SeedScalars
from tpos_live.image_source.open import SCENE, open_source
from tpos_live.image_source.reader import Reader, SourceError, Wanted
from tpos_live.scenes.base import FIELDS, HUE_RATE, PHASE_RATE
from tpos_live.scenes.draw import SceneShare, draw_scenes
from tpos_live.scenes.noise_fields import PIXELS

log = logging.getLogger(__name__)

SCALARS = (
    Scalar(name="intensity", source="intensity"),
    Scalar(name="hue", source="seed", rate=HUE_RATE, cyclic=True),
    Scalar(name="phase", source="clock", rate=PHASE_RATE, cyclic=True),
)
SLOW = 15.0
"""Images per second below which a scene says that this processor is too slow for it."""
_TRIED = 8
"""Number of the latest images from which the speed is computed."""


EXAMPLES = ("prompt", "aurora", "fire", "galaxy", "ocean", "tunnel")
"""Scenes that an error suggests if no scene has a similar name."""
PROMPT = "prompt"
"""Name of the source that draws the scenes of the frame's prompts and sound."""
Choose = Callable[[Sequence[ShownText]], Sequence[SceneShare]]
"""Maps the texts that a frame shows to scenes; () if they lead to none."""


class SceneReader(Reader):
    """Draws scenes. Thread contract: one thread draws, not necessarily the one that creates it."""

    def __init__(self, name: str, choose: Choose, threads: int = 0) -> None:
        """name: for the status. threads: of PyTorch for the thread that draws; 0 = as they are."""
        self.name = SCENE + name
        self._choose, self._threads = choose, threads
        self._scalars = SeedScalars(SCALARS)
        self._noise: tuple[NoiseField, ScenePlace] | None = None
        self._size = (0, 0)
        self._moment: tuple[object, ...] = ()
        self._wanted: Wanted | None = None
        self._frame: av.VideoFrame | None = None
        self._took: deque[float] = deque(maxlen=_TRIED)
        self._warned = False
        self._remedy = "prompt, or a smaller --size" if name == PROMPT else "scene, or a smaller --size"

    def prepare(self, wanted: Wanted) -> None:
        self._wanted = wanted

    @torch.inference_mode()
    def at(self, seconds: float) -> av.VideoFrame | None:
        """The scene for the moment of `prepare`; `seconds` is ignored, because a scene has no length. None if no text
        leads to a scene."""
        if self._wanted is None:
            return None
        params, snapshot, (width, height), conditioning = self._wanted
        texts, span = (conditioning.texts, conditioning.span) if conditioning is not None else ((), None)
        if not (scenes := tuple(self._choose(texts))):
            return None
        seed, cut = int(snapshot["seed"]), params.cut_index
        direction, noise_at = params.direction, (seed, cut, params.noise_position, params.pan_x, params.pan_y)
        values = self._scalars.at(
            seed, cut, params.noise_position, params.intensity, palette=direction.palette, span=span
        )
        place = direction.across, direction.down, direction.aside
        moment = (*noise_at, *values, width, height, scenes, place)
        if moment == self._moment:
            return self._frame
        begin = time.perf_counter()
        if self._noise is None or self._size != (width, height):
            if self._threads:
                use_threads(self._threads)
            rows, columns = -(-height // PIXELS), -(-width // PIXELS)
            self._noise = NoiseField(FIELDS, rows, columns), ScenePlace((1, FIELDS, rows, columns), 1)
            self._size = (width, height)
        field, beside = self._noise
        noise = field.at(*noise_at)
        if any(text.heard and not text.mood for text in texts):
            apart = sum(scene.weight for scene in scenes if scene.apart)
            beside.apply(noise, direction, apart / sum(scene.weight for scene in scenes))
        image = draw_scenes(scenes, noise, *values)[:height, :width]
        self._frame, self._moment = av.VideoFrame.from_ndarray(image.contiguous().numpy(), format="rgb24"), moment
        self._judge(time.perf_counter() - begin)
        return self._frame

    def _judge(self, seconds: float) -> None:
        """Update `trouble`, which says that drawing is too slow on this processor; warn once."""
        self._took.append(seconds)
        rate = 1.0 / max(median(self._took), 1e-9)
        if len(self._took) < _TRIED or rate >= SLOW:
            self.trouble = ""
            return
        self.trouble = f"{self.name}: only {rate:.2g} images a second on this processor; try another {self._remedy}"
        if not self._warned:
            log.warning(self.trouble)
        self._warned = True


class SceneOpener:
    """Opens scenes and whatever `open_source` opens."""

    def __init__(self, vocabulary: Callable[[], Vocabulary | None] = lambda: None, threads: int = 0) -> None:
        """vocabulary: of the engine that draws at the moment. threads: of PyTorch for a thread that draws scenes; 0 =
        as they are. In a live show 1, for the engine needs the other cores."""
        self._vocabulary, self._threads = vocabulary, threads

    def __call__(self, name: str, seconds_each: float) -> Reader:
        """As `open_source`, and `scene:NAME` and `scene:prompt` too. Raises SourceError."""
        name = name.strip()
        if not name.startswith(SCENE):
            return open_source(name, seconds_each)
        scene = name.removeprefix(SCENE).strip().lower().replace(" ", "_")
        return SceneReader(scene, self._chosen(scene, name), self._threads)

    def _chosen(self, scene: str, name: str) -> Choose:
        from tpos_live.runtime.prompt_scenes import PromptScenes  # late: few shows use a scene
        from tpos_live.scenes.families import FAMILIES

        if scene == PROMPT:
            vocabulary = self._vocabulary()
            if vocabulary is None:
                raise SourceError(f"source {name}: this engine does not say what it draws; choose scene:NAME")
            return PromptScenes(vocabulary)
        if scene not in FAMILIES:
            near = get_close_matches(scene[:60], [PROMPT, *FAMILIES], n=3, cutoff=0.5) or EXAMPLES
            raise SourceError(
                f"source {name[:60]}: there is no such scene; try {', '.join(near)}; docs/sources.md lists all"
            )
        one = (SceneShare(FAMILIES[scene]),)
        return lambda texts: one
