"""Whatever a CSMS sends in 1.6 gets one answer that the schema accepts, and the station keeps its promises.

Payloads are made from the schemas and then spoilt, go in as text through the session, and meet a station in the middle
of its work; every step is judged by the invariants and kept on a disk from which the station comes back.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.dialects.v16 import POLICY, Ocpp16
from edged.dialects.v16.inbound import SUPPORTED_ACTIONS
from edged.dialects.v16.schemas import KNOWN_ACTIONS
from edged.domain.credentials import CertificateHash, CertificateUse, ClientCertificate, InstalledCertificate
from edged.domain.effects import Abandon, Ask, AskAuthorization, Commission, Enqueue, Notify, Perform, Reply, Restart
from edged.domain.events import ActionPerformed, JobDone, JobStaged, QuestionAnswered, Tick, TokenAnswered
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
from edged.domain.station import SiteRules, Vendor
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Inexpressible, NotYet
from edged.ocpp.rpc import CallReceived, ErrorCode, Session
from tests.fakes.hostile_payloads import hostile_payloads, judge_of, text_of
from tests.fakes.site import START, Site

DIALECT = Ocpp16()
PATIENCE_S = 600.0
"""Longer than anything may wait that has a deadline."""
MAX_FRAME_CHARS = 512 * 1024


# --- a station in the middle of its work, and the line to it

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
    """The CSMS's end of a line to a station that is stepped by hand. `answers`: how many came to each CALL."""

    site: Site
    session: Session
    jobs: dict[str, Job] = field(default_factory=dict)
    asked: set[RequestRef] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    restarting: bool = False

    @classmethod
    def open(cls, *, maker: bool = False) -> Line:
        """Connector 1 charges (transaction 77), 2 is reserved for BOB; an update, an upload and more are under way."""
        site = Site.build(3, policy=POLICY, rules=RULES, configuration={"CpoName": "Example"})
        installed = {one.key: one for one in ((CSMS_ROOT, MAKERS_ROOT) if maker else (CSMS_ROOT,))}
        site.station = replace(site.station, certificates=installed)
        session = Session(DIALECT.codes, new_id=lambda: "own", call_timeout_s=lambda: 30.0)
        line = cls(site, session)
        site.start(1, "ALICE")
        site.deliver(77)
        site.reserve(7, "BOB", 2, group="FAMILY")
        for action, payload in UNDER_WAY:
            line.send(action, text_of([2, f"before-{action}", action, payload]))
        return line

    def send(self, action: str, frame: str) -> None:
        """One frame of the CSMS, from the wire to what everybody sees."""
        for event in self.session.receive(frame, self.site.now.monotonic_s):
            if not isinstance(event, CallReceived):
                continue
            assert event.action == action
            request = RequestRef("csms", event.id, event.action)
            self.asked.add(request)
            decoded = DIALECT.decode_call(event.action, event.payload, request)
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
                    request = DIALECT.encode_record(effect.record, self.site.station)
                    if not isinstance(request, NotYet | Inexpressible):
                        judge_of(request.action).validate(request.payload)
                case Notify():
                    notice = DIALECT.encode_notice(effect, self.site.station, self.site.now)
                    if notice is not None:
                        judge_of(notice.action).validate(notice.payload)
                case _:
                    pass
        self._read()

    def _reply(self, reply: Reply) -> None:
        answer = DIALECT.encode_reply(reply, self.site.station)
        if isinstance(answer, CallRefused):
            self.session.reply_error(reply.request.id, answer.code, answer.description)
            return
        judge_of(f"{reply.request.action}Response").validate(answer)
        self.session.reply(reply.request.id, answer)

    def _read(self) -> None:
        for text in self.session.take_outgoing():
            kind, ident, *_ = json.loads(text)
            assert kind in (3, 4)
            self.answers[ident] += 1

    def settle(self, outcomes: st.DataObject) -> None:
        """Whatever was begun comes to an end, well, badly, or by its deadline."""
        for ticket, job in tuple(self.jobs.items()):
            if outcomes.draw(st.booleans()):
                self.do(JobStaged(ticket, outcomes.draw(st.sampled_from(Stage))))
            self.jobs.pop(ticket, None)
            self.do(JobDone(ticket, outcomes.draw(st.sampled_from(outcomes_of(job)))))
        for effect in tuple(self.site.history[-50:]):
            match effect:
                case Ask():
                    junk = outcomes.draw(
                        st.sampled_from([{}, {"status": "Accepted"}, {"status": 5}, {"status": []}, None])
                    )
                    if junk is None:
                        self.do(QuestionAnswered(effect.ticket, None, "CALLERROR"))
                    else:
                        self.do(DIALECT.decode_question_answer(effect.ticket, effect.question, junk))
                case AskAuthorization():
                    self.do(TokenAnswered(effect.ticket, None))
                case Perform() if outcomes.draw(st.booleans()):
                    self.do(ActionPerformed(effect.ticket, outcomes.draw(st.sampled_from(ActionOutcome))))
                case _:
                    pass

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


SOON = "2026-05-04T12:05:00Z"
LIST = [{"idTag": "BOB", "idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}}]
UNDER_WAY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("SendLocalList", {"listVersion": 1, "updateType": "Full", "localAuthorizationList": LIST}),
    ("GetLog", {"logType": "SecurityLog", "requestId": 5, "log": {"remoteLocation": "https://example.com/"}}),
    ("UpdateFirmware", {"location": "https://example.com/fw", "retrieveDate": SOON}),
    ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}),
    ("InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"}),
    (
        "SetChargingProfile",
        {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                "stackLevel": 1,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Relative",
                "transactionId": 77,
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
                },
            },
        },
    ),
)


CALLABLE = sorted(SUPPORTED_ACTIONS)
NOT_FOR_US = sorted(KNOWN_ACTIONS - SUPPORTED_ACTIONS)
ACTIONS = st.sampled_from(CALLABLE)


@pytest.mark.parametrize("action", CALLABLE)
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_call_gets_one_answer_that_the_schema_accepts(action: str, data: st.DataObject):
    hold_a_conversation(data, st.just(action))


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_calls_of_all_kinds_in_any_order_are_each_answered_once(data: st.DataObject):
    hold_a_conversation(data, ACTIONS)


@pytest.mark.parametrize("action", NOT_FOR_US)
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_only_a_station_may_call_is_refused_whatever_it_says(action: str, data: st.DataObject):
    refused = DIALECT.decode_call(action, data.draw(hostile_payloads(action)), RequestRef("csms", "1", action))
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.NOT_SUPPORTED


def hold_a_conversation(data: st.DataObject, actions: st.SearchStrategy[str]) -> None:
    """Up to six calls in the middle of other work, until everything has come to its end and the station is back."""
    line = Line.open(maker=data.draw(st.booleans()))
    wanted: dict[str, int] = {}
    for number in range(data.draw(st.integers(1, 6))):
        action = data.draw(actions)
        frame = text_of([2, f"hostile-{number}", action, data.draw(hostile_payloads(action))])
        wanted[f"hostile-{number}"] = int(readable(frame))
        line.send(action, frame)
        line.leap(data.draw(st.sampled_from([0.0, 1.0, 40.0])))
        if data.draw(st.booleans()):
            line.settle(data)
    for seconds in (1.0, 30.0, 120.0, PATIENCE_S, 1.0, 1.0):
        line.settle(data)
        line.leap(seconds)
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
