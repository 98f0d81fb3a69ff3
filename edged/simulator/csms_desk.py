"""What the simulated CSMS does with the frames that stations send: note them, judge them, answer them.

Owns the rules and the scripts; knows sessions, but neither doors nor who is connected.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial

from websockets.exceptions import ConnectionClosed

from edged.simulator.csms_record import Direction, Kind
from edged.simulator.csms_rules import Payload, Rules, Waiting
from edged.simulator.csms_scripts import CallFromStation, ErrorAnswer, Later, Scripts, Silence
from edged.simulator.csms_session import CsmsCallError, Session, parse


class Desk:
    """`station_timeout_s`: how long a station waits for an answer before it may send its next CALL."""

    def __init__(self, *, station_timeout_s: float | None) -> None:
        self.rules = Rules()
        self.scripts = Scripts()
        self._station_timeout_s = station_timeout_s
        self._broken_scripts: list[asyncio.Task[None]] = []

    def close(self) -> None:
        """Raises what a scripted answer raised."""
        for task in self._broken_scripts:
            task.result()

    def line(self, session: Session, *, up: bool) -> None:
        """The session has begun, or has ended and no other has taken its place."""
        if session.version.conduct is not None:
            session.version.conduct.line(session.station.identity, up=up, at=datetime.now(UTC))

    def asks(self, session: Session, action: str, payload: Payload) -> None:
        """The CSMS is about to call the station."""
        if session.version.conduct is not None:
            self.rules.asked(session.version.conduct, session.station, action=action, payload=payload)

    def received(self, session: Session, message: str | bytes) -> None:
        """A frame came."""
        note, station, conduct = partial(session.note, Direction.RECEIVED), session.station, session.version.conduct
        match parse(message):
            case [2, str(message_id), str(action), dict(payload)]:
                note(Kind.CALL, message, message_id=message_id, action=action, payload=payload)
                self._called(session, message_id, action, payload)
            case [3, str(message_id), payload]:
                asked = session.answered(message_id, payload)
                note(Kind.RESULT, message, message_id=message_id, action=asked[0] if asked else "", payload=payload)
                if conduct is not None:
                    self.rules.answer(conduct, station, asked=asked, payload=payload)
            case [4, str(message_id), str(code), str(description), details]:
                asked = session.answered(message_id, CsmsCallError(code, description, details))
                note(Kind.ERROR, message, message_id=message_id, action=asked[0] if asked else "", payload=details)
                if conduct is not None:
                    self.rules.refused(conduct, station, asked=asked)
            case _:
                note(Kind.MALFORMED, message)
                self.rules.sin(station, f"a frame is no OCPP-J message: {message[:80]!r}")

    def _called(self, session: Session, message_id: str, action: str, payload: dict[str, object]) -> None:
        code = None
        if session.version.conduct is not None:
            code = self.rules.call(
                session.version.conduct,
                session.station,
                session.view,
                message_id=message_id,
                action=action,
                payload=payload,
                now_s=time.monotonic(),
            )
        session.view.in_flight[message_id] = Waiting(action=action)
        call = CallFromStation(
            station=session.station.identity,
            connection=session.number,
            message_id=message_id,
            action=action,
            payload=payload,
        )
        fault = None if code is None else ErrorAnswer(code, "see the CSMS's record")
        task = asyncio.create_task(self._reply(session, call, fault))
        session.answering.add(task)
        task.add_done_callback(partial(self._replied, session))

    def _replied(self, session: Session, task: asyncio.Task[None]) -> None:
        session.answering.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._broken_scripts.append(task)

    async def _reply(self, session: Session, call: CallFromStation, fault: ErrorAnswer | None) -> None:
        usual = session.version.usual
        answer = fault if fault is not None else await self.scripts.decide(call, usual)
        while isinstance(answer, Later):
            await asyncio.sleep(answer.delay_s)
            answer = await self.scripts.resolve(answer.answer, call, usual)
        if isinstance(answer, Silence) or session.half_open:
            self._swallowed(session, call)
            return
        session.view.in_flight.pop(call.message_id, None)
        if isinstance(answer, ErrorAnswer):
            text: list[object] = [4, call.message_id, answer.code, answer.description, dict(answer.details)]
        else:
            text = [3, call.message_id, answer]
            self._told(session, call, answer)
        try:
            await session.send(text, action=call.action)
        except ConnectionClosed:
            return

    def _swallowed(self, session: Session, call: CallFromStation) -> None:
        if self._station_timeout_s is None:
            session.view.in_flight.pop(call.message_id, None)
        else:
            session.view.in_flight[call.message_id].until_s = time.monotonic() + self._station_timeout_s

    def _told(self, session: Session, call: CallFromStation, answer: Payload) -> None:
        if session.version.conduct is not None:
            self.rules.told(
                session.version.conduct,
                session.station,
                session.view,
                message_id=call.message_id,
                action=call.action,
                payload=answer,
                now_s=time.monotonic(),
            )
