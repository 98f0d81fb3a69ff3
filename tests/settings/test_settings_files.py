"""The keys `files` and `firmware`: whom a CSMS may have us talk to, and what installs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.settings import FileSettings, FirmwareSettings, SettingsErrors, load_firmware
from edged.settings.document import read_document
from edged.settings.files import read_files, read_firmware
from edged.settings.secret import References
from edged.settings.section import Report, Section


def read(text: str) -> tuple[FileSettings, FirmwareSettings, Report]:
    report = Report("edged.yaml", References({}, Path("/")))
    node, _ = read_document(text.encode())
    root = Section(report, node, "")
    return read_files(root), read_firmware(root), report


def test_without_the_keys_nothing_private_is_reached_and_nothing_installed() -> None:
    files, firmware, report = read("a: 1")
    assert (files, firmware) == (FileSettings(allowed_hosts=(), max_mb=512), FirmwareSettings(install=()))
    assert not report.errors and not report.warnings


def test_what_is_written_is_taken_over() -> None:
    files, firmware, report = read(
        "files: {allowed_hosts: [10.0.0.0/8, updates.example.com, '::1', '[fd00::1]', nas_1], max_mb: 20}\n"
        "firmware: {install: \"/bin/true --slot 'a b'\"}"
    )
    assert files.allowed_hosts == ("10.0.0.0/8", "updates.example.com", "::1", "[fd00::1]", "nas_1")
    assert files.max_mb == 20
    assert firmware.install == ("/bin/true", "--slot", "a b")
    assert not report.errors and not report.warnings


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "files: {allowed_hosts: [10.0.0.1/8]}",
            "10.0.0.1/8': write 10.0.0.0/8 for the network, or 10.0.0.1 for the one",
        ),
        ("files: {allowed_hosts: ['fd00::1/8']}", "write fd00::/8 for the network, or fd00::1 for the one address"),
        ("files: {allowed_hosts: [10.0.0.0/99]}", "a network like 10.0.0.0/8"),
        ("files: {allowed_hosts: [10.0.0.300]}", "10.0.0.300"),
        ("files: {allowed_hosts: ['http://host/']}", "a host's name alone"),
        ("files: {allowed_hosts: ['*.example.com']}", "there are no wildcards"),
        ("files: {allowed_hosts: host}", "must be a list"),
        ("files: {max_mb: 0}", "from 1 to 16384"),
        ("files: {max: 1}", "did you mean max_mb"),
        ("firmware: {install: install-firmware}", "whole path"),
        ('firmware: {install: "/bin/true \'a"}', "is no command"),
        ("firmware: {install: '/bin/true ${env:HOME}'}", "takes no references"),
        ("firmware: {install: [/bin/true]}", "must be a text"),
        ("firmware: {command: /bin/true}", "known are install"),
        ("firmware: {install: '/bin/true" + " a" * 64 + "'}", "write a script"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(text: str, sentence: str) -> None:
    _, _, report = read(text)
    (error,) = report.errors
    assert sentence in error.sentence and error.line == 1


def test_a_command_that_is_not_there_is_worth_a_warning() -> None:
    _, firmware, report = read("firmware: {install: /nowhere/install}")
    assert firmware.install == ("/nowhere/install",) and "cannot be executed" in report.warnings[0].sentence


def test_the_command_can_be_read_without_the_secrets_of_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "edged.yaml"
    path.write_text("mqtt: {password: '${credential:none}'}\nfirmware: {install: /bin/true}\n")
    assert load_firmware(path).install == ("/bin/true",)
    path.write_text("firmware: {install: true}\n")
    with pytest.raises(SettingsErrors):
        load_firmware(path)
    path.write_text("firmware: [")
    with pytest.raises(SettingsErrors):
        load_firmware(path)
