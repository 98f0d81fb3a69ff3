"""How far the doctor goes to a CSMS: never so far that the station's own line could be thrown out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.cli.doctor.configuration import STAND_IN, Site, read_site
from edged.cli.doctor.csms import StationFacts
from edged.cli.doctor.daemon import Daemon, Presence
from edged.cli.doctor.look_csms import look_at_station
from edged.cli.doctor.names import Resolver
from edged.cli.doctor.session import hosts_of
from edged.cli.doctor.store import Kept
from tests.cli.doctor.servers import Server, accepted, server

SITE = """\
chargers:
  left: {{profile: phoenix-charx-sec, tcp: "127.0.0.1:1"}}
stations:
  - id: DEPOT-7
    csms: {{url: "ws://127.0.0.1:{port}/ocpp", password: the-password-of-the-file}}
    evses: [{{charger: left}}]
mqtt: {{url: "mqtt://broker.example.com"}}
"""


def site_for(folder: Path, port: int, **more: Any) -> Site:
    path = folder / "edged.yaml"
    path.write_text(SITE.format(port=port))
    site = read_site(path)
    assert site.settings is not None, site.errors
    return Site(page=site.page, settings=site.settings, mode=site.mode, **more)


def look(
    folder: Path,
    csms: Server,
    daemon: Daemon,
    *,
    by_now: bool | None = False,
    kept: Kept | None = None,
    stand_ins: bool = False,
) -> StationFacts:
    site = site_for(folder, csms.port, stand_ins=stand_ins)
    assert site.settings is not None
    return look_at_station(
        site.settings.stations[0],
        site,
        daemon,
        Resolver(),
        kept=kept or Kept(),
        connected=lambda _: by_now,
        offline=False,
    )


def running(**csms: Any) -> Daemon:
    return Daemon(presence=Presence.RUNNING, status={"stations": [{"id": "DEPOT-7", "csms": csms}]})


@pytest.mark.parametrize(
    ("daemon", "by_now", "goes_in"),
    [
        (Daemon(), False, True),
        (Daemon(presence=Presence.FORBIDDEN), False, False),
        (Daemon(presence=Presence.SILENT), False, False),
        (running(connected=True), False, False),
        (running(), False, False),
        (Daemon(presence=Presence.RUNNING, status={"stations": "odd"}), False, False),
        (running(connected=False), False, True),
        (running(connected=False), True, False),
    ],
    ids=["none", "forbidden", "silent", "connected", "untold", "odd", "away", "away, and back meanwhile"],
)
def test_a_handshake_is_tried_only_where_nobody_is_connected(
    tmp_path: Path, daemon: Daemon, by_now: bool, goes_in: bool
):
    with server(accepted) as csms:
        facts = look(tmp_path, csms, daemon, by_now=by_now)
    assert (csms.heads != []) is goes_in
    assert facts.visit is not None
    assert (facts.visit.http is not None) is goes_in
    assert bool(facts.visit.not_asked) is not goes_in
    assert facts.visit.trouble is None


def test_a_stand_in_is_sent_to_nobody(tmp_path: Path):
    with server(accepted) as csms:
        facts = look(tmp_path, csms, Daemon(), stand_ins=True)
    assert csms.heads == []
    assert facts.visit is not None
    assert "may not read the password" in facts.visit.not_asked
    assert len(STAND_IN) == 32


def test_another_way_that_the_daemon_goes_is_the_one_that_is_looked_at(tmp_path: Path):
    with server(accepted) as csms, server(accepted) as other:
        daemon = running(connected=False, url=f"ws://127.0.0.1:{other.port}/new", security_profile=1)
        facts = look(tmp_path, csms, daemon)
        hosts = hosts_of(site_for(tmp_path, csms.port), running(url="ws://elsewhere.example.com/x"))
    assert csms.visits == 0
    assert other.heads[0].startswith(b"GET /new/DEPOT-7 ")
    assert facts.kept_way
    assert set(hosts) == {"127.0.0.1", "elsewhere.example.com", "broker.example.com"}


@pytest.mark.parametrize("url", ["nonsense", "ws://[", 7, "ftp://x"])
def test_an_address_that_is_none_is_passed_over(tmp_path: Path, url: Any):
    with server(accepted) as csms:
        facts = look(tmp_path, csms, running(connected=False, url=url, security_profile=1))
        assert hosts_of(site_for(tmp_path, csms.port), running(url=url))
    assert facts.url == f"ws://127.0.0.1:{csms.port}/ocpp"
    assert csms.heads
