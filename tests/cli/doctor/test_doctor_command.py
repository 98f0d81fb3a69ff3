"""`edged doctor` as it is typed: beside a running daemon, without one, with a wrong file, against servers that hang."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edged.cli import main as cli
from edged.cli.doctor.finding import PARTS
from edged.cli.doctor.session import Visit
from edged.cli.doctor.tasks import Task
from edged.store.opening import open_store
from tests.cli.doctor.servers import accepted, server, status
from tests.fakes.pki import DAY, Authority
from tests.integration.daemon import Edged, charger, site_file
from tests.integration.tyrant import Tyrant

PASSWORD = "correct-horse-battery"
NOW = datetime.now(UTC)


@dataclass
class Told:
    status: int
    out: str
    err: str

    @property
    def findings(self) -> list[dict[str, str]]:
        return list(json.loads(self.out)["findings"])

    def of(self, part: str) -> list[dict[str, str]]:
        return [each for each in self.findings if each["part"] == part]

    def bad(self, part: str) -> list[str]:
        return [each["sentence"] for each in self.of(part) if each["level"] in ("warning", "failed")]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for a Unix socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="edged-") as name:
        yield Path(name)


@pytest.fixture
async def edged(folder: Path) -> AsyncIterator[Edged]:
    daemon = Edged(folder)
    yield daemon
    await daemon.close()


def doctor(edged: Edged, capsys: pytest.CaptureFixture[str], *words: str) -> Told:
    capsys.readouterr()
    where = ("-c", str(edged.config), "--control", str(edged.control), "--state", str(edged.state_dir))
    found = cli.main(["doctor", *where, *words])
    out, err = capsys.readouterr()
    assert PASSWORD not in out + err
    return Told(found, out, err)


def write(edged: Edged, url: str, **csms: Any) -> None:
    document = site_file({"box": charger("phoenix-charx-sec", "127.0.0.1:9")}, csms=url)
    document["stations"][0]["csms"] |= csms
    edged.configure(document)


def tls_of(folder: Path, **dates: datetime) -> ssl.SSLContext:
    root = Authority.new("Test Root")
    (folder / "ca.pem").write_text(root.pem)
    return root.server(**dates).server_context(folder)


SECURE = {"security_profile": 2, "password": PASSWORD, "ca_file": "ca.pem"}


def test_a_csms_that_lets_the_station_in_is_told_with_its_certificate(edged: Edged, capsys):
    tls = tls_of(edged.folder)
    with server(accepted, tls) as csms:
        write(edged, f"wss://127.0.0.1:{csms.port}/ocpp", **SECURE)
        told = doctor(edged, capsys, "--json", "--only", "csms")
    assert told.bad("csms") == []
    assert told.status == 0
    assert {each["part"] for each in told.findings} == {"csms"}
    assert "lets CP-1 in (ocpp1.6, security profile 2)" in told.out
    assert "certificate of localhost" in told.out
    assert csms.heads[0].startswith(b"GET /ocpp/CP-1 ")


def test_an_expired_certificate_is_told_and_nothing_is_said_to_its_owner(edged: Edged, capsys):
    tls = tls_of(edged.folder, not_before=NOW - 9 * DAY, not_after=NOW - 3 * DAY)
    with server(accepted, tls) as csms:
        write(edged, f"wss://127.0.0.1:{csms.port}/ocpp", **SECURE)
        told = doctor(edged, capsys, "--only", "csms")
    assert told.status == 1
    assert "has expired on" in told.out.replace("\n           ", " ")
    assert "> openssl s_client -connect 127.0.0.1" in told.out or "> sudo timedatectl set-ntp true" in told.out
    assert csms.heads == []


def test_a_refused_password_is_told_with_what_mends_it(edged: Edged, capsys):
    with server(status(401, "Date: Thu, 01 Jan 1970 00:00:00 GMT")) as csms:
        write(edged, f"ws://127.0.0.1:{csms.port}/ocpp", password=PASSWORD)
        told = doctor(edged, capsys, "--json", "--only", "csms", "--only", "clock")
    assert told.status == 1
    assert any("HTTP 401" in each for each in told.bad("csms"))
    assert any("ahead of that of 127.0.0.1" in each for each in told.bad("clock"))


async def test_a_connected_daemon_keeps_its_line_and_is_asked_instead(edged: Edged, capsys):
    async with Tyrant(tls=tls_of(edged.folder)) as csms:
        write(edged, csms.url, **SECURE)
        await edged.up()
        await edged.knows(lambda station: station["csms"]["registration"] == "Accepted")
        told = await asyncio.to_thread(doctor, edged, capsys, "--json")
        assert csms.connections == 1, "a second line of the same identity was opened"
        assert (await edged.status())["stations"][0]["csms"]["connected"]
    assert told.bad("csms") == []
    assert "edged is connected (ocpp1.6, security profile 2)" in told.out
    assert "the running edged finds its database sound" in told.out
    assert any(each["subject"] == "box" and "left alone" in each["sentence"] for each in told.of("network"))
    assert any("127.0.0.1:9" in each for each in told.bad("bus")), told.of("bus")


async def test_a_daemon_that_is_refused_is_helped_by_the_answer_to_a_handshake(edged: Edged, capsys):
    with server(status(404)) as csms:
        write(edged, f"ws://127.0.0.1:{csms.port}/ocpp")
        await edged.up()
        await edged.knows(lambda station: "404" in str(station["csms"]["reason"]))
        told = await asyncio.to_thread(doctor, edged, capsys, "--json", "--only", "csms")
    assert told.status == 1
    assert [each["level"] for each in told.of("csms")].count("failed") == 1
    assert "does not know CP-1 at this address" in told.out


async def test_what_the_daemon_holds_is_not_opened_by_another(edged: Edged, capsys):
    with server(status(404)) as csms:
        write(edged, f"ws://127.0.0.1:{csms.port}/ocpp")
        await edged.up()
        edged.control.rename(edged.folder / "elsewhere.sock")  # nobody answers where the doctor asks
        told = await asyncio.to_thread(doctor, edged, capsys, "--json", "--only", "disk")
    assert "another edged has it open" in told.out


# --- the configuration


def test_with_a_wrong_configuration_the_rest_is_looked_at_all_the_same(edged: Edged, capsys):
    edged.config.write_text("chargers:\n\tbox: x\n")
    told = doctor(edged, capsys, "--json")
    assert told.status == 78
    assert f"{edged.config}:2" in told.of("configuration")[0]["sentence"]
    assert told.of("clock")
    assert told.of("disk")
    assert json.loads(told.out)["ok"] is False


def test_without_a_configuration_it_is_to_be_set_up(edged: Edged, capsys):
    told = doctor(edged, capsys)
    assert told.status == 78
    assert "> sudo edged setup" in told.out


def test_every_finding_has_its_part_and_every_trouble_its_command(edged: Edged, capsys):
    with server(status(403)) as csms:
        write(edged, f"ws://127.0.0.1:{csms.port}/ocpp")
        told = doctor(edged, capsys, "--json")
    assert set(json.loads(told.out)) == {"ok", "findings"}
    for each in told.findings:
        assert set(each) == {"part", "subject", "level", "sentence", "command"}
        assert each["part"] in PARTS
        assert each["level"] == "ok" or each["command"]


def test_offline_nobody_is_asked(edged: Edged, capsys):
    with server(accepted) as csms:
        write(edged, f"ws://127.0.0.1:{csms.port}/ocpp")
        told = doctor(edged, capsys, "--json", "--offline")
    assert csms.visits == 0
    assert any("--offline" in each["sentence"] for each in told.of("network"))
    assert told.of("csms") == []


def test_an_unknown_part_is_a_usage_error(edged: Edged, capsys):
    with pytest.raises(SystemExit) as leaving:
        doctor(edged, capsys, "--only", "weather")
    assert leaving.value.code == 2


# --- the store


def test_a_damaged_database_is_told_and_left_as_it_is(edged: Edged, capsys):
    write(edged, "ws://127.0.0.1:9/ocpp")
    edged.state_dir.mkdir(mode=0o750)
    path = edged.state_dir / "edged.db"
    with closing(open_store(path, wall=NOW).store):
        pass
    assert doctor(edged, capsys, "--json", "--only", "disk").bad("disk") == []
    damaged = os.urandom(8192)
    path.write_bytes(damaged)
    told = doctor(edged, capsys, "--json", "--only", "disk")
    assert told.status == 1
    assert any("the database is damaged" in each for each in told.bad("disk"))
    assert path.read_bytes() == damaged
    assert sorted(each.name for each in edged.state_dir.iterdir()) == ["edged.db", "edged.db.lock"]


# --- time


def test_whoever_hangs_is_told_as_such_and_keeps_nobody(edged: Edged):
    with server(None) as csms:
        write(edged, f"ws://127.0.0.1:{csms.port}/ocpp")
        visit = Visit(
            config=edged.config, control=edged.control, state_dir=edged.state_dir, parts=("csms",), together_s=0.3
        )
        found, is_wrong = visit.examine()
    assert not is_wrong
    assert [(each.part, each.level) for each in found] == [("csms", "warning")]
    assert "did not come to its end in time" in found[0].sentence


def test_a_bug_in_one_part_is_told_and_keeps_no_other_from_being_told():
    task: Task[int] = Task(lambda: 1 // 0, "clock")
    assert task.wait(10) is None
    assert "a bug in edged, ZeroDivisionError" in task.problem


def test_on_a_bare_computer_it_says_what_it_can(edged: Edged):
    write(edged, "ws://127.0.0.1:9/ocpp")
    paths = [each for each in sys.path if each]
    script = f"import sys; sys.path[:0] = {paths!r}; from edged.cli.main import main; sys.exit(main())"
    words = ["doctor", "-c", str(edged.config), "--control", str(edged.control), "--state", str(edged.folder / "none")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/nonexistent", "LANG": "C"},
        cwd="/",
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    assert "csms" in done.stdout
