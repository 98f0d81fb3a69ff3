"""The CSMS's end of a line to a station that is stepped by hand: hostile calls in, every answer judged.

Text goes in as it would from the wire, through the session, the dialect and the core; the shells' part is played at the
station's best and worst. Every step is judged by the invariants and kept on a disk from which the station comes back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from edged.domain.credentials import CertificateHash, CertificateUse, ClientCertificate, InstalledCertificate
from edged.domain.effects import (
    Abandon,
    Ask,
    AskAuthorization,
    Commission,
    Enqueue,
    Notify,
    Perform,
    Reply,
    ReportPage,
    Restart,
)
from edged.domain.events import (
    ActionPerformed,
    JobDone,
    JobStaged,
    QuestionAnswered,
    RecordDelivered,
    RecordGivenUp,
    Tick,
    TokenAnswered,
)
from edged.domain.hardware import ActionOutcome
from edged.domain.jobs import (
    Cause,
    ChainFits,
    CheckChain,
    Done,
    Failed,
    Fetched,
    FetchFirmware,
    Job,
    MakeRequest,
    Outcome,
    ReadRoot,
    RequestMade,
    RootRead,
    Stage,
)
from edged.domain.pending import PendingReport
from edged.domain.station import SiteRules, Vendor
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Dialect, Inexpressible, NotYet
from edged.ocpp.rpc import CallReceived, Request, Session
from tests.fakes.hostile_payloads import TRANSACTION, Version, text_of
from tests.fakes.site import START, Site

PATIENCE_S = 600.0
"""Longer than anything may wait that has a deadline."""
MAX_FRAME_CHARS = 512 * 1024
MAX_PAGES = 100
CSMS_ROOT = InstalledCertificate(
    use=CertificateUse.CSMS_ROOT,
    pem="ROOT PEM",
    fingerprint="ab",
    subject="CN=root",
    hashes=(CertificateHash(algorithm="SHA256", issuer_name_hash="ab", issuer_key_hash="ab", serial_number="1"),),
    not_before=START,
    not_after=START + timedelta(days=365),
)
MAKERS_ROOT = replace(CSMS_ROOT, use=CertificateUse.MANUFACTURER_ROOT)
NOBODYS = ClientCertificate(key_id="nobody's", requested_at=START, chain="CHAIN PEM")
OURS = replace(NOBODYS, key_id="key-1", not_before=START, not_after=START + timedelta(days=90))
FAILURES = tuple(Failed("it went wrong", cause) for cause in Cause)
RULES = SiteRules(
    vendors={"com.example": Vendor(answer="thanks")},
    installs_firmware=True,
    security_profile=1,
    has_password=True,
    has_root=True,
)


@dataclass
class Line:
    """By the ids of CALLs: `answers`: how many came, `codes`: CALLERRORs, `results`: CALLRESULTs. `notices`: what the
    CSMS was told and has not answered."""

    site: Site
    dialect: Dialect
    version: Version
    session: Session = field(init=False)
    jobs: dict[str, Job] = field(default_factory=dict)
    asked: set[RequestRef] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    codes: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    notices: list[Notify] = field(default_factory=list)
    restarting: bool = False
    transaction: str = ""

    def __post_init__(self) -> None:
        self.session = Session(self.dialect.codes, new_id=lambda: "own", call_timeout_s=lambda: 30.0)

    def begin(self, calls: tuple[tuple[str, Mapping[str, Any]], ...]) -> None:
        """The work in the middle of which it all happens."""
        self.transaction = next(iter(self.site.station.transactions), "")
        for number, (action, payload) in enumerate(calls):
            self.send(action, text_of([2, f"before-{number}", action, payload]))

    def send(self, action: str, frame: str) -> None:
        """One frame of the CSMS, from the wire to what everybody sees."""
        frame = frame.replace(TRANSACTION, self.transaction)
        for event in self.session.receive(frame, self.site.now.monotonic_s):
            if not isinstance(event, CallReceived):
                continue
            assert event.action == action
            request = RequestRef("csms", event.id, event.action)
            self.asked.add(request)
            decoded = self.dialect.decode_call(event.action, event.payload, request)
            if isinstance(decoded, CallRefused):
                assert decoded.description and len(decoded.description) <= 255
                self.session.reply_error(event.id, decoded.code, decoded.description)
            else:
                self.do(decoded)
        self._read()

    def do(self, event: Any) -> None:
        """A step, and what the shells would make of it."""
        self._saw(self.site.do(event))

    def _saw(self, effects: Any) -> None:
        for effect in effects:
            match effect:
                case Reply() if effect.request in self.asked:
                    self._reply(effect)
                case Commission():
                    self.jobs[effect.ticket] = effect.job
                case Abandon():
                    self.jobs.pop(effect.ticket, None)
                case Restart():
                    self.restarting = True
                case Enqueue():
                    self._told(self.dialect.encode_record(effect.record, self.site.station))
                case AskAuthorization():
                    self._told(self.dialect.encode_authorization(effect))
                case Ask():
                    self._told(self.dialect.encode_question(effect.question, self.site.station))
                case Notify():
                    self._told(self.dialect.encode_notice(effect, self.site.station, self.site.now))
                    self.notices.append(effect)
                case _:
                    pass
        self._read()

    def _told(self, request: Request | NotYet | Inexpressible | None) -> None:
        """What the CSMS would be told, through JSON."""
        if isinstance(request, Request):
            payload = json.loads(json.dumps(request.payload, allow_nan=False))
            self.version.judge_call(request.action, payload)

    def _reply(self, reply: Reply) -> None:
        answer = self.dialect.encode_reply(reply, self.site.station)
        if isinstance(answer, CallRefused):
            self.session.reply_error(reply.request.id, answer.code, answer.description)
            return
        self.version.judge_answer(reply.request.action, json.loads(json.dumps(answer, allow_nan=False)))
        self.session.reply(reply.request.id, answer)

    def _read(self) -> None:
        for text in self.session.take_outgoing():
            kind, ident, *rest = json.loads(text)
            assert kind in (3, 4)
            self.answers[ident] += 1
            if kind == 4:
                self.codes[ident] = rest[0]
            else:
                self.results[ident] = rest[0]

    # --- what the others do

    def settle(self, chance: st.DataObject) -> None:
        """Whatever was begun comes to an end, well, badly, or by its deadline."""
        for ticket, job in tuple(self.jobs.items()):
            if chance.draw(st.booleans()):
                self.do(JobStaged(ticket, chance.draw(st.sampled_from(Stage))))
            self.jobs.pop(ticket, None)
            self.do(JobDone(ticket, chance.draw(st.sampled_from(outcomes_of(job)))))
        for effect in tuple(self.site.history[-50:]):
            match effect:
                case Ask():
                    self._answer(effect, chance)
                case AskAuthorization():
                    answer = chance.draw(self.version.hostile_answers("Authorize"))
                    if answer is None:
                        self.do(TokenAnswered(effect.ticket, None))
                    else:
                        self.do(self.dialect.decode_authorization(effect.ticket, answer))
                case Perform() if chance.draw(st.booleans()):
                    self.do(ActionPerformed(effect.ticket, chance.draw(st.sampled_from(ActionOutcome))))
                case _:
                    pass
        self._take(chance)
        notices, self.notices = self.notices[-5:], []
        for notice in notices:
            answer = chance.draw(self.version.hostile_answers(notice.kind.value))
            meant = None if answer is None else self.dialect.decode_notice_answer(notice, answer)
            if meant is not None:
                self.do(meant)

    def _answer(self, question: Ask, chance: st.DataObject) -> None:
        """By a result, good or not, by a CALLERROR, or not at all."""
        if question.ticket not in self.site.station.pending:
            return
        request = self.dialect.encode_question(question.question, self.site.station)
        manner = chance.draw(st.sampled_from(["answered", "answered", "refused", "never"]))
        if request is None or manner == "refused":
            self.do(QuestionAnswered(question.ticket, None, "CALLERROR"))
            return
        answer = chance.draw(self.version.hostile_answers(request.action)) if manner == "answered" else None
        if answer is None:
            self.do(QuestionAnswered(question.ticket, None))
        else:
            self.do(self.dialect.decode_question_answer(question.ticket, question.question, answer))

    def _take(self, chance: st.DataObject) -> None:
        """Some of what waits for the CSMS, as it says, or none of it."""
        for seq in sorted(self.site.outbox)[: chance.draw(st.integers(0, 5))]:
            record = self.site.outbox[seq]
            request = self.dialect.encode_record(record, self.site.station)
            if isinstance(request, Inexpressible):
                self.do(RecordDelivered(seq, record))
            if not isinstance(request, Request):
                continue
            answer = chance.draw(self.version.hostile_answers(request.action))
            taken = None if answer is None else self.dialect.decode_record_answer(seq, record, answer)
            if taken is not None:
                self.do(taken)
            elif chance.draw(st.booleans()):
                self.do(RecordGivenUp(seq, record, "the CSMS does not take it"))

    def finish_reports(self, answer: Callable[[Ask], QuestionAnswered]) -> None:
        """Every report comes to its end, whatever is said to its pages."""
        for _ in range(MAX_PAGES):
            reports = [p for p in self.site.station.pending.values() if isinstance(p, PendingReport)]
            if not reports:
                return
            for one in reports:
                page = ReportPage(
                    kind=one.kind,
                    request_id=one.request_id,
                    seq_no=one.seq_no,
                    more=False,
                    generated_at=one.generated_at,
                    items=(),
                )
                self.do(answer(Ask(one.ticket, page)))
        raise AssertionError("a report has no end")

    def leap(self, seconds: float) -> None:
        """Time passes at once: the chargers are looked at, then everything is due that is."""
        if self.restarting:
            return
        self.site.advance(seconds)
        for number, connector in self.site.station.connectors.items():
            if connector.online:
                self._saw(self.site.look(number, connector.state))
        self.do(Tick())


def outcomes_of(job: Job) -> tuple[Outcome, ...]:
    """How a job can end, and some ways in which it cannot."""
    good: tuple[Outcome, ...] = (Done(),)
    match job:
        case FetchFirmware():
            good = (Fetched("firmware-1", 100, "00"),)
        case ReadRoot():
            good = tuple(RootRead(replace(CSMS_ROOT, use=job.use, fingerprint=f"{n:02x}")) for n in range(3))
        case MakeRequest():
            good = (RequestMade("key-1", "CSR PEM"),)
        case CheckChain():
            good = (ChainFits(NOBODYS), ChainFits(OURS))
        case _:
            pass
    return (*good, *good, *FAILURES, Done())


def hold_a_conversation(line: Line, chance: st.DataObject, actions: st.SearchStrategy[str]) -> None:
    """Up to six calls in the middle of other work, until everything has come to its end and the station is back."""
    wanted: dict[str, int] = {}
    for number in range(chance.draw(st.integers(1, 6))):
        action, ident = chance.draw(actions), f"hostile-{number}"
        frame = text_of([2, ident, action, chance.draw(line.version.hostile(action))])
        wanted[ident] = int(readable(frame))
        line.send(action, frame)
        line.leap(chance.draw(st.sampled_from([0.0, 1.0, 40.0])))
        if chance.draw(st.booleans()):
            line.settle(chance)
    for seconds in (1.0, 30.0, 120.0, PATIENCE_S, 1.0, 1.0):
        line.settle(chance)
        line.leap(seconds)
    line.finish_reports(lambda page: QuestionAnswered(page.ticket, None, "CALLERROR"))
    unread = line.answers.pop(line.dialect.codes.unreadable_id or "", 0)
    assert unread <= sum(not count for count in wanted.values())
    assert {ident: line.answers[ident] for ident in wanted} == wanted
    assert set(line.answers.values()) == {1}
    line.site.restart()


def readable(frame: str) -> bool:
    """Whether there is an id under which it can be answered."""
    if len(frame) > MAX_FRAME_CHARS:
        return False
    try:
        json.loads(frame)
    except (ValueError, RecursionError):
        return False
    return True
