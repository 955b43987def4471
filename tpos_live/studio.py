"""The studio: one engine with everything that turns Drive, Meaning and parameters into a picture."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from tpos_live.analysis.baseline_encoder import SpectralBaselineEncoder
from tpos_live.analysis.encoder import Meaning, SoundEncoder
from tpos_live.conditioning.audio_tokens import audio_map
from tpos_live.conditioning.drive import Drive
from tpos_live.conditioning.interpreter import Interpreter
from tpos_live.conditioning.mixer import Mixer
from tpos_live.conditioning.prompts import PromptBank, TextCache
from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.parameters import Snapshot
from tpos_live.render.accelerators import Accelerator, prepare_better
from tpos_live.render.engine import load_engine
from tpos_live.render.frame import Frame
from tpos_live.render.locate import resolve_engine
from tpos_live.render.painter import Painter
from tpos_live.settings import Settings, parse_size
from tpos_live.timing import StageTimes


class Studio:
    """Entering loads the engine (seconds); `draw` belongs to one thread from then on.

    live: prompts are encoded on a worker and appear when they are ready; otherwise each picture waits for
    its prompt, so that a render is the same every time. A faster accelerator that is not ready yet may take half
    a minute to prepare, once for each machine: `improve` does it, whenever there is time.
    """

    def __init__(self, settings: Settings, live: bool, encoder: SoundEncoder | None = None) -> None:
        self._settings, self._live = settings, live
        self._stack = ExitStack()
        self.encoder = encoder or SpectralBaselineEncoder()
        self.note = ""
        """Which engine was taken and why; one line."""

    def __enter__(self) -> Self:
        """Raises EngineError."""
        chosen = self._settings.engine
        path, self.note = resolve_engine(chosen.name)
        self.engine = load_engine(path, device=None)
        width, height = parse_size(chosen.size)
        self.painter = Painter(
            self.engine, (width, height) if width else None, chosen.accelerator, threads=chosen.threads
        )
        texts = self._stack.enter_context(TextCache(self.engine.encode, synchronous=not self._live))
        sound = audio_map(self.encoder, self.engine.encode, self.engine.metadata.audio_tokens)
        self.mixer = Mixer(PromptBank(texts), sound, self.painter.token_rows, self.engine.hears)
        self._texts = texts
        self._interpreter = self._stack.enter_context(
            Interpreter(lambda: load_vocabulary(path, self.engine.sentences), synchronous=not self._live)
        )
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @property
    def times(self) -> StageTimes:
        """How long the stages of drawing take."""
        return self.painter.times

    @property
    def problem(self) -> str:
        """A prompt that could not be encoded, one line; "" when all is well."""
        return self._texts.error

    @property
    def understood(self) -> str:
        """What the engine understands of the prompt, one line; "" where it cannot tell."""
        return self._interpreter.line

    def improve(self) -> Accelerator | None:
        """A faster accelerator than the painter's, prepared now; None if there is none. Any thread.

        Hand it to the drawing thread (`painter.use`, or `swap` of the RenderThread). Raises EngineError.
        """
        painter, chosen = self.painter, self._settings.engine
        if painter.accelerator.name != "eager":
            return None
        return prepare_better(chosen.accelerator, self.engine, painter.size, painter.rows, chosen.threads)

    def draw(self, drive: Drive, meaning: Meaning | None, snapshot: Snapshot, now: float) -> Frame | None:
        """The picture of one moment; None only before the first prompt is encoded. now: show seconds."""
        tokens = self.mixer.tokens(now, snapshot, drive, meaning)
        self._interpreter.follow(self.mixer.prompt)
        return None if tokens is None else self.painter.draw(drive, tokens, snapshot)
