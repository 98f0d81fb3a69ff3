"""What dpkg has left half done is told with the command that finishes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edged.cli.doctor import packages, service
from edged.cli.doctor.computer import Computer
from edged.cli.doctor.configuration import read_site
from edged.cli.doctor.daemon import Daemon
from edged.cli.doctor.finding import Finding, Findings, Level
from edged.cli.doctor.look_computer import look_at_service
from edged.cli.doctor.packages import Half, Packages, judge, parse_packages
from tests.cli.doctor.judged import bad, has, only

CONFIGURE = "sudo dpkg --configure -a"


def judged(told: Packages) -> tuple[Finding, ...]:
    found = Findings("service")
    judge(found, told)
    return found.made


def test_whole_packages_and_those_whose_triggers_wait_are_all_right():
    told = "ii \tedged\nrc \told\nun \tnever\niW \tman-db\nit \tlibc-bin\nhi \theld\n"
    assert parse_packages(told) == ()
    assert bad(judged(Packages(halves=parse_packages(told)))) == []


@pytest.mark.parametrize(
    ("line", "words", "command"),
    [
        ("iU \tedged", "installation of edged was cut off (unpacked)", CONFIGURE),
        ("iF \tedged", "installation of edged was cut off (half configured)", CONFIGURE),
        ("iHR\tedged", "(half installed)", f"{CONFIGURE}; sudo apt install --reinstall ./edged_*.deb"),
        ("iiR\tedged", "(to be installed again)", "--reinstall ./edged_*.deb"),
        ("iU \tlibssl3", "libssl3 (unpacked). Before it is finished nothing else is installed", CONFIGURE),
        ("iHR\tlibssl3", "libssl3 (half installed)", f"{CONFIGURE}; sudo apt install --reinstall libssl3"),
    ],
)
def test_a_package_that_is_half_done_has_its_command(line: str, words: str, command: str):
    finding = only(judged(Packages(halves=parse_packages(line))), Level.WARNING, words)
    assert finding.command.endswith(command)


def test_edged_and_many_others_are_two_findings():
    halves = tuple(Half(name=name, state="unpacked") for name in ("edged", *(f"lib{i}" for i in range(9))))
    found = bad(judged(Packages(halves=halves)))
    assert len(found) == 2
    assert has(found, Level.WARNING, "lib4 (unpacked) and 4 more", command=CONFIGURE)


@pytest.mark.parametrize(
    ("told", "level", "words", "command"),
    [
        (Packages(busy=True, cut=True), Level.NOTE, "at this moment", "sudo edged doctor"),
        (Packages(cut=True), Level.WARNING, "cut off before its end", CONFIGURE),
        (Packages(problem="status 2", unreadable=True), Level.FAILED, "its own notes", "status-old"),
        (Packages(problem="it does not come to an end"), Level.NOTE, "was not seen", "dpkg --audit"),
    ],
)
def test_whatever_else_dpkg_is_in_has_its_command(told: Packages, level: Level, words: str, command: str):
    only(judged(told), level, words, command=command)


def test_without_dpkg_nothing_is_said():
    assert not has(service.judge(service.ServiceFacts(version="1")), Level.OK, "no installation")


def looked(tmp_path: Path, root: Path, script: str) -> tuple[Finding, ...]:
    """What the doctor finds where dpkg-query does this."""
    tools = tmp_path / "bin"
    tools.mkdir()
    if script:
        (tools / "dpkg-query").write_text(f"#!/bin/sh\n{script}\n")
        (tools / "dpkg-query").chmod(0o755)
    computer = Computer(root, path=str(tools))
    computer.command = lambda name: shutil.which(name, path=str(tools))  # type: ignore[method-assign]
    facts = look_at_service(read_site(tmp_path / "none.yaml"), Daemon(), computer)
    found = service.judge(facts)
    return tuple(each for each in found if each.subject == "packages")


def test_a_computer_without_dpkg_is_asked_nothing(tmp_path: Path):
    assert looked(tmp_path, tmp_path / "root", "") == ()


def test_steps_in_dpkgs_journal_are_seen(tmp_path: Path):
    (tmp_path / "root/var/lib/dpkg/updates").mkdir(parents=True)
    (tmp_path / "root/var/lib/dpkg/updates/0003").touch()
    only(looked(tmp_path, tmp_path / "root", "exit 0"), Level.WARNING, "cut off", command=CONFIGURE)


def test_a_dpkg_that_works_is_left_to_it(tmp_path: Path):
    (tmp_path / "root/proc/71").mkdir(parents=True)
    (tmp_path / "root/proc/71/comm").write_text("dpkg\n")
    only(looked(tmp_path, tmp_path / "root", "exit 2"), Level.NOTE, "at this moment")


def test_whatever_it_says_nothing_breaks(tmp_path: Path):
    assert looked(tmp_path, tmp_path / "root", "head -c 100000 /dev/urandom")


STATUS = """\
Package: edged
Status: install ok unpacked
Architecture: all
Version: 1.0
Maintainer: x <x@example.org>
Description: x

Package: other
Status: install reinstreq half-installed
Architecture: all
Version: 1.0
Maintainer: x <x@example.org>
Description: x

"""


@pytest.mark.parametrize(("more", "findings"), [("", 2), ("\x00nonsense", 1)])
def test_the_real_dpkg_tells_it_of_its_status_file(tmp_path: Path, more: str, findings: int):
    real = shutil.which("dpkg-query")
    assert real, "missing: dpkg, which every Debian has"
    folder = tmp_path / "dpkg"
    (folder / "updates").mkdir(parents=True)
    (folder / "info").mkdir()
    (folder / "status").write_text(STATUS + more)
    assert subprocess.run([real, f"--admindir={folder}", "-W"], capture_output=True, check=False).returncode in (0, 2)
    found = bad(looked(tmp_path, tmp_path / "root", f'exec {real} --admindir={folder} "$@"'))
    assert len(found) == findings
    assert has(found, Level.FAILED if more else Level.WARNING, "", command="dpkg --configure -a")
    assert packages.OURS in found[0].sentence or more
