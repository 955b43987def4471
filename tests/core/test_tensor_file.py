from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tpos_live.core.tensor_file import read_tensors

TENSORS = {
    "half": torch.arange(6.0).half().reshape(2, 3),
    "brain": torch.linspace(-1, 1, 5).bfloat16(),
    "full": torch.linspace(-1, 1, 8).reshape(2, 2, 2),
    "scalar": torch.tensor(3.5),
    "none": torch.zeros(0, 4),
    "count": torch.tensor([1, -2]),
    "switch": torch.tensor([True, False, True]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "a.safetensors", {"format": "pt"})
    return tmp_path / "a.safetensors"


def test_tensors_equal_those_of_the_safetensors_library(path: Path) -> None:
    found, theirs = read_tensors(path), load_file(path)
    assert found.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape and found[name].equal(tensor)


def test_tensors_are_not_mapped_and_stay_when_the_file_changes(path: Path) -> None:
    found = read_tensors(path)
    if sys.platform == "linux":
        assert str(path) not in Path("/proc/self/maps").read_text()
    path.write_bytes(b"")
    assert all(found[name].equal(tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError):
        read_tensors(path)


def test_a_header_that_is_no_list_of_tensors_is_refused(path: Path) -> None:
    for header in (b"[1]", b'{"a": 1}', b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', b"null"):
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
        with pytest.raises(ValueError):
            read_tensors(path)


def test_a_type_that_engines_do_not_have_is_named(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, dtype=torch.complex64)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="a is C64"):
        read_tensors(tmp_path / "a.safetensors")
