"""Every type of event really comes: the core is driven to it, and its document is as the contract says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from edged.domain.commands import ReportSecurityEvent, ResetKind, ResetStation
from edged.domain.effects import Effect
from edged.domain.events import (
    ActionPerformed,
    BootAnswered,
    Event,
    LinkUp,
    PresentToken,
    RecordGivenUp,
    Registration,
    Started,
)
from edged.domain.hardware import ActionOutcome, ChargerState, Fault, FaultCode, LockState
from edged.domain.pending import PendingUnlock
from edged.domain.types import IdToken
from edged.happenings import source_of
from edged.mqtt.events import KINDS, Category, Happening, category_of, document_of, happenings, rank_of, told
from edged.mqtt.names import Names
from edged.mqtt.options import IdTokenPolicy
from tests.fakes import mqtt_contract
from tests.fakes.site import START, Site

NAMES = Names("edged", "gw1")
OF_THE_GATEWAY = {"gateway.started", "gateway.stopping", "gateway.clock_stepped", "gateway.config_reloaded"} | {
    "gateway.spool_overflow",
    "command.executed",
    "command.refused",
}
"""Told by the gateway itself: see the tests of `happenings` and `audit`."""


@dataclass
class Watched(Site):
    """A site whose every step is asked what is worth telling."""

    happened: list[Happening] = field(default_factory=list)

    def do(self, event: Event) -> tuple[Effect, ...]:
        before = self.station
        effects = super().do(event)
        self.happened += happenings(before, self.station, effects, slug="TEST", source=source_of(event))
        return effects

    def newest(self, kind: str) -> Happening:
        found = [one for one in self.happened if one.kind == kind]
        assert found, f"{kind} did not happen; these did: {[one.kind for one in self.happened]}"
        return found[-1]

    def document(self, kind: str, policy: IdTokenPolicy = IdTokenPolicy.MASKED) -> dict[str, Any]:
        text = document_of(self.newest(kind), boot="b1", seq=413, policy=policy, salt="gw1")
        category, body = told(text, replayed=False)
        payload = json.dumps(body).encode()
        mqtt_contract.contract().judge(NAMES.event(category.value), payload, qos=1, retain=False)
        return body


@pytest.fixture
def watched() -> Watched:
    return Watched.build()


# --- the plays


def _charge(site: Watched) -> None:
    site.start(1)


def _suspend(site: Watched) -> None:
    site.start(1)
    site.look(1, ChargerState.SUSPENDED_EV)


def _end(site: Watched) -> None:
    site.start(1)
    site.unplug(1)


def _turn_away(site: Watched) -> None:
    site.plug(1)
    site.show("MALLORY", 1)
    site.refuse()


def _reserve(site: Watched) -> None:
    site.reserve(12, "ALICE", 1)


def _use(site: Watched) -> None:
    site.reserve(12, "ALICE", 1)
    site.start(1)


def _expire(site: Watched) -> None:
    site.reserve(12, "ALICE", 1, minutes=1)
    site.wait(61)


def _cancel(site: Watched) -> None:
    site.reserve(12, "ALICE", 1)
    site.cancel(12)


def _lose_the_place(site: Watched) -> None:
    site.reserve(12, "ALICE", 1)
    site.look(1, ChargerState.FAULTED, faults=(Fault(FaultCode.GROUND),))


def _reserve_twice(site: Watched) -> None:
    site.reserve(12, "ALICE", 1)
    site.reserve(13, "BOB", 1)


def _park_in_the_way(site: Watched) -> None:
    site.reserve(12, "ALICE", 1)
    site.plug(1)


def _show_a_card_in_the_way(site: Watched) -> None:
    site.reserve(12, "ALICE", 1)
    site.plug(1)
    site.show("BOB", 1)


def _fault(site: Watched) -> None:
    site.look(1, ChargerState.FAULTED, faults=(Fault(FaultCode.GROUND, vendor_code="E7", info="leak"),))


def _recover(site: Watched) -> None:
    _fault(site)
    site.look(1, ChargerState.AVAILABLE)


def _lock(site: Watched) -> None:
    site.look(1, ChargerState.AVAILABLE, lock=LockState.UNLOCKED)
    site.look(1, ChargerState.CONNECTED, lock=LockState.LOCKED)


def _unlock(site: Watched) -> None:
    site.unlock(1)
    site.wait(2)
    ticket = next(p.ticket for p in site.station.pending.values() if isinstance(p, PendingUnlock))
    site.do(ActionPerformed(ticket, ActionOutcome.DONE))


def _lose(site: Watched) -> None:
    site.lose(1)


def _out_of_service(site: Watched) -> None:
    site.available(1, False)


def _set_a_key(site: Watched) -> None:
    site.set("HeartbeatInterval", "77")


def _security(site: Watched) -> None:
    site.do(ReportSecurityEvent(request=site.ref("security_event", "mqtt:bms"), event_type="DoorOpen", info="left"))


def _connect(site: Watched) -> None:
    site.offline()
    site.do(LinkUp())


def _reject(site: Watched) -> None:
    site.restart()
    site.do(LinkUp())
    site.do(BootAnswered(Registration.REJECTED, site.now.utc, 30))


def _begin(site: Watched) -> None:
    site.restart()
    site.do(LinkUp())
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 30))


def _reset(site: Watched) -> None:
    site.do(ResetStation(site.ref("Reset"), ResetKind.SOFT))


def _drop(site: Watched) -> None:
    site.start(1)
    site.tell_security_events()
    seq = min(site.outbox)
    site.do(RecordGivenUp(seq, site.outbox[seq], "no such thing"))


PLAYS: dict[str, tuple[Callable[[Watched], None], int | None, str | None, set[str]]] = {
    "transaction.started": (_charge, 1, None, {"transaction_id", "id_token"}),
    "transaction.updated": (_suspend, 1, None, {"transaction_id", "status", "previous"}),
    "transaction.ended": (_end, 1, None, {"transaction_id", "reason", "energy_wh"}),
    "transaction.rejected": (_turn_away, 1, None, {"id_token", "reason"}),
    "reservation.made": (_reserve, 1, "csms", {"reservation_id", "id_token", "expires_at"}),
    "reservation.used": (_use, 1, None, {"reservation_id", "id_token", "expires_at"}),
    "reservation.expired": (_expire, 1, None, {"reservation_id", "id_token", "expires_at"}),
    "reservation.cancelled": (_cancel, 1, "csms", {"reservation_id", "id_token", "expires_at", "cause"}),
    "reservation.removed": (_lose_the_place, 1, None, {"reservation_id", "id_token", "expires_at"}),
    "reservation.rejected": (_reserve_twice, 1, "csms", {"reservation_id", "status"}),
    "reservation.conflict": (_park_in_the_way, 1, None, {"reservation_id", "id_token", "expires_at", "cause"}),
    "connector.status": (_fault, 1, None, {"status", "previous"}),
    "connector.link": (_lose, 1, None, {"online", "reason"}),
    "connector.fault": (_fault, 1, None, {"error_code", "vendor_error_code", "info", "blocking"}),
    "connector.fault_cleared": (_recover, 1, None, {"error_code", "vendor_error_code", "info", "blocking"}),
    "connector.lock": (_lock, 1, None, {"state", "previous"}),
    "connector.unlock": (_unlock, 1, None, {"outcome"}),
    "connector.availability": (_out_of_service, 1, "csms", {"state", "previous"}),
    "security.event": (_security, None, "mqtt:bms", {"type", "info"}),
    "config.key_changed": (_set_a_key, None, "csms", {"key", "value", "read_only", "changed_by"}),
    "ocpp.connected": (_connect, None, None, set()),
    "ocpp.disconnected": (_connect, None, None, {"reason"}),
    "ocpp.boot_accepted": (_begin, None, None, set()),
    "ocpp.boot_rejected": (_reject, None, None, {"status", "retry_in_s"}),
    "ocpp.message_dropped": (_drop, None, None, {"seq", "reason"}),
    "station.started": (_begin, None, None, {"reason", "continued"}),
    "station.reset_began": (_reset, None, "csms", {"reason"}),
}
CONTRACT = """gateway.started/stopping/clock_stepped/config_reloaded/spool_overflow
connector.status/link/fault/fault_cleared/lock/availability transaction.started/updated/ended/rejected
reservation.made/used/expired/cancelled/removed/rejected/conflict security.event config.key_changed
ocpp.connected/disconnected/boot_accepted/boot_rejected/message_dropped command.executed/refused"""


@pytest.mark.parametrize("kind", PLAYS)
def test_an_event_comes_where_it_happens_with_the_members_of_the_contract(watched: Watched, kind: str) -> None:
    play, connector, source, members = PLAYS[kind]
    play(watched)
    body = watched.document(kind)
    assert (body["event_type"], body["station"], body["connector"]) == (kind, "TEST", connector)
    assert body["source"] == source
    assert set(body["data"]) == members
    assert (body["id"], body["seq"], body["clock"], body["replayed"]) == ("b1-413", 413, "synced", False)


def test_every_type_of_the_contract_is_told_here_or_by_the_gateway() -> None:
    named = set()
    for word in CONTRACT.split():
        subject, kinds = word.split(".")
        named |= {f"{subject}.{kind}" for kind in kinds.split("/")}
    assert named <= KINDS
    assert named - OF_THE_GATEWAY <= PLAYS.keys()


def test_whatever_the_core_announces_is_a_type_that_the_contract_knows(watched: Watched) -> None:
    for play in {play for play, _, _, _ in PLAYS.values()} | {_show_a_card_in_the_way}:
        site = Watched.build()
        play(site)
        for one in site.happened:
            assert one.kind in KINDS
            site.document(one.kind)


def test_a_reservation_is_told_as_the_contract_shows_it(watched: Watched) -> None:
    watched.reserve(12, "TAG-00004711", 1, minutes=60)
    body = watched.document("reservation.made")
    assert body["data"] == {"reservation_id": 12, "id_token": "**4711", "expires_at": "2026-05-04T13:00:00Z"}
    assert body["ts"] == "2026-05-04T12:00:00.000Z"


def test_who_is_turned_away_because_of_a_reservation_is_in_conflict_with_it(watched: Watched) -> None:
    _show_a_card_in_the_way(watched)
    assert watched.newest("reservation.conflict").data["cause"] == "turned_away"
    assert watched.newest("transaction.rejected").connector == 1


def test_the_driver_of_a_reservation_is_in_conflict_with_nobody(watched: Watched) -> None:
    watched.reserve(12, "ALICE", 1)
    watched.show("ALICE", 1)
    watched.plug(1)  # while the CSMS is still being asked
    watched.accept()
    assert "reservation.conflict" not in [one.kind for one in watched.happened]


def test_what_nobody_asked_for_has_no_source_also_in_the_step_of_a_command(watched: Watched) -> None:
    watched.reserve(12, "ALICE", 1, minutes=1)
    watched.advance(90)
    watched.do(PresentToken(IdToken("BOB"), 2, watched.ref("present_token", "mqtt:bms")))
    assert watched.newest("reservation.expired").source is None


def test_the_value_of_a_key_that_nobody_may_read_is_told_to_nobody(watched: Watched) -> None:
    watched.set("AuthorizationKey", "0123456789abcdef0123")
    body = watched.document("config.key_changed")
    assert (body["data"]["value"], body["data"]["redacted"]) == (None, True)
    assert "0123456789" not in json.dumps(body)


def test_stations_do_not_tell_the_life_of_the_gateway(watched: Watched) -> None:
    watched.restart(synchronized=False)
    watched.trust(START + timedelta(hours=5))
    _reset(watched)
    assert "gateway.clock_stepped" in [e.kind for e in watched.history if hasattr(e, "kind")], "the core's log has it"
    assert not [one.kind for one in watched.happened if one.kind.startswith("gateway.")]


def test_every_type_has_its_category_and_what_matters_outlasts_a_full_spool() -> None:
    assert {category_of(kind) for kind in KINDS} == set(Category)
    assert category_of("something.new") is Category.GATEWAY
    assert rank_of("connector.status") < rank_of("ocpp.connected") < rank_of("reservation.made")
    assert rank_of("transaction.ended") == rank_of("security.event") == rank_of("reservation.made")


@pytest.mark.parametrize(
    ("policy", "shown"), [(IdTokenPolicy.NONE, None), (IdTokenPolicy.FULL, "ALICE"), (IdTokenPolicy.MASKED, "*LICE")]
)
def test_a_token_is_shown_as_the_policy_says(watched: Watched, policy: IdTokenPolicy, shown: str | None) -> None:
    watched.start(1)
    found = watched.document("transaction.started", policy)["data"]["id_token"]
    assert found == shown or (policy is IdTokenPolicy.MASKED and found != "ALICE")


def test_a_step_in_which_nothing_happens_tells_nothing(watched: Watched) -> None:
    watched.happened.clear()
    watched.wait(5)
    assert [one.kind for one in watched.happened] == []


def test_a_long_text_of_others_is_cut(watched: Watched) -> None:
    watched.lose(1)
    long = replace(watched.newest("connector.link"), data={"reason": "x" * 10_000, "online": False})
    text = document_of(long, boot="b", seq=1, policy=IdTokenPolicy.MASKED, salt="")
    assert len(text) < 2_500


def test_a_start_after_a_restart_is_told_by_its_station(watched: Watched) -> None:
    watched.do(Started(continued=True))
    assert watched.newest("station.started").data["continued"] is True
