"""Chooses the audio encoder: the trained one, or the rule-based one if that cannot be loaded."""

from __future__ import annotations

from pathlib import Path

from tpos_live.audio_encoder.checkpoint import EncoderError, read_encoder
from tpos_live.audio_encoder.protocol import AudioEncoder
from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.core.paths import shipped

FOLDER = "sound_encoder"
"""Folder beside the engine whose sentence space it uses."""


def open_encoder(engine: Path | None = None) -> tuple[AudioEncoder, str]:
    """The audio encoder, and one line that says why it is not the trained one ("" if it is). Does not import torch.

    engine: a folder with text_encoder and sound_encoder; default: Ember's.
    """
    try:
        home = engine or shipped("engines") / "ember"
        return read_encoder(home / FOLDER, home), ""
    except (EncoderError, FileNotFoundError) as error:
        return RuleBasedEncoder(), f"hearing by plain rules: {error}"
