"""The documentation: links, code references and commands in it exist."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

from tpos_live.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "engines").rglob("*.md")])
_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(page: Path) -> set[str]:
    """The fragments that a link may name: headings as GitHub writes them, and ids."""
    text = prose(page)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


@_page
def test_relative_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


@cache
def names(path: Path) -> set[str]:
    """Classes, functions and methods of a module, as `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
            if isinstance(node, ast.ClassDef):
                found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@_page
def test_modules_and_names_in_them_exist(page):
    """`features/spectrum.py` is a file; `features/spectrum.py::ShortTimeSpectrum` is a class in it."""
    for path, name in re.findall(r"`((?:[\w.]+/)+\w+\.py)(?:::([\w.]+))?", page.read_text(encoding="utf-8")):
        found = [root / path for root in (ROOT, ROOT / "tpos_live", page.parent) if (root / path).is_file()]
        assert found, path
        assert not name or name in names(found[0]), f"{path}::{name}"


def commands(page: Path) -> list[list[str]]:
    """The `tpos-live` lines of the page's shell blocks and in its text, as words behind the program's name."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(tpos-live(?: [^`\n]+)?)`", prose(page))
    split = [shlex.split(line, comments=True) for line in lines if re.search(r"(^|[\s/])tpos-live(\s|$)", line)]
    split = [[word.rpartition("/")[2] if word.endswith("/tpos-live") else word for word in words] for words in split]
    return [words[words.index("tpos-live") + 1 :] for words in split if "tpos-live" in words]


@_page
def test_commands_and_their_options_exist(page):
    for words in commands(page):
        command: click.Command = cli
        left = list(words)
        context = click.Context(command)
        while isinstance(command, click.Group) and left and (found := command.get_command(context, left[0])):
            command, left = found, left[1:]
        if isinstance(command, click.Group) and left:
            assert left[0].startswith("-") or left == ["output"], words  # the title of the window
        known = {name for parameter in command.params for name in parameter.opts + parameter.secondary_opts} | {
            "--help"
        }
        for word in left:
            assert not word.startswith("--") or word.split("=")[0] in known, words


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_packages_are_in_the_layers_that_are_checked():
    """The table of packages is that of the import linter, layer by layer."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [set(layer.split(" | ")) for layer in linter["layers"]]
    written: list[set[str]] = [set() for _ in layers]
    for number, named in re.findall(r"^\| (\d+) \| (.*?) \|", ARCHITECTURE, re.MULTILINE):
        written[int(number) - 1] |= set(re.findall(r"`(\w+)`", named))
    assert written == layers


def test_threads_are_in_the_table():
    """Every class that is a thread of its own is there."""
    for path in sorted((ROOT / "tpos_live").rglob("*.py")):
        for name in re.findall(r"^class (\w+)\(OwnThread\)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert f"{path.name}::{name}`" in ARCHITECTURE, name


def test_extras_are_in_the_list_for_developers():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = re.search(r"^Optional extras: (.*?)\. ", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE)
    assert listed and set(re.findall(r"`([\w-]+)`", listed[1])) == extras.keys()


def test_what_pip_installs_is_quoted_as_every_shell_takes_it() -> None:
    """Windows' `cmd` knows double quotes alone: 'a>=1' in single ones would write to a file."""
    pages = [*PAGES, ROOT / "config.toml", *(ROOT / "tpos_live").rglob("*.py")]
    single = re.compile(r"""pip install\b[^`\n]*'[^'"\n]*[\[<>{][^'"\n]*'""")
    assert [path.name for path in pages if single.search(path.read_text(encoding="utf-8"))] == []
