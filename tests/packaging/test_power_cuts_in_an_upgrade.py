"""The power goes in the middle of an upgrade: a whole program is there at every moment, and what it serves is sound."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.packaging import package, site
from tests.packaging.machine import Dead, Machine

pytestmark = pytest.mark.long

NEWER = "99.1.0"
OLD, NEW = package.PROGRAM, f"{package.PROGRAMS}/{NEWER}"
FIRST, LAST = "edged/__init__.py", "whole"
"""Of the program's files, as dpkg puts them in place."""

KILL = """\
import os, subprocess, sys
path, comes, before = sys.argv[1], sys.argv[2] == "comes", sys.argv[3]
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
os.nice(-10)
for _ in range(8):
    dpkg = subprocess.Popen(["nice", "-n", "29", "dpkg", "--install", "/next.deb"], **quiet)
    while os.path.lexists(path) is not comes and dpkg.poll() is None:
        pass
    dpkg.kill()
    dpkg.wait()
    if os.path.lexists(path) is comes and not (before and os.path.lexists(before)):
        sys.exit(0)
    subprocess.run(["dpkg", "--install", "/edged.deb"], check=True, **quiet)
sys.exit("dpkg was always faster")
"""
"""Kills dpkg when a file of the program comes or goes, before another one is there."""


def marked(tree: Path) -> None:
    """Every module of it refuses to work with those of the version before."""
    for module in (tree / f".{package.PROGRAM}/edged").rglob("*.py"):
        future, found, rest = module.read_text().rpartition("from __future__ import annotations\n")
        refusal = f"assert __file__.startswith({NEW!r}), 'a mixture'\n"
        module.write_text(future + found + refusal + rest if found else rest + refusal)


def blind(tree: Path) -> None:
    """Its launcher does not ask whether the program is whole."""
    launcher = tree / "usr/bin/edged"
    text = launcher.read_text()
    assert "if not os.path.exists" in text
    launcher.write_text(text.replace("if not os.path.exists", "if False and os.path.exists"))


@pytest.fixture(scope="session")
def newer() -> Path:
    return package.built_as(NEWER, marked)


def upgrade_until(machine: Machine, deb: Path, path: str, what: str, before: str = "") -> None:
    """dpkg puts the newer one in place, and the power goes as soon as that file comes or goes."""
    machine.until(lambda: all(site.connector(machine, number)["online"] for number in (1, 2)))
    shutil.copy(deb, machine.root / "next.deb")
    machine.run("python3", "-c", KILL, path, what, before)
    machine.cut_power()


def program_that_runs(machine: Machine) -> str:
    """By what the daemon's entries in the journal say of this start."""
    said = machine.journal("-b", "-o", "json", "--output-fields=CODE_FILE").splitlines()
    files = {file for line in said if (file := json.loads(line).get("CODE_FILE", "")).startswith(package.PROGRAMS)}
    (folder,) = {"/".join(file.split("/")[:5]) for file in files}
    return folder


def serves(machine: Machine) -> None:
    machine.boot()
    machine.until(machine.is_active, what="edged serves")
    machine.until(lambda: all(site.connector(machine, number)["online"] for number in (1, 2)))
    state = site.status(machine)
    assert (state["store"], state["stations"][0]["id"]) == ("ok", site.STATION)


@pytest.mark.parametrize(
    ("path", "what", "before", "runs"),
    [
        pytest.param(f"{NEW}/{FIRST}.dpkg-new", "comes", f"{NEW}/{FIRST}", OLD, id="while it is unpacked"),
        pytest.param(f"{NEW}/{FIRST}", "comes", f"{NEW}/{LAST}", OLD, id="while it is put in place"),
        pytest.param(f"{OLD}/{LAST}", "goes", "", NEW, id="while the old one is taken away"),
    ],
)
def test_a_whole_program_serves_and_installing_again_heals(
    machine: Machine, newer: Path, path: str, what: str, before: str, runs: str
):
    upgrade_until(machine, newer, path, what, before)
    serves(machine)
    assert program_that_runs(machine) == runs
    assert "ok installed" not in machine.run("dpkg-query", "-W", "-f", "${Status}", "edged").stdout
    pid = machine.pid()
    machine.run("dpkg", "--configure", "-a", check=False)  # apt insists
    machine.run("apt-get", "install", "-y", "--no-install-recommends", "/next.deb")
    machine.until(lambda: machine.is_back(pid), what="the newer one serves")
    assert (
        machine.run("dpkg-query", "-W", "-f", "${Status} ${Version}", "edged").stdout == f"install ok installed {NEWER}"
    )
    assert machine.sh(f"ls {package.PROGRAMS}") == NEWER
    assert machine.sh(f"find {package.PROGRAMS} /usr/bin -name '*.dpkg-*'") == ""


def test_half_a_program_goes_when_the_old_package_is_installed_over_it(machine: Machine, newer: Path):
    upgrade_until(machine, newer, f"{OLD}/{LAST}", "goes")
    serves(machine)
    machine.run("dpkg", "--install", "/edged.deb")
    assert machine.sh(f"ls {package.PROGRAMS}") == Path(OLD).name
    machine.until(machine.is_active)
    assert machine.run("edged", "check").returncode == 0


def test_a_launcher_that_takes_half_a_program_is_found_out(machine: Machine):
    upgrade_until(machine, package.built_as("99.1.1", blind), f"{package.PROGRAMS}/99.1.1/{FIRST}", "comes")
    with pytest.raises((AssertionError, Dead)):
        serves(machine)
