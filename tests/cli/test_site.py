"""The example that installers copy, and what the profiles say of a site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.chargers.library import PACKAGED_DIR, load_any, profile_names, relay_names
from edged.mqtt.options import PointForm
from edged.mqtt.setup import options_from
from edged.settings import SettingsErrors
from edged.settings.section import Section
from edged.site import facts_of, load_site, profiles_of

EXAMPLE = Path(__file__).parents[2] / "config" / "edged.yaml"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The annotated example with the files and credentials that it names."""
    text = EXAMPLE.read_text().replace("/etc/edged/", "")
    for name in ("ca.pem", "mqtt-ca.pem", "mqtt.crt", "mqtt-key", "csms-password", "mqtt-password"):
        (tmp_path / name).write_text("0123456789abcdef\n")
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "edged.yaml"
    path.write_text(text)
    return path


def test_the_annotated_example_is_right(example):
    settings = load_site(example)
    assert list(settings.chargers) == ["left", "hall-1", "right", "bay3"]
    assert [evse.charger for evse in settings.stations[0].evses] == ["left", "right", "hall-1", "bay3"]
    assert settings.stations[0].csms.versions
    assert settings.mqtt is not None


def test_every_key_that_is_read_is_explained_in_the_annotated_example(example, monkeypatch):
    asked: set[str] = set()
    node = Section.node

    def noting(section: Section, key: str) -> object:
        asked.add(key)
        return node(section, key)

    monkeypatch.setattr(Section, "node", noting)
    load_site(example)
    assert {"secure_url", "voltage_v", "allowed_hosts", "install", "vendors"} <= asked
    text = EXAMPLE.read_text()
    assert [key for key in sorted(asked) if re.search(rf"[ #{{,]{key}:|^{key}:", text, re.MULTILINE) is None] == []


def test_what_the_annotated_example_leaves_as_a_comment_is_right_too(example):
    offered = "# secure_url: ", "# client_certificate: "
    text = example.read_text()
    for words in offered:
        assert text.count(words) == 1
        text = text.replace(words, words.removeprefix("# "))
    for name in ("station.crt", "station-key"):
        (example.parent / name).write_text("PEM\n")
        (example.parent / name).chmod(0o600)
    example.write_text(text)
    csms = load_site(example).stations[0].csms
    assert csms.secure_url == "wss://csms.example.com:8443/ocpp"
    assert csms.client_certificate is not None


@pytest.mark.parametrize("output", ["{charger: relay-board, ", "{gpio: "])
def test_what_the_annotated_example_leaves_as_a_comment_of_chargers_is_right_too(example, output):
    text = example.read_text()
    offered = ["# relay-board: ", "# bay4:", "#   profile: heidelberg", "#   serial: ", f"# reset_relay: {output}"]
    for words in offered:
        assert text.count(words) == 1
        text = text.replace(words, words.removeprefix("# "))
    example.write_text(text.replace("      - charger: bay3\n", "      - charger: bay3\n      - charger: bay4\n"))
    settings = load_site(example)
    assert settings.chargers["right"].reset_relay is not None
    assert settings.chargers["bay4"].profile == "heidelberg-energy-control"


def test_whatever_the_example_offers_of_mqtt_has_an_effect(example):
    written = example.read_text().replace("points: off", "points: scalar").replace("max_rows: 50000", "max_rows: 500")
    example.write_text(written.replace("raw_ocpp: false", "raw_ocpp: true"))
    found = load_site(example)
    assert [warning for warning in found.warnings if "not built" in warning.sentence] == []
    options = options_from(found.mqtt, gateway_id="gw1")
    assert (options.points, options.raw_ocpp, options.home_assistant) == (PointForm.SCALAR, True, "homeassistant")


def test_every_shipped_profile_gives_the_facts_that_a_check_needs():
    for name in profile_names(Path("/nowhere")):
        facts = facts_of(load_any(name, Path("/nowhere")))
        assert facts.connector_type
        assert facts.transports <= {"serial", "tcp", "rtu_over_tcp"}
        assert facts.unit_ids[0] <= facts.unit_id <= facts.unit_ids[1]


RAPI_SITE = """
chargers:
  left:
    profile: openevse-rapi
    serial: {port: /dev/ttyUSB1}
  right:
    profile: openevse-rapi
    rtu_over_tcp: 10.0.0.40:4001
stations:
  - id: DEPOT-7
    vendor: Example Energy
    model: Depot 3
    csms: {url: "ws://csms.example.com/ocpp", security_profile: 0}
    evses: [{charger: left}, {charger: right}]
"""


def test_openevse_controllers_have_a_serial_port_or_a_converter_each(tmp_path):
    (tmp_path / "edged.yaml").write_text(RAPI_SITE)
    settings = load_site(tmp_path / "edged.yaml")
    assert settings.chargers["left"].unit_id is None
    assert settings.chargers["left"].line.baudrate == 115_200 and settings.chargers["left"].line.parity == "none"


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            "rtu_over_tcp: 10.0.0.40:4001",
            "serial: {port: /dev/ttyUSB1}",
            "same wire as charger left: .*line of its own",
        ),
        ("profile: openevse-rapi\n    rtu_over_tcp: 10.0.0.40:4001", "profile: keba-p30\n    tcp: 10.0.0.9", None),
        ("rtu_over_tcp: 10.0.0.40:4001", "tcp: 10.0.0.40:4001", "does not speak: it speaks rtu_over_tcp, serial"),
        ("{port: /dev/ttyUSB1}", "{port: /dev/ttyUSB1}\n    unit_id: 3", "unit_id: is not used by this profile"),
        ("{port: /dev/ttyUSB1}", "{port: /dev/ttyUSB1}\n    point: 2", "point: is 2, but this profile has one"),
    ],
)
def test_what_an_openevse_controller_cannot_be_is_told(tmp_path, before, after, sentence):
    assert before in RAPI_SITE
    (tmp_path / "edged.yaml").write_text(RAPI_SITE.replace(before, after))
    if sentence is None:
        assert load_site(tmp_path / "edged.yaml")
        return
    with pytest.raises(SettingsErrors, match=sentence):
        load_site(tmp_path / "edged.yaml")


def test_a_relay_board_is_no_charging_point_but_has_outputs(example):
    for name in relay_names():
        facts = facts_of(load_any(name, Path("/nowhere")))
        assert not facts.charges
        assert facts.relay_outputs > 0
    text = example.read_text()
    example.write_text(
        text.replace("# reset_relay: {charger", "reset_relay: {charger").replace("  # relay-board:", "  relay-board:")
    )
    settings = load_site(example)
    relay = settings.chargers["right"].reset_relay
    assert relay is not None
    assert settings.chargers[relay.charger].profile == "modbus-relay"
    assert set(profiles_of(settings)) >= {"modbus-relay", "phoenix-charx-sec"}


def test_a_profile_of_the_site_wins_and_its_mistakes_have_its_own_lines(example):
    folder = example.parent / "profiles.d"
    folder.mkdir()
    (folder / "phoenix-charx-sec.yaml").write_text("profile: phoenix-charx-sec\nvendor: [\n")
    with pytest.raises(SettingsErrors) as wrong:
        load_site(example)
    files = {Path(error.file).name for error in wrong.value.errors}
    assert files == {"edged.yaml", "phoenix-charx-sec.yaml"}


def test_a_profile_that_was_edited_is_seen_when_the_site_is_read_again(example):
    folder = example.parent / "profiles.d"
    folder.mkdir()
    mine = folder / "phoenix-charx-sec.yaml"
    mine.write_text((PACKAGED_DIR / mine.name).read_text())
    before = profiles_of(load_site(example))
    assert profiles_of(load_site(example)) == before
    mine.write_text(mine.read_text().replace("vendor:", "vendor: New", 1))
    assert profiles_of(load_site(example)) != before


def test_a_profiles_name_never_leads_out_of_its_folder(example):
    example.write_text(example.read_text().replace("profile: phoenix-charx-sec", "profile: ../../etc/passwd"))
    with pytest.raises(SettingsErrors, match=r"chargers\.right.profile: cannot be"):
        load_site(example)
