"""What a right configuration becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.domain.answers import TransferStatus
from edged.domain.effects import RestartScope
from edged.domain.station import Vendor
from edged.settings import (
    IdTokenPolicy,
    MqttProtocol,
    Parity,
    PointMirror,
    ResetLine,
    ResetRelay,
    RtuOverTcpLine,
    SerialLine,
    Settings,
    TcpLine,
    TimeSource,
)
from edged.settings.model import Level
from edged.settings.relays import flaw_of_chip
from tests.fakes.pki import Authority

FULL = """\
gateway: {id: depot-7, hard_reset: host, time_source: host}
buses:
  yard: {serial: /dev/ttyUSB0, baudrate: 9600, parity: none, stopbits: 2}
  hall: {rtu_over_tcp: "10.0.0.40:4001"}
chargers:
  left: {profile: wallbox, bus: yard, unit_id: 7}
  mid: {profile: wallbox, bus: hall, reset_relay: {charger: board, output: 3}}
  board: {profile: wallbox, bus: hall, unit_id: 9}
  right: {profile: controller, tcp: 10.0.0.21, point: 3, poll_interval_s: 0.5, max_current_a: 32,
    phases: 1, voltage_v: 120}
  bay3: {profile: chatty, serial: {port: /dev/ttyUSB1}}
stations:
  - id: DEPOT-7
    vendor: Example Energy
    model: Depot 3
    serial_number: 0007
    csms:
      url: wss://csms.example.com/ocpp
      versions: [ocpp2.0.1, ocpp1.6]
      security_profile: 2
      password: ${env:CSMS_PASSWORD}
      ca_file: ca.pem
    evses:
      - charger: left
        connectors: [{type: cType2}, {type: sType2}]
      - charger: right
      - charger: bay3
    configuration:
      HeartbeatInterval: 300
      ReserveConnectorZeroSupported: yes
      StopTxnSampledData: ""
    offline_tokens: [0012, 04A2E5, 1e5]
  - id: HALL
    csms: {url: "ws://127.0.0.1:9000"}
    evses: [{charger: mid}]
mqtt:
  url: mqtts://broker.example.com
  protocol: 3.1.1
  username: edged-depot-7
  password: ${env:MQTT_PASSWORD}
  ca_file: ca.pem
  client_certificate: {cert: ca.pem, key: ca.pem}
  root: site/edged
  id_tokens: hash
  points: off
  raw_ocpp: true
  home_assistant: homeassistant
  commands:
    bms-op: [reserve_now, unlock_connector]
    homeassistant: ["*"]
  spool: {max_rows: 100, max_mb: 1, max_age_d: 2}
data_transfer:
  vendors:
    com.Example: {messages: [Tariff, TEXT], status: Rejected, answer: "no, 0012"}
    com.open:
log: {level: debug, wire: true}
"""
ENVIRON = {"CSMS_PASSWORD": "correct horse battery", "MQTT_PASSWORD": "staple"}


@pytest.fixture
def full(read, tmp_path: Path) -> Settings:
    (tmp_path / "ca.pem").touch(mode=0o600)
    pair = Authority.new().server()
    (tmp_path / "ca.pem").write_text(pair.pem + pair.key_pem)
    return read(FULL, environ=ENVIRON)


def test_every_key_of_the_gateway_and_the_log_arrives(full):
    assert (full.gateway.id, full.gateway.hard_reset, full.gateway.time_source) == (
        "depot-7",
        RestartScope.HOST,
        TimeSource.HOST,
    )
    assert (full.log.level, full.log.wire) == ("debug", True)


def test_a_vendor_is_known_whatever_its_case_and_takes_all_messages_where_none_is_named(full):
    assert full.vendors == {
        "com.example": Vendor(
            messages=frozenset({"tariff", "text"}), status=TransferStatus.REJECTED, answer="no, 0012"
        ),
        "com.open": Vendor(messages=frozenset(), status=TransferStatus.ACCEPTED, answer=None),
    }


def test_each_charger_has_its_line_whether_shared_or_its_own(full):
    lines = {name: charger.line for name, charger in full.chargers.items()}
    assert lines["left"] == SerialLine(port="/dev/ttyUSB0", baudrate=9600, parity=Parity.NONE, stopbits=2)
    assert lines["mid"] is full.buses["hall"]
    assert lines["board"] == RtuOverTcpLine(host="10.0.0.40", port=4001)
    assert lines["right"] == TcpLine(host="10.0.0.21", port=502)
    assert lines["bay3"] == SerialLine(port="/dev/ttyUSB1", baudrate=115200)


def test_what_a_charger_is_told_arrives(full):
    right = full.chargers["right"]
    assert (right.point, right.poll_interval_s, right.max_current_ma) == (3, 0.5, 32_000)
    assert (right.phases, right.voltage_v) == (1, 120.0)
    left = full.chargers["left"]
    assert (left.phases, left.voltage_v) == (None, 230.0)
    relay = full.chargers["mid"].reset_relay
    assert isinstance(relay, ResetRelay)
    assert (relay.charger, relay.output, relay.off_s) == ("board", 3, 5.0)


def test_a_line_of_the_computer_may_reset_a_charger_and_what_is_no_chip_is_warned_of(read, site):
    def with_line(rest: str) -> Settings:
        return read(site.replace("502\n", f"502\n    reset_relay: {{{rest}}}\n", 1))

    settings = with_line("gpio: /dev/null, line: 17")
    assert settings.chargers["right"].reset_relay == ResetLine(gpio="/dev/null", line=17, active=Level.HIGH, off_s=5.0)
    assert "reset_relay.gpio: is no GPIO chip" in str(settings.warnings[0])
    settings = with_line("gpio: /dev/gpiochip99, line: 0, active: low, off_s: 12")
    assert settings.chargers["right"].reset_relay == ResetLine(
        gpio="/dev/gpiochip99", line=0, active=Level.LOW, off_s=12.0
    )
    (warning,) = settings.warnings
    assert "13: chargers.right.reset_relay.gpio: cannot be looked at on this computer (No such file" in str(warning)
    (warning,) = with_line("gpio: /etc/passwd, line: 0").warnings
    assert "reset_relay.gpio: is no GPIO chip: the charger cannot be reset by it" in str(warning)


def test_a_device_of_the_kernel_s_gpio_is_a_chip(tmp_path, monkeypatch):
    monkeypatch.setattr("edged.settings.relays.SYSTEM", str(tmp_path))
    assert flaw_of_chip("/dev/null") is None, "the kernel does not say what it is"
    (tmp_path / "dev/char/1:3").mkdir(parents=True)
    subsystem = tmp_path / "dev/char/1:3/subsystem"
    subsystem.symlink_to("../../../../bus/gpio")
    assert flaw_of_chip("/dev/null") is None
    subsystem.unlink()
    subsystem.symlink_to("../../../../class/mem")
    assert flaw_of_chip("/dev/null") == "is no GPIO chip"


def test_a_protocol_without_addresses_has_no_unit_id(full):
    assert full.chargers["bay3"].unit_id is None


def test_connectors_are_those_written_or_one_of_the_profiles_type(full):
    types = [[connector.type for connector in evse.connectors] for evse in full.stations[0].evses]
    assert types == [["cType2", "sType2"], ["sType2"], ["cType1"]]


def test_configuration_values_are_the_strings_that_ocpp_exchanges(full):
    assert full.stations[0].configuration == {
        "HeartbeatInterval": "300",
        "ReserveConnectorZeroSupported": "true",
        "StopTxnSampledData": "",
    }


def test_a_token_keeps_its_leading_zeros_and_is_never_taken_for_a_number(full):
    assert [token.value for token in full.stations[0].offline_tokens] == ["0012", "04A2E5", "1e5"]


def test_a_serial_number_keeps_its_leading_zeros(full):
    assert full.stations[0].serial_number == "0007"


def test_a_version_that_is_not_built_in_is_left_out_with_a_warning(full):
    assert full.stations[0].csms.versions == ("ocpp1.6",)
    assert [warning.path for warning in full.warnings] == ["stations[0].csms.versions[0]"]


def test_the_order_of_versions_is_the_installers(read, site):
    text = site.replace("ocpp\n", "ocpp\n      versions: [ocpp1.6, ocpp2.0.1]\n", 1)
    settings = read(text, supported_versions=("ocpp2.0.1", "ocpp1.6"))
    assert settings.stations[0].csms.versions == ("ocpp1.6", "ocpp2.0.1")


def test_without_versions_every_built_in_one_is_offered_newest_first(read, site):
    settings = read(site, supported_versions=("ocpp1.6", "ocpp2.0.1"))
    assert settings.stations[0].csms.versions == ("ocpp2.0.1", "ocpp1.6")
    assert not settings.warnings


def test_every_key_of_mqtt_arrives(full, tmp_path):
    mqtt = full.mqtt
    assert (mqtt.host, mqtt.port, mqtt.tls, mqtt.protocol) == ("broker.example.com", 8883, True, MqttProtocol.V311)
    assert (mqtt.root, mqtt.id_tokens, mqtt.points) == ("site/edged", IdTokenPolicy.HASH, PointMirror.OFF)
    assert (mqtt.raw_ocpp, mqtt.home_assistant, mqtt.username) == (True, "homeassistant", "edged-depot-7")
    assert mqtt.commands == {
        "bms-op": frozenset({"reserve_now", "unlock_connector"}),
        "homeassistant": frozenset({"*"}),
    }
    assert (mqtt.spool.max_rows, mqtt.spool.max_mb, mqtt.spool.max_age_d) == (100, 1, 2)
    assert mqtt.client_certificate.key == mqtt.ca_file == tmp_path / "ca.pem"


def test_a_relative_path_starts_at_the_configuration(full, tmp_path):
    assert full.stations[0].csms.ca_file == tmp_path / "ca.pem"


def test_no_secret_is_shown_by_any_repr(full):
    text = repr(full)
    assert "Secret(***)" in text
    assert not any(secret in text for secret in ENVIRON.values())
    assert {secret.reveal() for secret in full.secrets} == set(ENVIRON.values())


def test_offline_tokens_are_masked_in_every_repr(full):
    assert "04A2E5" not in repr(full)


def test_every_key_but_chargers_and_stations_has_a_default(read):
    settings = read(
        "chargers: {one: {profile: controller, tcp: 10.0.0.1}}\n"
        "stations: [{id: A, csms: {url: 'ws://127.0.0.1'}, evses: [{charger: one}]}]\n"
    )
    assert settings.gateway.id == "box"
    assert (settings.gateway.hard_reset, settings.gateway.time_source) == ("service", "csms")
    assert (settings.mqtt, settings.buses, settings.log.level, settings.log.wire) == (None, {}, "info", False)
    charger, station = settings.chargers["one"], settings.stations[0]
    assert (charger.unit_id, charger.point, charger.poll_interval_s, charger.max_current_ma) == (1, 1, None, None)
    assert (station.vendor, station.model, station.serial_number) == ("edged", "Gateway", None)
    assert (station.csms.security_profile, station.csms.password, station.csms.ca_file) == (0, None, None)
    assert (station.configuration, station.offline_tokens) == ({}, ())


def test_the_defaults_of_mqtt_are_those_of_the_contract(read, site):
    mqtt = read(site + "mqtt: {url: 'mqtt://localhost'}\n").mqtt
    assert (mqtt.port, mqtt.tls, mqtt.protocol, mqtt.root) == (1883, False, "auto", "edged")
    assert (mqtt.id_tokens, mqtt.points, mqtt.raw_ocpp, mqtt.home_assistant) == ("masked", "off", False, None)
    assert (mqtt.commands, mqtt.spool.max_rows, mqtt.spool.max_mb, mqtt.spool.max_age_d) == ({}, 50_000, 32, 30)


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [("Depot_7.lan", "depot-7"), ("x" * 60, "x" * 32), ("Münster", "m-nster"), ("---", "edged"), ("", "edged")],
)
def test_the_gateways_name_is_the_hosts_as_far_as_it_can_be(read, site, hostname, expected):
    assert read(site.replace("  id: depot-7\n", "").replace("gateway:", ""), hostname=hostname).gateway.id == expected


def test_a_certificate_and_a_key_that_do_not_belong_together_are_told_and_stop_nothing(read, site, tmp_path):
    authority = Authority.new()
    for name in ("one", "other"):
        authority.client(name).write(tmp_path, name)
    (tmp_path / "no.key").write_text("not a key")
    (tmp_path / "no.key").chmod(0o600)
    text = site.replace(
        "url: ws://csms.example.com/ocpp",
        "url: wss://csms.example.com/ocpp\n"
        "      security_profile: 3\n"
        "      client_certificate: {cert: one.pem, key: KEY}",
    )
    assert read(text.replace("KEY", "one.key")).warnings == ()
    for key, why in (("other.key", "key: names the key of another certificate"), ("no.key", "cert: and key cannot")):
        (warning,) = read(text.replace("KEY", key)).warnings
        assert f"client_certificate.{why}" in str(warning)


def test_the_way_to_a_csms_may_be_written_whole(read, site, tmp_path):
    cert, _ = Authority.new().client("DEPOT-7").write(tmp_path, "station")
    cert.rename(tmp_path / "station.crt")
    text = site.replace(
        "url: ws://csms.example.com/ocpp",
        "url: ws://csms.example.com/ocpp\n"
        "      secure_url: wss://csms.example.com:8443/tls\n"
        "      security_profile: 3\n"
        f"      password: {'00ff' * 8}\n"
        "      password_encoding: hex\n"
        "      client_certificate: {cert: station.crt, key: station.key}",
    )
    settings = read(text)
    csms = settings.stations[0].csms
    assert (csms.url, csms.secure_url) == ("ws://csms.example.com/ocpp", "wss://csms.example.com:8443/tls")
    assert (csms.security_profile, csms.password_encoding) == (3, "hex")
    assert csms.client_certificate is not None
    assert csms.client_certificate.key == tmp_path / "station.key"
    assert settings.warnings == ()
    (tmp_path / "station.key").chmod(0o644)
    (warning,) = read(text).warnings
    assert "key: names a private key that everybody may read" in str(warning)


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("wss://c.example.com", "0123456789abcdef", 2),
        ("ws://c.example.com", "0123456789abcdef", 1),
        ("ws://c.example.com", None, 0),
    ],
)
def test_without_a_security_profile_the_strongest_that_fits_is_taken(read, site, url, password, expected):
    extra = "" if password is None else f"\n      password: {password}"
    settings = read(site.replace("ws://csms.example.com/ocpp", url + extra))
    assert settings.stations[0].csms.security_profile == expected


def test_several_points_of_one_controller_share_its_address(read, site):
    text = site.replace("stations:", "  far:\n    profile: controller\n    tcp: 10.0.0.21:502\n    point: 2\nstations:")
    assert read(text.replace("      - charger: right", "      - charger: right\n      - charger: far")).stations


def test_two_readings_of_the_same_words_are_equal_and_have_the_same_digest(read, site):
    one, other = read(site), read(site)
    assert one == other
    assert one.digest == other.digest
    assert read(site + "# a remark\n").digest != one.digest


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(read, site):
    assert read(b"\xef\xbb\xbf" + site.replace("\n", "\r\n").encode()).gateway.id == "depot-7"


def test_the_sites_own_profiles_lie_beside_its_configuration(read, site, tmp_path):
    assert read(site).profiles_dir == tmp_path / "profiles.d"


def test_a_key_may_be_written_by_its_component_and_variable(read, site):
    text = site + "    configuration: {AuthCtrlr.LocalPreAuthorize: true}\n"
    assert read(text).stations[0].configuration == {"AuthCtrlr.LocalPreAuthorize": "true"}


def test_an_unknown_key_and_a_value_that_its_key_does_not_allow_are_named(errors, site):
    text = site + "    configuration: {HeartbeatIntervall: 300, MeterValueSampleInterval: soon}\n"
    first, second = errors(text)
    assert "HeartbeatIntervall: is no configuration key; did you mean HeartbeatInterval?" in first
    assert "MeterValueSampleInterval: must be a whole number from 0 to 86400" in second
