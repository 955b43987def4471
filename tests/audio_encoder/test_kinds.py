"""KindTracker: names a kind soon, stably, and only for music."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.audio_encoder.kinds import FIRST_SECONDS, LEAD_SECONDS, KindScorer, KindTracker
from tpos_live.audio_encoder.load import open_encoder
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.audio_encoder.tagger import SMOOTH, Tagger
from tpos_live.director.scene_table import KINDS
from tpos_live.training.synth.sound_effects import make
from tpos_live.training.synth.styles import STYLES

ROCK, JAZZ, RAIN = np.eye(3, dtype=np.float32)


class Three:
    """Two kinds of music and rain, one a coordinate; rock has the nearest text "noise"."""

    labels = ("noise", "music", "rain")
    kinds = ("rock music", "jazz music")

    def label_scores(self, vector: np.ndarray) -> np.ndarray:
        return vector

    def kind_scores(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        return float(vector[:2].sum() - vector[2]), vector[:2]


def follow(
    tracker: KindTracker | Tagger, vector: np.ndarray, begin: float, seconds: float, rate: int = 50
) -> list[str]:
    times = begin + np.arange(round(rate * seconds)) / rate
    return [tracker.follow(AudioEmbedding(float(time), vector, 0.5)) for time in times]


@pytest.mark.parametrize("rate", [25, 50])
def test_a_kind_is_named_after_its_first_seconds_and_another_when_it_leads(rate: int) -> None:
    tracker = KindTracker(Three())
    first = follow(tracker, ROCK, 0.0, 8.0, rate)
    assert first.index("rock music") / rate == pytest.approx(FIRST_SECONDS, abs=0.1) and set(first) == {
        "",
        "rock music",
    }
    after = follow(tracker, JAZZ, 8.0, 12.0, rate)
    assert set(after) == {"rock music", "jazz music"}
    assert LEAD_SECONDS < after.index("jazz music") / rate < LEAD_SECONDS + 6


def test_a_moment_of_another_kind_changes_nothing() -> None:
    tracker = KindTracker(Three())
    follow(tracker, ROCK, 0.0, 10.0)
    assert {name for n in range(6) for name in follow(tracker, (ROCK, JAZZ)[n % 2], 10 + 2 * n, 2.0)} == {"rock music"}


def test_other_sounds_are_no_kind_of_music() -> None:
    tracker = KindTracker(Three())
    assert set(follow(tracker, RAIN, 0.0, 10.0)) == {""}
    assert follow(tracker, ROCK, 10.0, 30.0)[-1] == "rock music"
    assert follow(tracker, RAIN, 40.0, 10.0)[-1] == ""
    assert set(follow(KindTracker(object()), ROCK, 0.0, 5.0)) == {""}


def test_an_embedding_that_is_not_finite_is_forgotten() -> None:
    tracker = KindTracker(Three())
    tracker.follow(AudioEmbedding(0.0, np.full(3, np.nan, np.float32), 0.5))
    assert follow(tracker, JAZZ, 0.1, 5.0)[-1] == "jazz music"


def test_the_tagger_names_the_nearest_text_first_and_the_kind_when_it_is_known() -> None:
    tagger = Tagger(Three())
    names = follow(tagger, ROCK, 0.0, 6.0)
    assert names.index("noise") / 50 == pytest.approx(SMOOTH, abs=0.05), "no later than without kinds"
    assert names.index("rock music") / 50 == pytest.approx(FIRST_SECONDS, abs=0.1) and names[-1] == "rock music"
    tagger.follow(AudioEmbedding(6.0, np.zeros(3, np.float32), 0.0))
    assert tagger.name == ""
    assert "rock music" not in follow(tagger, JAZZ, 7.0, 6.0), "what was before the silence is forgotten"
    assert follow(Tagger(Three()), RAIN, 0.0, 10.0)[-1] == "rain"


def test_the_shipped_encoder_knows_every_kind_that_is_composed_and_the_director_has_scenes_for_it() -> None:
    encoder, _ = open_encoder()
    assert isinstance(encoder, KindScorer)
    assert set(encoder.kinds) == set(STYLES) <= set(KINDS)


@pytest.mark.parametrize("sound", ["rain", "siren", "bells", "applause", "thunder", "wind", "engine", "birds"])
def test_the_shipped_encoder_hears_no_music_in_other_sounds(sound: str) -> None:
    encoder, _ = open_encoder()
    tracker = KindTracker(encoder)
    assert {tracker.follow(embedding) for embedding in encoder.push(make(sound, 0.7, 5.0, 77))} == {""}
