"""The pipeline: one engine with everything that turns FrameParams, AudioEmbedding and parameters into a frame."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Self

import torch

from tpos_live.audio_encoder.load import open_encoder
from tpos_live.audio_encoder.protocol import AudioEmbedding, AudioEncoder
from tpos_live.conditioning.beside import BesidePrompt
from tpos_live.conditioning.builder import ConditioningBuilder
from tpos_live.conditioning.directed_scene import DirectedScene
from tpos_live.conditioning.palette_span import PaletteSpan
from tpos_live.conditioning.prompt_bank import PromptBank
from tpos_live.conditioning.prompt_report import PromptReport
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.conditioning.vocabulary import Vocabulary, load_vocabulary, rewritten
from tpos_live.conditioning.vocabulary_file import offered_scenes, read_phrases
from tpos_live.core.backend_table import INTERIM
from tpos_live.core.cores import usable_cores
from tpos_live.core.errors import CannotDrawError, EngineError, first_line
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.network import is_loopback
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.paths import expanded, shipped
from tpos_live.core.setting_values import parse_size
from tpos_live.core.settings import Settings
from tpos_live.core.timing import StageTimes
from tpos_live.diffusion.backends.registry import is_available, preparable, prepare_better, sweep_caches
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.hub.resolve import BUILT_IN, resolve_engine
from tpos_live.diffusion.keyframes.offline import OfflineKeyframes
from tpos_live.diffusion.model.backend import Backend
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.model.frame_size import affordable_size
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.director.scene_choice import UNKNOWN, Abilities
from tpos_live.image_source.live_source import LiveSource
from tpos_live.image_source.open import why_refused
from tpos_live.image_source.player import OfflineSource
from tpos_live.runtime.engine_conditioner import engine_conditioner
from tpos_live.runtime.failover import (
    RETRIES,
    FailoverResult,
    FailureKind,
    Fallback,
    choose_fallback,
    classify_failure,
    release,
    smaller_size,
)
from tpos_live.runtime.scene_source import SceneOpener

WIDE_CORES = 4
"""Cores from which a CPU uses the larger of an engine's sizes by default."""


@cache
def _ember_vocabulary() -> Vocabulary | None:
    """Ember's vocabulary, for `scene:prompt` with an engine that has none."""
    folder = shipped("engines") / BUILT_IN
    return load_vocabulary(folder, load_engine(folder, device="cpu", lazy=True).texts.sentences)


class Pipeline:
    """A context manager: entering loads the engine (seconds); from then on `draw` belongs to one thread.

    live: prompts are encoded on a worker and appear when ready; otherwise each frame waits for its prompt, so that a
    render is reproducible. A faster backend may take half a minute to prepare, once per machine: `improve` does that.
    """

    def __init__(
        self,
        settings: Settings,
        live: bool,
        encoder: AudioEncoder | None = None,
        output: tuple[int, int] | None = None,
    ) -> None:
        """output: (width, height) to which frames are enlarged. Where the settings name no size, the engine uses this
        shape: the nearest of its sizes, or, on a CPU with few cores, the smallest one of about this shape."""
        self._settings, self._live, self._output = settings, live, output
        self._stack, self._keyframes = ExitStack(), OfflineKeyframes()
        self.encoder, self._why = (encoder, "") if encoder else open_encoder()
        self.message = ""
        """Which engine was chosen and why, and why not the trained encoder; one line each."""
        self.refused = ""
        """Why the chosen engine is not used, one line with the remedy; "" where it is."""
        self.source: LiveSource | OfflineSource = (
            LiveSource(self._refused_source, SceneOpener(self.vocabulary, threads=1))
            if live
            else OfflineSource(SceneOpener(self.vocabulary))
        )
        """Images that frames start from, for the drawing thread."""
        self.abilities = UNKNOWN
        """What the engine draws, for the director."""

    def __enter__(self) -> Self:
        """Raises EngineError. A live show uses the built-in engine if the chosen one exists, but cannot be
        used: a damaged file, a LoRA for another engine, too little memory on the card."""
        chosen = self._settings.engine
        self._stack.enter_context(self.source)
        path = expanded(chosen.name)
        try:
            path, reason = resolve_engine(chosen.name)
            self.message = "\n".join(filter(None, (reason, self._why)))
            self._build(path, parse_size(chosen.size), chosen.accelerator)
        except Exception as error:
            why = f"{path}: cannot draw ({first_line(error)}); fetch or install the engine again"
            if classify_failure(error) is FailureKind.MEMORY:
                whose = "the card's memory" if torch.cuda.is_available() else "the memory"
                self.refused = f"{path.name} does not fit into {whose}"
            elif self._live and chosen.name and path.exists():
                self.refused = first_line(error, 400) if isinstance(error, EngineError) else why
            elif type(error).__module__.startswith("tpos_live."):
                raise
            else:
                raise CannotDrawError(why) from error
            self._build_built_in(self.refused)
        return self

    def _build(self, path: Path, size: tuple[int, int], backend: str, device: str | None = None) -> None:
        """Load an engine and everything that depends on it. size: (0, 0) = the engine's own."""
        self._path, self._device = path, device
        self.engine = engine = load_engine(path, device=device, lazy=True)
        size = affordable_size(engine, size, self._own_size(), self._live)
        self.generator = self._make_generator(size, backend)
        # Read once, by whichever of the threads comes first; cheap enough to be read twice if two come at once.
        known = self._known = cache(lambda: load_vocabulary(path, engine.texts.sentences))
        texts = self._stack.enter_context(
            TextCache(lambda prompt: engine.texts.encode(rewritten(prompt, known())), synchronous=not self._live)
        )
        scenes = self._stack.enter_context(TextCache(engine.texts.encode, synchronous=not self._live))
        rows, own = self.generator.prompt_length, self.engine.metadata.audio_mode
        self._prompt_report = self._stack.enter_context(PromptReport(known, synchronous=not self._live))
        follow = self._prompt_report.follow
        phrases, report = read_phrases(path), self._prompt_report
        offered, pairs = phrases["family"] if phrases else None, engine.draws_pairs
        palette = any(scalar.cyclic and scalar.source == "seed" for scalar in engine.metadata.scalars)
        beside = BesidePrompt(offered, lambda: report.families, pairs)
        self.abilities = Abilities(offered_scenes(path), beside, beside.scene, lambda: palette and not report.colours)
        audio, why = engine_conditioner(engine, self.encoder, self.abilities.offered)
        self.message = "\n".join(filter(None, (self.message, why)))
        self.builder = ConditioningBuilder(
            PromptBank(texts), audio, DirectedScene(scenes), rows, self.engine.trained_with_audio,
            own, follow, beside, PaletteSpan(offered, lambda: report.families, lambda: report.colours),
        )  # fmt: skip
        self._texts = texts

    def vocabulary(self) -> Vocabulary | None:
        """The vocabulary of the engine in use, or Ember's, if it has none. Any thread."""
        return self._known() or _ember_vocabulary()

    def _build_built_in(self, why: str) -> None:
        """Load the built-in engine on the CPU, which does not depend on the card."""
        self._build(resolve_engine(BUILT_IN)[0], (0, 0), "auto", "cpu")
        self.message = f"engine: Ember on the CPU ({why})"
        self.generator.backend.fallback_reason = why

    def _refused_source(self, name: str) -> str:
        """Why a source must not be opened in a show that others on the network can control; "" if it may."""
        osc, web = self._settings.osc, self._settings.web
        exposed = (osc.port and not is_loopback(osc.host)) or (not web.off and not is_loopback(web.host))
        return why_refused(name, str(self._settings.parameters.get("source", "")), Path.cwd()) if exposed else ""

    def _own_size(self) -> tuple[int, int]:
        """The engine's size for the output's shape, the same live and offline, so that stills and videos match the live
        session."""
        metadata = self.engine.metadata
        if not self._output:
            return metadata.size
        few = self.engine.device.type == "cpu" and len(usable_cores()) < WIDE_CORES
        return metadata.light_size_for(self._output) if few else metadata.size_for(self._output)

    def _threads(self) -> int:
        """CPU threads of the engine, 0 = its own choice. Without a window and with outputs, the second of two
        cores composes frames: if an engine's thread shared it, all of the engine's threads would wait."""
        outputs = self._settings.output.to or self._settings.record.file
        return 1 if self._live and outputs and self._settings.window.headless and len(usable_cores()) == 2 else 0

    def _make_generator(self, size: tuple[int, int], backend: str) -> FrameGenerator:
        chosen = self._settings.engine
        return FrameGenerator(
            self.engine,
            size,
            backend,
            GeneratorOptions(
                threads=chosen.threads or self._threads(),
                wait_for_compile=not self._live,
                stream_batch=chosen.stream_batch,
                residual_guidance=chosen.residual_guidance,
                fast_start=self._live,
                in_turn=self._live,
                openvino_device=chosen.openvino_device,
            ),
        )

    def fail_over(self, error: Exception, failures: int) -> FailoverResult | None:
        """What to continue with after the `failures`th failed frame in a row; None: retry.

        Call from the render thread, or in its place where it hangs (EngineHungError); takes seconds where another
        engine must be loaded.
        """
        generator = self.generator
        smaller = smaller_size(generator.size, max(self.engine.metadata.multiple, self.engine.factor))
        built_in = self._device == "cpu" and self._path.name == BUILT_IN
        kind = classify_failure(error)
        if isinstance(error, CannotDrawError):  # at its first frame: trying again brings nothing
            failures = max(failures, RETRIES)
        chosen = choose_fallback(
            kind, failures, smaller is not None, generator.backend.name, built_in, generator.on_card
        )
        first = first_line(error, 80)
        if chosen is Fallback.HOLD:
            return None
        if kind is not FailureKind.HUNG:  # a card that hangs would not answer
            release()
        if chosen is Fallback.BUILT_IN:
            self._build_built_in(first)
            line = f"{first}: Ember goes on, on the CPU"
        else:
            size = smaller if chosen is Fallback.SMALLER and smaller else generator.size
            name = "eager" if chosen is Fallback.EAGER else self._settings.engine.accelerator
            self.generator = self._make_generator(size, name)
            self.generator.backend.fallback_reason = first
            line = f"{first}: going on at {size[0]}x{size[1]}, {self.generator.backend.name}"
        return FailoverResult(self.generator, self.builder, line)

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @property
    def times(self) -> StageTimes:
        """Durations of the stages of drawing."""
        return self.generator.times

    @property
    def problem(self) -> str:
        """A prompt that could not be encoded, one line; "" if none."""
        return self._texts.error

    @property
    def understood(self) -> str:
        """What the engine understands of the prompt, one line; "" where unknown."""
        return self._prompt_report.line

    @property
    def improvable(self) -> bool:
        """Whether `improve` has something to prepare."""
        request = self.generator.request
        better = preparable(self._settings.engine.accelerator, request)
        return self.generator.backend.name in INTERIM and bool(better) and is_available(better, request.engine)[0]

    def improve(self) -> Backend | None:
        """A faster backend than the generator's, prepared now; None if there is none. Any thread.

        Hand it to the drawing thread (`generator.use`, or `swap` of the RenderThread). Raises EngineError.
        """
        sweep_caches()
        if self.generator.backend.name not in INTERIM:
            return None
        return prepare_better(self._settings.engine.accelerator, self.generator.request)

    def draw(
        self, params: FrameParams, embedding: AudioEmbedding | None, snapshot: Snapshot, now: float
    ) -> Frame | None:
        """The frame of one moment; live, None before the first prompt is encoded. now: session seconds. Raises
        EngineError for an engine that cannot draw."""
        built = self.builder.build(now, snapshot, params, embedding)
        if built is None and not self._live:
            raise EngineError(f"{self._path}: {self.problem}; fetch or install the engine again")
        if built is None:
            return None
        image = self.source.image(params, snapshot, self.generator.size, built)
        request = FrameRequest(params, built, snapshot, image)
        if snapshot["engine.mode"] == "keyframes" and not self.generator.on_card:
            return self._keyframes.draw(self.generator, request)
        return self.generator.generate(request)
