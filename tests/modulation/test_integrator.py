"""The modulation integrator: the rules by which audio moves the image."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from tpos_live.core.direction import Direction
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.features import Features
from tpos_live.modulation.integrator import ModulationIntegrator

DT = 0.01


def conduct(
    features: list[Features], integrator: ModulationIntegrator | None = None, **values: object
) -> list[FrameParams]:
    snapshot = ParameterStore({n.replace("__", "."): v for n, v in values.items()}).snapshot()  # type: ignore[misc]
    integrator = integrator or ModulationIntegrator()
    return [integrator.step(f, snapshot, f.time) for f in features]


def music(seconds: float, tempo: float = 120.0, **values: float) -> list[Features]:
    """Features of steady music with known beats."""
    found = []
    for hop in range(1, round(seconds / DT) + 1):
        turns = hop * DT * tempo / 60.0
        known = {"tempo": tempo, "confidence": 1.0, "silence": 0.0, "gate": True, **values}
        found.append(
            Features(
                time=hop * DT,
                beat_phase=turns % 1.0,
                bar_phase=turns / 4 % 1.0,
                beats=int(turns),
                **known,  # type: ignore[arg-type]
            )
        )
    return found


def test_sound_drives_velocity_never_position() -> None:
    rng = np.random.default_rng(0)
    features = [Features(bass=float(b), level=float(b), silence=0.0) for b in rng.integers(0, 2, 500)]
    drives = conduct(features)
    steps = np.diff([d.noise_position for d in drives])
    assert np.all(steps >= 0.0) and steps.max() <= 2.0 * DT + 1e-9
    assert steps == pytest.approx([d.speed * DT for d in drives[1:]])


def test_speed_from_bass() -> None:
    assert conduct(music(3, bass=0.0))[-1].speed == pytest.approx(0.15, abs=0.01)
    assert conduct(music(3, bass=1.0))[-1].speed == pytest.approx(0.25, abs=0.01)
    assert conduct(music(3, bass=1.0), seed__walk=0.5)[-1].speed == pytest.approx(0.125, abs=0.01)
    assert conduct(music(3), seed__walk=0.0)[-1].noise_position == 0.0


def test_an_onset_speeds_up_the_noise_position_for_a_moment() -> None:
    integrator = ModulationIntegrator()
    conduct(music(1), integrator)
    drives = conduct([*music(0.01, onset=1.0), *music(0.3)], integrator)
    speeds = [params.speed for params in drives]
    assert speeds[0] == pytest.approx(2.15, abs=0.05) and max(speeds) == speeds[0]
    assert speeds[4] == pytest.approx(0.15 + 2.0 * math.exp(-1.0), abs=0.05)
    assert speeds[-1] == pytest.approx(0.15, abs=0.05)


def test_dense_onsets_move_the_noise_position_no_faster_and_keep_their_pattern() -> None:
    def walk(gap: int, level: float) -> tuple[float, list[float]]:
        """Mean speed after 20 s of onsets of two alternating strengths, `gap` hops apart, and the last two steps."""
        hops = [
            Features(silence=0.0, onset=level * (1, 0.5)[n // gap % 2] if n % gap < 2 else 0.0) for n in range(4000)
        ]
        speeds = [d.speed for d in conduct(hops)][2000:]
        return float(np.mean(speeds)), [max(speeds[n : n + gap]) for n in range(2000 - 2 * gap, 2000, gap)]

    sparse, usual = walk(50, 1.0)
    dense, pushes = walk(10, 1.0)
    assert sparse > 0.2 and dense < 1.6 * sparse
    assert 0.35 < min(pushes) / max(pushes) < 0.75 and max(pushes) < max(usual)


def test_silence_is_slow_half_a_stop_darker_and_never_black() -> None:
    integrator = ModulationIntegrator()
    before = conduct(music(2, loudness=1.0), integrator)[-1]
    quiet = conduct([Features()] * 150, integrator)
    assert quiet[149].exposure == pytest.approx(-0.5 * (1 - math.exp(-1.0)), rel=0.02)
    last = conduct([Features()] * 2000, integrator)[-1]
    assert last.exposure == pytest.approx(-0.5, abs=0.01) and last.level == 1.0
    assert last.speed == pytest.approx(0.4 * 0.15, abs=0.002)
    assert last.audio_weight < 1e-3 and before.audio_weight == pytest.approx(0.35, abs=0.01)
    back = conduct(music(1, bass=0.0), integrator)
    assert back[100 - 1].exposure > -0.02 and back[20].exposure == pytest.approx(-0.5 * math.exp(-1.0), rel=0.1)


def test_a_drop_doubles_the_speed_and_decays_over_four_bars() -> None:
    integrator = ModulationIntegrator()
    conduct(music(3, bass=0.0), integrator)
    drives = conduct([Features(tempo=120.0, drop=1.0, silence=0.0)], integrator)
    assert drives[0].speed == pytest.approx(0.3, rel=0.01) and drives[0].exposure == pytest.approx(0.5, abs=0.01)
    later = conduct([Features(tempo=120.0, silence=0.0)] * 800, integrator)
    assert later[400].speed > 0.175 and later[799].speed < 0.161


def test_the_cut_index_counts_drops_at_most_once_in_sixteen_beats() -> None:
    integrator = ModulationIntegrator()
    beat = music(0.5)
    drop = [Features(time=0.0, drop=d, tempo=120.0, silence=0.0) for d in (1.0, 0.9, 0.8)]
    assert conduct(drop, integrator)[-1].cut_index == 1
    assert conduct([*beat * 8, *drop, *beat], integrator)[-1].cut_index == 1
    assert conduct([*beat * 8, *drop, *beat], integrator)[-1].cut_index == 2


def test_light_from_beats_stays_under_ten_percent() -> None:
    everything = {f"map__{f}__light": 2.0 for f in ("kick", "snare", "hats", "onset", "bass", "level", "beat")}
    loud = music(4, kick=1.0, snare=1.0, hats=1.0, onset=1.0, bass=1.0, level=1.0)
    lights = [d.exposure for d in conduct(loud, **everything)]
    assert max(lights) <= math.log2(1.1) + 1e-9
    assert 2.0 ** max(lights) <= 1.1 + 1e-9


def test_beat_pulses_fade_over_a_bar_below_confidence() -> None:
    integrator = ModulationIntegrator()
    sure = conduct(music(4), integrator)
    assert max(d.zoom for d in sure[-100:]) == pytest.approx(0.008, rel=0.02)
    unsure = conduct(music(4, confidence=0.3), integrator)
    assert max(d.zoom for d in unsure[90:110]) == pytest.approx(0.008 * 0.3 * 0.5, rel=0.15)
    assert max(abs(d.zoom) for d in unsure[-190:]) < 1e-9


def test_kick_zooms_at_once_and_is_gone_soon() -> None:
    drives = conduct([Features(silence=0.0), Features(kick=1.0, silence=0.0)] + [Features(silence=0.0)] * 40)
    assert drives[0].zoom == 0.0 and drives[1].zoom == pytest.approx(0.065)
    assert drives[17].zoom == pytest.approx(0.065 * math.exp(-1.0), rel=0.02)


def test_soft_kicks_zoom_nearly_as_far_and_kicks_of_a_fill_stay_separate() -> None:
    soft = replace(loud := Features(kick=1.0, silence=0.0), kick=0.64)
    fill = conduct([loud] + [Features(silence=0.0)] * 14 + [soft])
    assert fill[15].zoom == pytest.approx(0.8 * fill[0].zoom, rel=0.01)
    assert fill[15].zoom > 1.9 * fill[14].zoom


def test_punch_goes_from_calm_to_hard() -> None:
    """Light of a kick in per cent of luminance, zoom, bloom of the hats and rotation of the snare."""
    hits = [Features(silence=0.0), Features(kick=1.0, snare=1.0, hats=1.0, silence=0.0)]
    calm, middle, hard = (conduct(hits, finish__punch=punch)[1] for punch in (0.0, 0.5, 1.0))
    assert calm == conduct(hits, finish__punch=0.0, map__kick__light=0.0, map__snare__light=0.0)[1]
    assert (calm.exposure, calm.zoom) == (0.0, pytest.approx(0.025))
    assert calm.rotate == pytest.approx(0.6) and calm.bloom == pytest.approx(0.35 + 0.15)
    for name in ("zoom", "bloom", "rotate"):
        assert getattr(calm, name) < getattr(middle, name) < getattr(hard, name)
    assert max(middle.exposure, hard.exposure) <= math.log2(1.1) + 1e-9
    kick = conduct([Features(silence=0.0), Features(kick=1.0, silence=0.0)])[1]
    assert 1.06 <= 2.0**kick.exposure <= 1.09 and kick.exposure < hard.exposure
    assert (kick.kick_zoom, kick.beat_light) == pytest.approx((kick.zoom, kick.exposure))


def test_the_light_of_a_drop_is_known_apart_from_that_of_beats_and_of_the_fader() -> None:
    moment = [Features(silence=0.0), Features(drop=1.0, kick=1.0, silence=0.0)]
    drop = conduct(moment, finish__light=0.2)[1]
    assert drop.drop_light == pytest.approx(0.5) and conduct(moment)[0].drop_light == 0.0
    assert drop.exposure == pytest.approx(0.2 + drop.beat_light + drop.drop_light)
    assert conduct(moment, finish__light=3.0)[1].drop_light == pytest.approx(0.0), "no more than the limit leaves"


def test_snare_turns_the_other_way_each_bar() -> None:
    turns = [d.rotate for d in conduct(music(8, snare=1.0))]
    bars = [np.mean(turns[start + 20 : start + 180]) for start in range(0, 800, 200)]
    assert [np.sign(b) for b in bars] == [1, -1, 1, -1] and max(map(abs, turns)) <= 0.8 + 1e-9


def test_buildup_pushes_in_pales_and_pulses_faster() -> None:
    integrator = ModulationIntegrator()
    conduct(music(4, buildup=0.0, loudness=1.0), integrator)
    early = [d.speed for d in conduct(music(4, buildup=0.3), integrator)][100:]
    late = conduct(music(4, buildup=1.0, loudness=1.0), integrator)
    speeds = [d.speed for d in late][100:]

    def pulses(values: list[float]) -> int:
        return int(np.sum(np.diff(values) > 0.03))

    assert pulses(speeds) >= 3 * max(pulses(early), 1) and pulses(speeds) == pytest.approx(24, abs=3)
    assert late[-1].zoom == pytest.approx(0.08, abs=0.01) and late[-1].saturation == pytest.approx(0.75, abs=0.02)


def test_pause_stops_noise_position_and_drift_but_not_light_and_zoom() -> None:
    integrator = ModulationIntegrator()
    before = conduct(music(2), integrator, motion__pan_x=0.2, motion__zoom=0.1)[-1]
    paused = conduct(music(2, kick=1.0), integrator, motion__pan_x=0.2, motion__zoom=0.1, pause=True)
    for name in ("noise_position", "pan_x", "pan_y", "zoom_steady"):
        assert {getattr(d, name) for d in paused} == {getattr(before, name)}
    assert paused[-1].speed == 0.0 and paused[-1].zoom > 0.02


def test_motion_is_integrated_with_the_speed() -> None:
    last = conduct(music(5, bass=0.0), motion__pan_x=0.1, motion__pan_y=-0.2, motion__zoom=0.05)[-1]
    assert last.pan_x == pytest.approx(0.1 * last.noise_position) and last.pan_y == pytest.approx(
        -0.2 * last.noise_position
    )
    assert last.zoom_steady == pytest.approx(0.05 * last.noise_position)


def test_parameters_pass_through_smoothed() -> None:
    store, integrator = ParameterStore(), ModulationIntegrator()
    integrator.step(Features(), store.snapshot(), 0.0)
    store.update({"out.level": 0.0, "motion.rotate": 90.0, "guidance": 5.0, "finish.grain": 0.05, "strength": 0.3})
    first = integrator.step(Features(), store.snapshot(), 7.0)
    assert 0.0 < first.level < 1.0 and 0.0 < first.rotate < 90.0 and first.grain == 0.05 and first.heard_at == 7.0
    for _ in range(500):
        last = integrator.step(Features(), store.snapshot(), 0.0)
    assert (last.level, last.rotate, last.guidance, last.strength) == (0.0, 90.0, 5.0, pytest.approx(0.3))


def test_extreme_settings_stay_in_range() -> None:
    wild = {
        f"map__{f}__{t}": v
        for f in ("kick", "loudness", "drop", "silence", "buildup")
        for t, v in (
            ("zoom", 0.5),
            ("light", -2.0),
            ("saturation", -1.0),
            ("intensity", 1.0),
            ("strength", -1.0),
            ("speed", -4.0),
            ("bloom", -1.0),
            ("rotate", 45.0),
        )
    }
    loud = music(3, kick=1.0, loudness=1.0, drop=1.0, buildup=1.0)
    for d in conduct([*loud, *[Features()] * 100], audio__sensitivity=4.0, **wild):
        assert all(np.isfinite(getattr(d, f.name)).all() for f in fields(d) if f.name != "direction")
        assert abs(d.zoom) <= 0.5 and -3.0 <= d.exposure <= 3.0 and 0.0 <= d.saturation <= 2.0
        assert 0.0 <= d.intensity <= 1.0 and 0.1 <= d.strength <= 1.0 and d.bloom >= 0.0 and d.speed >= 0.0


def test_the_same_features_give_the_same_motion() -> None:
    features = music(5, bass=0.7, kick=0.3, loudness=0.5)
    assert conduct(features) == conduct(features)


def test_the_directors_camera_is_added() -> None:
    direction = Direction(section="main", zoom=0.1, roll=2.0, drift_x=0.05, drift_y=-0.02)
    snapshot = ParameterStore({"motion.pan_y": 0.0}).snapshot()
    still, moved = ModulationIntegrator(), ModulationIntegrator()
    for features in music(4):
        one = still.step(features, snapshot, 0.0)
        two = moved.step(features, snapshot, 0.0, direction=direction)
    assert two.zoom - one.zoom == pytest.approx(0.1) and two.rotate - one.rotate == pytest.approx(2.0)
    assert two.pan_x - one.pan_x == pytest.approx(0.05 * two.noise_position)
    assert two.pan_y == pytest.approx(-0.02 * two.noise_position) and one.pan_y == 0.0
    assert two.noise_position == one.noise_position and two.direction is direction
