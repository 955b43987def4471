"""A diffusion schedule as a few coefficients for each step, computed in advance.

Every scheduler that few-step engines use is, for one step, the same linear update of three tensors:

    x0   = c_skip * x + c_out * model(x, timestep)        the predicted image
    x    = correct[0] * x_before + correct[1] * x0_before + correct[2] * x0     (UniC corrector, if any)
    next = x_coef * x + x0_coef * x0 + noise_coef * noise

so the sampling loop is independent of the scheduler. Latents are kept variance-preserving (for a flow,
alpha = 1 - sigma); Euler's x/sqrt(sigma^2 + 1) is this very latent, which is why Euler equals DDIM
here (Song et al. 2021, eq. 12 with eta = 0, and Karras et al. 2022, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from tpos_live.core.errors import EngineError

SCHEDULERS = ("UniPCMultistepScheduler", "EulerDiscreteScheduler", "DDIMScheduler", "LCMScheduler")
PREDICTIONS = ("epsilon", "v_prediction", "flow_prediction", "sample")
FLOW_ONLY = "flow_prediction"
FLOW_PREDICTIONS = (FLOW_ONLY, "sample")
MAX_STEPS = 8
"""Upper limit of steps. A show uses four at most; measurements compare with eight."""
NUMBERS = 9
"""Numbers of a step in `SamplingSchedule.rows`: timestep, five coefficients, and the corrector's three."""
_MOST_TRAIN_STEPS = 100_000
_ALMOST_ONE = 0.999
"""Strength from which nothing of the last latent is kept."""


@dataclass(frozen=True)
class Step:
    """The coefficients of one step (see the module's equations); correct is None without a corrector."""

    timestep: float
    c_skip: float
    c_out: float
    x_coef: float
    x0_coef: float
    noise_coef: float = 0.0
    correct: tuple[float, float, float] | None = None
    prior: float = 0.0
    """x0 / x of an uninformed model: the expected image of unit variance, given x."""


@dataclass(frozen=True)
class SamplingSchedule:
    """The steps of one frame. It starts at last * (last latent) + noise * (noise field)."""

    last: float
    noise: float
    steps: tuple[Step, ...]

    def with_rcfg(self, scale: float) -> SamplingSchedule:
        """The same schedule with residual guidance, without a further pass of the model. scale: 1 = off.

        After StreamDiffusion's self-negative RCFG (Kodaira et al. 2023, section 3.2), which guides away from a virtual
        residual instead of a prediction without a prompt. Their residual is the noise that a reference image would
        leave; here it is that of images of unit variance, which is the same at pure noise and needs no reference.
        Guidance away from prior * x gives x0 = scale * (c_skip * x + c_out * model) + (1 - scale) * prior * x: a step
        with other coefficients.
        """
        if scale == 1.0:
            return self
        steps = [
            replace(step, c_skip=scale * step.c_skip + (1 - scale) * step.prior, c_out=scale * step.c_out)
            for step in self.steps
        ]
        return SamplingSchedule(self.last, self.noise, tuple(steps))

    def rows(self) -> list[list[float]]:
        """The coefficients as rows, one for each step, of NUMBERS values each."""
        # (0, 0, 0) stands for a step without a corrector, which keeps x.
        return [
            [s.timestep, s.c_skip, s.c_out, s.x_coef, s.x0_coef, s.noise_coef, *(s.correct or (0.0, 0.0, 0.0))]
            for s in self.steps
        ]


@dataclass(frozen=True)
class Schedule:
    """The schedule of one engine. `plan` is deterministic, and cached."""

    kind: str
    prediction: str
    train_steps: int
    alphas: tuple[float, ...]
    """Cumulative alpha-bar of each training step; empty for a flow."""
    spacing: str
    offset: int
    last_alpha: float
    shift: float
    original_steps: int
    uncorrected: tuple[int, ...]
    flow: bool = False
    """Whether latents are (1 - sigma) * image + sigma * noise."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """The schedule of a `scheduler_config.json`. Raises EngineError for one that is not supported in 1 to 4
        steps."""
        kind = str(config.get("_class_name"))[:60]
        if kind not in SCHEDULERS:
            raise EngineError(
                f"the engine's scheduler is {kind}, which is not made for 1 to 4 steps; "
                f'set "_class_name" in scheduler/scheduler_config.json to {", ".join(SCHEDULERS)}'
            )
        prediction = str(config.get("prediction_type", "epsilon"))[:60]
        flow = bool(config.get("use_flow_sigmas")) and kind == "UniPCMultistepScheduler"
        if prediction not in (PREDICTIONS if not flow else FLOW_PREDICTIONS) or (prediction == FLOW_ONLY and not flow):
            raise EngineError(
                f"the engine's scheduler predicts {prediction!r}"
                f"{' with' if flow else ' without'} flow sigmas; engines need {', '.join(PREDICTIONS)}"
            )
        for name in _UNSUPPORTED:
            if config.get(name, _UNSUPPORTED[name]) != _UNSUPPORTED[name]:
                raise EngineError(f"the engine's scheduler sets {name} = {config[name]}; leave it out")
        spacing = {"EulerDiscreteScheduler": "linspace", "UniPCMultistepScheduler": "linspace"}.get(kind, "leading")
        train_steps = int(config.get("num_train_timesteps", 1000))
        if not MAX_STEPS < train_steps <= _MOST_TRAIN_STEPS:
            raise EngineError(f"the engine's scheduler has num_train_timesteps = {train_steps}; engines have 1000")
        alphas = () if flow else tuple(_alphas(config, kind, train_steps).tolist())
        schedule = cls(
            kind=kind,
            prediction=prediction,
            train_steps=train_steps,
            alphas=alphas,
            spacing=str(config.get("timestep_spacing", spacing)),
            offset=int(config.get("steps_offset", 0)),
            last_alpha=1.0 if flow or config.get("set_alpha_to_one", True) else alphas[0],
            shift=float(config.get("flow_shift", 1.0)),
            original_steps=int(config.get("original_inference_steps", 50)),
            uncorrected=tuple(config.get("disable_corrector") or ()),
            flow=flow,
        )
        plans = [schedule.plan(steps, strength) for steps in (1, 2, 3, 4) for strength in (1.0, 0.5)]
        if not all(math.isfinite(number) for plan in plans for row in plan.rows() for number in row):
            raise EngineError("the engine's scheduler gives steps that are no numbers; fetch or install it again")
        return schedule

    def plan(self, steps: int, strength: float = 1.0) -> SamplingSchedule:
        """The coefficients for `steps` (1 to MAX_STEPS) steps.

        strength: 1 draws from noise alone, exactly as the stock scheduler. Below 1, sampling starts at that share of
        the schedule, from the last latent mixed with noise; continuous down to 0.01.
        """
        if not 1 <= steps <= MAX_STEPS:
            raise ValueError(f"steps must be 1 to {MAX_STEPS}, not {steps}")
        strength = 1.0 if strength >= _ALMOST_ONE else round(max(strength, 0.01), 3)
        return _plan(self, steps, strength)

    def timesteps(self, steps: int) -> list[float]:
        """The stock scheduler's timesteps for text to image, largest first."""
        total = self.train_steps
        if self.kind == "LCMScheduler":
            stride = total // self.original_steps
            origin = [n * stride - 1 for n in range(self.original_steps, 0, -1)]
            return [float(origin[len(origin) * n // steps]) for n in range(steps)]
        if self.flow:
            return [float(int(sigma * total)) for sigma in self._flow_sigmas(steps)]
        unipc = self.kind == "UniPCMultistepScheduler"  # UniPC spreads over one more step and omits the last
        count = steps + unipc
        if self.spacing == "trailing":
            times = np.round(np.arange(total, 0, -total / steps))[:steps] - 1
        elif self.spacing == "leading":
            times = np.arange(count)[::-1][:steps] * (total // count) + self.offset
        else:
            times = np.linspace(0, total - 1, count)[::-1][:steps]
            if self.kind != "EulerDiscreteScheduler":
                times = times.round()
        return [float(time) for time in times]

    def _flow_sigmas(self, steps: int) -> list[float]:
        sigmas = np.linspace(1, 1 / self.train_steps, steps + 1)[:-1]
        sigmas = self.shift * sigmas / (1 + (self.shift - 1) * sigmas)
        sigmas[0] -= 1e-6  # as the stock scheduler does, to keep its logarithms finite
        return [float(sigma) for sigma in sigmas]

    def _alpha_sigma(self, time: float) -> tuple[float, float]:
        """alpha and sigma of a variance-preserving latent at a training step, which may be fractional."""
        if time < 0:
            return math.sqrt(self.last_alpha), math.sqrt(1 - self.last_alpha)
        bar = np.asarray(self.alphas)
        with np.errstate(divide="ignore"):
            ratio = float(np.interp(time, np.arange(len(bar)), np.sqrt((1 - bar) / bar)))
        if not math.isfinite(ratio):
            return 0.0, 1.0
        return 1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio)


@lru_cache(maxsize=64)  # a strength that follows the sound has a thousand values
def _plan(schedule: Schedule, steps: int, strength: float) -> SamplingSchedule:
    s = schedule
    if strength == 1.0:
        times = s.timesteps(steps)
        points = [(1 - x, x) for x in s._flow_sigmas(steps)] if s.flow else [s._alpha_sigma(t) for t in times]
        if s.kind == "DDIMScheduler":
            afters = [s._alpha_sigma(t - s.train_steps // steps) for t in times]
        else:
            afters = [*points[1:], (1.0, 0.0)]
        euler = s.kind == "EulerDiscreteScheduler" and s.spacing != "leading"
        last, noise = 0.0, points[0][1] if euler else 1.0
    else:
        shares = [strength * (1 - n / steps) for n in range(steps)]
        if s.flow:
            sigmas = [s.shift * x / (1 + (s.shift - 1) * x) for x in shares]
            times, points = [x * s.train_steps for x in sigmas], [(1 - x, x) for x in sigmas]
        else:
            times = [x * (s.train_steps - 1) for x in shares]
            points = [s._alpha_sigma(time) for time in times]
        afters = [*points[1:], (1.0, 0.0)]
        last, noise = points[0]
    made = []
    for n, (time, point, after) in enumerate(zip(times, points, afters, strict=True)):
        correct = None
        if s.kind == "UniPCMultistepScheduler" and n > 0 and n - 1 not in s.uncorrected:
            correct = _corrector(points[n - 1], point)
        made.append(_step(s, time, point, after, n == steps - 1, correct))
    return SamplingSchedule(last, noise, tuple(made))


def _step(
    s: Schedule,
    time: float,
    point: tuple[float, float],
    after: tuple[float, float],
    final: bool,
    correct: tuple[float, float, float] | None,
) -> Step:
    alpha, sigma = point
    skip, out = {
        "epsilon": (1 / alpha if alpha else 0.0, -sigma / alpha if alpha else 0.0),
        "v_prediction": (alpha, -sigma),
        "flow_prediction": (1.0, -sigma),
        "sample": (0.0, 1.0),
    }[s.prediction]
    prior = alpha / (alpha**2 + sigma**2)
    if s.kind == "LCMScheduler":
        # Consistency boundary (Luo et al. 2023, eq. 9; sigma_data 0.5, timesteps scaled by 10), then new noise.
        scaled = time * 10.0
        skip_c, out_c = 0.25 / (scaled**2 + 0.25), scaled / math.sqrt(scaled**2 + 0.25)
        skip, out = out_c * skip + skip_c, out_c * out
        return Step(time, skip, out, 0.0, 1.0 if final else after[0], 0.0 if final else after[1], None, prior)
    keep = after[1] / sigma if sigma else 0.0
    return Step(time, skip, out, keep, after[0] - alpha * keep, 0.0, correct, prior)


def _corrector(before: tuple[float, float], point: tuple[float, float]) -> tuple[float, float, float]:
    """UniC of order 1 (Zhao et al. 2023, UniPC, algorithm 1), solved for base, x0_before and x0."""
    hh = (math.log(before[0]) - math.log(before[1])) - (math.log(point[0]) - math.log(point[1]))
    phi = point[0] * math.expm1(hh)
    return point[1] / before[1], -phi / 2, -phi / 2


_UNSUPPORTED: Mapping[str, Any] = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_dynamic_shifting": False,
    "shift_terminal": None,
    "solver_type": "bh2",
    "thresholding": False,
    "final_sigmas_type": "zero",
    "interpolation_type": "linear",
    "timestep_type": "discrete",
}


def _alphas(config: Mapping[str, Any], kind: str, count: int) -> np.ndarray:
    """Cumulative products of 1 - beta, float64 [count]."""
    lcm = kind == "LCMScheduler"
    low = float(config.get("beta_start", 0.00085 if lcm else 0.0001))
    high = float(config.get("beta_end", 0.012 if lcm else 0.02))
    shape = config.get("beta_schedule", "scaled_linear" if lcm else "linear")
    if config.get("trained_betas") is not None:
        betas = np.asarray(config["trained_betas"], dtype=np.float64)
    elif shape == "linear":
        betas = np.linspace(low, high, count)
    elif shape == "scaled_linear":
        betas = np.linspace(low**0.5, high**0.5, count) ** 2
    else:
        raise EngineError(f"the engine's scheduler has beta_schedule {shape!r}; engines need linear or scaled_linear")
    bar: np.ndarray = np.cumprod(1 - betas)
    if config.get("rescale_betas_zero_snr"):
        # Lin et al. 2024, algorithm 1: shift the roots so that the last is 0, keep the first.
        root = np.sqrt(bar)
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        bar = root**2
        if kind in ("EulerDiscreteScheduler", "UniPCMultistepScheduler"):
            bar[-1] = 2.0**-24  # as they do, so that the first sigma is finite
    return bar
