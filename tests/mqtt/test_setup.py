"""From settings to options: nothing that the installer wrote is lost on the way."""

from __future__ import annotations

from pathlib import Path

from edged.mqtt.options import IdTokenPolicy, Protocol
from edged.mqtt.setup import options_from
from edged.settings.model import ClientCertificate, MqttProtocol, MqttSettings
from edged.settings.model import IdTokenPolicy as SettingsPolicy
from edged.settings.secret import Secret


def test_a_broker_without_security_needs_only_its_address() -> None:
    options = options_from(MqttSettings(host="b", port=1883), gateway_id="depot-7")
    assert (options.broker.host, options.broker.port, options.broker.client_id) == ("b", 1883, "edged-depot-7")
    assert options.broker.tls is None
    assert options.names.prefix == "edged/v1/depot-7"
    assert not options.commands.allows("anybody", "ping")


def test_everything_that_the_installer_wrote_arrives() -> None:
    settings = MqttSettings(
        host="b",
        port=8883,
        tls=True,
        protocol=MqttProtocol.V311,
        username="edged",
        password=Secret("hush"),
        ca_file=Path("/ca.pem"),
        client_certificate=ClientCertificate(cert=Path("/c.crt"), key=Path("/c.key")),
        root="site/a",
        id_tokens=SettingsPolicy.HASH,
        commands={"bms": frozenset({"ping"}), "ha": frozenset({"*"})},
        home_assistant="homeassistant",
    )
    options = options_from(settings, gateway_id="g")
    tls = options.broker.tls
    assert tls is not None
    assert (tls.ca_file, tls.certificate_file, tls.key_file, tls.insecure) == ("/ca.pem", "/c.crt", "/c.key", False)
    assert (options.broker.username, options.broker.password) == ("edged", "hush")
    assert (options.broker.protocol, options.id_tokens) == (Protocol.V311, IdTokenPolicy.HASH)
    assert options.names.prefix == "site/a/v1/g"
    assert options.commands.allows("bms", "ping")
    assert not options.commands.allows("bms", "reset")
    assert options.commands.allows("ha", "reset")
    assert options.home_assistant == "homeassistant"
    assert "hush" not in repr(options)


def test_both_rooms_know_the_same_words() -> None:
    assert {p.value for p in Protocol} == {p.value for p in MqttProtocol}
    assert {p.value for p in IdTokenPolicy} == {p.value for p in SettingsPolicy}
