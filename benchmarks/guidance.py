"""Compares three ways to let a sound change a prompt's image: python benchmarks/guidance.py [--engine FOLDER]
[--seeds 5] [--json]

The ways are interpolation of the conditioning ("blend"), semantic guidance, and a region of its own for the sound
("grow"), at several strengths and at 1, 2 and 4 steps. Each image is compared with the same image without the sound:

effect  probability of the sound's scene, by the engine's classifier
scene   probability of the prompt's scene
both    share of the images in which the classifier finds both scenes, in different parts of the image
kept    structural similarity (SSIM, Wang et al. 2004) with the image without sound, grey, 64x64
apart   mean absolute difference from it, 0 to 255, 64x64

`passes` is the number of UNet rows for an image. The second table has, at equal passes, the effect at equal `kept`
(interpolated linearly between the strengths). The last line has the mean difference of neighbouring images of a noise
walk, without guidance and with guidance at several momentum values.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.conditioning.conditioning import Conditioning, EditDirections, Regions, fill_rows
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.paths import shipped
from tpos_live.core.spherical import slerp
from tpos_live.diffusion.backends.registry import prepare_better
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.display.tone_mapping import LUMA
from tpos_live.evaluation.classifier.model import SceneClassifier, load_classifier

CASES = (  # prompt, its scene, sound, the sound's scene
    ("a city at night", "city_at_night", "rain", "storm"),
    ("mountains", "mountains", "fire", "fire"),
    ("ocean", "ocean", "thunder", "storm"),
    ("clouds", "clouds", "aurora", "aurora"),
    ("galaxy", "galaxy", "fire", "fire"),
    ("tunnel", "tunnel", "ocean waves", "ocean"),
)
STEPS = (1, 2, 4)
BLENDS = (0.2, 0.35, 0.5, 0.65, 0.8)
SCALES = (0.35, 0.7, 1.0, 1.4)
QUANTILES = (0.5, 0.7)
GROWN = (0.2, 0.35, 0.5, 0.65, 0.8)
KEPT = (0.8, 0.65, 0.5)
"""Similarities at which the methods are compared."""
WALK = 0.03
"""Step of the noise position between two images of the walk."""
IMAGES = 12


@dataclasses.dataclass(frozen=True)
class Row:
    """Means over cases and seeds. passes: UNet rows for an image."""

    method: str
    steps: int
    passes: int
    strength: float
    effect: float
    scene: float
    both: float
    kept: float
    apart: float
    spread: float
    """Standard deviation of the effect over the seeds' means."""


class Easel:
    """Draws single images of an engine, with and without the sound."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.generator = FrameGenerator(
            engine, options=GeneratorOptions(threads=torch.get_num_threads(), wait_for_compile=True)
        )
        if self.generator.backend.name == "eager":
            better = prepare_better(
                "auto", dataclasses.replace(self.generator.request, threads=torch.get_num_threads())
            )
            if better is not None:
                self.generator.use(better)

    def rows(self, states: torch.Tensor) -> torch.Tensor:
        """A text's states, padded as the conditioning builder does it without a sound."""
        rows = states.new_empty(self.generator.prompt_length, states.shape[1])
        fill_rows(rows, states, self.engine.trained_with_audio)
        return rows

    def draw(
        self, states: torch.Tensor, params: FrameParams, snapshot: Snapshot, sound: torch.Tensor | None = None
    ) -> np.ndarray:
        led = None if sound is None else EditDirections(self.rows(sound)[None], (1.0,), 1.0)
        return self.generator.generate(
            FrameRequest(params, Conditioning(self.rows(states), edits=led), snapshot)
        ).pixels.copy()

    def grow(self, states: torch.Tensor, sound: torch.Tensor, share: float, snapshot: Snapshot) -> np.ndarray:
        """Draw with a region for the sound. share: of the image's area, before the easing of the region blend."""
        rows = torch.stack([self.rows(states), self.rows(sound)])
        scenes = Regions(rows, (1.0 - share, share))
        return self.generator.generate(
            FrameRequest(FrameParams(intensity=0.5), Conditioning(rows[0], regions=scenes), snapshot)
        ).pixels.copy()


def small(image: np.ndarray) -> torch.Tensor:
    """Grey, float [1, 1, 64, 64], 0 to 1."""
    grey = torch.from_numpy(image).float().div(255) @ torch.tensor(LUMA)
    return F.interpolate(grey[None, None], size=(64, 64), mode="area")


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM with a Gaussian window of 11 pixels, sigma 1.5."""
    at = torch.arange(11.0) - 5
    line = torch.exp(-at.square() / (2 * 1.5**2))
    window = (line[:, None] * line)[None, None] / line.sum() ** 2
    x, y = small(a), small(b)
    mean_x, mean_y = F.conv2d(x, window), F.conv2d(y, window)
    var_x, var_y = F.conv2d(x * x, window) - mean_x**2, F.conv2d(y * y, window) - mean_y**2
    both = F.conv2d(x * y, window) - mean_x * mean_y
    upper = (2 * mean_x * mean_y + 1e-4) * (2 * both + 9e-4)
    return float((upper / ((mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4))).mean())


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference at 64x64 in colour, 0 to 255."""
    pair = torch.from_numpy(np.stack([a, b])).permute(0, 3, 1, 2).float()
    shrunk = F.interpolate(pair, size=(64, 64), mode="area")
    return float((shrunk[0] - shrunk[1]).abs().mean())


def scenes(classifier: SceneClassifier, image: np.ndarray) -> tuple[dict[str, float], set[str]]:
    """Probability of each scene, and the scenes that the classifier finds in some part of the image."""
    seen = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    parts = {classifier.families[n] for n in classifier.parts(seen).argmax(-1).flatten().tolist()}
    return dict(zip(classifier.families, torch.softmax(classifier(seen), 1)[0].tolist(), strict=True)), parts


def settings(steps: int, seed: int, quantile: float = 0.5, momentum: float = 0.0) -> Snapshot:
    values = {"steps": steps, "seed": seed, "audio.guidance.quantile": quantile, "audio.guidance.momentum": momentum}
    return ParameterStore(values).snapshot()


def compare(easel: Easel, classifier: SceneClassifier, seeds: int) -> list[Row]:
    """Every method, step count and strength over all cases and seeds."""
    found: dict[tuple[str, int, int, float], list[tuple[int, float, float, float, float, float]]] = {}
    for (prompt, own, sound, scene), seed in itertools.product(CASES, range(seeds)):
        text, heard = easel.engine.texts.encode(prompt), easel.engine.texts.encode(sound)
        for steps in STEPS:
            params = FrameParams(intensity=0.5)
            plain = easel.draw(text, params, settings(steps, seed))

            def add(
                name: str, passes: int, strength: float, image: np.ndarray, plain: np.ndarray = plain,
                steps: int = steps, scene: str = scene, own: str = own, seed: int = seed,
            ) -> None:  # fmt: skip
                likely, parts = scenes(classifier, image)
                both = float({scene, own} <= parts)
                row = (seed, likely[scene], likely[own], both, similarity(plain, image), apart(plain, image))
                found.setdefault((name, steps, passes, strength), []).append(row)

            add("no sound", steps, 0.0, plain)
            for share in BLENDS:
                add(
                    "blend",
                    steps,
                    share,
                    easel.draw(slerp(text, heard, share), params, settings(steps, seed)),
                )
            for quantile, scale in itertools.product(QUANTILES, SCALES):
                led = dataclasses.replace(params, audio_guidance=scale)
                image = easel.draw(text, led, settings(steps, seed, quantile), heard)
                add(f"semantic {quantile:g}", 2 * steps, scale, image)
            for share in GROWN:
                add("grow", 2 * steps, share, easel.grow(text, heard, share, settings(steps, seed)))
    rows = []
    for (name, steps, passes, strength), values in found.items():
        table = np.array(values)
        by_seed = [table[table[:, 0] == seed, 1].mean() for seed in range(seeds)]
        rows.append(Row(name, steps, passes, strength, *table[:, 1:].mean(0).tolist(), float(np.std(by_seed))))
    return rows


def at_equal_content(rows: list[Row]) -> list[dict[str, object]]:
    """Effect of each method at the similarities KEPT, sorted by passes; None where all its similarities are larger."""
    out: list[dict[str, object]] = []
    for name, steps in dict.fromkeys((row.method, row.steps) for row in rows if row.strength):
        curve = sorted((r.kept, r.effect) for r in rows if (r.method, r.steps) == (name, steps))
        curve += [(r.kept, r.effect) for r in rows if r.method == "no sound" and r.steps == steps]
        kept, effect = np.array(curve).T
        at = {str(k): float(np.interp(k, kept, effect)) if k >= kept[0] else None for k in KEPT}
        passes = next(r.passes for r in rows if (r.method, r.steps) == (name, steps))
        out.append({"method": name, "steps": steps, "passes": passes, "effect": at})
    return sorted(out, key=lambda row: (row["passes"], row["method"]))  # type: ignore[arg-type, return-value]


def movement(easel: Easel, seeds: int) -> dict[str, float]:
    """Mean difference of neighbouring images of a noise walk, 0 to 255: without sound, and for each momentum."""
    found: dict[str, list[float]] = {}
    for (prompt, _, sound, _), seed in itertools.product(CASES[:3], range(seeds)):
        text, heard = easel.engine.texts.encode(prompt), easel.engine.texts.encode(sound)
        for name, scale, momentum in (("no sound", 0.0, 0.0), *((f"momentum {m:g}", 1.0, m) for m in (0.0, 0.3, 0.6))):
            easel.generator.reset()
            drives = [
                FrameParams(time=n / 30, noise_position=WALK * n, intensity=0.5, audio_guidance=scale)
                for n in range(IMAGES)
            ]
            shown = [easel.draw(text, params, settings(1, seed, 0.5, momentum), heard) for params in drives]
            late = itertools.pairwise(shown[IMAGES // 2 :])
            found.setdefault(name, []).append(float(np.mean([apart(a, b) for a, b in late])))
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=Path, default=None, help="an engine folder with a classifier; default: Ember")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    engine = load_engine(arguments.engine or shipped("engines") / "ember", "cpu")
    classifier, _ = load_classifier(engine.folder)
    easel = Easel(engine)
    with torch.inference_mode():
        rows = compare(easel, classifier, arguments.seeds)
        moved = movement(easel, arguments.seeds)
    equal = at_equal_content(rows)
    if arguments.json:
        facts = {
            "engine": engine.name,
            "weights": engine.weights_hash[:12],
            "accelerator": easel.generator.backend.name,
        }
        facts |= {"cases": len(CASES), "seeds": arguments.seeds}  # type: ignore[dict-item]
        table = [dataclasses.asdict(row) for row in rows]
        print(json.dumps({**facts, "rows": table, "at_equal_content": equal, "movement": moved}))
        return
    print(f"{engine.name} on {easel.generator.backend.name}, {len(CASES)} cases, {arguments.seeds} seeds\n")
    print("| method | steps | passes | strength | effect | scene | both | kept | apart |\n" + "| --- " * 9 + "|")
    for row in sorted(rows, key=lambda row: (row.steps, row.method, row.strength)):
        print(
            f"| {row.method} | {row.steps} | {row.passes} | {row.strength:g} | {row.effect:.2f} ± {row.spread:.2f} "
            f"| {row.scene:.2f} | {row.both:.2f} | {row.kept:.2f} | {row.apart:.1f} |"
        )
    print("\n| passes | method | steps | " + " | ".join(f"effect at {k:g} kept" for k in KEPT) + " |")
    print("| --- " * (3 + len(KEPT)) + "|")
    for line in equal:
        values = ["—" if v is None else f"{v:.2f}" for v in line["effect"].values()]  # type: ignore[attr-defined]
        print(f"| {line['passes']} | {line['method']} | {line['steps']} | " + " | ".join(values) + " |")
    print("\n" + ", ".join(f"{name} {value:.2f}" for name, value in moved.items()))


if __name__ == "__main__":
    main()
