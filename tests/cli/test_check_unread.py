"""`edged check` by somebody who may not read the passwords: that is no mistake in the configuration."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.command_line import Edged
from tests.fakes.somebody import as_somebody

SITE = """\
chargers:
  left: {profile: phoenix-charx-sec, tcp: "127.0.0.1:5020"}
stations:
  - id: DEPOT-7
    csms:
      url: ws://127.0.0.1:9000
      password: ${credential:csms-password}
    evses: [{charger: left}]
mqtt: {url: "mqtts://127.0.0.1", username: edged, password: "${credential:broker}", ca_file: own-ca.pem}
"""
CERTIFICATE = """\
      security_profile: 3
      client_certificate: {cert: station.crt, key: "${credential:station-key}"}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may enter, unlike pytest's, with credentials as the package has them."""
    with tempfile.TemporaryDirectory(prefix="edged-") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "edged.yaml").write_text(SITE)
        (path / "own-ca.pem").touch(0o600)
        (path / "credentials").mkdir(0o700)
        for secret in ("csms-password", "broker"):
            (path / "credentials" / secret).write_text("correct-horse-battery\n")
            (path / "credentials" / secret).chmod(0o600)
        (path / "credentials").chmod(0 if os.geteuid() else 0o700)
        yield path
        (path / "credentials").chmod(0o700)


def check(edged: Edged, folder: Path, *words: str) -> tuple[int, str, str]:
    edged(
        "check", "-c", folder / "edged.yaml", *words
    )  # whatever is imported on the way is, where Python is root's own
    with as_somebody():
        return edged("check", "-c", folder / "edged.yaml", *words)


def test_what_is_not_shown_is_named_and_the_rest_checked(edged: Edged, folder: Path):
    status, out, err = check(edged, folder)
    assert status == 1
    assert "connector 1 (EVSE 1): charger left" in out
    assert out.endswith(f"{folder}/edged.yaml is right, as far as this user may see\n")
    *unread, last = err.splitlines()
    assert [line.partition(": ")[2].partition(": ")[0] for line in unread] == [
        "stations[0].csms.password",
        "mqtt.password",
        "mqtt.ca_file",
    ]
    assert f"cannot read the credential {folder}/csms-password" in err or f"{folder}/credentials/csms-password" in err
    assert last.endswith(f"run it with sudo: sudo edged check -c {folder}/edged.yaml")
    assert "wrong" not in err


def test_a_key_that_is_not_shown_is_named_too(edged: Edged, folder: Path):
    (folder / "station.crt").write_text("x")
    text = SITE.replace("ws://", "wss://").replace("    evses", CERTIFICATE + "    evses")
    (folder / "edged.yaml").write_text(text)
    status, _, err = check(edged, folder)
    assert (status, "client_certificate.key: cannot read the credential" in err) == (1, True)


def test_mistakes_are_told_beside_it_and_make_it_wrong(edged: Edged, folder: Path):
    (folder / "edged.yaml").write_text(SITE.replace("ws://127.0.0.1:9000", "http://127.0.0.1"))
    status, out, err = check(edged, folder)
    assert (status, out) == (78, "")
    assert "stations[0].csms.password: cannot read the credential" in err
    assert err.endswith("edged: the configuration is wrong in 1 place: nothing was started\n")


def test_programs_are_told_what_was_not_shown(edged: Edged, folder: Path):
    status, out, err = check(edged, folder, "--json")
    told = json.loads(out)
    assert (status, err, told["ok"], told["errors"]) == (1, "", False, [])
    assert [each["path"] for each in told["not_shown"]] == [
        "stations[0].csms.password",
        "mqtt.password",
        "mqtt.ca_file",
    ]
    assert told["stations"][0]["connectors"][0]["charger"] == "left"
    told = json.loads(edged("check", "-c", folder / "edged.yaml", "--json")[1]) if os.geteuid() == 0 else {}
    assert not told.get("not_shown")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_configuration_that_is_not_shown_is_not_called_wrong(edged: Edged, folder: Path, words: tuple[str, ...]):
    (folder / "edged.yaml").chmod(0 if os.geteuid() else 0o600)
    status, out, err = check(edged, folder, *words)
    assert status == 1
    assert f"{folder}/edged.yaml" in (json.loads(out)["not_shown"][0]["file"] if words else err)
    assert words or "sudo edged check" in err
    assert "wrong" not in out + err


def test_a_secret_that_everybody_may_read_is_still_a_mistake(edged: Edged, folder: Path):
    (folder / "csms-password").write_text("correct-horse-battery\n")
    (folder / "csms-password").chmod(0o644)
    status, _, err = check(edged, folder)
    assert (status, "chmod 0600" in err) == (78, True)
