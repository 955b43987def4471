"""Which encoder hears: the trained one in the box, or the rules where it cannot."""

from __future__ import annotations

from pathlib import Path

from tpos_live.audio_encoder.checkpoint import EncoderError, read_encoder
from tpos_live.audio_encoder.protocol import AudioEncoder
from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.core.paths import shipped

FOLDER = "sound_encoder"
"""Beside the engine in whose sentence space it speaks."""


def open_encoder(engine: Path | None = None) -> tuple[AudioEncoder, str]:
    """The sound encoder, and one line that says why it is not the trained one, "" if it is. Without torch.

    engine: a folder with text_encoder and sound_encoder; by default Ember's.
    """
    try:
        home = engine or shipped("engines") / "ember"
        return read_encoder(home / FOLDER, home), ""
    except (EncoderError, FileNotFoundError) as error:
        return RuleBasedEncoder(), f"hearing by plain rules: {error}"
