"""One station's link to its CSMS: drives the OCPP-J session with a dialect, over a connection.

Owns what is under way to the CSMS and in which order it goes: answers at once; then, one CALL at a time, the boot,
questions about tokens, and in the order in which they arose reports and the durable records. A backlog from an
offline time goes behind what is new about the station (16-J-31, 16-AUTH-11), never among itself out of order.

Refuses to know: what a status means, what a version calls things, how a socket works. Keeps no fact of the station:
it sees the committed one at every step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edged.csms.connection import Connection
from edged.csms.course import Course, SettingsFor
from edged.csms.failure import Failure
from edged.csms.items import InquiryItem, Item, NoticeItem, QuestionItem, RowItem
from edged.csms.outcomes import Outcomes
from edged.csms.proof import Proof
from edged.csms.reports import Reports
from edged.csms.suspicions import Suspicions
from edged.csms.waiting import Waiting
from edged.domain import routes
from edged.domain.effects import (
    Ask,
    AskAuthorization,
    Dequeue,
    Effect,
    Enqueue,
    Lane,
    LearnTime,
    NoticeKind,
    Notify,
    Record,
    Reply,
    lane_of,
)
from edged.domain.events import (
    BootFailed,
    Event,
    LinkDown,
    LinkFailed,
    LinkUp,
    QuestionAnswered,
    RecordDelivered,
    RecordGivenUp,
    Registration,
    RegistrationLost,
    TokenAnswered,
    VersionAgreed,
)
from edged.domain.security_event import SecurityEvent
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef
from edged.log_fields import about, fields
from edged.ocpp.dialect import CallRefused, Dialect, Inexpressible, NotYet, computed_for
from edged.ocpp.framing import LocalProtocolError
from edged.ocpp.masking import id_of, masked
from edged.ocpp.message_id import record_message_id
from edged.ocpp.outbox import Outbox, OutboxRow
from edged.ocpp.rpc import CallReceived, ErrorCode, ErrorReceived, ResultReceived, Session

_log = logging.getLogger(__name__)
_wire = logging.getLogger("edged.wire")

CSMS = "csms"

ReadOutbox = Callable[[Lane, int, int], Sequence[tuple[int, Record]]]


class Link:
    """Implements `ports.CsmsLink` and the connection's listener. Everything runs in the event loop, nothing waits.

    `dialect`: the version in force. `further`: those that the CSMS may agree on as well; `agreed` is told the one that
    it did, when it is another.
    """

    def __init__(
        self,
        station: Station,
        dialect: Dialect,
        *,
        post: Callable[[Event], bool],
        new_id: Callable[[], str],
        monotonic: Callable[[], float],
        read_outbox: ReadOutbox,
        settings_for: SettingsFor | None = None,
        further: Iterable[Dialect] = (),
        agreed: Callable[[str], None] = lambda subprotocol: None,
        max_frame_bytes: int = 512 * 1024,
    ) -> None:
        self._station = station
        self._versions = {one.subprotocol: one for one in (dialect, *further)}
        self._agreed = agreed
        self._post = post
        self._monotonic = monotonic
        self._connection: Connection | None = None
        self._read_outbox = read_outbox
        self.session = Session(
            dialect.codes,
            new_id=new_id,
            call_timeout_s=lambda: routes.message_timeout_s(self._station),
            max_frame_bytes=max_frame_bytes,
        )
        self.outbox = Outbox(
            lambda: self._station.configuration.number("TransactionMessageAttempts"),
            lambda: self._station.configuration.number("TransactionMessageRetryInterval"),
            self._refill,
            guaranteed=(Lane.SECURITY.value,),
        )
        self._course = Course(settings_for)
        self._suspicions = Suspicions(post, monotonic)
        self._proof = Proof(post)
        self._use(dialect)
        self._waiting = Waiting(self.outbox, monotonic)
        self._serving = self._outdated = self._forgotten = self._undated = False
        self._registration = Registration.NONE
        self._live_from = 0
        self._lost_at_s: float | None = None
        self._long_away = False
        self._ping_interval_s: int | None = None
        self.dropped = 0
        self.on_frame: Callable[[str, str | bytes], None] | None = None
        """Is given every frame as it is, "in" (from the CSMS) or "out"; returns at once."""
        self.reason = "not connected yet"

    def _use(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._reports = Reports(dialect)
        self._outcomes = Outcomes(dialect, self._reports, self.outbox, post=self._post, monotonic=self._monotonic)

    def attach(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.connected

    @property
    def subprotocol(self) -> str:
        """Of the version in force: that of the line, or of the last one."""
        return self._dialect.subprotocol

    # --- the connection's listener

    def opened(self, subprotocol: str) -> None:
        """Another version than before is the core's first news of this line: until it has taken it up, and the line,
        nothing is sent. What the former line has asked is answered no more."""
        self.reason = ""
        threshold_s = self._station.configuration.number("OfflineThreshold")
        self._long_away = self._lost_at_s is not None and self._monotonic() - self._lost_at_s > threshold_s
        dialect = self._versions.get(subprotocol, self._dialect)
        if dialect is not self._dialect:
            self._use(dialect)
            self.session.speak(dialect.codes)
            self._agreed(subprotocol)
            layouts = [connector.layout for connector in self._station.connectors.values()]
            self._post(VersionAgreed(dialect.policy, computed_for(dialect, layouts)))
        self._outcomes.refusals.opened()
        self._proof.opened(self._course.number(self._connection))
        self._post(LinkUp(self._proof.number))

    def closed(self, reason: str) -> None:
        """Nothing that was under way counts any more; durable rows keep their place and their attempts."""
        self.reason = reason
        if self._serving:
            self._lost_at_s = self._monotonic()
        lost = self.session.lost()
        if isinstance(lost, RowItem):
            self.outbox.unsent(lost.row.seq)
        inquiries = [lost] if isinstance(lost, InquiryItem) else []
        for item in (*inquiries, *self._waiting.inquiries()):
            self._post(QuestionAnswered(item.inquiry.ticket, None))
        self._waiting.clear()
        self._forget_reports()
        self._serving = False
        self._outdated = self._station.link.online
        self._post(LinkDown(reason, self._proof.number))

    def failed(self, failure: Failure) -> None:
        self.reason = str(failure.reason)
        self._post(LinkFailed(self._course.number(self._connection), failure.security, failure.reason))

    def received(self, frame: str | bytes) -> None:
        self._show_on_wire("in", frame)
        with about(message_id=id_of(frame)):
            self._received(frame)

    def _received(self, frame: str | bytes) -> None:
        unasked = self.session.counters.unasked
        for event in self.session.receive(frame, self._monotonic()):
            match event:
                case CallReceived():
                    self._called(event)
                case ResultReceived():
                    self._outcomes.answered(event.ref, event.payload)
                case ErrorReceived():
                    self._refused(event.ref, event.code, event.description)
                case _:
                    _log.warning("%s: a frame of the CSMS is refused: %s", self._station.identity.id, event)
                    self._suspicions.note(SecurityEvent.INVALID_MESSAGES, event.reason)
            self._proof.heard(event, self._station, self._outcomes.registration)
        if self.session.counters.unasked > unasked:
            self._suspicions.note(SecurityEvent.REPLAY, "an answer to something that was not asked")
        self._pump()

    # --- the CSMS asks

    def _called(self, call: CallReceived) -> None:
        if (self._outcomes.registration or self._station.link.registration) is Registration.REJECTED:
            if self._station.policy.refuses_when_rejected:
                self.session.reply_error(call.id, ErrorCode.SECURITY, "the CSMS has rejected this station")
            else:
                self.session.ignore(call.id)
            return
        event = self._dialect.decode_call(call.action, call.payload, RequestRef(CSMS, call.id, call.action))
        if isinstance(event, CallRefused):
            self.session.reply_error(call.id, event.code, event.description)
        elif not self._post(event):
            self.session.reply_error(call.id, ErrorCode.INTERNAL, "too many requests are waiting")

    def reply(self, reply: Reply, station: Station) -> None:
        self._station = station
        if self._too_late(reply.request):
            return
        answer = self._dialect.encode_reply(reply, station)
        try:
            if isinstance(answer, CallRefused):
                self.session.reply_error(reply.request.id, answer.code, answer.description)
            else:
                self.session.reply(reply.request.id, answer)
        except LocalProtocolError as error:
            what, extra = reply.request, fields(message_id=reply.request.id)
            _log.error("%s: an answer to %s was not sent: %s", station.identity.id, what.action, error, extra=extra)
        self._flush_frames()

    def refuse(self, request: RequestRef, reason: str) -> None:
        if self._too_late(request):
            return
        answer = self._dialect.encode_failure(request.action)
        if answer is None:
            self.session.reply_error(request.id, ErrorCode.INTERNAL, reason)
        else:
            self.session.reply(request.id, answer)
        self._flush_frames()

    def _too_late(self, request: RequestRef) -> bool:
        """Whether the request was made in another version than is spoken now: its answer has no words in this one."""
        if not self.session.foreign(request.id):
            return False
        self.session.ignore(request.id)
        return True

    # --- the engine shows

    def show(self, station: Station, now: Now, effects: Sequence[Effect]) -> None:
        self._station = station
        self._follow_registration(station)
        self._follow_ping(station)
        self._course.follow_isolation(station, self._connection)
        for effect in effects:
            match effect:
                case Notify():
                    self._notify(effect, now)
                case AskAuthorization():
                    self._push(QuestionItem(effect, self._dialect.encode_authorization(effect)))
                case Ask():
                    self._ask(effect)
                case Enqueue():
                    self.outbox.add(OutboxRow(effect.seq, lane_of(effect.record).value, effect.record))
                case Dequeue():
                    self._outcomes.dequeued(effect.seq)
                case _:
                    pass
        for timed_out in self.session.poll(now.monotonic_s):
            extra = fields(message_id=timed_out.id)
            _log.warning("%s: the CSMS did not answer in time", station.identity.id, extra=extra)
            self._outcomes.without_answer(timed_out.ref)
        self._course.follow(station, self._connection, now.monotonic_s, busy=not self.session.idle)
        self._undated = not station.clock.synchronized and any(isinstance(effect, LearnTime) for effect in effects)
        if self._undated:
            return  # the time becomes known behind this step: what is told next is dated by it
        for item in self._reports.due(station, now.monotonic_s, serving=self._serving):
            self._waiting.report(item)
        self._pump()

    def _follow_registration(self, station: Station) -> None:
        link = station.link
        fresh = link.registration is Registration.ACCEPTED and self._registration is not Registration.ACCEPTED
        self._registration = link.registration
        if fresh:
            self._reports.reset()
        self._outdated = self._outdated and link.online
        self._forgotten = self._forgotten and link.registration is Registration.ACCEPTED
        serving = link.serving and self.connected and not self._outdated and not self._forgotten
        if serving and not self._serving:
            self._live_from = station.next_seq
            if self._long_away and station.policy.all_after_outage:
                self._reports.reset()
            self._lost_at_s = None
            self._reports.begin()
            if self._connection is not None:
                self._connection.settled()
        elif self._serving and not serving:
            self._forget_reports()
        self._serving = serving

    def _forget_reports(self) -> None:
        """What waits or is under way of them counts no more, whatever becomes of it."""
        self._waiting.drop_reports()
        self._reports.end()

    def _follow_ping(self, station: Station) -> None:
        interval_s = station.configuration.number("WebSocketPingInterval")
        if interval_s != self._ping_interval_s and self._connection is not None:
            self._ping_interval_s = interval_s
            self._connection.set_ping_interval(interval_s)

    def _notify(self, notice: Notify, now: Now) -> None:
        if not notice.triggered and self._waiting.has(notice):
            return  # the one that waits says it
        request = self._dialect.encode_notice(notice, self._station, now)
        if request is not None and notice.kind is NoticeKind.STATUS:
            item = self._reports.triggered(notice.connector or 0, request, self._station)
            if self._push(item):
                self._reports.told(item, now.monotonic_s)
        elif request is not None:
            self._push(NoticeItem(notice, request, self._station.next_seq))
        elif notice.kind is NoticeKind.BOOT:
            self._post(BootFailed())

    def _ask(self, inquiry: Ask) -> None:
        request = self._dialect.encode_question(inquiry.question, self._station)
        if request is None:
            self._post(QuestionAnswered(inquiry.ticket, None, "this OCPP version has no message for it"))
        else:
            self._push(InquiryItem(inquiry, request, self._station.next_seq))

    def _push(self, item: Item) -> bool:
        """Perishable: without a line it is not kept, and a CSMS that answers nothing does not fill the memory."""
        if self.connected and self._waiting.push(item):
            return True
        self.dropped += 1
        if isinstance(item, QuestionItem):
            self._post(TokenAnswered(item.question.ticket, None))
        elif isinstance(item, InquiryItem):
            self._post(QuestionAnswered(item.inquiry.ticket, None))
        return False

    # --- one CALL at a time

    def _pump(self) -> None:
        while self.connected and self.session.idle and not (self._forgotten or self._undated or self._course.moving):
            item = self._waiting.choose(
                serving=self._serving, registration=self._registration, live_from=self._live_from
            )
            if item is None:
                break
            if isinstance(item, RowItem):
                if not self._send_row(item):
                    break
            else:
                self.session.call(item.request, item, self._monotonic())
            self._flush_frames()
        self._flush_frames()

    def _send_row(self, item: RowItem) -> bool:
        request = self._dialect.encode_record(item.row.record, self._station)
        if isinstance(request, NotYet):
            return False
        self.outbox.sending(item.row.seq)
        if isinstance(request, Inexpressible):
            self._post(RecordGivenUp(item.row.seq, item.row.record, "this OCPP version has no message for it"))
            return True
        if self._outcomes.refusals.deaf(item.row):
            self._post(RecordDelivered(item.row.seq, item.row.record))  # it has been said once that they are dropped
            return True
        seq, record = item.row.seq, item.row.record
        message_id = record_message_id(self._station.identity.id, seq, record, refusals=self._outcomes.refusals.of(seq))
        self.session.call(request, item, self._monotonic(), message_id=message_id)
        return True

    def _flush_frames(self) -> None:
        for frame in self.session.take_outgoing():
            self._show_on_wire("out", frame)
            if self._connection is None or not self._connection.send(frame):
                return

    def _show_on_wire(self, way: str, frame: str | bytes) -> None:
        if self.on_frame is not None:
            self.on_frame(way, frame)
        if _wire.isEnabledFor(logging.DEBUG):
            told = self._station.identity.id, "<-" if way == "in" else "->", masked(frame)
            _wire.debug("%s %s %s", *told, extra=fields(message_id=id_of(frame)))

    async def flush(self, timeout_s: float) -> None:
        if self._connection is not None and self._connection.connected:
            await self._connection.flush(timeout_s)

    # --- the CSMS answers

    def _refused(self, item: Any, code: ErrorCode, description: str) -> None:
        sure = not self._serving or self._forgotten
        if code is ErrorCode.SECURITY and self._outcomes.doubts.believe(item, sure=sure):
            _log.warning("%s: the CSMS has forgotten the station", self._station.identity.id)
            self._forgotten = True
            self._post(RegistrationLost())
            if isinstance(item, RowItem):
                self.outbox.unsent(item.row.seq)
                return
        _log.warning("%s: the CSMS refuses a message: %s %s", self._station.identity.id, code, description)
        self._outcomes.refused(item, code)

    def _refill(self, *, lane: str, after_seq: int, limit: int) -> Sequence[OutboxRow]:
        rows = self._read_outbox(Lane(lane), after_seq, limit)
        return [OutboxRow(seq, lane, record) for seq, record in rows]
