"""The rules of a random life beside the core: lists, profiles, files, certificates, data, the way to the CSMS.

A mixin for `tests/domain/test_step.py`. Every outcome can come for every ticket: fitting, arbitrary, stale or foreign.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from edged.domain.answers import TransferStatus
from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from edged.domain.charging_commands import ClearChargingProfile, GetCompositeSchedule, SetChargingProfile
from edged.domain.commands import (
    AcceptSignedChain,
    DeleteCertificate,
    GetInstalledCertificates,
    GetLocalListVersion,
    GetLog,
    InstallCertificate,
    ListChange,
    ReceiveData,
    ReportSecurityEvent,
    RequestStart,
    SendData,
    SendLocalList,
    SetConfiguration,
    TriggerSigning,
    UpdateFirmware,
)
from edged.domain.credentials import CertificateHash, CertificateUse, LinkFailure
from edged.domain.events import (
    DataAnswer,
    Event,
    JobDone,
    JobStaged,
    LinkFailed,
    LinkProven,
    LinkUp,
    QuestionAnswered,
    SigningAnswer,
    SuspicionRaised,
)
from edged.domain.files import FirmwareOrder, LogKind, LogOrder
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
from edged.domain.station import Station
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now, RequestRef
from tests.fakes.certificates import chain_of, root_of
from tests.fakes.invariants import Witness

PLACES = st.sampled_from((0, 1, 2, 3, 4, 3, 2, 1, 9))
SOMETIMES = st.sampled_from((False, False, True))
LIMITS = st.sampled_from((0.0, 5.9, 6.0, 7.3, 10.0, 16.0, 31.9, 40.0, 100.0, 11_000.0, 4_140.0))
OFFSETS_S = st.sampled_from((None, -86_400, -100, -30, 0, 3, 60, 3600))


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Any, ...]:
    """Mostly sound ones: starts ascend from 0."""
    starts = sorted(draw(st.sets(st.sampled_from((1, 2, 5, 20, 100, 3600)), max_size=3)))
    if draw(st.integers(0, 15)):
        starts = [0, *starts]
    periods = tuple(SchedulePeriod(start_s=at, limit=draw(LIMITS)) for at in starts)
    return draw(st.sampled_from(tuple(RateUnit))), periods, draw(st.sampled_from((None, 0, 10, 50, 4000)))


class AnyOrders:
    """What the machine has: `do`, `ref`, `station`, `now`, `witness`."""

    station: Station
    now: Now
    witness: Witness
    asks: list[str]
    keys_made: int = 0

    def do(self, event: Event) -> None:
        raise NotImplementedError

    def ref(self) -> RequestRef:
        raise NotImplementedError

    # --- lists

    @rule(
        version=st.sampled_from((-1, 0, 1, 2, 3, 5, 8)),
        full=st.booleans(),
        tokens=st.lists(st.sampled_from(("ALICE", "alice", "BOB", "CARLA", "DAN", "")), max_size=3),
        status=st.sampled_from((*AuthorizationStatus, None)),
        group=st.sampled_from((None, "FLEET")),
    )
    def send_list(self, version: int, full: bool, tokens: list[str], status: Any, group: str | None) -> None:
        info = None if status is None else IdTokenInfo(status, IdToken(group) if group else None)
        changes = tuple(ListChange(IdToken(token), info) for token in tokens)
        self.do(SendLocalList(request=self.ref(), version=version, full=full, changes=changes))
        self.do(GetLocalListVersion(self.ref()))

    # --- profiles

    def profile(
        self, number: int, level: int, purpose: ProfilePurpose, kind: ProfileKind, schedule: Any, times: Any
    ) -> ChargingProfile:
        unit, periods, duration_s = schedule
        start, valid_from, valid_to = (None if s is None else self.now.utc + timedelta(seconds=s) for s in times)
        return ChargingProfile(
            id=number,
            stack_level=level,
            purpose=purpose,
            kind=kind,
            recurrency=Recurrency.DAILY if kind is ProfileKind.RECURRING else None,
            valid_from=valid_from,
            valid_to=valid_to,
            schedule=ChargingSchedule(
                unit=unit,
                periods=periods,
                duration_s=duration_s,
                start=None if kind is ProfileKind.RELATIVE else start,
            ),
        )

    @rule(
        number=st.integers(1, 6),
        level=st.sampled_from((0, 0, 1, 2, 101)),
        purpose=st.sampled_from(ProfilePurpose),
        kind=st.sampled_from(ProfileKind),
        schedule=schedules(),
        times=st.tuples(st.sampled_from((-100, -30, 0, 20, None)), OFFSETS_S, OFFSETS_S),
        place=PLACES,
        named=st.sampled_from((None, None, -1, 3)),
    )
    def set_profile(self, place: int, named: int | None, **words: Any) -> None:
        profile = self.profile(**words)
        place = 0 if profile.purpose is ProfilePurpose.STATION_MAX else place
        self.do(SetChargingProfile(request=self.ref(), connector=place, profile=profile, external_ref=named))

    @rule(number=st.integers(1, 4), limit=LIMITS, schedule=schedules(), own=st.booleans())
    def limit_who_charges(self, number: int, limit: float, schedule: Any, own: bool) -> None:
        running = self.station.running(number)
        if running is None:
            return
        purpose = ProfilePurpose.TX if own else ProfilePurpose.TX_DEFAULT
        profile = self.profile(7, 1, purpose, ProfileKind.RELATIVE, schedule, (None, None, None))
        self.do(SetChargingProfile(request=self.ref(), connector=number, profile=profile, transaction_id=running.id))

    @rule(
        profile_id=st.sampled_from((None, None, 1, 2, 3)),
        connector=st.sampled_from((None, 0, 1, 3)),
        purpose=st.sampled_from((None, *ProfilePurpose)),
        stack_level=st.sampled_from((None, 0, 1)),
        sure=SOMETIMES,
    )
    def clear_profiles(self, sure: bool, **words: Any) -> None:
        if sure:
            self.do(ClearChargingProfile(request=self.ref(), **words))

    @rule(connector=PLACES, duration_s=st.sampled_from((-1, 0, 60, 10**9)), unit=st.sampled_from((None, *RateUnit)))
    def compose(self, connector: int, duration_s: int, unit: RateUnit | None) -> None:
        self.do(GetCompositeSchedule(request=self.ref(), connector=connector, duration_s=duration_s, unit=unit))

    @rule(
        token=st.sampled_from(("ALICE", "BOB")),
        connector=st.sampled_from((None, 1, 2, 3, 4)),
        kind=st.sampled_from(ProfileKind),
        purpose=st.sampled_from((ProfilePurpose.TX, ProfilePurpose.TX, ProfilePurpose.TX_DEFAULT)),
        schedule=schedules(),
    )
    def start_with_profile(self, token: str, connector: int | None, kind: Any, purpose: Any, schedule: Any) -> None:
        profile = self.profile(6, 0, purpose, kind, schedule, (0, None, None))
        self.do(RequestStart(request=self.ref(), id_token=IdToken(token), connector=connector, profile=profile))

    # --- files

    @rule(
        signed=st.booleans(),
        location=st.sampled_from(("http://x/f.bin", "http://x/f.bin", "gopher://x", "")),
        retrieve_s=st.sampled_from((-10, 0, 3, 60)),
        install_s=st.sampled_from((None, -10, 40)),
        request_id=st.sampled_from((1, 2, 3)),
    )
    def update_firmware(
        self, signed: bool, location: str, retrieve_s: int, install_s: int | None, request_id: int
    ) -> None:
        order = FirmwareOrder(
            location=location,
            retrieve_at=self.now.utc + timedelta(seconds=retrieve_s),
            install_at=None if install_s is None or not signed else self.now.utc + timedelta(seconds=install_s),
            request_id=request_id if signed else None,
            signed=signed,
            signing_certificate="signer" if signed else "",
            signature="sig" if signed else "",
        )
        self.do(UpdateFirmware(self.ref(), order))

    @rule(
        kind=st.sampled_from(LogKind),
        location=st.sampled_from(("ftp://x/", "ftp://x/", "nothing")),
        request_id=st.sampled_from((None, 4, 5)),
    )
    def get_log(self, kind: LogKind, location: str, request_id: int | None) -> None:
        self.do(GetLog(self.ref(), LogOrder(kind=kind, location=location, filename="", request_id=request_id)))

    @rule(stage=st.sampled_from(Stage), data=st.data())
    def stage(self, stage: Stage, data: st.DataObject) -> None:
        self.do(JobStaged(self._ticket(data, self._jobs()), stage))

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """A job ends as such a job can."""
        jobs = self.witness.orders.jobs
        if jobs:
            ticket = data.draw(st.sampled_from(sorted(jobs)))
            self.do(JobDone(ticket, self._fitting(jobs[ticket], data)))

    @rule(data=st.data(), number=st.integers(1, 3), cause=st.sampled_from(Cause))
    def finish_anyhow(self, data: st.DataObject, number: int, cause: Cause) -> None:
        """Any outcome for any ticket."""
        outcomes: tuple[Outcome, ...] = (
            Done(),
            Failed("it broke", cause),
            Fetched("f", 1, "00"),
            RequestMade(f"key-{number}", "csr"),
            RootRead(root_of(f"odd {number}", CertificateUse.CSMS_ROOT, self.now.utc)),
            ChainFits(chain_of(f"key-{number}", self.now.utc, self.now.utc)),
        )
        ticket = self._ticket(data, self._jobs())
        job = self.witness.orders.jobs.get(ticket)
        outcome = data.draw(st.sampled_from(outcomes))
        if not isinstance(job, MakeRequest) or not isinstance(outcome, RequestMade):  # a key is made once
            self.do(JobDone(ticket, outcome))

    def _fitting(self, job: Job, data: st.DataObject) -> Outcome:
        if data.draw(st.integers(0, 3)) == 0:
            return Failed("it broke", data.draw(st.sampled_from(Cause)))
        match job:
            case FetchFirmware():
                return Fetched(f"firmware-{job.order.key}", 10, "00")
            case ReadRoot():
                return RootRead(root_of(job.pem, job.use, self.now.utc))
            case MakeRequest():
                self.keys_made += 1
                return RequestMade(f"made-{self.keys_made}", f"csr {self.keys_made}")
            case CheckChain() if job.keys:
                key = data.draw(st.sampled_from(job.keys))
                begins = self.now.utc + timedelta(seconds=data.draw(st.sampled_from((-9000, -5, 0, 60))))
                return ChainFits(chain_of(key.key_id, key.requested_at, begins))
            case CheckChain():
                return Failed("there is no key", Cause.INVALID)
            case _:
                return Done()

    def _jobs(self) -> list[str]:
        """Those under way, and some that are over."""
        return [*self.witness.orders.jobs, *sorted(self.witness.orders.tickets)[-2:]]

    @staticmethod
    def _ticket(data: st.DataObject, known: list[str]) -> str:
        return data.draw(st.sampled_from([*known, "unknown"]))

    # --- certificates

    @rule(use=st.sampled_from(CertificateUse), name=st.sampled_from(("one", "two", "three")))
    def install(self, use: CertificateUse, name: str) -> None:
        self.do(InstallCertificate(self.ref(), use, name))

    @rule(data=st.data(), use=st.sampled_from(CertificateUse))
    def delete(self, data: st.DataObject, use: CertificateUse) -> None:
        known = [one.hashes[0] for one in self.station.certificates.values()]
        wrong = CertificateHash(algorithm="SHA256", issuer_name_hash="", issuer_key_hash="", serial_number="0")
        self.do(DeleteCertificate(self.ref(), data.draw(st.sampled_from([*known, wrong]))))
        self.do(GetInstalledCertificates(self.ref(), (use,)))

    @rule(sure=SOMETIMES, organization=st.sampled_from(("", "Operator", "x" * 65)))
    def sign(self, sure: bool, organization: str) -> None:
        if sure:
            self.do(SetConfiguration(self.ref(), "CpoName", organization))
        self.do(TriggerSigning(self.ref()))

    @rule(chain=st.sampled_from(("chain", "chain", "x" * 10_001)))
    def signed(self, chain: str) -> None:
        self.do(AcceptSignedChain(self.ref(), chain))

    @rule(
        answer=st.sampled_from(
            (None, SigningAnswer(True), SigningAnswer(False), DataAnswer(TransferStatus.ACCEPTED, "x" * 5000))
        ),
        refused=st.sampled_from(("", "", "CALLERROR")),
        data=st.data(),
    )
    def answer(self, answer: Any, refused: str, data: st.DataObject) -> None:
        ticket = self._ticket(data, self.asks[-4:])
        self.do(QuestionAnswered(ticket, answer, refused if answer is None else ""))

    # --- data and events

    @rule(vendor=st.sampled_from(("known", "KNOWN", "x")), text=st.sampled_from((None, "", "x" * 9000)))
    def data_transfer(self, vendor: str, text: str | None) -> None:
        self.do(ReceiveData(self.ref(), vendor, None, text))
        self.do(SendData(self.ref(), vendor, "m", text))

    @rule(
        kind=st.sampled_from(("TamperDetectionActivated", "Odd\n", "x" * 80, "InvalidMessages")),
        critical=st.sampled_from((None, True, False)),
        late_s=st.sampled_from((None, -4000)),
    )
    def security_event(self, kind: str, critical: bool | None, late_s: int | None) -> None:
        at = None if late_s is None else self.now.utc + timedelta(seconds=late_s)
        self.do(ReportSecurityEvent(request=self.ref(), event_type=kind, info="i" * 300, critical=critical, at=at))
        self.do(SuspicionRaised(kind, "seen"))

    # --- the way to the CSMS

    @rule(
        key=st.sampled_from(("AuthorizationKey", "SecurityProfile")),
        value=st.sampled_from(("0" * 32, "1f" * 20, "short", "1", "2", "3", "4")),
    )
    def change_access(self, key: str, value: str) -> None:
        self.do(SetConfiguration(self.ref(), key, value))

    @rule(failure=st.sampled_from(LinkFailure), stale=SOMETIMES, again=st.sampled_from((1, 3)))
    def line_fails(self, failure: LinkFailure, stale: bool, again: int) -> None:
        for _ in range(again):
            if not self.station.link.online:
                number = self.station.access.number
                self.do(LinkFailed(number - 1 if stale else number, failure, "so it is"))

    @rule(stale=SOMETIMES)
    def line_comes(self, stale: bool) -> None:
        if not self.station.link.online:
            number = self.station.access.number
            self.do(LinkUp(number - 1 if stale else number))

    @rule(stale=SOMETIMES)
    def csms_speaks(self, stale: bool) -> None:
        if self.station.link.online:
            number = self.station.access.number
            self.do(LinkProven(number - 1 if stale else number))


__all__ = ["AnyOrders"]
