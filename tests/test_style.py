"""Rules of the source that no linter knows."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import tpos_live

PACKAGE = Path(tpos_live.__file__).parent
OFFLINE = ("bench", "evaluation", "training")
"""Packages that no show runs."""
MOST = 256
"""Entries of one cache."""
FEW = {"cubic_weights", "_cubic_matrix", "shipped"}
"""Functions of a few whole numbers or names, which may be remembered without a limit."""


def caches(tree: ast.AST) -> Iterator[tuple[str, bool, int | None]]:
    """Each function that is remembered: its name, whether it has arguments, its limit (None = no limit)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            some = bool(arguments.args or arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg)
            for each in node.decorator_list:
                if (limit := limit_of(each)) != -1:
                    yield node.name, some, limit
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Call) and limit_of(node.func) != -1:
            yield ast.unparse(node.args[0]), True, limit_of(node.func)


def limit_of(node: ast.expr) -> int | None:
    """Of a decorator; -1 for one that remembers nothing."""
    call = node if isinstance(node, ast.Call) else None
    name = ast.unparse(call.func if call is not None else node).rpartition(".")[2]
    if name == "cache":
        return None
    if name != "lru_cache":
        return -1
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "maxsize")] if call is not None else []
    return ast.literal_eval(given[0]) if given else 128  # type: ignore[no-any-return]


def test_no_cache_of_a_show_grows_without_a_limit() -> None:
    found, wrong = 0, []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in OFFLINE:
            continue
        for name, arguments, limit in caches(ast.parse(path.read_text(encoding="utf-8"))):
            found += 1
            if arguments and name not in FEW and (limit is None or limit > MOST):
                wrong.append(f"{path.relative_to(PACKAGE)}: {name}, {limit}")
    assert found > 20 and not wrong, wrong


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@cache\ndef f(x): ...", ("f", True, None)),
        ("@functools.lru_cache(maxsize=None)\ndef f(x): ...", ("f", True, None)),
        ("@lru_cache\ndef f(): ...", ("f", False, 128)),
        ("g = lru_cache(maxsize=4096)(f)", ("f", True, 4096)),
    ],
)
def test_each_way_to_write_a_cache_is_found(source: str, expected: tuple[str, bool, int | None]) -> None:
    assert list(caches(ast.parse(source))) == [expected]


WALL_CLOCK = {
    "bench/results.py": "the date of a result",
    "diffusion/backends/cache.py": "the age of files, in days",
    "diffusion/backends/openvino.py": "when a device was measured",
    "diffusion/backends/openvino_device.py": "the age of a measurement, in days",
    "runtime/autosave.py": "the age of a file, in hours",
    "runtime/recordings.py": "a file's name",
    "runtime/session_controls.py": "a file's name",
}
"""Modules that may ask what time it is, and what for. Every interval is of a steady clock: this one may be set."""


_ASKS = {"time.time", "time.time_ns", "time.localtime", "time.strftime", "datetime.now", "datetime.today", "date.today"}


def test_no_interval_is_of_a_clock_that_may_be_set() -> None:
    asked = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                if (text := ast.unparse(node).replace("datetime.date", "date")) in _ASKS:
                    asked[path.relative_to(PACKAGE).as_posix()] = text
            elif isinstance(node, ast.ImportFrom) and node.module == "time":
                assert not {each.name for each in node.names} & {"time", "time_ns"}, path
    assert asked.keys() == WALL_CLOCK.keys(), asked


def test_no_two_files_of_tests_have_one_name() -> None:
    """Tests are no packages: pytest refuses the second of two modules of one name, and leaves its tests out."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py"))
    assert [name for name, count in names.items() if count > 1 and name not in ("__init__.py", "conftest.py")] == []
