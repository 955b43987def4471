"""How an engine is conditioned by audio: by a projection that was trained for it, else by a bank of phrases."""

from __future__ import annotations

from collections.abc import Container

from tpos_live.audio_encoder.checkpoint import EncoderError, text_hash
from tpos_live.audio_encoder.protocol import AudioEncoder
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner, SentenceSpaceEncoder
from tpos_live.conditioning.phrase_conditioner import choose_audio_conditioner, sound_phrases
from tpos_live.conditioning.projection import ProjectedConditioner, ProjectionError, find_projection
from tpos_live.core.paths import projections_dir, shipped
from tpos_live.diffusion.hub.resolve import BUILT_IN
from tpos_live.diffusion.model.engine import Engine


def engine_conditioner(
    engine: Engine, encoder: AudioEncoder, offered: Container[str] | None
) -> tuple[PhraseBankConditioner | None, str]:
    """The conditioner, None where the encoder fits none, and why an existing projection is not used, one line or "".

    offered: scenes that the engine offers, None for all.
    """
    rows, first, why = engine.metadata.audio_tokens, engine.texts.first_word, ""
    if isinstance(encoder, SentenceSpaceEncoder) and len(encoder.phrases) > 0:
        loras = [(lora.file, lora.weight) for lora in engine.metadata.loras]
        try:
            space = text_hash(shipped("engines") / BUILT_IN)
            shape = engine.text_tokens, engine.token_dim
            projection, why = find_projection(projections_dir(), engine.folder, *shape, space, loras)
        except (ProjectionError, EncoderError) as error:
            projection, why = None, str(error)
        if projection is not None:
            called, places = sound_phrases(encoder)
            scorer = encoder.csls_scorer(places)
            return ProjectedConditioner(called, places, projection.to(engine.device), rows, first, scorer), why
    trained = engine.trained_with_audio
    return choose_audio_conditioner(encoder, engine.texts.encode_all, rows, trained, first, offered), why
