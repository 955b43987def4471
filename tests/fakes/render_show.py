"""A render thread with its mailboxes, without a show around it."""

from __future__ import annotations

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.builder import ConditioningBuilder
from tpos_live.conditioning.directed_scene import DirectedScene
from tpos_live.conditioning.prompt_bank import PromptBank
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.engine import Engine
from tpos_live.runtime.render_thread import RenderThread


class Show:
    """A render thread with all its mailboxes."""

    def __init__(self, engine: Engine, **options: object) -> None:
        self.generator = FrameGenerator(engine, (64, 64), "eager", GeneratorOptions(threads=1))
        texts = TextCache(engine.texts.encode, synchronous=True)
        builder = ConditioningBuilder(
            PromptBank(texts), None, DirectedScene(texts), self.generator.prompt_length, engine.trained_with_audio
        )
        self.frame_params: Mailbox[FrameParams] = Mailbox()
        self.frames: Mailbox[Frame] = Mailbox()
        embeddings: Mailbox[AudioEmbedding] = Mailbox()
        self.thread = RenderThread(
            self.generator,
            builder,
            self.frame_params,
            embeddings,
            ParameterStore(),
            self.frames,
            **options,  # type: ignore[arg-type]
        )
