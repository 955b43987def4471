"""Checkpoints of a training in its run folder: state, weights, optimizer moments; also made from a shipped engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tpos_live.core.atomic import atomic_write, write_text
from tpos_live.diffusion.model.metadata import read_metadata

KEPT = ("tokenizer", "text_encoder", "vae")


@dataclass
class State:
    """Progress of a training. spent: seconds of UNet training."""

    steps: int = 0
    spent: float = 0.0
    text_cosine: float = 0.0
    latent_psnr: float = 0.0


def read_state(run: Path) -> State:
    """The state of the training in a run folder; a new state where there is none."""
    path = run / "state.json"
    return State(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else State()


def write_state(run: Path, state: State) -> None:
    """Write the state into the run folder."""
    write_text(run / "state.json", json.dumps(asdict(state), indent=2) + "\n")


def not_a_number(what: str, state: State, run: Path) -> RuntimeError:
    """The error of a training with NaN or infinite values, in one line."""
    return RuntimeError(
        f"the training ended at step {state.steps}: its error of {what} is not a number; the checkpoint in {run} is "
        "older than that: continue from it with --resume"
    )


def write_parts(run: Path, parts: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    """Write the tensors of each part to a file of its name."""
    for name, tensors in parts.items():
        with atomic_write(run / f"{name}.safetensors") as path:
            save_file({key: value.contiguous() for key, value in tensors.items()}, path)


def read_parts(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors that `write_parts` wrote, by part; empty where there is no checkpoint."""
    return {path.stem: load_file(path) for path in run.glob("*.safetensors")}


def read_moments(optimizer: Any) -> dict[str, torch.Tensor]:
    """An optimizer's state by the parameter's index and its key, as "3.exp_avg", in single precision."""
    moments: dict[str, torch.Tensor] = {}
    for index, slot in enumerate(optimizer.state.values()):
        moments |= {f"{index}.{key}": value.float().contiguous() for key, value in slot.items()}
    return moments


def set_moments(optimizer: Any, parameters: Iterable[torch.nn.Parameter], moments: dict[str, torch.Tensor]) -> None:
    """Give an optimizer of these `parameters` the state that `read_moments` returned."""
    for index, parameter in enumerate(parameters):
        keys = [key for key in moments if key.startswith(f"{index}.")]
        optimizer.state[parameter] = {
            key.split(".", 1)[1]: moments[key].to("cpu" if key.endswith("step") else parameter.device) for key in keys
        }


def begin_from(engine: Path, run: Path) -> None:
    """Write the weights of an engine folder as a checkpoint into a run folder, in float32.

    An engine has no optimizer moments, so these start from zero. Raises RuntimeError with one line for an engine of
    another architecture.
    """
    if read_metadata(engine).unet_inputs is None:
        raise RuntimeError(
            f"{engine} has an older network, which this training cannot continue; leave out --resume to start a new one"
        )
    run.mkdir(parents=True, exist_ok=True)
    for part in KEPT:
        shutil.copytree(engine / part, run / part, dirs_exist_ok=True)
    for part, names in (("unet", ("unet", "ema")), ("vae", ("vae",))):
        weights = {
            key: value.float().contiguous()
            for key, value in load_file(engine / part / "diffusion_pytorch_model.safetensors").items()
        }
        if part == "unet":
            weights = {f"unet.{key}": value for key, value in weights.items()}  # as the extended UNet names them
        for name in names:
            save_file(weights, run / f"{name}.safetensors")
