"""Every mistake gets a line, a path and a sentence that says what to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.settings import ProfileFacts, SettingsError, SettingsErrors, load

MISTAKES = [
    # what is changed, into what, and the complaint that must be among the errors
    ("gateway:", "gatway:", r"1: gatway: is not a key .* did you mean gateway\?"),
    ("  id: depot-7", "  id: Depot 7", r"2: gateway.id: cannot be 'Depot 7': use 1 to 32 small letters"),
    ("  id: depot-7", "  hard_reset: reboot", r"2: gateway.hard_reset: must be one of service, host"),
    ("  id: depot-7", "  time_source: ntp", r"2: gateway.time_source: must be one of csms, host"),
    ("  id: depot-7", "  id: [a]", r"2: gateway.id: must be a text, not a list|2: gateway.id: must be a text"),
    ("  id: depot-7", "  id:", r"2: gateway.id: is empty"),
    ("  id: depot-7", "  id: a\n  id: b", r"3: id: stands there twice, first in line 2"),
    ("gateway:\n  id: depot-7", "gateway: depot", r"1: gateway: must hold keys with values, not 'depot'"),
    # buses
    ("    bus: yard", "    bus: yrad", r"9: chargers.left.bus: there is no bus yrad; did you mean yard\?"),
    ("    bus: yard", "    rtu_over_tcp: 10.0.0.1:4001", r"4: buses.yard: no charger uses this bus"),
    ("    serial: /dev/ttyUSB0", "    baudrate: 9600", r"4: buses.yard: needs one line"),
    ("    serial: /dev/ttyUSB0", "    serial: ttyUSB0", r"5: buses.yard.serial: cannot be 'ttyUSB0': write the whole"),
    ("    serial: /dev/ttyUSB0", "    serial: /dev/a\n    rtu_over_tcp: h:1", r"4: buses.yard: needs one line"),
    ("    serial: /dev/ttyUSB0", "    rtu_over_tcp: 10.0.0.40", r"5: buses.yard.rtu_over_tcp: must be HOST:PORT"),
    ("ttyUSB0", "ttyUSB0\n    parity: E", r"6: buses.yard.parity: must be one of none, even, odd, not 'E'"),
    ("ttyUSB0", "ttyUSB0\n    stopbits: 3", r"6: buses.yard.stopbits: must be a whole number from 1 to 2, not '3'"),
    ("ttyUSB0", 'ttyUSB0\n    baudrate: "9600"', r"6: buses.yard.baudrate: .* \(write it without quotes\)"),
    ("ttyUSB0", "ttyUSB0\n    baud: 9600", r"6: buses.yard.baud: is not a key .* did you mean baudrate\?"),
    ("  yard:", "  big yard:", r"4: buses.big yard: cannot be a name"),
    ("ttyUSB0", "ttyUSB0\n  same:\n    serial: /dev/ttyUSB0", r"6: buses.same: is the same wire as bus yard"),
    # chargers
    (
        "profile: wallbox",
        "profile: walbox",
        r"8: chargers.left.profile: there is no profile walbox; did you mean wallbox",
    ),
    ("    profile: wallbox\n", "", r"7: chargers.left.profile: is missing: write the name of a profile"),
    ("    bus: yard\n", "", r"7: chargers.left: has no line: write one of bus:"),
    ("    bus: yard", "    bus: yard\n    tcp: 10.0.0.9", r"7: chargers.left: has 2 lines \(bus, tcp\)"),
    ("    bus: yard", "    tcp: 10.0.0.9", r"9: chargers.left.tcp: is tcp, which this profile does not speak"),
    ("    bus: yard", "    bus: yard\n    unit_id: 0", r"10: chargers.left.unit_id: .* from 1 to 247, not '0'"),
    ("    bus: yard", "    bus: yard\n    point: 2", r"10: chargers.left.point: is 2, but this profile has one"),
    ("    bus: yard", "    bus: yard\n    poll_interval_s: 0", r"10: chargers.left.poll_interval_s: .* \(seconds\)"),
    ("    bus: yard", "    bus: yard\n    max_current_a: 5", r"10: chargers.left.max_current_a: .* from 6 to 1000"),
    ("    bus: yard", "    bus: yard\n    max_current_a: .nan", r"10: chargers.left.max_current_a: must be a number"),
    ("    bus: yard", "    bus: yard\n    phases: 4", r"10: chargers.left.phases: must be a whole number from 1 to 3"),
    ("    bus: yard", "    bus: yard\n    phases: 2", r"10: chargers.left.phases: is 2, .* wired to 1 phase or to 3"),
    ("    bus: yard", "    bus: yard\n    voltage_v: 400", r"10: chargers.left.voltage_v: .* from 100 to 300"),
    ("    bus: yard", "    serial: /dev/ttyUSB0", r"9: chargers.left.serial: must hold keys with values"),
    ("    bus: yard", "    serial: {}", r"9: chargers.left.serial.port: is missing"),
    ("502", "502\n    point: 13", r"13: chargers.right.point: is 13, but this profile has 12 charging points"),
    ("10.0.0.21:502", "10.0.0.21:99999", r"12: chargers.right.tcp: must be HOST:PORT"),
    ("10.0.0.21:502", "http://10.0.0.21", r"12: chargers.right.tcp: must be HOST:PORT"),
    (
        "502",
        "502\n    reset_relay: {charger: right, output: 1}",
        r"13: chargers.right.reset_relay: names the charger itself",
    ),
    ("502", "502\n    reset_relay: {charger: board, output: 1}", r"13: .*reset_relay: there is no charger board"),
    (
        "      - charger: right",
        "      - charger: right\n        connectors: [{type: cType2}, {type: cType1}, {type: cCCS2}]",
        r"20: .*connectors: are 3, but its profile tells only 2 apart",
    ),
    ("502", "502\n    reset_relay: {charger: left, output: 9}", r"13: .*reset_relay: cannot be left: .* 8 outputs"),
    ("502", "502\n    reset_relay: {charger: left}", r"13: chargers.right.reset_relay.output: is missing"),
    ("502", "502\n    reset_relay: {charger: left, output: 0}", r"13: .*output: must be a whole number from 1 to 64"),
    (
        "502",
        "502\n    reset_relay: {charger: left, output: 1, off_s: 61}",
        r"13: chargers.right.reset_relay.off_s: must be a number from 1 to 60 \(seconds\)",
    ),
    (
        "    bus: yard\n",
        "    bus: yard\n    reset_relay: {charger: board, output: 2}\n"
        "  board:\n    profile: relays\n    tcp: 10.0.0.9\n"
        "  third:\n    profile: relays\n    tcp: 10.0.0.8\n    reset_relay: {charger: board, output: 1}\n",
        r"17: chargers.third.reset_relay: is for chargers, and this is a relay board: delete the line",
    ),
    (
        "502",
        "502\n    reset_relay: {charger: board, output: 5}\n  board:\n    profile: relays\n    tcp: 10.0.0.9",
        r"13: chargers.right.reset_relay: cannot be board: its profile has 4 outputs",
    ),
    (
        "    bus: yard",
        "    bus: yard\n    reset_relay: {charger: board, output: 2}\n"
        "  board:\n    profile: relays\n    tcp: 10.0.0.9\n"
        "  third:\n    profile: controller\n    tcp: 10.0.0.8\n    reset_relay: {charger: board, output: 2}",
        r"17: chargers.third.reset_relay: is the relay of left already: a reset would cut the power of both",
    ),
    (
        "502",
        "502\n    reset_relay: {off_s: 5}",
        r"13: chargers.right.reset_relay: has neither: write charger: and output: .*, or gpio: and line:",
    ),
    ("502", "502\n    reset_relay: {charger: left, output: 1, gpio: /dev/a}", r"13: .*reset_relay: has both: write"),
    (
        "502",
        "502\n    reset_relay: {gpio: /dev/gpiochip0, line: 17, output: 1}",
        r"13: chargers.right.reset_relay.output: is a key of a relay board: delete it",
    ),
    (
        "502",
        "502\n    reset_relay: {charger: left, output: 1, active: low}",
        r"13: chargers.right.reset_relay.active: is a key of a GPIO line: delete it",
    ),
    ("502", "502\n    reset_relay: {gpio: /dev/gpiochip0}", r"13: .*reset_relay.line: is missing: write the number"),
    (
        "502",
        "502\n    reset_relay: {gpio: gpiochip0, line: 1}",
        r"13: .*reset_relay.gpio: cannot be 'gpiochip0': write",
    ),
    ("502", "502\n    reset_relay: {gpio: /dev/g, line: -1}", r"13: .*line: must be a whole number from 0 to 1023"),
    ("502", "502\n    reset_relay: {gpio: /dev/g, line: 1, active: up}", r"13: .*active: must be one of high, low"),
    ("502", "502\n    reset_relay: {gpio: /dev/g, line: 1, off_s: 0}", r"13: .*off_s: must be a number from 1 to 60"),
    ("502", "502\n    reset_relay: /dev/gpiochip0", r"13: .*reset_relay: must hold keys with values"),
    (
        "    bus: yard",
        "    bus: yard\n    reset_relay: {gpio: /dev/gpiochip0, line: 17}\n"
        "  third:\n    profile: controller\n    tcp: 10.0.0.8\n    reset_relay: {gpio: //dev/gpiochip0, line: 17}",
        r"14: chargers.third.reset_relay: is the line of left already: a reset would cut the power of both",
    ),
    (
        "profile: controller",
        "profile: relays",
        r"19: stations\[0\].evses\[1\].charger: right is a relay board, no charger: name it in reset_relay",
    ),
    ("profile: wallbox\n    bus: yard", "profile: chatty\n    bus: yard", r"9: chargers.left.bus: .* line of its own"),
    (
        "profile: wallbox\n    bus: yard",
        "profile: chatty\n    serial: {port: /dev/ttyUSB9}\n    unit_id: 1",
        r"10: chargers.left.unit_id: is not used by this profile",
    ),
    (
        "profile: wallbox\n    bus: yard",
        "profile: wallbox\n    serial: {port: /dev/ttyUSB0}",
        r"9: chargers.left.serial: is the same wire as bus yard",
    ),
    ("stations:", "  third: {profile: wallbox, bus: yard}\nstations:", r"13: chargers.third: left is already unit 1"),
    # stations
    ("  - id: DEPOT-7", "  - vendor: x", r"14: stations\[0\].id: is missing"),
    ("  - id: DEPOT-7", "  - id: ..", r"14: stations\[0\].id: cannot be '..'"),
    ("  - id: DEPOT-7", "  - id: DEPOT-7\n    model: 123456789012345678901", r"15: .*model: .* 1 to 20 printable"),
    ("    csms:\n      url: ws://csms.example.com/ocpp\n", "", r"14: stations\[0\].csms: is missing"),
    (
        "      url: ws://csms.example.com/ocpp\n",
        "      versions: [ocpp1.6]\n",
        r"\d+: stations\[0\].csms.url: is missing",
    ),
    ("ws://csms.example.com/ocpp", "http://csms.example.com", r"16: .*url: must start with ws:// or wss://"),
    ("ws://csms.example.com/ocpp", "ws://", r"16: .*url: must start with ws:// or wss://"),
    ("ws://csms.example.com/ocpp", "ws://user:pw@csms", r"16: .*url: must not carry a user or a password"),
    ("ws://csms.example.com/ocpp", "ws://csms/?a=b", r"16: .*url: must be plain ASCII without"),
    ("ws://csms.example.com/ocpp", "ws://csms:99999", r"16: .*url: is not an address"),
    ("ocpp\n", "ocpp\n      versions: [ocpp1.5]\n", r"17: .*versions\[0\]: there is no version ocpp1.5; did you mean"),
    ("ocpp\n", "ocpp\n      versions: [ocpp2.0.1]\n", r"17: .*versions\[0\]: ocpp2.0.1 is not built .* write ocpp1.6"),
    ("ocpp\n", "ocpp\n      versions: []\n", r"17: .*versions: is empty: write \[ocpp1.6\]"),
    ("ocpp\n", "ocpp\n      versions: [ocpp1.6, ocpp1.6]\n", r"17: .*versions\[1\]: ocpp1.6 stands there twice"),
    ("ocpp\n", "ocpp\n      security_profile: 3\n", r"17: .*security_profile: 3 needs TLS: write a wss:// url"),
    (
        "ws://csms.example.com/ocpp\n",
        "wss://csms.example.com/ocpp\n      security_profile: 3\n",
        r"\d+: .*csms.client_certificate: is missing: security profile 3 needs",
    ),
    ("ocpp\n", "ocpp\n      secure_url: ws://csms.example.com\n", r"17: .*secure_url: must start with wss://:"),
    (
        "ocpp\n",
        "ocpp\n      password: not hexadecimal\n      password_encoding: hex\n",
        r"17: .*csms.password: must be pairs of 0-9 and a-f",
    ),
    ("ocpp\n", "ocpp\n      password_encoding: utf8\n", r"17: .*password_encoding: must be one of auto, text, hex"),
    (
        "      - charger: right",
        "      - charger: right\n    configuration: {AuthorizationKey: 0123456789abcdef}",
        r"20: .*AuthorizationKey: is not set here: write csms: \{password: ...\}",
    ),
    (
        "      - charger: right",
        "      - charger: right\n    configuration: {securityprofile: 2}",
        r"20: .*securityprofile: is not set here: write csms: \{security_profile: ...\}",
    ),
    ("ocpp\n", "ocpp\n      security_profile: 4\n", r"17: .*security_profile: must be a whole number from 0 to 3"),
    (
        "ocpp\n",
        "ocpp\n      security_profile: 2\n      password: 0123456789abcdef\n",
        r"17: .*security_profile: 2 needs TLS: write a wss:// url",
    ),
    ("ws://csms.example.com/ocpp", "wss://csms.example.com", r"16: .*csms.password: is missing: security profile 2"),
    ("ocpp\n", "ocpp\n      security_profile: 1\n", r"\d+: .*csms.password: is missing: security profile 1"),
    ("ocpp\n", "ocpp\n      ca_file: none.pem\n", r"17: .*ca_file: names .*none.pem, which cannot be read"),
    ("ocpp\n", "ocpp\n      ca_file: /dev/tty\n", r"17: .*ca_file: names /dev/tty, which .*no plain file"),
    ("      - charger: left", "      - charger: lefd", r"18: stations\[0\].evses\[0\].charger: .* did you mean left\?"),
    (
        "      - charger: right",
        "      - charger: left",
        r"19: .*evses\[1\].charger: left already belongs to stations\[0\]",
    ),
    ("      - charger: right", "      - connectors: [{}]", r"19: stations\[0\].evses\[1\].charger: is missing"),
    ("      - charger: right", "      - right", r"19: stations\[0\].evses\[1\]: must hold keys with values"),
    ("right\n", "right\n        connectors: [cType2]\n", r"20: .*connectors\[0\]: must be like \{type: cType2\}"),
    (
        "right\n",
        "right\n        connectors: [{type: Type2}]\n",
        r"20: .*type: there is no connector type .* did you mean",
    ),
    ("right\n", "right\n        connectors: []\n", r"20: .*connectors: is empty"),
    ("right\n", "right\n    configuration: {A: [1]}\n", r"20: .*configuration.A: must be one value, not a list"),
    (
        "right\n",
        "right\n    configuration: {NumberOfConnectors: 9}\n",
        r"20: .*configuration.NumberOfConnectors: follows from the rest of the site",
    ),
    ("right\n", "right\n    configuration: {A: }\n", r"20: .*configuration.A: is empty"),
    (
        "right\n",
        "right\n    configuration:\n      TxStartPoint: ReadyToGo\n",
        r"21: .*TxStartPoint: must be at least one of Authorized, EVConnected, PowerPathClosed, separated by commas",
    ),
    (
        "right\n",
        "right\n    configuration:\n      HeartbeatInterval: 5\n      OCPPCommCtrlr.HeartbeatInterval: 6\n",
        r"22: .*OCPPCommCtrlr.HeartbeatInterval: is the same key as HeartbeatInterval in line 21: delete one",
    ),
    ("right\n", "right\n    offline_tokens: 12\n", r"20: .*offline_tokens: must be a list"),
    ("right\n", "right\n    offline_tokens: [''] \n", r"20: .*offline_tokens\[0\]: must be a text of 1 to 36"),
    (
        "stations:\n",
        "stations:\n  - {id: DEPOT-7, csms: {url: ws://a}, evses: []}\n",
        r"15: stations\[1\].id: stations\[0\] has the same id",
    ),
    (
        "stations:\n",
        "stations:\n  - {id: CP-1-89f583e4, csms: {url: ws://a}, evses: []}\n"
        "  - {id: 'CP/1', csms: {url: ws://a}, evses: []}\n",
        r"15: stations\[1\].id: CP/1 and CP-1-89f583e4 \(stations\[0\], line 14\) are both called CP-1-89f583e4 in ",
    ),
]
MQTT_MISTAKES = [
    ("url: http://x", r"mqtt.url: must be mqtt://HOST:PORT or mqtts://"),
    ("url: mqtt://u:p@x", r"mqtt.url: must not carry a user"),
    ("url: mqtt://x/topic", r"mqtt.url: must end with the port"),
    ("url: mqtt://x, protocol: 4", r"mqtt.protocol: must be one of auto, 5, 3.1.1, not '4'"),
    ("url: mqtt://x, password: abc", r"mqtt.password: needs a username"),
    ("url: mqtt://x, ca_file: edged.yaml", r"mqtt.ca_file: is only for mqtts://"),
    ("url: mqtts://x, client_certificate: {cert: edged.yaml}", r"mqtt.client_certificate.key: is missing"),
    ("url: mqtt://x, root: a/b/c/d", r"mqtt.root: cannot be"),
    ("url: mqtt://x, root: a/+", r"mqtt.root: cannot be"),
    ("url: mqtt://x, id_tokens: plain", r"mqtt.id_tokens: must be one of masked, full, hash, none"),
    ("url: mqtt://x, points: true", r"mqtt.points: must be one of off, scalar, object"),
    ("url: mqtt://x, raw_ocpp: 1", r"mqtt.raw_ocpp: must be true or false, not '1'"),
    ("url: mqtt://x, commands: {a: [reserve]}", r"mqtt.commands.a\[0\]: .* did you mean reserve_now\?"),
    ("url: mqtt://x, commands: {a: ping}", r"mqtt.commands.a: must be a list"),
    ("url: mqtt://x, commands: {a/b: [ping]}", r"mqtt.commands.a/b: cannot be an actor"),
    ("url: mqtt://x, spool: {max_mb: 0}", r"mqtt.spool.max_mb: must be a whole number from 1"),
    ("url: mqtt://x, tls: true", r"mqtt.tls: is not a key"),
]
DOCUMENT_MISTAKES = [
    (b"", r"is empty"),
    (b"# only a remark\n", r"is empty"),
    (b"~\n", r"is empty"),
    (b"just text\n", r"must hold keys with values, not 'just text'"),
    (b"- a\n- b\n", r"must hold keys with values, not a list"),
    (b"a: 1\n\tb: 2\n", r"2: is indented with a tab"),
    (b"a:\n\t- 1\n", r"2: is indented with a tab"),
    (b"a: [1, 2\nb: 3\n", r"is not YAML"),
    (b"a: 'x\n", r"is not YAML"),
    (b"a: \xff\n", r"1: is not UTF-8"),
    (b"a: 1\nb: \x00\n", r"2: holds a character that does not belong"),
    (b"a: &x [1]\nb: *x\n", r"2: repeats a value with \*"),
    (b"a: !!python/object:os.system {}\n", r"1: has a tag"),
    (b"a: !secret x\n", r"1: has a tag"),
    (b"a: 1\n---\nb: 2\n", r"2: starts a second document"),
    (b"? [a]\n: 1\n", r"1: uses a list or a mapping as a key"),
    (b'a: "\\ud800"\n', r"1: holds half a character"),
    (b'a: "\\UFFFFFFFF"\n', r"holds an escape or a number"),
    (b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1\n", r"holds an escape or a number|is not YAML"),
    (b"a: " + b"[" * 50 + b"]" * 50, r"is nested deeper than 12 levels"),
    (b"a: [" + b"x," * 30_000 + b"]", r"holds more than 20000 values"),
    (b"#" * (1024 * 1024 + 1), r"is larger than 1024 KiB"),
]


TRANSFER_MISTAKES = [
    # what stands under vendors, in line 22, and the complaint
    ("  com.example: {message: [a]}", r"22: data_transfer.vendors.com.example.message: .* did you mean messages\?"),
    ("  com.example: {messages: []}", r"22: data_transfer.vendors.com.example.messages: is empty: name the messages"),
    ("  com.example: {messages: a}", r"22: data_transfer.vendors.com.example.messages: must be a list"),
    (f"  v: {{messages: [{'m' * 51}]}}", r"22: data_transfer.vendors.v.messages\[0\]: must be a text of 1 to 50"),
    ("  v: {status: UnknownVendorId}", r"22: data_transfer.vendors.v.status: must be one of Accepted, Rejected"),
    ("  v: {answer: [1]}", r"22: data_transfer.vendors.v.answer: must be a text"),
    ("  v: yes", r"22: data_transfer.vendors.v: must hold keys with values"),
    ("  v: {}\n    V: {}", r"23: data_transfer.vendors.V: is the same vendor as v"),
    ('  "": {}', r"22: data_transfer.vendors.*: cannot be a name: a vendor's id has 1 to 255 characters"),
    ("  [a]", r"21: data_transfer.vendors: must hold keys|22: data_transfer.vendors: must hold keys"),
]


@pytest.mark.parametrize(("written", "complaint"), TRANSFER_MISTAKES)
def test_a_mistake_under_data_transfer_is_named(errors, site, written, complaint):
    found = errors(f"{site}data_transfer:\n  vendors:\n  {written}\n")
    assert any(re.match(complaint, each) for each in found), found


def test_another_key_under_data_transfer_is_none(errors, site):
    (found,) = errors(f"{site}data_transfer: {{vendor: {{}}}}\n")
    assert re.match(r"20: data_transfer.vendor: is not a key .* did you mean vendors\?", found)


def change(site: str, old: str, new: str) -> str:
    assert old in site
    return site.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new", "complaint"), MISTAKES, ids=[f"{old} -> {new}" for old, new, _ in MISTAKES])
def test_a_mistake_is_named_with_its_line_and_its_remedy(errors, site, old, new, complaint):
    found = errors(change(site, old, new))
    assert any(re.match(complaint, each) for each in found), found


@pytest.mark.parametrize(("mqtt", "complaint"), MQTT_MISTAKES)
def test_a_mistake_under_mqtt_is_named(errors, site, mqtt, complaint):
    found = errors(f"{site}mqtt: {{{mqtt}}}\n", known_commands=("ping", "reserve_now"))
    assert any(re.match(f"20: {complaint}", each) for each in found), found


@pytest.mark.parametrize(("content", "complaint"), DOCUMENT_MISTAKES, ids=range(len(DOCUMENT_MISTAKES)))
def test_a_file_that_is_no_document_is_refused_with_one_sentence(errors, content, complaint):
    found = errors(content)
    assert len(found) == 1
    assert re.search(complaint, found[0]), found


def test_all_mistakes_come_at_once_in_the_order_of_their_lines(errors, site):
    text = site.replace("id: depot-7", "id: Depot").replace("wallbox", "nope").replace("charger: right", "charger: x")
    lines = [int(each.partition(":")[0]) for each in errors(text)]
    assert lines == sorted(lines)
    assert {2, 8, 19} <= set(lines)


def test_an_empty_list_is_named_beside_other_mistakes(errors, site):
    found = errors(site.replace("id: depot-7", "id: Depot").partition("    evses")[0] + "    evses: []\n")
    assert any("stations[0].evses: is empty" in each for each in found), found


def test_a_broken_bus_is_one_mistake_and_not_one_for_each_of_its_chargers(errors, site):
    assert len(errors(site.replace("/dev/ttyUSB0", "nowhere"))) == 1


def test_a_broken_profile_of_the_site_is_named_with_its_own_file(tmp_path: Path, site):
    path = tmp_path / "edged.yaml"
    path.write_text(site)
    broken = SettingsError("profiles.d/wallbox.yaml", 7, "bus", "is wrong")
    with pytest.raises(SettingsErrors) as wrong:
        load(
            path,
            profiles=lambda name: [broken] if name == "wallbox" else ProfileFacts(),
            supported_versions=("ocpp1.6",),
            environ={},
        )
    assert broken in wrong.value.errors
    assert "chargers.left.profile" in {error.path for error in wrong.value.errors}


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SettingsErrors, match="No such file"):
        load(tmp_path / "none.yaml", profiles=lambda _: None, supported_versions=())


def test_a_directory_or_device_is_not_read(tmp_path: Path):
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(SettingsErrors, match=r"not a plain file|it is a folder"):
            load(path, profiles=lambda _: None, supported_versions=())


def test_points_by_unit_id_collide_where_their_unit_ids_do(errors, site):
    one = "  a: {profile: ladder, tcp: 10.0.0.9, unit_id: 1, point: 2}\n"
    other = "  b: {profile: ladder, tcp: 10.0.0.9, unit_id: 2}\n"
    found = errors(site.replace("stations:", f"{one}{other}stations:"))
    assert [each for each in found if "a is already unit 2" in each], found


def test_points_by_port_collide_where_their_ports_do(errors, site):
    one = "  a: {profile: ports, tcp: '10.0.0.9:502', point: 2}\n"
    other = "  b: {profile: ports, tcp: '10.0.0.9:503'}\n"
    found = errors(site.replace("stations:", f"{one}{other}stations:"))
    assert [each for each in found if "a is already unit 1" in each], found


def test_one_serial_port_under_two_names_is_found_through_the_links(errors, site, tmp_path):
    real, link = tmp_path / "ttyX", tmp_path / "by-id"
    real.write_text("")
    link.symlink_to(real)
    text = site.replace("/dev/ttyUSB0", str(real)).replace(
        "stations:", f"  x: {{profile: wallbox, serial: {{port: {link}}}}}\nstations:"
    )
    assert any("chargers.x.serial: is the same wire as bus yard" in each for each in errors(text))


def test_many_mistakes_are_cut_off_and_not_a_flood(errors):
    assert len(errors("".join(f"key{number}: 1\n" for number in range(5000)))) == 100


def test_a_mistake_in_a_secret_never_shows_it(errors, site):
    found = errors(site.replace("ocpp\n", 'ocpp\n      password: "hunter2\\nhunter2"\n', 1))
    assert any("csms.password: must be" in each for each in found)
    assert not any("hunter2" in each for each in found)


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            "    bus: yard",
            "    bus: yard\n  spare:\n    profile: controller\n    tcp: 10.0.0.9",
            "chargers.spare: belongs to no",
        ),
        ("ocpp\n", "ocpp\n      password: short\n", "csms.password: should have 16 to 40"),
        (
            "ocpp\n",
            "ocpp\n      security_profile: 0\n      password: 0123456789abcdef\n",
            "csms.password: is not sent before",
        ),
        ("ocpp\n", "ocpp\n      password: 0123456789abcdef\n", "security_profile: 1 sends the password unencrypted"),
        ("ocpp\n", "ocpp\n      ca_file: edged.yaml\n", "csms.ca_file: is not used"),
        ("right\n", "right\nmqtt: {root: x}\n", "mqtt.url: is missing, so there is no MQTT"),
        ("right\n", "right\nmqtt: {url: mqtt://b, username: u, password: p}\n", "mqtt.url: mqtt:// sends the password"),
        ("right\n", "right\n    offline_tokens: [aB12345, Ab12345]\n", "offline_tokens[1]: **2345 stands there twice"),
    ],
)
def test_what_works_but_is_likely_not_meant_is_a_warning(read, site, old, new, warning):
    found = [str(each) for each in read(change(site, old, new)).warnings]
    assert any(warning in each for each in found), found
