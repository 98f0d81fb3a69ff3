"""RAPI as a line's language: one controller, alone on its line, which also speaks without being asked.

Owns the talk with each master (a converter may let in several: all hear what is said unasked, each its own replies).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from edged.simulator.device import SimulatedDevice
from edged.simulator.line import Language, Outlet, Talk
from edged.simulator.makes.openevse import OpenEvse
from edged.simulator.parts import Impossible
from edged.simulator.rapi import InputBuffer
from edged.simulator.wire import deliver_text

wire_log = logging.getLogger("edged.wire")


class RapiExchange(Language):
    """Asks the controller of a line. `catch_up` brings the physics to the present before."""

    def __init__(self, *, catch_up: Callable[[], None], dice: random.Random) -> None:
        self._controller: OpenEvse | None = None
        self._catch_up = catch_up
        self._dice = dice
        self._talks: set[_RapiTalk] = set()

    def add(self, device: SimulatedDevice) -> None:
        """`Impossible` where it does not speak RAPI, or another is there."""
        if not isinstance(device, OpenEvse):
            raise Impossible(f"{device.name}: a {device.make} does not speak RAPI, give it a line of its own")
        if self._controller is not None:
            raise Impossible(f"{device.name}: {self._controller.name} is there already, and RAPI knows no addresses")
        self._controller = device
        device.announce = self._announce

    def talk(self, outlet: Outlet) -> Talk:
        talk = _RapiTalk(self, outlet)
        self._talks.add(talk)
        return talk

    def forget(self, talk: _RapiTalk) -> None:
        self._talks.discard(talk)

    def ask(self, line: bytes, outlet: Outlet) -> None:
        """Let the controller hear a line, and answer where it does."""
        self._catch_up()
        if self._controller is None:
            return
        reply = self._controller.answer(line)
        wire_log.debug("%s: %r -> %r", self._controller.name, line, reply)
        if reply is not None:
            self._send(reply, outlet)

    def _announce(self, frame: bytes) -> None:
        wire_log.debug("unasked: %r", frame)
        for talk in list(self._talks):
            self._send(frame, talk.outlet)

    def _send(self, frame: bytes, outlet: Outlet) -> None:
        assert self._controller is not None
        delivery = deliver_text(frame, faults=self._controller.wire, dice=self._dice)
        if delivery is not None:
            outlet.send(delivery.frame, delay_s=delivery.late_s)


class _RapiTalk(Talk):
    def __init__(self, exchange: RapiExchange, outlet: Outlet) -> None:
        self._exchange = exchange
        self.outlet = outlet
        self._buffer = InputBuffer()

    def feed(self, data: bytes) -> None:
        for line in self._buffer.feed(data):
            self._exchange.ask(line, self.outlet)

    def close(self) -> None:
        self._exchange.forget(self)
