"""All OSC addresses of a show, generated from the parameter table; look-ups of addresses and names; values as sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from tpos_live.core.parameter import Parameter, ParameterError, Value
from tpos_live.core.parameters import TABLE

BLEND_SLOTS = (7, 8)
"""Slots of the prompt bank that `/tpos/prompt/blend` fills."""
_MAX_PATTERN = 200
_MAX_CHOICES = 64
MOST = 0.25
"""Rate limit (token bucket): seconds of processor time that look-ups may take in a burst."""
SHARE = 0.25
"""Seconds of processor time per second that look-ups may take in the long run."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Command:
    """An address that is no single parameter. arguments: OSC type tags, for the documentation."""

    address: str
    arguments: str
    text: str


COMMANDS = (
    Command(
        "/tpos/prompt/blend",
        "s s f",
        "blend two prompts: the first, the second, 0 to 1 between them (fills slots 7 and 8 of the bank)",
    ),
    Command("/tpos/motion/pan", "f f", "an XY pad: motion/pan_x and motion/pan_y in one message"),
    Command(
        "/tpos/tempo/nudge",
        "f [s]",
        "move the beat: milliseconds, or a part of it with the word beat (0.25 beat); above 0 it comes earlier",
    ),
    Command("/tpos/get", "s", "answer with the value of a parameter; wildcards give several"),
    Command("/tpos/ping", "[f]", "answer with /tpos/pong and the same number"),
    Command(
        "/tpos/subscribe", "[i]", "also send feedback to this port of yours; without a number, to the port that you use"
    ),
    Command("/tpos/unsubscribe", "[i]", "end that subscription"),
    Command("/prompt_list", "s", "JSON of texts with weights: the prompt, or a blend in the last slots of the bank"),
    Command("/seed_list", "s", "JSON of seeds with weights: the seed of the largest weight"),
    Command("/t_list", "i …", "as many denoising steps as there are numbers"),
    Command("/latent_feedback_strength", "f", "how much of the last frame stays: 1 minus it is the strength"),
    Command("/lora_weights", "s", "JSON of names with weights: lora/1 and so on, in their order, whatever the names"),
    Command("/pause", "[f]", "stop the movement of noise and drift"),
    Command("/play", "[f]", "let them move again"),
    Command("/get_status", "", "answer with the status as JSON at /status"),
)

PADS: Mapping[str, tuple[str, str]] = MappingProxyType({"motion.pan": ("motion.pan_x", "motion.pan_y")})
"""Pairs of parameters that a message of two numbers moves together, at the pair's address or at one of theirs."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "/prompt": "/tpos/prompt",
        "/negative_prompt": "/tpos/prompt/negative",
        "/blend": "/tpos/prompt/blend",
        "/seed": "/tpos/seed",
        "/guidance_scale": "/tpos/guidance",
        "/num_inference_steps": "/tpos/steps",
        "/opacity": "/tpos/out/level",
        "/tpos/tempo/multiply": "/tpos/tempo/double",
        "/tpos/tempo/divide": "/tpos/tempo/halve",
    }
)
"""Aliases: addresses of other programs, for existing patches."""

_ENDS = "no message ends a show; /tpos/out/blackout 1 hides the image, /tpos/out/freeze 1 holds it"
_BLENDS = "set how prompts are blended by /tpos/prompt/between grow (by region) or mix (of their embeddings)"
_CONTROLNET = "there is no ControlNet; /tpos/source and /tpos/source/amount let an image lead"
_IP_ADAPTER = "there is no IP-Adapter; /tpos/source FILE and /tpos/source/amount let a picture lead"
INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        "/sdmode": "draw from images by /tpos/source (none ends it) and /tpos/source/amount",
        "/stop": _ENDS,
        "/stop_streaming": _ENDS,
        "/start_streaming": "a show runs from its start; /play ends a pause",
        "/prompt_interpolation_method": _BLENDS,
        "/slerp": _BLENDS,
        "/controlnets": _CONTROLNET,
        "/use_controlnet": _CONTROLNET,
        "/controlnet_weight": _CONTROLNET,
        "/ipadapter_scale": _IP_ADAPTER,
        "/ipadapter_enable": _IP_ADAPTER,
    }
)
"""Addresses of StreamDiffusionTD that mean nothing here, and what to use instead, in one line."""


def _leaves() -> Iterator[tuple[str, Parameter]]:
    containers = {p.address.rpartition("/")[0] for p in TABLE.values()}
    for p in TABLE.values():
        yield f"{p.address}/value" if p.address in containers else p.address, p


LEAVES: Mapping[str, Parameter] = MappingProxyType(dict(_leaves()))
"""An address for each parameter that has no others below it: /tpos/prompt/value for /tpos/prompt. OSC 1.0 has values at
leaves alone, and programs that list the tree, such as Chataigne, show no value that has addresses below it."""


def _addresses() -> Iterator[tuple[str, Parameter | Command]]:
    own: dict[str, Parameter | Command] = {p.address: p for p in TABLE.values()}
    own |= {command.address: command for command in COMMANDS}
    yield from own.items()
    yield from LEAVES.items()
    for alias, address in ALIASES.items():
        yield alias, own[address]


ADDRESSES: Mapping[str, Parameter | Command] = MappingProxyType(dict(_addresses()))


def find(address: str) -> tuple[Parameter | Command, ...]:
    """The parameter or command at an address, or all parameters that an OSC pattern matches; () if unknown.

    Patterns are those of OSC 1.0 (? * [a-c] [!a-c] {one,two}), segment by segment. They match
    values only: a wildcard never fires a trigger or a command.
    """
    exact = ADDRESSES.get(address)
    if exact is not None:
        return (exact,)
    return _matching(address) if any(sign in address for sign in "*?[{") else ()


def unknown(address: str) -> str:
    """The error text for an unknown address: what to use instead, or the nearest address."""
    if address in INSTEAD:
        return f"unknown address: {INSTEAD[address]}"
    near = get_close_matches(address[:100], _SUGGESTED, n=1, cutoff=0.8)
    return f"unknown address; did you mean {near[0]}?" if near else "unknown address; `--list-osc` lists them"


def printable(address: str) -> str:
    """An address from the network with printable characters only, at most 80 of them."""
    clean = "".join(sign if sign.isprintable() else "?" for sign in address)
    return clean if len(clean) <= 80 else clean[:77] + "..."


def find_name(name: str) -> tuple[Parameter, ...]:
    """Parameters by name or address (motion.zoom, motion/zoom, /tpos/motion/zoom), or by a pattern of either."""
    path = name if name.startswith("/") else "/tpos/" + name.replace(".", "/")
    return tuple(parameter for found in find(path) for parameter in parameters_of(found))


def parameters_of(found: Parameter | Command) -> tuple[Parameter, ...]:
    """The parameters that a query of `found` returns: itself, the two of an XY pad, or none."""
    if isinstance(found, Parameter):
        return (found,)
    pad = found.address.removeprefix("/tpos/").replace("/", ".")
    return tuple(TABLE[name] for name in PADS.get(pad, ()))


def osc_value(parameter: Parameter, value: Value) -> float | int | str:
    """A value as it is sent: a number where possible, for TouchDesigner's OSC In CHOP."""
    if parameter.kind == "choice":
        return parameter.choices.index(str(value))
    if parameter.kind == "bool":
        return float(value)
    return value


class Lookups:
    """The same look-ups with a rate limit: one datagram can hold thousands of patterns and unknown addresses.

    now: seconds of any monotonic clock. One thread.
    """

    def __init__(self) -> None:
        self._spent, self._at = 0.0, 0.0

    def find(self, address: str, now: float) -> tuple[Parameter | Command, ...]:
        """As `find`. Raises ParameterError for a pattern beyond the rate limit."""
        exact = ADDRESSES.get(address)
        return (exact,) if exact is not None else self._limited(find, address, now)

    def find_name(self, name: str, now: float) -> tuple[Parameter, ...]:
        """As `find_name`. Raises ParameterError beyond the rate limit."""
        return self._limited(find_name, name, now)

    def unknown(self, address: str, now: float) -> str:
        """As `unknown`. Raises ParameterError beyond the rate limit."""
        return self._limited(unknown, address, now)

    def _limited(self, look: Callable[[str], _T], text: str, now: float) -> _T:
        self._spent = max(self._spent - SHARE * max(now - self._at, 0.0), 0.0)
        self._at = now
        if self._spent >= MOST:
            raise ParameterError("too many unknown addresses or patterns at once; this one was not looked for")
        begin = time.thread_time()
        try:
            return look(text)
        finally:
            self._spent += time.thread_time() - begin


@lru_cache(maxsize=128)
def _matching(pattern: str) -> tuple[Parameter, ...]:
    if len(pattern) > _MAX_PATTERN:
        return ()
    globs = [glob.split("/") for glob in _expand(pattern)]
    return tuple(parameter for parameter, segments in _SEGMENTS if any(_matches(segments, glob) for glob in globs))


def _matches(segments: list[str], glob: list[str]) -> bool:
    return len(glob) == len(segments) and all(map(fnmatchcase, segments, glob))


def _expand(pattern: str) -> list[str]:
    """All expansions of {a,b} in a pattern; none if there are more than _MAX_CHOICES, or a brace is not closed."""
    done, todo = [], [pattern]
    while todo:
        glob = todo.pop()
        opening = glob.find("{")
        closing = glob.find("}", opening)
        if opening < 0:
            done.append(glob)
        elif closing > 0:
            choices = glob[opening + 1 : closing].split(",")
            todo += [glob[:opening] + choice + glob[closing + 1 :] for choice in choices]
        if len(todo) + len(done) > _MAX_CHOICES:
            return []
    return done


_SUGGESTED = [one for one in ADDRESSES if not one.startswith("/tpos/map/") and not one.endswith("/value")]
_SEGMENTS = [(p, p.address.split("/")) for p in TABLE.values() if p.kind != "trigger"]
