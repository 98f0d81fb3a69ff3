"""The broker kit (config/mosquitto) on Debian's Mosquitto: the very files, at other places, ports and for another
gateway. Judged from outside, by clients that share no code with edged; edged itself comes as a process.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.integration.daemon import PATIENCE_S, Edged, charger, site_file
from tests.integration.peers import free_port

KIT = Path(__file__).parents[2] / "config/mosquitto"
GATEWAY = "gw"
TREE = f"edged/v1/{GATEWAY}"
MOSQUITTO = "/usr/sbin/mosquitto"
PASSWORDS = {"bms-ro": "ro-secret-1", "bms-op": "op-secret-1", "homeassistant": "ha-secret-1"}
VISIBLE = (
    f"{TREE}/status",
    f"{TREE}/info",
    f"{TREE}/heartbeat",
    f"{TREE}/health",
    f"{TREE}/station/cs1/connector/1/status",
    f"{TREE}/event/connector",
    f"{TREE}/point/cs1/1/power_w",
    f"{TREE}/point-meta/cs1/1/power_w",
)
HIDDEN = (
    f"{TREE}/station/cs1/ocpp/raw/in",
    f"{TREE}/rpc/bms-op/reply/ping",
    f"{TREE}/rpc/homeassistant/reply/ping",
    f"{TREE}/rpc/bms-op/request/ping",
    f"homeassistant/device/edged-{GATEWAY}/cs1-1/config",
)
END = f"{TREE}/status"
NOT_AUTHORIZED = "Not authorized"


def make_certificate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(KIT / "make-certificates.sh"), str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@dataclass
class KitBroker:
    """Mosquitto as docs/mqtt/broker.md installs it, below `folder` in place of /etc, /var and /run."""

    folder: Path
    tls_port: int
    password_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def files(self) -> Path:
        return self.folder / "etc/mosquitto/edged"

    def install(self) -> None:
        for name in ("etc/mosquitto/conf.d", "etc/mosquitto/edged", "var/lib", "var/log", "run"):
            (self.folder / name).mkdir(parents=True)
        for words in (("ca",), ("broker", "localhost", "127.0.0.1"), ("client", "edged"), ("client", "bms-op")):
            made = make_certificate(self.files, *words)
            assert made.returncode == 0, made.stderr
        for user, password in PASSWORDS.items():
            create = () if (self.files / "passwords").exists() else ("-c",)
            words = ["mosquitto_passwd", *create, "-b", str(self.files / "passwords"), user, password]
            subprocess.run(words, check=True, capture_output=True, timeout=30)
        acl = (KIT / "edged.acl").read_text()
        (self.files / "acl").write_text(re.sub(r"\bgw1\b", GATEWAY, acl))
        conf = (KIT / "edged.conf").read_text()
        for was, port in (("8883", self.tls_port), ("8884", self.password_port)):
            assert f"listener {was}\n" in conf
            conf = conf.replace(f"listener {was}\n", f"listener {port} 127.0.0.1\n")
        (self.folder / "etc/mosquitto/conf.d/edged.conf").write_text(self.moved(conf))
        main = (  # Debian's own
            "pid_file /run/mosquitto.pid\n\npersistence true\npersistence_location /var/lib/\n\n"
            "log_dest file /var/log/mosquitto.log\n\ninclude_dir /etc/mosquitto/conf.d\n"
        )
        if os.geteuid() == 0:
            main = f"user root\n{main}"  # mosquitto's own user cannot look into a test's folder
        (self.folder / "etc/mosquitto/mosquitto.conf").write_text(self.moved(main))

    def moved(self, text: str) -> str:
        return re.sub(r" /(etc|var|run)/", rf" {self.folder}/\1/", text)

    def start(self) -> None:
        command = [MOSQUITTO, "-c", str(self.folder / "etc/mosquitto/mosquitto.conf")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline_s = time.monotonic() + PATIENCE_S
        for port in (self.tls_port, self.password_port):
            while True:
                assert self.process.poll() is None, f"mosquitto does not take the kit: {self.log}"
                assert time.monotonic() < deadline_s, self.log
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.02)

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            process.wait(PATIENCE_S)

    @property
    def log(self) -> str:
        path = self.folder / "var/log/mosquitto.log"
        return path.read_text() if path.exists() else ""


class Guest:
    """A client of the broker on paho's own thread. `code`: how CONNACK received it."""

    def __init__(self, broker: KitBroker, user: str, *, v5: bool = True) -> None:
        self.seen: list[paho.MQTTMessage] = []
        self.code: Any = None
        self.is_gone = False
        self._news = threading.Condition()
        self._settled: dict[int, str] = {}
        self._granted: dict[int, bool] = {}
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=f"{user}-{uuid.uuid4().hex[:6]}",
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        self.client.on_connect = self._on_connect
        self.client.on_publish = self._on_publish
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.on_disconnect = self._on_disconnect
        context = ssl.create_default_context(cafile=str(broker.files / "ca.crt"))
        certificate = broker.files / f"{user}.crt"
        self._port = broker.tls_port
        if user in PASSWORDS:
            self._port = broker.password_port
            self.client.username_pw_set(user, PASSWORDS[user])
        elif certificate.exists():
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self.context = context

    def enter(self, port: int | None = None) -> Guest:
        self.client.tls_set_context(self.context)
        self.client.connect("127.0.0.1", port or self._port, 30)
        self.client.loop_start()
        self.wait(lambda: self.code is not None)
        return self

    def wait(self, true: Callable[[], Any]) -> Any:
        with self._news:
            found = self._news.wait_for(true, PATIENCE_S)
        assert found, f"it did not happen; seen: {[m.topic for m in self.seen]}"
        return found

    def _note(self, note: Callable[[], object]) -> None:
        with self._news:
            note()
            self._news.notify_all()

    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        self._note(lambda: setattr(self, "code", str(code)))

    def _on_publish(self, _c: Any, _u: Any, mid: int, code: Any, _p: Any) -> None:
        self._note(lambda: self._settled.update({mid: str(code)}))

    def _on_subscribe(self, _c: Any, _u: Any, mid: int, codes: list[Any], _p: Any) -> None:
        self._note(lambda: self._granted.update({mid: not any(code.is_failure for code in codes)}))

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        self._note(lambda: self.seen.append(message))

    def _on_disconnect(self, *_: Any) -> None:
        self._note(lambda: setattr(self, "is_gone", True))

    def publish(self, topic: str, payload: str = "x", *, retain: bool = False, response: str | None = None) -> str:
        """What the broker's PUBACK says."""
        properties = None
        if response is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = response
        mid = self.client.publish(topic, payload, 1, retain, properties).mid
        self.wait(lambda: mid in self._settled)
        return self._settled[mid]

    def subscribe(self, *filters: str) -> bool:
        """Whether the broker says that it is granted."""
        _, mid = self.client.subscribe([(each, 1) for each in filters])
        self.wait(lambda: mid in self._granted)
        return self._granted[mid]

    def topics(self) -> set[str]:
        with self._news:
            return {message.topic for message in self.seen}

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KitBroker]:
    broker = KitBroker(tmp_path_factory.mktemp("kit"), free_port(), free_port())
    broker.install()
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def guest(kit: KitBroker) -> Iterator[Callable[..., Guest]]:
    made: list[Guest] = []

    def enter(user: str, **how: Any) -> Guest:
        made.append(Guest(kit, user, **how))
        return made[-1].enter()

    yield enter
    for each in made:
        each.leave()


def hears(listener: Guest, speaker: Guest) -> set[str]:
    """What a listener to everything gets of all that edged (or somebody in its name) may say. The broker keeps the
    order within one pair of clients, so whatever was let through lies before the last."""
    assert listener.subscribe("#")
    before = len(listener.seen)
    for topic in (*HIDDEN, *VISIBLE):
        assert speaker.publish(topic) in ("Success", "No matching subscribers")
    end = f"end-{uuid.uuid4().hex}"
    speaker.publish(END, end)
    listener.wait(lambda: any(m.payload.decode() == end for m in listener.seen))
    return {message.topic for message in listener.seen[before:]} & {*HIDDEN, *VISIBLE}


# --- who comes in


@pytest.mark.parametrize("user", ["edged", "bms-op", "bms-ro", "homeassistant"])
def test_whoever_proves_to_be_a_user_is_let_in(guest: Callable[..., Guest], user: str) -> None:
    assert guest(user).code == "Success"


def test_nobody_comes_in_without_a_password(kit: KitBroker) -> None:
    stranger = Guest(kit, "stranger").enter(kit.password_port)
    assert stranger.code == NOT_AUTHORIZED
    stranger.leave()


def test_a_wrong_password_is_refused(kit: KitBroker) -> None:
    impostor = Guest(kit, "bms-op")
    impostor.client.username_pw_set("bms-op", "guessed")
    assert impostor.enter(kit.password_port).code == NOT_AUTHORIZED
    impostor.leave()


def refused(guest: Guest, port: int) -> str:
    """Why TLS ends a connection. With TLS 1.3 the refusal comes only after the client's own handshake."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
        try:
            with guest.context.wrap_socket(plain, server_hostname="127.0.0.1") as line:
                line.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x00")
                said = line.recv(4)
        except OSError as error:
            return str(error)
    return f"let in: {said!r}" if said else "closed"


def test_nobody_comes_in_without_a_certificate(kit: KitBroker) -> None:
    assert "let in" not in refused(Guest(kit, "stranger"), kit.tls_port)
    assert "let in" in refused(Guest(kit, "edged"), kit.tls_port)


def test_a_certificate_of_another_authority_is_refused(kit: KitBroker, tmp_path: Path) -> None:
    for words in (("ca",), ("client", "edged")):
        assert make_certificate(tmp_path, *words).returncode == 0
    forger = Guest(kit, "stranger")
    forger.context.load_cert_chain(tmp_path / "edged.crt", tmp_path / "edged.key")
    assert "let in" not in refused(forger, kit.tls_port)


def test_the_brokers_certificate_is_no_clients(kit: KitBroker) -> None:
    thief = Guest(kit, "stranger")
    thief.context.load_cert_chain(kit.files / "broker.crt", kit.files / "broker.key")
    assert "let in" not in refused(thief, kit.tls_port)


def test_no_listener_speaks_without_tls(kit: KitBroker) -> None:
    for port in (kit.tls_port, kit.password_port):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
            plain.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x00")
            try:
                assert plain.recv(4)[:1] != b"\x20"
            except ConnectionError:
                pass


# --- who sees what


@pytest.mark.parametrize("user", ["bms-ro", "bms-op", "homeassistant"])
def test_a_bms_sees_the_site_and_neither_frames_nor_the_calls_of_others(guest: Callable[..., Guest], user: str) -> None:
    seen = hears(guest(user), guest("edged"))
    own = {f"{TREE}/rpc/{user}/reply/ping"}
    if user == "homeassistant":  # it has no use for the points, and discovery is made for it
        wanted = {topic for topic in VISIBLE if not topic.startswith((f"{TREE}/point", f"{TREE}/heartbeat"))}
        own.add(f"homeassistant/device/edged-{GATEWAY}/cs1-1/config")
    else:
        wanted = set(VISIBLE)
    assert seen >= wanted
    assert seen - wanted <= own
    assert (f"{TREE}/rpc/{user}/reply/ping" in seen) == (user != "bms-ro"), "each its own replies"


def test_a_reply_reaches_its_actor_alone(guest: Callable[..., Guest]) -> None:
    """Also one who asks for the other's replies by name: 2.0.11 grants the subscription and delivers nothing."""
    op, curious, daemon = guest("bms-op"), guest("bms-ro"), guest("edged")
    for each in (op, curious):
        each.subscribe(f"{TREE}/rpc/bms-op/reply/#", f"{TREE}/rpc/+/reply/#", f"{TREE}/status")
    daemon.publish(f"{TREE}/rpc/bms-op/reply/ping", "secret")
    daemon.publish(END, "after")
    for each in (op, curious):
        each.wait(lambda each=each: any(m.payload == b"after" for m in each.seen))
    assert f"{TREE}/rpc/bms-op/reply/ping" in op.topics()
    assert not any("/rpc/" in topic for topic in curious.topics())


# --- who says what


def test_a_bms_that_only_reads_cannot_command(guest: Callable[..., Guest]) -> None:
    bms = guest("bms-ro")
    for actor in ("bms-ro", "bms-op", "edged"):
        assert bms.publish(f"{TREE}/rpc/{actor}/request/reset", "{}") == NOT_AUTHORIZED
    for topic in (f"{TREE}/status", f"{TREE}/rpc/bms-ro/reply/x", "homeassistant/status", "anything"):
        assert bms.publish(topic) == NOT_AUTHORIZED


def test_who_denied_speaks_3_1_1_is_told_nothing_and_not_heard(guest: Callable[..., Guest]) -> None:
    """A quirk of the protocol: its PUBACK has no word for it."""
    daemon, bms = guest("edged"), guest("bms-ro", v5=False)
    daemon.subscribe(f"{TREE}/rpc/+/request/#")
    assert bms.publish(f"{TREE}/rpc/bms-ro/request/reset", "{}") == "Success"
    guest("bms-op").publish(f"{TREE}/rpc/bms-op/request/ping", "{}")
    daemon.wait(lambda: daemon.seen)
    assert daemon.topics() == {f"{TREE}/rpc/bms-op/request/ping"}


@pytest.mark.parametrize("v5", [True, False], ids=["v5", "v311"])
def test_a_huge_request_cuts_its_sender_off_and_comes_to_nobody(
    guest: Callable[..., Guest], kit: KitBroker, v5: bool
) -> None:
    """A listener of 3.1.1 cannot say how much it takes: the kit says it for all."""
    daemon, op = guest("edged", v5=False), guest("bms-op", v5=v5)
    daemon.subscribe(f"{TREE}/rpc/+/request/#")
    op.client.publish(f"{TREE}/rpc/bms-op/request/huge", "x" * 2 * 1024 * 1024, 1)
    op.wait(lambda: op.is_gone)
    guest("bms-op").publish(f"{TREE}/rpc/bms-op/request/ping", "{}")
    daemon.wait(lambda: daemon.seen)
    assert daemon.topics() == {f"{TREE}/rpc/bms-op/request/ping"}


def test_an_actor_commands_under_its_own_name_only(guest: Callable[..., Guest]) -> None:
    op, home = guest("bms-op"), guest("homeassistant")
    assert op.publish(f"{TREE}/rpc/bms-op/request/ping", "{}") != NOT_AUTHORIZED
    assert home.publish(f"{TREE}/rpc/homeassistant/request/ping", "{}") != NOT_AUTHORIZED
    assert op.publish(f"{TREE}/rpc/homeassistant/request/ping", "{}") == NOT_AUTHORIZED
    assert home.publish(f"{TREE}/rpc/bms-op/request/ping", "{}") == NOT_AUTHORIZED
    for topic in (f"{TREE}/status", f"{TREE}/rpc/bms-op/reply/ping", "edged/v1/other/rpc/bms-op/request/ping"):
        assert op.publish(topic) == NOT_AUTHORIZED


def test_edged_writes_its_own_tree_and_its_own_discovery_only(guest: Callable[..., Guest]) -> None:
    daemon = guest("edged")
    for topic in (*VISIBLE, *HIDDEN):
        assert daemon.publish(topic) != NOT_AUTHORIZED
    for topic in (
        "edged/v1/gw2/status",
        f"edged/v1/{GATEWAY}2/status",
        "homeassistant/status",
        "homeassistant/device/edged-gw2/cs1-1/config",
        "homeassistant/device/zigbee/lamp/config",
        "homeassistant/sensor/x/config",
        "$SYS/broker/x",
        "anything",
    ):
        assert daemon.publish(topic) == NOT_AUTHORIZED, topic


# --- edged itself


@pytest.fixture
async def daemon(kit: KitBroker, folder: Path) -> AsyncIterator[Edged]:
    edged = Edged(folder)
    boxes = {"box": charger("phoenix-charx-sec", f"127.0.0.1:{free_port()}")}
    url = f"mqtts://127.0.0.1:{kit.tls_port}"
    document = site_file(boxes, csms=f"ws://127.0.0.1:{free_port()}/ocpp", mqtt=url)
    document["mqtt"] |= {
        "ca_file": str(kit.files / "ca.crt"),
        "client_certificate": {"cert": str(kit.files / "edged.crt"), "key": str(kit.files / "edged.key")},
        "commands": {"bms-op": ["ping"]},
        "home_assistant": "homeassistant",
    }
    edged.configure(document)
    await edged.up()
    yield edged
    await edged.close()


async def test_the_daemon_is_at_home_at_the_broker(kit: KitBroker, daemon: Edged, guest: Callable[..., Guest]) -> None:
    """With its certificate as its user: shows the site, announces it to Home Assistant, answers whom it may, and
    nobody learns the answer but the actor."""

    async def connected() -> bool:
        return bool((await daemon.status())["mqtt"]["connected"])

    await daemon.until(connected, "it is connected")
    assert "as edged-gw " in kit.log
    assert "u'edged'" in kit.log
    op, curious, home = guest("bms-op"), guest("bms-ro"), guest("homeassistant")
    for each in (op, curious, home):
        each.subscribe("#")
    for each in (op, curious, home):
        each.wait(lambda each=each: any(m.topic == f"{TREE}/status" and m.payload == b"online" for m in each.seen))
    topic = f"{TREE}/rpc/bms-op/reply/mine"
    op.publish(f"{TREE}/rpc/bms-op/request/ping", '{"id":"1"}', response=topic)
    op.wait(lambda: topic in op.topics())
    home.wait(lambda: any(t.startswith(f"homeassistant/device/edged-{GATEWAY}/") for t in home.topics()))
    op.wait(lambda: any(t.endswith("/station/CP-1/connector/1/status") for t in op.topics()))
    assert topic not in curious.topics() | home.topics()
    assert not [line for line in kit.log.splitlines() if "Denied" in line]


def test_what_is_retained_outlives_a_restart_of_the_broker(tmp_path: Path) -> None:
    """With listeners that judge for themselves the broker looks again who wrote what it has kept."""
    broker = KitBroker(tmp_path, free_port(), free_port())
    broker.install()
    broker.start()
    try:
        author = Guest(broker, "edged").enter()
        author.publish(f"{TREE}/info", "{}", retain=True)
        author.leave()
        broker.stop()
        broker.start()
        reader = Guest(broker, "bms-ro").enter()
        reader.subscribe(f"{TREE}/info")
        reader.wait(lambda: reader.seen)
        reader.leave()
    finally:
        broker.stop()


# --- the script


def test_nothing_is_overwritten_and_nothing_half_made_is_left(tmp_path: Path) -> None:
    assert "there is no authority" in make_certificate(tmp_path, "client", "a").stderr
    assert make_certificate(tmp_path, "ca").returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for words in (("ca",), ("broker", "bad host"), ("broker", "x;y"), ("client", "a/b"), ("client", "ca"), ("client",)):
        done = make_certificate(tmp_path, *words)
        assert done.returncode != 0, words
        assert done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0
