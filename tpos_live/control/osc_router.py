"""The OSC router: applies messages to parameters. Handles types, triggers, repeats, queries and errors."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from tpos_live.control import osc_commands
from tpos_live.control.osc_addresses import PADS, Command, Lookups, osc_value, parameters_of, printable
from tpos_live.control.osc_packets import Message, read
from tpos_live.control.osc_senders import AnswerLimit
from tpos_live.control.triggers import fire
from tpos_live.core.parameter import Parameter, ParameterError, Value, parse_number, shorten
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import ORDERS, TABLE
from tpos_live.core.shown import COMMANDS
from tpos_live.core.status import Status

log = logging.getLogger(__name__)

SILENCE = 0.25
"""Seconds without a message at an address after which the next one counts as new."""
HELD = 3
"""Equal messages in a row, each within SILENCE, after which a value counts as repeated in every frame."""
_MAX_LOGGED = 256
"""Most addresses and hosts whose errors are logged."""


class Datagram(NamedTuple):
    """data: the bytes. host, port: of the sender. time: of arrival, seconds of any monotonic clock."""

    data: bytes
    host: str
    time: float
    port: int = 0


@dataclass(slots=True)
class _LastMessage:
    """The last message at one address, and how often it was repeated."""

    args: tuple[Any, ...] = ()
    time: float = -math.inf
    repeats: int = 0


@dataclass(slots=True)
class Button:
    """Detects the rising edge of a button that sends to a trigger's address. name: of the trigger. time, on: of the
    last message."""

    name: str
    time: float = -math.inf
    on: bool = False

    def fires(self, args: tuple[Any, ...], now: float) -> bool:
        """Whether the message fires the trigger: no argument, a rising edge (0 to non-zero), or non-zero after SILENCE.
        Raises ParameterError."""
        bare = not args or args in ((None,), ("bang",))
        number = 1.0 if bare else parse_number(args[-1])  # of several values the last is a button's state
        if number is None:
            raise ParameterError(f"{self.name} takes a number, not {shorten(args[-1])}")
        on = number != 0
        rises = on and (bare or not self.on or now - self.time >= SILENCE)
        self.on, self.time = on and not bare, now
        return rises


class Router:
    """Applies messages to the store, in order; the values of one batch become one change.

    TouchDesigner sends every channel in every frame. So a repeated value (HELD) is ignored until it changes or pauses:
    otherwise it would overwrite keys and panic.

    Thread contract: one thread calls `apply`; the attributes may be read from anywhere.
    """

    def __init__(
        self,
        store: ParameterStore,
        answer: Callable[[str, str, float | int | str], None],
        subscribe: Callable[[str, int, float, bool], None] | None = None,
        status: Callable[[], Status] = Status,
    ) -> None:
        """answer(host, address, value): sends one OSC message back. subscribe(host, port, now, on): begins or ends a
        subscription, None = not available. status: returns the status."""
        self._status = status
        self._store = store
        self._answer = answer
        self._subscribe = subscribe
        self._last_messages: dict[str, _LastMessage] = {}
        self._buttons: dict[str, Button] = {}
        self._pending: dict[str, Value] = {}
        self._logged: set[str] = set()
        self._limit = AnswerLimit()
        self._lookups = Lookups()
        self.received = 0
        """Count of messages, valid or not, with repeats."""
        self.bad = 0
        """Count of invalid packets and messages."""
        self.understood = ""
        """The last message that was applied, as text."""
        self.applied: dict[str, float] = {}
        """Time at which OSC last set each parameter, on the clock of `Datagram.time`."""

    def apply(self, batch: Iterable[Datagram]) -> None:
        """Apply all messages of a batch. Invalid packets are counted and never raise."""
        for datagram in batch:
            messages, problems = read(datagram.data)
            for problem in problems:
                self.received += 1
                self._count_error(problem.address or datagram.host, datagram.host, problem.text)
            if self._pending.keys() & COMMANDS:
                self._flush()  # the last of two commands wins; commands in one bundle are one state
            for message in messages:
                self.received += 1
                try:
                    self._message(message, datagram)
                except ParameterError as error:
                    self._count_error(message.address, datagram.host, str(error))
        self._flush()

    def _message(self, message: Message, sender: Datagram) -> None:
        address, args = message
        now = sender.time
        if address.endswith("/?") or args == ("?",):
            return self._answer_query(self._lookups.find(address.removesuffix("/?"), now), address, sender)
        found = self._lookups.find(address, now)
        if not found:
            raise ParameterError(self._lookups.unknown(address, now))
        errors = []
        for target in found:
            try:
                self._hand_to(target, message, sender)
            except ParameterError as error:  # what else a pattern matches may take the value
                errors.append(error)
        if errors:
            raise errors[0]

    def _hand_to(self, target: Parameter | Command, message: Message, sender: Datagram) -> None:
        """Hand a message to one of the targets of its address. Raises ParameterError."""
        address, args = message
        now = sender.time
        if isinstance(target, Command):
            self._command(target, args, sender)
        elif target.kind == "trigger":
            if self._buttons.setdefault(address, Button(target.name)).fires(args, now):
                self._flush()
                fire(self._store, target.name)
                self.applied[target.name], self.understood = now, target.address
        elif len(args) == 2 and (pad := _PAD_OF.get(target.name)):
            self._set(target.address, _pad_values(pad, args), args, now)
        else:
            value = target.parse(_argument(target, args))
            if isinstance(value, str):
                value = " ".join(value.split())
            if len(args) > 1 and target.kind != "text":
                which = "last" if target.kind == "bool" else "first"
                self._log_once(address, sender.host, f"takes one value, not {len(args)}: the {which} is used")
            self._set(target.address, {target.name: value}, args, now)

    def _set(self, address: str, values: dict[str, Value], args: tuple[Any, ...], now: float) -> None:
        """Keep the values of a message until `_flush`, unless it is repeated in every frame."""
        if self._is_repeated(address, args, now):
            return
        for name, value in values.items():
            self._pending.pop(name, None)  # so that the dict is ordered by the newest values
            self._pending[name] = value
            self.applied[name] = now
        self.understood = f"{address} {' '.join(map(str, values.values()))}".rstrip()
        if not values.keys().isdisjoint(ORDERS):  # each one is carried out, with the values at this moment
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._store.update(self._pending)
            self._pending = {}

    def _is_repeated(self, address: str, args: tuple[Any, ...], now: float) -> bool:
        last = self._last_messages.setdefault(address, _LastMessage())
        same = args == last.args and now - last.time < SILENCE
        last.repeats = last.repeats + 1 if same else 0
        last.args, last.time = args, now
        return last.repeats >= HELD

    def _command(self, command: Command, args: tuple[Any, ...], sender: Datagram) -> None:
        name, host = command.address.removeprefix("/tpos/"), sender.host
        if name == "ping":
            number = parse_number(args[0]) if args else None
            self._answer(host, "/tpos/pong", 1.0 if number is None else number)
        elif name == "motion/pan":
            if len(args) != 2:
                raise ParameterError(f"takes two numbers, x and y, not {len(args)}")
            self._set(command.address, _pad_values(PADS["motion.pan"], args), args, sender.time)
        elif name in ("subscribe", "unsubscribe"):
            if self._subscribe is None:
                raise ParameterError("there is no feedback to subscribe to")
            port = osc_commands.port(args, host, sender.port)
            self._subscribe(host, port, sender.time, name == "subscribe")
        elif name == "get":
            if len(args) != 1 or not isinstance(args[0], str):
                raise ParameterError("takes one name, for example motion.zoom")
            self._answer_query(self._lookups.find_name(args[0], sender.time), args[0], sender)
        elif name == "/get_status":
            if self._limit.grant(host, 1, sender.time):
                self._answer(host, "/status", json.dumps(asdict(self._status())))
        elif (values := self._values(name, args)) and not (
            name in _FADERS and self._is_repeated(command.address, args, sender.time)
        ):
            self._pending |= values
            self.understood = f"{command.address} {' '.join(map(str, args))}".rstrip()

    def _values(self, name: str, args: tuple[Any, ...]) -> dict[str, Value]:
        """The values that a command sets; empty for the release of a button."""
        if name == "prompt/blend":
            return osc_commands.blend(args)
        if name == "/prompt_list":
            return osc_commands.prompt_list(args)
        if name == "/seed_list":
            return osc_commands.seed_list(args)
        if name in _FADERS:
            return _FADERS[name](args)
        if name == "tempo/nudge":
            self._flush()
            shift = float(self._store.snapshot()["tempo.shift"])
            return osc_commands.nudge(args, shift, self._status().tempo)
        if name == "/t_list":
            return {"steps": TABLE["steps"].parse(len(args))}
        number = 1.0 if args in osc_commands.BARE else parse_number(args[0])
        if number is None:
            raise ParameterError(f"takes no value, not {shorten(args[0])}")
        return {"pause": name == "/pause"} if number else {}

    def _answer_query(self, found: Iterable[Parameter | Command], asked: str, sender: Datagram) -> None:
        self._flush()
        host = sender.host
        snapshot = self._store.snapshot()
        parameters = [parameter for target in found for parameter in parameters_of(target)]
        if not parameters:
            raise ParameterError(self._lookups.unknown(asked.removesuffix("/?"), sender.time))
        granted = self._limit.grant(host, len(parameters), sender.time)
        if granted < len(parameters):
            self._log_once(asked, host, f"asks for {len(parameters)} values; {granted} are sent, ask for fewer")
        for parameter in parameters[:granted]:
            if parameter.kind == "trigger":
                self._answer(host, parameter.address, snapshot.fired(parameter.name))
            else:
                self._answer(host, parameter.address, osc_value(parameter, snapshot[parameter.name]))

    def _count_error(self, about: str, host: str, text: str) -> None:
        """Count an invalid message, and log it once per address."""
        self.bad += 1
        self._log_once(about, host, text)

    def _log_once(self, about: str, host: str, text: str) -> None:
        if about in self._logged or len(self._logged) >= _MAX_LOGGED:
            return
        self._logged.add(about)
        line = f"OSC from {host}: {text}" if about == host else f"OSC {printable(about)} from {host}: {text}"
        if len(self._logged) == _MAX_LOGGED:
            line += "; further errors are only counted"
        log.info(line)
        self._answer(host, "/tpos/status/error", line)


def _pad_values(pad: tuple[str, str], args: tuple[Any, ...]) -> dict[str, Value]:
    """Both numbers of an XY pad. Raises ParameterError if one is invalid."""
    return {name: TABLE[name].parse(arg) for name, arg in zip(pad, args, strict=True)}


def _argument(parameter: Parameter, args: tuple[Any, ...]) -> object:
    """The value of a message. A text is all arguments joined by spaces, because Max splits texts at spaces."""
    if parameter.kind == "text":
        if len(args) == 1 and args[0] is not None:
            return args[0]
        if args and not any(isinstance(arg, str | None) for arg in args):
            raise ParameterError(f"{parameter.name} takes a text, not {len(args)} numbers")
        words = [f"{arg:g}" if isinstance(arg, float) else str(arg) for arg in args if arg is not None]
        if not words:
            raise ParameterError(f"{parameter.name} takes a text")
        return " ".join(words)
    if not args:
        raise ParameterError(f"{parameter.name} takes one value, not 0")
    # Pads send (pad number, button state) to a switch; faders send (value, …).
    return args[-1] if parameter.kind == "bool" else args[0]


_PAD_OF = {name: pair for pair in PADS.values() for name in pair}
"""The pair of an XY pad, by the name of either parameter."""
_FADERS = {"/latent_feedback_strength": osc_commands.feedback, "/lora_weights": osc_commands.lora_weights}
"""Commands for faders, which may repeat their value in every frame."""
