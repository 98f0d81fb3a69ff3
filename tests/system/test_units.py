"""The units say the same as the code that they start."""

from __future__ import annotations

from pathlib import Path

from edged.cli.main import parser
from edged.cli.output import BAD_CONFIGURATION
from edged.jobs import FOLDER
from edged.settings import DEFAULT_PATH
from edged.system.host import EXIT_RESTART, REQUEST_NAME
from edged.system.installer import COMMAND_S, REQUESTS, SYSTEM_RESULTS, SYSTEM_RUNTIME

UNITS = Path(__file__).parents[2] / "systemd"


def values(unit: str, key: str) -> list[str]:
    """Every value of a key; a unit file may have several."""
    lines = (UNITS / unit).read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def test_a_restart_that_was_asked_for_is_no_failure_and_a_wrong_configuration_is_not_tried_again():
    assert values("edged.service", "SuccessExitStatus") == [str(EXIT_RESTART)]
    assert values("edged.service", "RestartPreventExitStatus") == [str(BAD_CONFIGURATION)]
    assert values("edged.service", "Restart") == ["always"]


def test_the_request_to_reboot_is_watched_where_it_is_written():
    runtime = f"/run/{values('edged.service', 'RuntimeDirectory')[0]}"
    assert values("edged-reboot.path", "PathExists") == [f"{runtime}/{REQUEST_NAME}"]
    assert values("edged-reboot.service", "ExecStart")[0].endswith(f" {runtime}/{REQUEST_NAME}")


def test_requests_for_firmware_are_watched_where_they_are_written():
    folder = f"/var/lib/{values('edged.service', 'StateDirectory')[0]}/{FOLDER}"
    assert values("edged-firmware.path", "DirectoryNotEmpty") == [f"{folder}/{REQUESTS}"]
    command = values("edged-firmware.service", "ExecStart")[0].split()[1:]
    assert parser().parse_args(command).folder == Path(folder)


def test_results_of_firmware_lie_where_edged_looks():
    assert values("edged-firmware.service", "StateDirectory") == [SYSTEM_RESULTS.name]
    assert values("edged-firmware.service", "RuntimeDirectory") == [SYSTEM_RUNTIME.name]
    assert values("edged-firmware.service", "RuntimeDirectoryPreserve") == ["yes"]
    assert float(values("edged-firmware.service", "TimeoutStartSec")[0]) > COMMAND_S


def test_a_restart_of_the_service_alone_can_be_told_from_one_of_the_computer():
    assert values("edged.service", "RuntimeDirectoryPreserve") == ["yes"]


def test_credentials_and_configuration_lie_where_edged_looks():
    assert values("edged.service", "LoadCredential") == [f"edged:{DEFAULT_PATH.parent / 'credentials'}"]
    assert values("edged.service", "ConfigurationDirectory") == [DEFAULT_PATH.parent.name]


def test_serial_lines_are_let_through_by_number_and_the_sandbox_does_not_hide_them():
    assert [value.split()[0] for value in values("edged.service", "DeviceAllow")][:4] == [
        "char-188",
        "char-166",
        "char-204",
        "char-4",
    ]
    assert values("edged.service", "PrivateDevices") == []


def test_nothing_waits_for_a_network_or_for_the_time():
    assert values("edged.service", "After") == ["network.target time-set.target"]
    assert values("edged.service", "Requires") == values("edged.service", "Wants") == []
