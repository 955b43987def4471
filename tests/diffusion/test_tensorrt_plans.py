"""TensorRT plans: a real one built without a card where the library is installed; the rules around them anywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.core.errors import EngineError, NotReady
from tpos_live.diffusion.backends import cache as caches
from tpos_live.diffusion.backends import tensorrt_plans
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.parity import MIN_PSNR, parity
from tpos_live.diffusion.backends.registry import choose, is_available
from tpos_live.diffusion.backends.tensorrt_plans import SIDECAR, Sidecar, compile_plan, read_plan, sum_of
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.unet_tokens import UnetTokens

SIZE = (64, 64)
CARD = "sm89"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(caches, "cache_dir", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if TensorRT for RTX 9.9 were installed."""
    monkeypatch.setattr(tensorrt_plans, "library_version", lambda kind: "9.9")
    monkeypatch.setattr(tensorrt_plans, "is_available", lambda kind: (True, ""))


def write_plan(place: Path, **changes: object) -> Sidecar:
    """A folder that looks like a plan."""
    place.mkdir(parents=True, exist_ok=True)
    for name in tensorrt_plans.NETWORKS:
        (place / f"{name}.plan").write_bytes(name.encode() * 100)
    facts = Sidecar(
        format=tensorrt_plans.FORMAT, kind="tensorrt-rtx", library="9.9", card=CARD, size=SIZE, tokens=81, weights="w",
        torch="t", sha256={name: sum_of(place / f"{name}.plan") for name in tensorrt_plans.NETWORKS}, networks={},
        seconds={},
    ).model_copy(update=changes)  # fmt: skip
    tensorrt_plans.write_sidecar(place, facts)
    return facts


def test_a_whole_plan_is_read(library: None, tmp_path: Path) -> None:
    facts = write_plan(tmp_path / "plan")
    assert read_plan(tmp_path / "plan", "tensorrt-rtx", CARD) == facts
    tensorrt_plans.write_parity(tmp_path / "plan", facts, 47.123)
    assert read_plan(tmp_path / "plan", "tensorrt-rtx", CARD).parity_db == 47.12
    assert sorted(path.name for path in (tmp_path / "plan").iterdir()) == ["decoder.plan", SIDECAR, "unet.plan"]


@pytest.mark.parametrize("changes", [{"card": "sm120"}, {"library": "8.0"}, {"format": 0}, {"kind": "tensorrt"}])
def test_a_foreign_plan_is_refused_and_kept(library: None, tmp_path: Path, changes: dict[str, object]) -> None:
    write_plan(tmp_path / "plan", **changes)
    with pytest.raises(NotReady, match=r"foreign.*engines compile") as caught:
        read_plan(tmp_path / "plan", "tensorrt-rtx", CARD)
    assert "\n" not in str(caught.value) and (tmp_path / "plan").exists()


@pytest.mark.parametrize("damage", ["byte", "cut", "gone", "sidecar", "empty"])
def test_a_damaged_plan_is_refused_and_removed(library: None, tmp_path: Path, damage: str) -> None:
    place = tmp_path / "plan"
    write_plan(place)
    path = place / ("decoder.plan" if damage == "gone" else SIDECAR if damage in ("sidecar", "empty") else "unet.plan")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        changed = {"byte": b"X" + content[1:], "cut": content[:9], "sidecar": content[:30], "empty": b""}
        path.write_bytes(changed[damage])
    with pytest.raises(NotReady, match=r"damaged.*removed.*engines compile"):
        read_plan(place, "tensorrt-rtx", CARD)
    assert not place.exists()


def test_the_key_is_of_all_that_a_plan_depends_on(
    library: None, cache: Path, turbo: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(engine: Engine = turbo, kind: str = "tensorrt-rtx", rows: int = 81, card: str = CARD) -> str:
        return tensorrt_plans.folder(kind, BackendRequest(engine, SIZE, rows), card).name

    other = load_engine(make_tiny_engine(tmp_path / "other", "sd-turbo", seed=5), "cpu")
    keys = [key(), key(other), key(kind="tensorrt"), key(rows=80), key(card="sm86")]
    keys.append(tensorrt_plans.folder("tensorrt-rtx", BackendRequest(turbo, (96, 64), 81), CARD).name)
    monkeypatch.setattr(tensorrt_plans, "library_version", lambda kind: "10.0")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_what_cannot_be_compiled_is_one_line(library: None, cache: Path, turbo: Engine) -> None:
    with pytest.raises(EngineError, match="no sm90"):
        compile_plan("tensorrt-rtx", BackendRequest(turbo, SIZE, 81), "sm90")
    with pytest.raises(EngineError, match="compiles on the card itself"):
        compile_plan("tensorrt", BackendRequest(turbo, SIZE, 81), "sm100")
    if not torch.cuda.is_available():
        with pytest.raises(EngineError, match="--card"):
            compile_plan("tensorrt-rtx", BackendRequest(turbo, SIZE, 81))
    assert list(cache.iterdir()) == []


def test_a_build_that_fails_leaves_nothing(
    library: None, cache: Path, turbo: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_plans.sys, "executable", "/bin/false")
    with pytest.raises(EngineError, match="the show runs on"):
        compile_plan("tensorrt-rtx", BackendRequest(turbo, SIZE, 81), CARD)
    assert list((cache / "tensorrt-rtx").iterdir()) == []


def test_a_damaged_plan_is_built_again(
    library: None, cache: Path, turbo: Engine, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    builds = []

    def build(_module: str, arguments: list[str], _limit: float, _report: object) -> None:
        builds.append(arguments)
        write_plan(Path(arguments[-1]))

    monkeypatch.setattr(caches, "run_module", build)
    request = BackendRequest(turbo, SIZE, 81)
    place = compile_plan("tensorrt-rtx", request, CARD)
    assert compile_plan("tensorrt-rtx", request, CARD) == place and len(builds) == 1
    (place / "unet.plan").write_bytes(b"half")
    assert compile_plan("tensorrt-rtx", request, CARD) == place and len(builds) == 2
    assert "damaged" in messages[-1] and read_plan(place, "tensorrt-rtx", CARD)
    assert [path.name for path in (cache / "tensorrt-rtx").iterdir()] == [place.name]


def test_the_fallback_says_why_tensorrt_is_not_used(turbo: Engine) -> None:
    for name in ("tensorrt", "tensorrt-rtx"):
        assert not is_available(name, turbo)[0]
        chosen = choose(name, BackendRequest(turbo, SIZE, 81))
        assert chosen.name == "eager" and "CUDA" in chosen.fallback_reason


def test_parity_is_of_frames(turbo: Engine) -> None:
    eager = EagerBackend(turbo)

    class Worse(EagerBackend):
        amount = 0.0

        def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
            super().decode(latent, out)
            np.copyto(out, np.clip(out.astype(int) + int(self.amount), 0, 255).astype(np.uint8))

    worse = Worse(turbo)
    assert parity(worse, eager, BackendRequest(turbo, SIZE, 81)) > 100
    worse.amount = 2
    assert MIN_PSNR < parity(worse, eager, BackendRequest(turbo, SIZE, 81)) < 45
    worse.amount = 60
    assert parity(worse, eager, BackendRequest(turbo, SIZE, 81)) < MIN_PSNR


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_real_plan_is_built_without_a_card(cache: Path, turbo_folder: Path, messages: list[str]) -> None:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        reason = "needs the extra tpos-live[tensorrt-rtx]"
        (pytest.fail if os.environ.get("NEEDS_TENSORRT") else pytest.skip)(reason)
    engine = load_engine(turbo_folder, "cpu")
    rows = UnetTokens(engine).sequence_length
    place = compile_plan("tensorrt-rtx", BackendRequest(engine, SIZE, rows), CARD)
    assert [path.name for path in (cache / "tensorrt-rtx").iterdir()] == [place.name]
    assert sorted(path.name for path in place.iterdir()) == ["decoder.plan", SIDECAR, "unet.plan"]
    facts = read_plan(place, "tensorrt-rtx", CARD)
    assert facts.weights == engine.weights_hash and facts.parity_db is None
    unet, decoder = facts.networks["unet"], facts.networks["decoder"]
    assert unet["strongly_typed"] and unet["half_layers"] > unet["layers"] / 2
    assert unet["inputs"] == {
        "latent": [[1, 4, 8, 8], "FLOAT"], "timestep": [[1], "FLOAT"], "tokens": [[1, rows, 32], "FLOAT"],
    }  # fmt: skip
    assert unet["outputs"] == {"prediction": [[1, 4, 8, 8], "FLOAT"]}
    assert decoder["outputs"] == {"pixels": [[1, 64, 64, 3], "FLOAT"]}
    assert any("unet: building" in line for line in messages) and any("%" in line for line in messages)
    assert compile_plan("tensorrt-rtx", BackendRequest(engine, SIZE, rows), CARD) == place
    assert "compiled already" in messages[-1]
    copied = shutil.copytree(place, cache / "copy")
    (copied / SIDECAR).write_text(json.dumps(json.loads((copied / SIDECAR).read_text()) | {"card": "sm120"}))
    with pytest.raises(NotReady, match="foreign"):
        read_plan(copied, "tensorrt-rtx", CARD)
