"""What leaves in an archive or in the security log: enough to help, bounded, and nothing that is secret."""

from __future__ import annotations

import json
import logging
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edged import diagnostics
from edged.diagnostics import Diagnostics, journalctl_of, versions
from edged.domain.credentials import Access, Way
from edged.domain.files import LogKind, LogOrder
from edged.domain.journal import Journal, SecurityEntry
from edged.domain.station import Station
from edged.domain.types import SecretText, Stamp
from edged.settings import CsmsSettings, GatewaySettings, MqttSettings, Secret, Settings, StationSettings
from edged.store.memory import MemoryStore
from edged.store.port import Journaled, Writes
from edged.system import logs
from tests.fakes.site import START, station

SITE, BROKER, CSMS, FORMER = "site-Passw0rd-1234", "broker/Passw0rd=", "csms-Passw0rd-5678", "former-Passw0rd-90"
ORDER = LogOrder(kind=LogKind.DIAGNOSTICS, location="x", filename="x")
SECURITY = replace(ORDER, kind=LogKind.SECURITY)


def settings(path: Path | None) -> Settings:
    csms = CsmsSettings(url="ws://h", versions=("ocpp1.6",), password=Secret(SITE))
    return Settings(
        gateway=GatewaySettings(id="g"),
        chargers={},
        stations=(StationSettings(id="TEST", csms=csms, evses=()),),
        mqtt=MqttSettings(host="h", port=1, password=Secret(BROKER)),
        path=path,
    )


def secretive() -> Station:
    access = Access(way=Way(password=SecretText(CSMS)), former=Way(password=SecretText(FORMER)))
    return replace(station(), access=access)


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("edged.diagnosed")
    logger.setLevel(logging.INFO)
    logs.recent.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(logs.recent)
    yield logger
    logger.removeHandler(logs.recent)


def bench(path: Path | None = None, *, journalctl: str | None = None, status: Any = None) -> Diagnostics:
    return Diagnostics(
        settings=settings(path),
        store=MemoryStore(),
        status=lambda: {"gateway": "g", "leak": SITE} if status is None else status,
        journalctl=journalctl,
    )


def keep(store: Any, *events: tuple[str, int, str]) -> None:
    for kind, minutes, info in events:
        at = START + timedelta(minutes=minutes)
        entry = SecurityEntry(at=Stamp(at, True, "b"), event_type=kind, info=info)
        from edged.store.codec import encode

        writes = Writes(journal=(Journaled(Journal.SECURITY, at, encode(entry)),))
        store.commit("TEST", writes, at)


async def archive(one: Diagnostics, target: Path, order: LogOrder = ORDER) -> dict[str, str]:
    await one.write(order, secretive(), target)
    with tarfile.open(target) as found:
        return {member.name: found.extractfile(member).read().decode() for member in found}  # type: ignore[union-attr]


async def test_an_archive_says_what_there_is(tmp_path: Path, log: logging.Logger) -> None:
    path = tmp_path / "edged.yaml"
    path.write_text(
        f"stations:\n  - csms: {{password: {SITE}}}\nmqtt:\n  url: mqtt://h\n  password: ${{credential:x}}\n"
    )
    one = bench(path)
    keep(one.store, ("StartupOfTheDevice", 0, f"with {FORMER}"))
    log.info("it went %s and %s", "well", CSMS)
    found = await archive(one, tmp_path / "a")
    parts = {"status.json", "buses.json", "history.json", "versions.json", "keys.json", "edged.yaml", "security.log"}
    parts |= {"log.txt"}
    assert set(found) == parts
    assert '"gateway": "g"' in found["status.json"] and "mqtt://h" in found["edged.yaml"]
    assert "HeartbeatInterval" in found["keys.json"] and "AuthorizationKey" not in found["keys.json"]
    assert "StartupOfTheDevice" in found["security.log"] and "it went well" in found["log.txt"]
    everything = "\n".join(found.values())
    for secret in (SITE, BROKER, CSMS, FORMER):
        assert secret not in everything
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "edged.yaml"]


async def test_what_outlived_reboots_goes_along_without_a_secret(tmp_path: Path) -> None:
    crash = tmp_path / "last_crash.txt"
    one = replace(bench(status={"history": {"starts": 7, "runs": []}}), last_crash=crash)
    assert "last_crash.txt" not in await archive(one, tmp_path / "a")
    crash.write_text(f"ValueError: {SITE}\n")
    found = await archive(one, tmp_path / "b")
    assert json.loads(found["history.json"])["starts"] == 7
    assert found["last_crash.txt"] == "ValueError: ***\n"


async def test_what_the_lines_say_of_themselves_is_a_part_of_its_own(tmp_path: Path) -> None:
    buses = {"/dev/ttyUSB0": {"efficiency": 0.97, "down_reason": f"a name with {SITE}"}}
    found = await archive(bench(status={"gateway": "g", "buses": buses}), tmp_path / "a")
    assert json.loads(found["buses.json"]) == {"/dev/ttyUSB0": {"efficiency": 0.97, "down_reason": "a name with ***"}}
    assert json.loads((await archive(bench(), tmp_path / "b"))["buses.json"]) == {}


async def test_a_configuration_that_cannot_be_read_is_no_reason_to_send_nothing(tmp_path: Path) -> None:
    found = await archive(bench(tmp_path / "none.yaml"), tmp_path / "a")
    assert "cannot be read" in found["edged.yaml"]
    assert (await archive(bench(None), tmp_path / "b"))["edged.yaml"] == ""


@pytest.mark.req("TC_079_CS")
async def test_the_security_log_is_text_between_two_moments(tmp_path: Path) -> None:
    one = bench()
    keep(one.store, ("A", 0, ""), ("B", 1, "two\nlines \x1b[1m"), ("C", 2, CSMS), ("D", 3, ""))
    order = replace(SECURITY, oldest=START + timedelta(minutes=1), latest=START + timedelta(minutes=2))
    await one.write(order, secretive(), tmp_path / "s")
    first, *lines = (tmp_path / "s").read_text().splitlines()
    assert first == "# security log of TEST"
    assert lines == ["2026-05-04T12:01:00+00:00 B two lines  [1m", "2026-05-04T12:02:00+00:00 C ***"]


async def test_the_security_log_dates_what_a_wrong_clock_stamped(tmp_path: Path) -> None:
    one = bench()
    keep(one.store, ("A", 0, ""))
    wrong = replace(station(), corrections={"b": 3600.0})
    from edged.store.codec import encode

    entry = SecurityEntry(at=Stamp(START, False, "b"), event_type="B")
    one.store.commit("TEST", Writes(journal=(Journaled(Journal.SECURITY, START, encode(entry)),)), START)
    await one.write(SECURITY, wrong, tmp_path / "s")
    assert "2026-05-04T13:00:00+00:00 B" in (tmp_path / "s").read_text()


# --- the journal


def program(folder: Path, *lines: str) -> str:
    path = folder / "journalctl"
    path.write_text("\n".join(["#!/bin/sh", f'echo "$@" > {folder / "asked"}', *lines]))
    path.chmod(0o755)
    return str(path)


async def test_the_units_journal_is_taken_where_there_is_one(tmp_path: Path) -> None:
    one = bench(journalctl=program(tmp_path, f"echo a line with {SITE}", "printf 'no end'"))
    order = replace(ORDER, oldest=START, latest=START + timedelta(hours=1))
    found = await archive(one, tmp_path / "a", order)
    assert found["journal.log"] == "a line with ***\nno end" and "log.txt" not in found
    asked = (tmp_path / "asked").read_text()
    assert f"--since=@{START.timestamp():.0f}" in asked and "--unit=edged" in asked
    assert not list(tmp_path.glob("*.journal"))


async def test_a_time_before_all_journals_is_their_beginning(tmp_path: Path) -> None:
    """Some CSMSs' word for "from the beginning" is the first moment of the year 1."""
    order = replace(ORDER, oldest=datetime(1, 1, 1, tzinfo=UTC))
    await archive(bench(journalctl=program(tmp_path, "echo a line")), tmp_path / "a", order)
    assert "--since=@0" in (tmp_path / "asked").read_text().split()


@pytest.mark.parametrize("line", ["exit 1", "true"])
async def test_without_an_entry_the_last_ones_in_memory_are_taken(
    tmp_path: Path, log: logging.Logger, line: str
) -> None:
    log.info("in memory")
    found = await archive(bench(journalctl=program(tmp_path, line)), tmp_path / "a")
    assert "in memory" in found["log.txt"] and "journal.log" not in found


async def test_without_the_program_the_same(tmp_path: Path) -> None:
    assert "log.txt" in await archive(bench(journalctl="/nowhere/journalctl"), tmp_path / "a")


async def test_a_journal_that_takes_for_ever_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "JOURNAL_S", 0.2)
    assert "log.txt" in await archive(bench(journalctl=program(tmp_path, "exec sleep 60")), tmp_path / "a")


async def test_a_journal_without_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "MAX_JOURNAL_BYTES", 300_000)
    monkeypatch.setattr(diagnostics, "MAX_ARCHIVE_BYTES", 100_000)
    endless = program(tmp_path, "exec yes 'an entry of the journal that says always the same'")
    found = await archive(bench(journalctl=endless), tmp_path / "a")
    assert "an entry" in found["journal.log"]
    assert (tmp_path / "a").stat().st_size <= 100_000


async def test_a_secret_is_found_wherever_the_pieces_of_a_long_journal_end(tmp_path: Path) -> None:
    script = f'i=0; while [ $i -lt 12000 ]; do echo "$i {SITE} {"x" * 20}"; i=$((i+1)); done'
    found = await archive(bench(journalctl=program(tmp_path, script)), tmp_path / "a")
    assert SITE not in found["journal.log"] and found["journal.log"].count("***") == 12000


def test_only_a_service_has_a_journal_of_its_own() -> None:
    assert journalctl_of({}) is None and journalctl_of({"INVOCATION_ID": "ab"}) == "journalctl"


def test_the_versions_name_what_runs_here() -> None:
    assert {"edged", "python", "machine", "system"} <= set(versions())


def test_what_is_recent_is_bounded_and_can_be_asked_for_by_time() -> None:
    recent = logs.Recent()
    recent.setFormatter(logging.Formatter("%(message)s"))
    for number in range(recent.MAX_ENTRIES + 10):
        record = logging.LogRecord("edged", logging.INFO, "", 0, f"{number} " + "x" * 5000, None, None)
        record.created = float(number)
        recent.emit(record)
    lines = recent.lines()
    assert len(lines) == recent.MAX_ENTRIES and len(lines[0]) == recent.MAX_CHARS
    assert [line.split()[0] for line in recent.lines(100.0, 102.0)] == ["100", "101", "102"]
