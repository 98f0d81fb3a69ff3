"""What is said of the service, by what systemd shows of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.cli.doctor.finding import Level
from edged.cli.doctor.service import (
    REBOOT_PATH,
    Journal,
    ServiceFacts,
    judge,
    parse_units,
    storage_of,
)
from tests.cli.doctor.judged import bad, has, only

WELL = {
    "Id": ("edged.service",),
    "LoadState": ("loaded",),
    "ActiveState": ("active",),
    "SubState": ("running",),
    "UnitFileState": ("enabled",),
    "Result": ("success",),
    "NRestarts": ("0",),
    "ExecMainStatus": ("0",),
    "ConditionResult": ("yes",),
    "NeedDaemonReload": ("no",),
}
FACTS = ServiceFacts(version="1.2.0", units={"edged.service": WELL}, journal=Journal(storage="persistent"))


def with_unit(**more: str) -> ServiceFacts:
    return replace(FACTS, units={"edged.service": {**WELL, **{key: (value,) for key, value in more.items()}}})


def test_a_service_that_runs_is_all_right():
    assert bad(judge(FACTS)) == []


@pytest.mark.parametrize(
    ("properties", "level", "words", "command"),
    [
        ({"LoadState": "not-found"}, Level.WARNING, "no unit", "apt install ./edged_"),
        ({"LoadState": "masked"}, Level.FAILED, "masked", "systemctl unmask edged"),
        ({"LoadState": "bad-setting"}, Level.FAILED, "bad-setting", "systemd-analyze verify edged.service"),
        ({"UnitFileState": "disabled"}, Level.WARNING, "not started at boot", "systemctl enable edged"),
        ({"NeedDaemonReload": "yes"}, Level.WARNING, "changed on disk", "systemctl daemon-reload"),
        ({"ActiveState": "inactive", "SubState": "dead"}, Level.FAILED, "does not run", "systemctl start edged"),
        (
            {"ActiveState": "inactive", "ConditionResult": "no"},
            Level.FAILED,
            "a condition of its unit is not met",
            "edged setup",
        ),
        ({"ActiveState": "failed", "ConditionResult": "no"}, Level.FAILED, "a condition of its unit", "edged setup"),
        ({"ActiveState": "activating", "SubState": "start"}, Level.NOTE, "on its way", "systemctl status edged"),
        ({"ActiveState": "reloading", "SubState": "reload"}, Level.NOTE, "on its way", "systemctl status edged"),
        ({"NRestarts": "1"}, Level.NOTE, "again 1 time since", "journalctl"),
        (
            {"NRestarts": "5", "Result": "watchdog"},
            Level.WARNING,
            "5 times since it was first started; last: it hung",
            "",
        ),
        ({"ActiveState": "failed", "Result": "watchdog"}, Level.FAILED, "killed by the watchdog", "journalctl"),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "78"},
            Level.FAILED,
            "the configuration is wrong, or what is kept here needs a person (status 78)",
            "sudo edged check; sudo journalctl",
        ),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "243"},
            Level.FAILED,
            "credentials cannot be loaded",
            "install -d -m 700 -o root -g root /etc/edged/credentials",
        ),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "75"},
            Level.FAILED,
            "it ended with status 75 (exit-code)",
            "journalctl",
        ),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code", "ExecMainStatus": "217"},
            Level.FAILED,
            "again and again: the user of the unit does not exist",
            "systemd-sysusers",
        ),
    ],
)
def test_each_trouble_of_the_unit_has_its_command(properties, level, words, command):
    only(judge(with_unit(**properties)), level, words, command=command)


def test_a_count_of_restarts_that_is_none_is_passed_over():
    assert bad(judge(with_unit(NRestarts="many"))) == []


def test_without_systemd_nothing_starts_edged_again():
    only(judge(replace(FACTS, booted=False, units={})), Level.NOTE, "not booted by systemd", command="edged run")


def test_a_systemctl_that_says_nothing_is_told():
    only(judge(replace(FACTS, problem="systemctl does not come to an end", units={})), Level.NOTE, "does not come")


def test_a_daemon_of_the_former_release_is_to_be_started_again():
    only(
        judge(replace(FACTS, daemon_version="1.1.0", daemon_runs=True)),
        Level.WARNING,
        "edged 1.2.0 is installed and 1.1.0 still runs",
        command="systemctl restart edged",
    )


def test_a_hard_reset_of_the_computer_needs_its_path_unit():
    facts = replace(FACTS, needs={REBOOT_PATH: "a Hard reset restarts the computer"})
    only(judge(facts), Level.WARNING, REBOOT_PATH, command=f"enable --now {REBOOT_PATH}")
    units = {**facts.units, REBOOT_PATH: {"ActiveState": ("active",)}}
    assert bad(judge(replace(facts, units=units))) == []


@pytest.mark.parametrize(
    ("fed", "is_there", "notes"), [("0", True, 1), ("1min", True, 0), ("0", False, 0), (None, True, 0)]
)
def test_a_hardware_watchdog_that_nobody_feeds_is_a_note(fed, is_there, notes):
    found = bad(judge(replace(FACTS, watchdog=fed, has_watchdog=is_there)))
    assert [(each.level, "RuntimeWatchdogSec=1min" in each.command) for each in found] == [(Level.NOTE, True)] * notes


@pytest.mark.parametrize(
    ("journal", "lasts"),
    [
        (Journal(storage="auto", has_folder=True), True),
        (Journal(storage="auto", has_folder=False), False),
        (Journal(storage="volatile", has_folder=True), False),
        (Journal(storage="none"), False),
        (Journal(storage="persistent"), True),
    ],
)
def test_a_journal_that_is_lost_at_a_reboot_is_a_note_with_a_size_limit(journal, lasts):
    found = bad(judge(replace(FACTS, journal=journal)))
    assert found == [] if lasts else has(found, Level.NOTE, "lost at each reboot", command="SystemMaxUse=64M")


def test_without_the_packages_for_certificates_it_says_which_they_are():
    only(judge(replace(FACTS, has_cryptography=False)), Level.NOTE, command="python3-cryptography")


def test_blocks_of_systemctl_are_told_apart_and_repeated_keys_kept():
    text = "Id=a.service\nDeviceAllow=char-4 rw\nDeviceAllow=char-188 rw\nUser=x=y\n\nnonsense\n\nId=b.path\n=\n"
    units = parse_units(text)
    assert units["a.service"]["DeviceAllow"] == ("char-4 rw", "char-188 rw")
    assert units["a.service"]["User"] == ("x=y",)
    assert set(units) == {"a.service", "b.path"}


def test_the_last_word_on_the_journals_storage_counts_in_its_own_section():
    main = "[Journal]\n#Storage=none\nStorage = persistent\n"
    assert storage_of((main,)) == "persistent"
    assert storage_of((main, "[Journal]\nStorage=volatile\n")) == "volatile"
    assert storage_of((main, "[Other]\nStorage=volatile\n")) == "persistent"
    assert storage_of(("garbage \x00 = [",)) == "auto"
