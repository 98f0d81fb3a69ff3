"""Visits to Debian's mosquitto: with and without a password, an access list, TLS."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from edged.cli.doctor import broker
from edged.cli.doctor.configuration import Site, read_site
from edged.cli.doctor.daemon import Daemon, Presence
from edged.cli.doctor.finding import Level
from edged.cli.doctor.look_broker import look_at_broker
from edged.cli.doctor.names import Resolver
from tests.cli.doctor.judged import bad, has, only
from tests.fakes.pki import Authority, self_signed

MOSQUITTO = "/usr/sbin/mosquitto"
PASSWORD = "correct-horse-battery"
SITE = """\
gateway: {{id: gw1}}
chargers:
  left: {{profile: phoenix-charx-sec, tcp: "127.0.0.1:1"}}
stations:
  - id: DEPOT-7
    csms: {{url: "ws://127.0.0.1:9/ocpp"}}
    evses: [{{charger: left}}]
mqtt:
  url: {scheme}://localhost:{port}
{more}
"""


class Mosquitto:
    """One on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        if not Path(MOSQUITTO).exists():
            pytest.fail("these tests want a real broker: apt install mosquitto")

    def start(self, *lines: str) -> None:
        head = [f"listener {self.port} 127.0.0.1", "log_dest file " + str(self.folder / "log"), "log_type all"]
        if os.geteuid() == 0:
            head.insert(0, "user root")  # it would give up the right to read its files in a private folder
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join((*head, *lines)) + "\n")
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until_s = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert self._process.poll() is None, "mosquitto did not start"
            assert time.monotonic() < until_s, "mosquitto did not start"
            time.sleep(0.02)

    def passwords(self) -> str:
        path = self.folder / "passwords"
        path.touch(mode=0o600)
        subprocess.run(["mosquitto_passwd", "-b", str(path), "edged", PASSWORD], check=True, capture_output=True)
        return f"password_file {path}"

    def access(self, *lines: str) -> str:
        path = self.folder / "acl"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return f"acl_file {path}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    running = Mosquitto(tmp_path)
    yield running
    running.stop()


def site_for(mosquitto: Mosquitto, *more: str, scheme: str = "mqtt") -> Site:
    path = mosquitto.folder / "edged.yaml"
    path.write_text(SITE.format(scheme=scheme, port=mosquitto.port, more="\n".join(f"  {each}" for each in more)))
    path.chmod(0o600)
    site = read_site(path)
    assert site.settings is not None, site.errors
    return site


def visit(site: Site, daemon: Daemon | None = None) -> broker.BrokerFacts:
    facts = look_at_broker(site, daemon or Daemon(), Resolver(), offline=False)
    assert facts is not None
    return facts


CONNECTED = Daemon(presence=Presence.RUNNING, status={"mqtt": {"connected": True}})
USER = ("username: edged", f"password: {PASSWORD}")


def test_an_open_broker_lets_us_in(mosquitto: Mosquitto):
    mosquitto.start("allow_anonymous true")
    found = broker.judge(visit(site_for(mosquitto)))
    assert bad(found) == []
    assert has(found, Level.OK, "lets everybody in (MQTT 5)", "edged/v1/gw1")


def test_the_right_password_lets_us_in_and_the_wrong_one_does_not(mosquitto: Mosquitto):
    mosquitto.start("allow_anonymous false", mosquitto.passwords())
    assert bad(broker.judge(visit(site_for(mosquitto, *USER)))) == []
    wrong = broker.judge(visit(site_for(mosquitto, USER[0], "password: another-one-that-is-long")))
    only(wrong, Level.FAILED, "does not let the user edged in", command="mosquitto_passwd")
    nobody = broker.judge(visit(site_for(mosquitto)))
    only(nobody, Level.FAILED, "a client without a user name", command="write username:")


def test_an_access_list_that_forgets_us_is_told(mosquitto: Mosquitto):
    access = mosquitto.access("user edged", "topic readwrite edged/v1/another/#")
    mosquitto.start("allow_anonymous false", mosquitto.passwords(), access)
    found = broker.judge(visit(site_for(mosquitto, *USER)))
    only(found, Level.FAILED, "say anything at edged/v1/gw1 (Not authorized)", command="topic readwrite edged/v1/gw1/#")


def test_a_user_that_may_write_and_not_read_is_told_by_a_connected_daemons_silence(mosquitto: Mosquitto):
    access = mosquitto.access("user edged", "topic write edged/v1/gw1/#")
    mosquitto.start("allow_anonymous false", mosquitto.passwords(), access)
    only(
        broker.judge(visit(site_for(mosquitto, *USER), CONNECTED)), Level.WARNING, "nothing can be read at edged/v1/gw1"
    )


def test_the_daemons_own_session_and_topics_stay_what_they_are(mosquitto: Mosquitto):
    mosquitto.start("allow_anonymous true")
    ours = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="edged-gw1")
    lost: list[object] = []
    ours.on_disconnect = lambda *told: lost.append(told)
    ours.connect("127.0.0.1", mosquitto.port)
    ours.loop_start()
    ours.publish("edged/v1/gw1/status", b"online", qos=1, retain=True).wait_for_publish(10)
    for _ in range(2):
        facts = visit(site_for(mosquitto), CONNECTED)
        assert facts.visit is not None
        assert facts.visit.status == "online"
    assert ours.is_connected()
    assert lost == []
    ours.loop_stop()
    ours.disconnect()
    log = (mosquitto.folder / "log").read_text()
    assert "as edged-gw1-doctor-" in log


def test_a_broker_that_is_not_there_is_told(mosquitto: Mosquitto):
    only(broker.judge(visit(site_for(mosquitto))), Level.FAILED, "nothing listens", command="restart mosquitto")


def test_a_broker_with_tls_is_looked_at_by_its_certificate(mosquitto: Mosquitto):
    root = Authority.new("Site CA")
    cert, key = root.server().write(mosquitto.folder, "broker")
    (mosquitto.folder / "ca.pem").write_text(root.pem)
    mosquitto.start("allow_anonymous true", f"certfile {cert}", f"keyfile {key}")
    trusting = site_for(mosquitto, "ca_file: ca.pem", scheme="mqtts")
    found = broker.judge(visit(trusting))
    assert bad(found) == []
    assert has(found, Level.OK, "with the broker: certificate of localhost", "from Site CA")
    unknown = broker.judge(visit(site_for(mosquitto, scheme="mqtts")))
    only(unknown, Level.FAILED, "comes from Site CA", command="ca_file: /etc/edged/mqtt-ca.pem under mqtt")
    plain = broker.judge(visit(site_for(mosquitto)))
    only(plain, Level.FAILED, "does it want TLS?", command="write mqtts://")


def test_a_broker_that_vouches_for_itself_is_refused(mosquitto: Mosquitto):
    cert, key = self_signed().write(mosquitto.folder, "broker")
    mosquitto.start("allow_anonymous true", f"certfile {cert}", f"keyfile {key}")
    only(broker.judge(visit(site_for(mosquitto, scheme="mqtts"))), Level.FAILED, "signed by itself")


def test_a_broker_that_wants_a_certificate_is_told(mosquitto: Mosquitto):
    root = Authority.new("Site CA")
    cert, key = root.server().write(mosquitto.folder, "broker")
    (mosquitto.folder / "ca.pem").write_text(root.pem)
    wants = ("require_certificate true", f"cafile {mosquitto.folder / 'ca.pem'}")
    mosquitto.start("allow_anonymous true", f"certfile {cert}", f"keyfile {key}", *wants)
    found = broker.judge(visit(site_for(mosquitto, "ca_file: ca.pem", scheme="mqtts")))
    only(found, Level.FAILED, "does it want a client certificate?", command="client_certificate:")


def test_something_else_on_the_brokers_port_is_given_up(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("edged.cli.doctor.look_broker.STEP_S", 0.5)
    with socket.create_server(("127.0.0.1", mosquitto.port)):
        found = broker.judge(visit(site_for(mosquitto)))
    only(found, Level.FAILED, "hangs up (no CONNACK within 0.5 s)")
