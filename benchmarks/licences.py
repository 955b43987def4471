"""Lists the licences of everything that an installation brings, from its metadata, and fails on one that is unknown.

    python benchmarks/licences.py [--extra midi --extra ndi]

Follows the requirements of tpos-live, and of the extras that are named, through what is installed here. A JSON line
each; the exit status is 1 if a licence is not among the accepted ones, or a package says nothing of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ACCEPTED = (
    "0BSD", "Apache", "ASL", "BSD", "BSL", "Boost", "CC0", "CNRI-Python", "Freely Distributable", "ISC", "LGPL", "MIT",
    "MPL", "Mozilla Public License", "PSF", "Python Software Foundation", "Unlicense", "Zlib",
)  # fmt: skip
"""What a name must contain. LGPL and MPL: libraries that are used as they are."""
KNOWN = {"pyglet": "BSD-3-Clause"}
"""Of packages whose metadata says nothing, by their licence file."""
GPL_EXTRAS = {"aalink"}
"""GPL: extras that nothing else needs, and that are not part of the package."""
OF_NVIDIA = re.compile(r"(nvidia|cuda)-")
"""Packages of NVIDIA that torch's wheels for CUDA require, and whose metadata often names no licence."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--extra", action="append", default=[], help="of tpos-live; may be repeated")
    options = parser.parse_args()
    good = True
    for name in sorted(closure("tpos-live", options.extra)):
        licence = licence_of(metadata.distribution(name))
        fine = is_accepted(licence) or name in GPL_EXTRAS
        if not fine and OF_NVIDIA.match(name):
            fine = True
            licence = f"NVIDIA's own ({licence or 'not in the metadata'}); torch requires it"
        good = good and fine
        row = {"package": name, "version": metadata.version(name), "licence": licence or "unknown", "accepted": fine}
        print(json.dumps(row), flush=True)
    sys.exit(0 if good else 1)


def closure(name: str, extras: Iterable[str]) -> set[str]:
    """Canonical names of a package and of all that it requires here; what is not installed is left out."""
    found: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(name), extra) for extra in ("", *extras)]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        try:
            required = metadata.requires(one[0]) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(one)
        for requirement in map(Requirement, required):
            if requirement.marker is None or requirement.marker.evaluate({"extra": one[1]}):
                waiting += [(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)]
    return {package for package, _ in found}


def licence_of(package: metadata.Distribution) -> str:
    """The expression if there is one, else the classifiers, else the first line of the free text; "" for none."""
    given = package.metadata
    classifiers = [
        text.rpartition(" :: ")[2] for text in given.get_all("Classifier") or [] if text.startswith("License ::")
    ]
    classifiers = [name for name in classifiers if name != "OSI Approved"]  # that alone names no licence
    free = (given.get("License") or "").strip().splitlines()
    known = KNOWN.get(canonicalize_name(given["Name"]), "")
    return given.get("License-Expression") or " OR ".join(classifiers) or next(iter(free), "")[:60] or known


def is_accepted(licence: str) -> bool:
    """Whether each part that is joined by AND, and one of those joined by OR, is accepted."""
    choices = (re.split(r"\s+AND\s+", choice.strip(" ()")) for choice in re.split(r"\s+OR\s+", licence))
    return any(all(map(_is_known, parts)) for parts in choices)


def _is_known(part: str) -> bool:
    words: Iterator[str] = (re.escape(word) for word in ACCEPTED)
    return re.search(rf"(?<![A-Za-z])({'|'.join(words)})", part) is not None


if __name__ == "__main__":
    main()
