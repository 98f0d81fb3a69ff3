"""The keys of `mqtt`: the broker, who may command, what is shown."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from edged.settings.errors import shown
from edged.settings.model import (
    IdTokenPolicy,
    MqttProtocol,
    MqttSettings,
    PointMirror,
    SpoolSettings,
)
from edged.settings.pem_files import client_certificate
from edged.settings.section import Pattern, Section, hint

MAX_ACTORS = 64
MAX_COMMANDS = 100
DEFAULT_ROOT = "edged"
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_TLS_KEYS = ("ca_file", "client_certificate")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_LEVEL = r"[^/+#\x00-\x1f$][^/+#\x00-\x1f]*"
TOPIC = Pattern(re.compile(rf"{_LEVEL}(/[^/+#\x00-\x1f]+){{0,2}}"), "write one to three words with / between them")
ACTOR = re.compile(r"[^/+#\x00-\x1f]{1,64}")


def read_mqtt(
    root: Section, known_commands: Collection[str], not_built_in: Collection[str], *, readable: bool
) -> MqttSettings | None:
    """The broker, None where there is none. `known_commands` empty: names of commands are not checked.

    `not_built_in`: commands that may be written and have no effect yet.
    """
    if "mqtt" not in root:
        root.node("mqtt")
        return None
    section = root.section("mqtt")
    address = _address(section)
    tls = address is not None and address[0] == "mqtts"
    username = section.text("username")
    password = section.secret("password", literal_is_readable=readable)
    if "password" in section and "username" not in section:
        section.error("password", "needs a username: MQTT sends none without one")
    mqtt = MqttSettings(
        host=address[1] if address else "",
        port=address[2] if address else 0,
        tls=tls,
        protocol=section.choice("protocol", MqttProtocol, MqttProtocol.AUTO),
        username=username,
        password=password,
        ca_file=section.file("ca_file"),
        client_certificate=client_certificate(section),
        root=section.text("root", pattern=TOPIC, limit=128) or DEFAULT_ROOT,
        id_tokens=section.choice("id_tokens", IdTokenPolicy, IdTokenPolicy.MASKED),
        points=section.choice("points", PointMirror, PointMirror.OFF),
        raw_ocpp=section.flag("raw_ocpp", False),
        home_assistant=section.text("home_assistant", pattern=TOPIC, limit=128),
        commands=_commands(section, known_commands, not_built_in),
        spool=_spool(section),
    )
    if address is not None:
        _check_encryption(section, address, has_password="password" in section)
    section.close()
    if "url" not in section:
        if section.keys:
            section.warning("url", "is missing, so there is no MQTT and the rest of mqtt has no effect")
        return None
    return mqtt


def _address(section: Section) -> tuple[str, str, int] | None:
    """Scheme, host and port; None where it is missing or wrong."""
    url = section.text("url", limit=512)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except (ValueError, UnicodeError):
        section.error("url", "is not an address: write it like mqtts://broker.example.com:8883")
        return None
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0 or not url.isascii() or " " in url:
        section.error("url", "must be mqtt://HOST:PORT or mqtts://HOST:PORT")
        return None
    if parts.username is not None or parts.password is not None:
        section.error("url", "must not carry a user or a password: write username: and password:")
        return None
    if parts.path.strip("/") or parts.query or parts.fragment:
        section.error("url", "must end with the port: the topics start at root:")
        return None
    return parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme]


def _check_encryption(section: Section, address: tuple[str, str, int], *, has_password: bool) -> None:
    scheme, host, _ = address
    if scheme == "mqtts":
        return
    for key in _TLS_KEYS:
        if key in section:
            section.error(key, "is only for mqtts://: write url: mqtts://..., or delete the line")
    if has_password and host not in _LOCAL_HOSTS:
        section.warning("url", "mqtt:// sends the password unencrypted: use mqtts:// where you can")


def _commands(section: Section, known: Collection[str], not_built_in: Collection[str]) -> dict[str, frozenset[str]]:
    allowed: dict[str, frozenset[str]] = {}
    for actor, commands in section.lists("commands", limit=max(MAX_ACTORS, MAX_COMMANDS)):
        path = f"{section.path_of('commands')}.{shown(actor)}"
        if not ACTOR.fullmatch(actor) or not actor.isprintable():
            section.report.error(section.line_of("commands"), path, "cannot be an actor: use a word without / + #")
            continue
        for command, line, where in commands:
            if known and command != "*" and command not in known:
                section.report.error(line, where, f"there is no command {shown(command)}; {hint(command, known)}")
            elif command in not_built_in:
                problem = f"{command} is not built into this edged: it is answered not_supported"
                section.report.warning(line, where, problem)
        allowed[actor] = frozenset(command for command, _, _ in commands)
    return allowed


def _spool(section: Section) -> SpoolSettings:
    inner = section.section("spool")
    spool = SpoolSettings(
        max_rows=inner.integer("max_rows", 50_000, low=100, high=10_000_000),
        max_mb=inner.integer("max_mb", 32, low=1, high=10_000),
        max_age_d=inner.integer("max_age_d", 30, low=1, high=3650),
    )
    inner.close()
    return spool
