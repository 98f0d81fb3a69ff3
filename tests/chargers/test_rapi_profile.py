"""Profiles of `kind: rapi`: what is read, what is refused with its line, what a site and its yard make of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.chargers.driver import ChargerDriver
from edged.chargers.library import load_any, load_charger, load_file, load_profile, load_relay, profile_names
from edged.chargers.profile_document import ProfileErrors
from edged.chargers.rapi.profile import Heartbeat, RapiProfile
from edged.cli.check import reports
from edged.domain.hardware import Capability, Measurand
from edged.site import load_site, profiles_of
from edged.system.clock import SystemClock
from edged.yard import Yard
from tests.fakes.virtual_loop import run_virtually

DOCUMENT = """\
profile: bay
kind: rapi
vendor: OpenEVSE
model: A box
certainty: B
sources: [its firmware]
"""
SITE = """
chargers:
  bay3:
    profile: openevse-rapi
    serial: {port: /dev/ttyUSB1, baudrate: 115200}
    max_current_a: 20
    phases: 1
    reset_relay: {charger: board, output: 2}
  board:
    profile: modbus-relay
    tcp: 10.0.0.9
stations:
  - id: DEPOT-7
    vendor: Example Energy
    model: Depot 3
    csms: {url: "ws://csms.example.com/ocpp", security_profile: 0}
    evses: [{charger: bay3}]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "bay.yaml"
    path.write_text(text)
    return path


def test_what_is_not_written_has_the_firmwares_values(tmp_path: Path) -> None:
    profile = load_file(written(tmp_path, DOCUMENT))
    assert isinstance(profile, RapiProfile)
    assert (profile.min_a, profile.max_a, profile.phases, profile.baudrate) == (6, 80, 1, 115_200)
    assert profile.heartbeat == Heartbeat(interval_s=60, fallback_a=6) and profile.heartbeat.pulse_s == 20


def test_what_is_uncertain_is_off_in_the_shipped_profile_and_says_so() -> None:
    profile = load_charger("openevse-rapi")
    assert isinstance(profile, RapiProfile) and profile.certainty == "A"
    assert not (profile.has_lock or profile.may_disable or profile.has_voltmeter or profile.is_detachable)
    unproven = " ".join(profile.unproven)
    assert all(word in unproven for word in ("disable: true", "lock: true", "voltmeter: true"))
    assert profile.capabilities == {
        Capability.WITHHOLD,
        Capability.PERMIT_SENSE,
        Capability.LIMIT,
        Capability.LIMIT_SENSE,
        Capability.RESET_HARD,
    }


def test_what_is_switched_on_is_offered(tmp_path: Path) -> None:
    text = DOCUMENT + "detachable: true\nlock: true\ndisable: true\nvoltmeter: true\n"
    profile = load_file(written(tmp_path, text))
    assert isinstance(profile, RapiProfile)
    more = {Capability.DETACHABLE, Capability.UNLOCK, Capability.LOCK_SENSE}
    assert more | {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE} <= profile.capabilities
    assert Measurand.VOLTAGE in profile.measurands


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("registers: {}", r"bay.yaml:7: registers: there is no such key"),
        ("phases: 2", r"bay.yaml:7: phases: 2 is no way to wire"),
        ("limit: {min_a: 16, max_a: 10}", r"bay.yaml:7: limit.max_a: 10 is less than min_a"),
        ("limit: {min_a: 5}", r"bay.yaml:7: limit.min_a: 5 is outside 6..80"),
        ("heartbeat: {interval_s: 1}", r"bay.yaml:7: heartbeat.interval_s: 1 is outside 10..3600"),
        ("heartbeat: {fallback_a: 0}", r"bay.yaml:7: heartbeat.fallback_a: 0 is outside 6..80"),
        ("heartbeat: {fallback_a: 32}\nlimit: {max_a: 16}", r"bay.yaml:7: heartbeat: falls back to 32 A"),
        ("heartbeat: never", r"bay.yaml:7: heartbeat: this must be a mapping"),
        ("lock: true", r"bay.yaml:7: lock: .* write detachable: true as well"),
        ("lock: 1", r"bay.yaml:7: lock: this must be true or false"),
        ("baudrate: 12", r"bay.yaml:7: baudrate: 12 is outside"),
        ("certainty: X", r"certainty"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, line: str, sentence: str) -> None:
    with pytest.raises(ProfileErrors, match=sentence):
        load_file(written(tmp_path, f"{DOCUMENT}{line}\n"))


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProfileErrors) as found:
        load_file(written(tmp_path, "profile: bay\nkind: rapi\nphases: 9\nlimit: 3\nbus: {}\n"))
    assert {error.key_path for error in found.value.errors} >= {"phases", "limit", "bus", ""}


def test_a_sites_own_wins_and_it_is_found_among_the_chargers(tmp_path: Path) -> None:
    (tmp_path / "openevse-rapi.yaml").write_text(DOCUMENT.replace("profile: bay", "profile: openevse-rapi"))
    assert load_any("openevse-rapi", tmp_path).model == "A box"
    assert "openevse-rapi" in profile_names(tmp_path)


def test_it_is_neither_a_modbus_charger_nor_a_relay_board() -> None:
    with pytest.raises(ProfileErrors, match="speaks RAPI, not Modbus"):
        load_profile("openevse-rapi")
    with pytest.raises(ProfileErrors, match="no relay board"):
        load_relay("openevse-rapi")


def test_a_yard_builds_one_on_its_line_with_what_the_site_allows(tmp_path: Path) -> None:
    (tmp_path / "edged.yaml").write_text(SITE)
    settings = load_site(tmp_path / "edged.yaml")
    assert isinstance(profiles_of(settings)["openevse-rapi"], RapiProfile)

    async def scene() -> None:
        yard = Yard(settings, SystemClock())
        driver = yard.driver("bay3")
        assert isinstance(driver, ChargerDriver)
        facts = yard.facts["bay3"]
        assert (facts.max_current_ma, facts.min_current_ma, facts.phases) == (20_000, 6_000, 1)
        assert {Capability.RESET_HARD, Capability.POWER_CYCLE} <= facts.capabilities
        told = yard.reports()["/dev/ttyUSB1"]
        assert told["units"]["0"]["chargers"] == ["bay3"] and told["is_open"] is False
        await yard.close()

    run_virtually(scene())


def test_the_check_says_what_its_connector_can_do(tmp_path: Path) -> None:
    (tmp_path / "edged.yaml").write_text(SITE)
    settings = load_site(tmp_path / "edged.yaml")
    (connector,) = reports(settings, settings.stations[0])
    assert connector.type == "cType2"
    able = {name: each.able for name, each in connector.abilities.items()}
    assert able["reset"] and able["reservation"] and able["profiles"]
    assert not able["unlock"] and not able["lock sensing"] and not able["availability"]
