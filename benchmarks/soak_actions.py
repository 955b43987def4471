"""The actions of `soak.py`: prompts, looks, floods of OSC, recordings, lost inputs, in random order."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tpos_live.runtime.demo import PROMPTS
from tpos_live.runtime.live_session import LiveSession

PICTURE = Path(__file__).parent.parent / "docs" / "sharp.webp"
FLOOD = 2000
"""OSC messages of a flood."""
SOURCES = ("none", "none", "scene:prompt", "lavfi:testsrc2=size=1280x720:rate=25", str(PICTURE))
KINDS = ("prompt", "look", "flood", "record", "resize", "fullscreen", "seed", "words", "source", "input")
"""Kinds of actions; "input" needs --fake."""


def kinds(text: str) -> tuple[str, ...]:
    """The kinds of actions in an argument, separated by commas."""
    named = tuple(text.split(","))
    if unknown := [name for name in named if name not in KINDS]:
        raise argparse.ArgumentTypeError(f"unknown kind {unknown[0]!r}; choose from {', '.join(KINDS)}")
    return named


def until_later(seconds: float) -> Callable[[], bool]:
    """A function that returns True after so many seconds."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


class Actions:
    """Random actions on a show, by a random generator of its own."""

    def __init__(self, session: LiveSession, mic: Any, seed: int, only: tuple[str, ...]) -> None:
        """mic: the fake microphone; None = no action on the input. only: kinds of actions to use."""
        actions = [self._prompt, self._look, self._flood, self._record, self._resize, self._fullscreen, self._seed]
        actions += [self._words, self._source, self._input]
        named = dict(zip(KINDS, actions, strict=True))
        self._actions = [(name, named[name]) for name in only if name != "input" or mic]
        self._session, self._mic, self._chance = session, mic, random.Random(seed)
        self.counts: dict[str, int] = {}
        self._stored = 0
        self._away = False

    def act(self) -> None:
        name, action = self._chance.choice(self._actions)
        self.counts[name] = self.counts.get(name, 0) + 1
        action()

    def rest(self) -> None:
        """Bring the show into the state that samples at rest compare: no source, no recording, a small window, with
        input."""
        self._session.store.update({"source": "none", "out.record": False, "out.fullscreen": False})
        self._session.display.run(until_later(2.0))  # a full screen has no size
        if (window := getattr(self._session.display, "_window", None)) is not None:
            window.set_size(640, 360)
        if self._away:
            self._input()

    def _prompt(self) -> None:
        self._session.store.set("prompt", self._chance.choice(PROMPTS)[1])

    def _words(self) -> None:
        """Set a prompt that was not used before."""
        first, second = (self._chance.choice(PROMPTS)[1] for _ in range(2))
        self._session.store.set("prompt", f"{first} with {second} number {self._chance.randrange(10**6)}")

    def _source(self) -> None:
        self._session.store.set("source", self._chance.choice(SOURCES))

    def _seed(self) -> None:
        self._session.store.set("seed", self._chance.randrange(2**31))

    def _look(self) -> None:
        if self._stored < 4:
            self._stored += 1
            self._session.store.set("look.store", f"look {self._stored}")
        else:
            self._session.store.set("look.recall", f"look {self._chance.randint(1, self._stored)}")

    def _flood(self) -> None:
        from pythonosc.udp_client import SimpleUDPClient

        client = SimpleUDPClient("127.0.0.1", self._session.osc.port)
        for number in range(FLOOD):
            client.send_message("/tpos/motion/zoom", number % 100 / 1000)

    def _record(self) -> None:
        store = self._session.store
        store.set("out.record", not store.snapshot()["out.record"])

    def _resize(self) -> None:
        window = getattr(self._session.display, "_window", None)
        if window is not None and not window.fullscreen:
            window.set_size(self._chance.randrange(320, 1280, 2), self._chance.randrange(180, 720, 2))

    def _fullscreen(self) -> None:
        store = self._session.store
        store.set("out.fullscreen", not store.snapshot()["out.fullscreen"])

    def _input(self) -> None:
        (self._mic.resume if self._away else self._mic.suspend)()
        self._away = not self._away
