"""Which device OpenVINO runs an engine on: the CPU, an Intel GPU, an NPU.

"auto" takes the fastest device of those whose frame matches eager's. Every device is measured once, in a child process
(a driver may crash), and the result is stored beside the converted engine, whose folder depends on the engine, its size
and OpenVINO's version. A change of the list of devices invalidates all results. With a CPU alone nothing is measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tpos_live.core.atomic import write_text
from tpos_live.core.errors import NotReady, first_line
from tpos_live.diffusion.backends.parity import Draws, Example, psnr, require_parity
from tpos_live.diffusion.model.backend import BackendRequest

CPU = "CPU"
FILE = "devices.json"
RETRY = 7 * 86_400.0
"""Seconds after which a device that failed is tried again: a driver may have been updated."""
PRECISIONS = ("f16", "f32")
"""Precisions for devices other than the CPU, in this order: the first whose frame matches eager's is used."""
MOST_RUNS, LONGEST = 10, 3.0
"""Most frames and seconds of a measurement."""


@dataclass(frozen=True)
class Result:
    """Measurement of one device. ms: time for a frame. parity_db: PSNR against eager. reason: why the device cannot be
    used, "" if it can. at: seconds since 1970."""

    ms: float = 0.0
    precision: str = ""
    parity_db: float = 0.0
    reason: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Choice:
    """The device to use. precision: "" on the CPU, where the conversion's sidecar has it. reason: why the requested
    device is not used, one line; "" if it is."""

    device: str = CPU
    precision: str = ""
    reason: str = ""


def list_devices(core: Any) -> dict[str, str]:
    """The devices that OpenVINO finds (such as "GPU" or "GPU.0") with their full names."""
    found = {}
    for device in core.available_devices:
        found[device] = device
        with suppress(RuntimeError):  # a driver that cannot say its name
            found[device] = str(core.get_property(device, "FULL_DEVICE_NAME"))
    return found


def is_present(device: str, devices: Mapping[str, str]) -> bool:
    """Whether a device, or each one of "AUTO:GPU,CPU", is among those that OpenVINO finds. "GPU" stands for "GPU.0"."""
    plugin, _, listed = device.partition(":")
    if plugin in ("AUTO", "HETERO"):
        return all(is_present(each, devices) for each in listed.split(",") if each)
    return any(found == device or found.partition(".")[0] == device for found in devices)


def unmeasured(
    wanted: str, devices: Mapping[str, str], place: Path, now: Callable[[], float] = time.time
) -> tuple[str, ...]:
    """The devices that must be measured before `choose_device`: those without a result, or with an old failure.

    wanted: "auto", or a device's name. place: folder of the converted engine. now: seconds since 1970.
    """
    if wanted == CPU or (wanted == "auto" and set(devices) == {CPU}):
        return ()
    asked = tuple(devices) if wanted == "auto" else (wanted,) if is_present(wanted, devices) else ()
    known = read_results(place, devices)

    def is_old(result: Result) -> bool:  # or of the future: the clock was set back
        return not 0.0 <= now() - result.at <= RETRY

    return tuple(each for each in asked if each not in known or (known[each].reason and is_old(known[each])))


def choose_device(wanted: str, devices: Mapping[str, str], place: Path) -> Choice:
    """The device to use, of those that were measured."""
    if wanted == CPU:
        return Choice()
    known = read_results(place, devices)
    if wanted != "auto":
        if not is_present(wanted, devices):
            return Choice(reason=f"OpenVINO finds no {wanted} here, only {', '.join(devices)}; it runs on the CPU")
        result = known.get(wanted, Result(reason="not measured yet"))
        if result.reason:
            return Choice(reason=f"OpenVINO cannot use {wanted} ({result.reason}); it runs on the CPU")
        return Choice(wanted, result.precision)
    usable = {device: result for device, result in known.items() if not result.reason and device in devices}
    best = min(usable, key=lambda device: usable[device].ms, default=CPU)
    return Choice() if best == CPU else Choice(best, usable[best].precision)


def read_results(place: Path, devices: Mapping[str, str]) -> dict[str, Result]:
    """Results by device; empty where the file is missing, damaged or was measured with another list of devices."""
    try:
        data = json.loads((place / FILE).read_text(encoding="utf-8"))
        return {name: Result(**row) for name, row in data["results"].items()} if data["devices"] == devices else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def keep_result(place: Path, devices: Mapping[str, str], device: str, result: Result) -> None:
    """Add one device's result to the file."""
    rows = {**read_results(place, devices), device: result}
    data = {"devices": dict(devices), "results": {name: asdict(row) for name, row in rows.items()}}
    write_text(place / FILE, json.dumps(data, indent=1))


def measure(
    device: str,
    load: Callable[[str], Draws],
    reference: Draws,
    request: BackendRequest,
    precisions: tuple[str, ...] = PRECISIONS,
    busy_threads: int = 0,
) -> Result:
    """Time a frame on a device, at the first of `precisions` whose frame matches that of `reference`.

    load: makes the backend at a precision. busy_threads: number of CPU threads, which other programs may slow down: the
    processor time per thread is used where it is below the elapsed time. 0 for other devices.
    """
    example, reasons = Example.of(request), []
    expected = example.draw(reference)
    for precision in precisions:
        try:
            made = load(precision)
            found = require_parity(f"OpenVINO on {device}, {precision},", psnr(example.draw(made), expected))
        except NotReady as error:
            reasons.append(str(error))
            continue
        except RuntimeError as error:  # from OpenVINO, if the device cannot compile a network
            reasons.append(first_line(error))
            continue
        fastest = _fastest(partial(example.draw, made), busy_threads)
        return Result(1000 * fastest, precision, found, "", time.time())
    return Result(reason="; ".join(dict.fromkeys(reasons)), at=time.time())


def _fastest(draw: Callable[[], object], busy_threads: int) -> float:
    """Seconds of the fastest run."""
    best, end = float("inf"), time.perf_counter() + LONGEST
    for run in range(MOST_RUNS):
        began, worked = time.perf_counter(), time.process_time()
        draw()
        took = time.perf_counter() - began
        if busy_threads:
            took = min(took, (time.process_time() - worked) / busy_threads)
        best = min(best, took)
        if run and time.perf_counter() > end:
            break
    return best
