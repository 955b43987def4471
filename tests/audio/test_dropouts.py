from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tpos_live.audio.dropouts import DropoutMeter

RATE = 48_000


def play(
    meter: DropoutMeter,
    seconds: float,
    *,
    clock: float = 1.0,
    block: int = 480,
    jitter: Callable[[np.random.Generator], float] = lambda random: random.exponential(0.002),
    lose: dict[float, int] | None = None,
    late: Callable[[float], float] = lambda time: 0.0,
) -> int:
    """Blocks of a device whose clock runs `clock` times as fast as ours; returns the true loss."""
    random = np.random.default_rng(5)
    lose = dict(lose or {})
    made = given = lost = 0
    while (time := made / (RATE * clock)) < seconds:
        made += block
        for when in [when for when in lose if when <= time]:
            dropped = lose.pop(when)
            made += dropped
            lost += dropped
        given = made - lost
        arrival = made / (RATE * clock) + late(time) + jitter(random)
        meter.see(arrival, given)
    return lost


@pytest.mark.parametrize("clock", [1.0, 1.0001, 0.9999, 1.0005, 0.9995])
@pytest.mark.parametrize("block", [100, 480, 1024])
def test_drift_and_jitter_are_no_loss(clock: float, block: int) -> None:
    meter = DropoutMeter(RATE)
    play(meter, 120, clock=clock, block=block)
    assert meter.samples == 0


def test_an_hour_of_drift_is_no_loss() -> None:
    meter = DropoutMeter(RATE)
    play(meter, 3600, clock=0.9996, block=4800)
    assert meter.samples == 0


def test_rare_long_delays_of_a_busy_machine_are_no_loss() -> None:
    meter = DropoutMeter(RATE)
    play(meter, 120, jitter=lambda random: random.exponential(0.003) + 0.4 * (random.random() < 0.02))
    assert meter.samples == 0


@pytest.mark.parametrize("clock", [1.0, 1.0003, 0.9997])
@pytest.mark.parametrize("dropped", [512, 1024, 4800, 48_000])
def test_dropped_samples_are_counted(clock: float, dropped: int) -> None:
    meter = DropoutMeter(RATE)
    lost = play(meter, 60, clock=clock, lose={20.3: dropped, 41.7: dropped})
    assert meter.samples == pytest.approx(lost, abs=2 * 0.004 * RATE)


def test_many_small_losses_add_up() -> None:
    meter = DropoutMeter(RATE)
    lost = play(meter, 60, lose={second / 2: 128 for second in range(10, 100)})
    assert meter.samples == pytest.approx(lost, rel=0.5)


def test_a_delay_that_goes_away_was_no_loss() -> None:
    meter = DropoutMeter(RATE)
    play(meter, 60, late=lambda time: 0.05 if 20 < time < 40 else 0.0)
    assert meter.samples == 0


def test_an_interruption_is_not_counted_twice() -> None:
    meter = DropoutMeter(RATE)
    play(meter, 10)
    meter.restart()
    for step in range(1000):
        meter.see(100 + step / 100, 480_000 + 480 * step)
    assert meter.samples == 0
