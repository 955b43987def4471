"""Processor time of the audio path for one hop (10 ms of sound): python benchmarks/analysis.py [seconds]

Pushes the demo track hop by hop through the feature extractor, the modulation integrator and the bundled audio encoder.
Prints one JSON line for each: mean, median, p99 and maximum in milliseconds, with commit and machine. One thread; the
first hops count too.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

import tpos_live
from tpos_live.audio_encoder.load import open_encoder
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.extractor import FeatureExtractor
from tpos_live.features.features import HOP
from tpos_live.modulation.integrator import ModulationIntegrator


def sound(seconds: float) -> np.ndarray:
    """float32 [n] of the demo track, repeated."""
    track, _ = soundfile.read(Path(tpos_live.__file__).parent / "audio" / "demo.ogg", dtype="float32")
    count = int(seconds * 48_000) // HOP * HOP
    return np.resize(track.reshape(track.shape[0], -1).mean(axis=1), count)


def timed(work: Callable[[int], object], count: int) -> np.ndarray:
    """Milliseconds of each of `count` calls."""
    took = np.empty(count)
    for index in range(count):
        start = time.perf_counter()
        work(index)
        took[index] = time.perf_counter() - start
    return 1e3 * took


def report(part: str, took: np.ndarray) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    line = {
        "part": part,
        "hops": took.size,
        "mean_ms": round(float(took.mean()), 4),
        "p50_ms": round(float(np.median(took)), 4),
        "p99_ms": round(float(np.quantile(took, 0.99)), 4),
        "max_ms": round(float(took.max()), 4),
        "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()} {platform.system()} python {platform.python_version()}",
    }
    print(json.dumps(line))


def main() -> None:
    track = sound(float(sys.argv[1]) if len(sys.argv) > 1 else 45.0)
    hops = track.reshape(-1, HOP)
    still = ParameterStore().snapshot()
    store = ParameterStore()
    analyzer, encoder = FeatureExtractor(), open_encoder()[0]
    features = []
    report("feature extractor", timed(lambda i: features.extend(analyzer.push(hops[i], still)), len(hops)))
    integrator = ModulationIntegrator()
    report("integrator", timed(lambda i: integrator.step(features[i], still, 0.0), len(hops)))
    integrator = ModulationIntegrator()

    def step_with_change(index: int) -> None:
        integrator.step(features[index], snapshots[index], 0.0)

    snapshots = []
    for index in range(len(hops)):
        store.set("motion.pan_x", index % 100 / 100)
        snapshots.append(store.snapshot())
    report("integrator, a parameter changes every hop", timed(step_with_change, len(hops)))
    report(f"{encoder.name} encoder", timed(lambda i: encoder.push(hops[i]), len(hops)))


if __name__ == "__main__":
    main()
