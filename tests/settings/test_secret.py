"""Secrets and the references through which they are fetched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.settings import ProfileFacts, load
from edged.settings.secret import MAX_SECRET_BYTES, ReferenceProblem, References, Secret


@pytest.fixture
def references(tmp_path: Path) -> References:
    return References({"PASSWORD": "hunter2"}, tmp_path)


def credential(folder: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_is_shown_by_reveal_alone():
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"


def test_references_are_replaced_anywhere_in_a_text(references):
    assert references.expand("a ${env:PASSWORD} b") == "a hunter2 b"


def test_what_a_reference_brings_in_is_not_searched_again(tmp_path):
    references = References({"A": "${env:B}", "B": "never"}, tmp_path)
    assert references.expand("${env:A}") == "${env:B}"


def test_a_credential_is_a_private_file_beside_the_configuration(references, tmp_path):
    credential(tmp_path, "csms", b"hunter2\n")
    assert references.expand("${credential:csms}") == "hunter2"


def test_the_credentials_folder_is_searched_too(references, tmp_path):
    credential(tmp_path / "credentials", "csms", b"hunter2")
    assert references.expand("${credential:csms}") == "hunter2"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o601])
def test_a_credential_that_others_may_read_is_refused(references, tmp_path, mode):
    credential(tmp_path, "csms", b"hunter2", mode)
    with pytest.raises(ReferenceProblem, match="others may read: chmod 0600") as problem:
        references.expand("${credential:csms}")
    assert "hunter2" not in str(problem.value)


def test_a_folder_that_we_may_not_look_into_is_told_with_what_helps(references, tmp_path, monkeypatch):
    own = Path.stat

    def stat(path, **more):
        if path.parent.name == "credentials":
            raise PermissionError(13, "Permission denied", str(path))
        return own(path, **more)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(ReferenceProblem, match="csms-password: run as its owner, or with sudo"):
        references.expand("${credential:csms-password}")


@pytest.mark.parametrize("name", ["csms", "edged_csms"])
def test_under_systemd_credentials_come_from_its_directory_alone(tmp_path, name):
    folder = tmp_path / "run"
    credential(folder, name, b"from systemd", 0o640)
    credential(tmp_path, "csms", b"from the folder")
    references = References({"CREDENTIALS_DIRECTORY": str(folder)}, tmp_path)
    assert references.expand("${credential:csms}") == "from systemd"


def test_under_systemd_a_missing_credential_is_not_looked_for_elsewhere(tmp_path):
    credential(tmp_path, "csms", b"from the folder")
    references = References({"CREDENTIALS_DIRECTORY": str(tmp_path / "run")}, tmp_path)
    with pytest.raises(ReferenceProblem, match="does not exist: put it into"):
        references.expand("${credential:csms}")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two\nlines", b"\xff", b"x" * (MAX_SECRET_BYTES + 1), b"a\x00b", b"\x1b[2J"]
)
def test_a_credential_is_one_line_of_text(references, tmp_path, content):
    credential(tmp_path, "csms", content)
    with pytest.raises(ReferenceProblem):
        references.expand("${credential:csms}")


@pytest.mark.parametrize(
    "name", ["", "..", "../shadow", "/etc/shadow", "a/b", ".hidden", "a b", "x" * 65, "-x", "a\x00"]
)
def test_a_credentials_name_never_leads_out_of_its_folder(references, name):
    with pytest.raises(ReferenceProblem, match=r"names no credential|is not known"):
        references.expand(f"${{credential:{name}}}")


def test_a_fifo_is_not_waited_for(references, tmp_path):
    os.mkfifo(tmp_path / "csms", 0o600)
    with pytest.raises(ReferenceProblem, match="is not a file"):
        references.expand("${credential:csms}")


@pytest.mark.parametrize(
    "text", ["${env:NONE}", "${env:}", "${env:A B}", "${file:x}", "${PASSWORD}", "${}", "${env:PASSWORD"]
)
def test_a_reference_that_leads_nowhere_is_refused(references, text):
    with pytest.raises(ReferenceProblem):
        references.expand(text)


@pytest.mark.parametrize("text", ["plain", "$", "$PASSWORD", "a$b{c}", "{env:PASSWORD}"])
def test_a_text_without_a_reference_stays_as_it_is(references, text):
    assert references.expand(text) == text


def test_a_key_file_may_be_a_credential_and_is_then_its_path(read, site, tmp_path):
    path = credential(tmp_path, "mqtt-key", b"-----BEGIN\nPEM\n")
    (tmp_path / "c.pem").write_text("pem")
    mqtt = 'mqtt: {url: mqtts://b, client_certificate: {cert: c.pem, key: "${credential:mqtt-key}"}}\n'
    settings = read(site + mqtt)
    assert settings.mqtt.client_certificate.key == path


@pytest.mark.parametrize(("mode", "expected"), [(0o644, True), (0o640, False)])
def test_a_password_in_a_file_that_everybody_may_read_is_a_warning(tmp_path, site, mode, expected):
    path = tmp_path / "edged.yaml"
    path.write_text(site.replace("ocpp\n", "ocpp\n      password: 0123456789abcdef\n", 1))
    path.chmod(mode)
    settings = load(path, profiles=lambda _: ProfileFacts(points=2), supported_versions=("ocpp1.6",), environ={})
    assert any("stands in a file that others may read" in str(each) for each in settings.warnings) is expected
