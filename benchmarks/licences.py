"""Lists the licences of all installed dependencies, from their metadata, and fails on an unknown licence.

    python benchmarks/licences.py [--extra midi --extra ndi]

Follows the requirements of tpos-live and of the named extras through the installed packages. Prints a JSON line for
each package. The exit status is 1 if a licence is not in ACCEPTED, or a package names none.
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
"""A licence must contain one of these. LGPL and MPL are accepted because the libraries are not modified."""
KNOWN = {"pyglet": "BSD-3-Clause"}
"""Licences from the licence files of packages whose metadata names none."""
GPL_EXTRAS = {"aalink"}
"""GPL packages of extras; the package itself neither contains nor needs them."""
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
    """Whether a licence expression is accepted: all parts of at least one of its OR alternatives are."""
    choices = (re.split(r"\s+AND\s+", choice.strip(" ()")) for choice in re.split(r"\s+OR\s+", licence))
    return any(all(map(_is_known, parts)) for parts in choices)


def _is_known(part: str) -> bool:
    words: Iterator[str] = (re.escape(word) for word in ACCEPTED)
    return re.search(rf"(?<![A-Za-z])({'|'.join(words)})", part) is not None


if __name__ == "__main__":
    main()
