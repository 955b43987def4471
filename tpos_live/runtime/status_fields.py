"""Fields of the Status, from the parts of a live session."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tpos_live.audio.source import AudioSource
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.engine_loader import EngineLoader
from tpos_live.runtime.session_controls import SessionControls

if TYPE_CHECKING:  # imports torch, which takes seconds
    from tpos_live.runtime.pipeline import Pipeline


def sound_fields(source: AudioSource, processor: AudioProcessor, problem: str) -> dict[str, Any]:
    """Fields about sound and director. The source must be open. problem: of a prompt, one line."""
    now = time.perf_counter()
    sound, heard, params = source.status(now), processor.features, processor.params
    direction = params.direction
    embedding = processor.embedding.latest()
    return {
        "sound_state": sound.state.value,
        "sound_name": sound.name,
        "samples_lost": sound.losses.total,
        "audio_age_ms": 1000 * max(now - params.heard_at, 0.0),
        "level": heard.level,
        "bands": (heard.bass, heard.mid, heard.midhigh, heard.high),
        "gate": heard.gate,
        "tempo": heard.tempo,
        "confidence": heard.confidence,
        "beat_phase": heard.beat_phase,
        "heard": processor.tagger.name,
        "section": direction.section,
        "energy": direction.energy,
        "tension": direction.tension,
        "decision": direction.decision,
        "density": embedding.density if embedding else 0.0,
        "message": sound.message or problem,
    }


def frame_fields(loader: EngineLoader, controls: SessionControls) -> dict[str, Any]:
    """Fields about engine, outputs and recordings."""
    pipeline: Pipeline | None = loader.pipeline
    recordings = controls.recordings.fields()
    return {
        "engine_fps": loader.fps(),
        "engine_busy": loader.busy(),
        "keyframes": loader.keyframe_mode.line if loader.keyframe_mode else "",
        "understood": pipeline.understood if pipeline else "",
        "source": pipeline.source.line if pipeline else "",
        "outputs": controls.outputs.line,
        **recordings,
    }
