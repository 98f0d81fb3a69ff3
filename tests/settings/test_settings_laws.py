"""Whatever stands in the file: settings, or mistakes in sentences. Never anything else."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edged.settings import ProfileFacts, Settings, SettingsErrors, parse

SITE = """\
gateway: {id: depot-7, hard_reset: service, time_source: csms}
buses:
  yard: {serial: /dev/ttyUSB0, baudrate: 19200, parity: even, stopbits: 1}
chargers:
  left: {profile: wallbox, bus: yard, unit_id: 1, reset_relay: {charger: right, output: 3}}
  right: {profile: wallbox, tcp: "10.0.0.21:502", point: 1, poll_interval_s: 1.0, max_current_a: 32}
stations:
  - id: DEPOT-7
    csms: {url: "wss://csms.example.com/ocpp", versions: [ocpp1.6], security_profile: 0, password: "${env:P}"}
    evses: [{charger: left, connectors: [{type: cType2}]}, {charger: right}]
    configuration: {HeartbeatInterval: 300, ReserveConnectorZeroSupported: true}
    offline_tokens: [04A2]
mqtt: {url: "mqtt://b", username: u, points: off, commands: {a: ["*"]}, spool: {max_rows: 500}}
data_transfer: {vendors: {com.example: {messages: [Tariff], status: Accepted, answer: "OK"}}}
log: {level: info, wire: false}
"""
WORDS = sorted(set(SITE.replace("{", " ").replace("}", " ").replace(",", " ").replace('"', " ").split()))
ODD = ["", "~", "-1", "1e999", "0x1F", "010", "1:30", "on", ".inf", "99999999999999999999", "null", "'", '"', "\t",
       "\n", "- ", "? ", ": ", "&a ", "*a", "!x ", "${", "}", "[", "]", "{", "|", ">", "%", "@", "`", "\\", "ß",
       "\U0001f50c", "\u2028", "\x85", "---", "...", "<<"]  # fmt: skip
FACTS = ProfileFacts(connector_type="cType2", points=4, relay_outputs=4)


def attempt(content: bytes) -> Settings | SettingsErrors:
    """The outcome, with what must hold for it."""
    try:
        found = parse(
            content,
            Path("/nowhere/edged.yaml"),
            profiles=lambda name: FACTS if name == "wallbox" else None,
            supported_versions=("ocpp1.6",),
            profile_names=("wallbox",),
            known_commands=("ping",),
            environ={"P": "secret-secret-secret"},
            hostname="box",
        )
    except SettingsErrors as wrong:
        assert wrong.errors
        for error in (*wrong.errors, *wrong.warnings):
            text = str(error)
            assert text.isprintable(), text
            assert text.startswith("/nowhere/edged.yaml:")
            assert len(text) < 2500
            assert "secret-secret" not in text
        return wrong
    assert all(charger.line.port for charger in found.chargers.values())
    assert found.stations
    assert found.chargers
    repr(found)
    return found


@given(st.binary(max_size=300))
@example(b"a: !!binary x\n")
@example(b'"\\UFFFFFFFF": 1')
@example(b"\xff\xfe")
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_settings_or_mistakes(content):
    attempt(content)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_site_with_pieces_replaced_is_settings_or_mistakes(data):
    text = SITE
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(ODD + WORDS)) + text[end:]
    attempt(text.encode("utf-8", "surrogatepass"))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS + ODD), st.text(max_size=8)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([word.strip(":") for word in WORDS]), inner, max_size=5),
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(["gateway", "buses", "chargers", "stations", "mqtt", "log", "left", "csms", "evses", "spool"]),
    TREES,
)
@example("buses", {"left": None})  # a broken bus and a broken charger of one name were taken for one wire
@settings(max_examples=300, deadline=None)
def test_any_value_under_any_key_is_settings_or_mistakes(key, tree):
    document = yaml.safe_load(SITE)

    def put(node: object) -> None:
        if isinstance(node, dict):
            for name in node:
                if name == key:
                    node[name] = tree
                else:
                    put(node[name])
        elif isinstance(node, list):
            for item in node:
                put(item)

    put(document)
    attempt(yaml.safe_dump(document, allow_unicode=True).encode())


def test_the_site_that_is_mutated_here_is_right():
    assert isinstance(attempt(SITE.encode()), Settings)
