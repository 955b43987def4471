"""Figures of the audio encoder from its answers."""

import pytest

from tpos_live.evaluation.audio_model import Answer, Answers, summary


def _clip(name: str, text: str, said: str) -> Answer:
    return Answer(name, text, 1, [said] * 3, False)


def test_every_hearing_of_a_clip_counts_where_several_encoders_hear_it() -> None:
    found = Answers([_clip("1-a", "rain", "rain"), _clip("1-a", "rain", "fire"), _clip("1-b", "fire", "rain")])
    heard = summary(found)["heard"]["5"]
    assert heard["accuracy"] == pytest.approx(1 / 3)
    assert heard["per_class"] == pytest.approx({"rain": 0.5, "fire": 0.0})
