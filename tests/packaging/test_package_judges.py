"""What Debian's own tools say of the package: lintian, piuparts, autopkgtest."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.packaging import package, roots
from tests.packaging.chroot import Chroot

LINTIAN = ("lintian", "--info", "--display-info", "--pedantic", "--show-overrides", "--allow-root")
OVERRIDES = package.ROOT / "debian/edged.lintian-overrides"


def complaints(said: str) -> list[str]:
    """lintian's errors and warnings."""
    return [line for line in said.splitlines() if line.startswith(("E: ", "W: "))]


def judged_here(deb: Path) -> str:
    roots.need("lintian", "lintian")
    return subprocess.run([*LINTIAN, deb], capture_output=True, text=True, check=False).stdout


def no_pages(tree: Path) -> None:
    shutil.rmtree(tree / "usr/share/man")


def no_purge(tree: Path) -> None:
    script = tree / "DEBIAN/postrm"
    script.write_text(script.read_text().replace("rm -rf", "true"))


def test_lintian_finds_no_error_and_no_warning(deb: Path):
    said = judged_here(deb)
    assert complaints(said) == []
    assert "O: edged: extra-license-file" in said  # it did look


def test_lintian_is_heard(deb: Path):
    assert deb.exists()
    assert "W: edged: no-manual-page" in "\n".join(complaints(judged_here(package.built_as("99.0.1", no_pages))))


@pytest.mark.timeout(600)
@pytest.mark.long
def test_the_next_debians_lintian_finds_nothing_either(new_chroot: Callable[..., Chroot], deb: Path):
    chroot = new_chroot(roots.base("trixie"))
    chroot.give_network()
    chroot.run("apt-get", "install", "-y", "--no-install-recommends", "lintian", within_s=500)
    shutil.copy(deb, chroot.root / deb.name)
    said = chroot.run(*LINTIAN, f"/{deb.name}", check=False).stdout
    assert complaints(said) == []
    assert "O: edged: extra-license-file" in said


def test_every_override_has_its_reason():
    lines = OVERRIDES.read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        assert line.startswith(("#", "edged: "))
        assert line.startswith("#") or before.startswith("#")


@pytest.fixture
def room(memory: Path, tmp_path: Path) -> Iterator[Path]:
    """Space in memory for a whole copy of a Debian."""
    folder = memory / tmp_path.name
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def installed_and_purged(deb: Path, suite: str, room: Path) -> tuple[int, str]:
    """piuparts' verdict and words."""
    roots.need("piuparts", "piuparts")
    done = subprocess.run(
        [
            *("piuparts", f"--existing-chroot={roots.base(suite)}", f"--distribution={suite}", f"--tmpdir={room}"),
            *("--no-eatmydata", "--no-check-valid-until", "--fail-if-inadequate", "--no-upgrade-test"),
            *("--ignore-regex=/var/cache/debconf/tmp.ci.*", deb),  # debconf's own
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(400)
@pytest.mark.long
def test_piuparts_finds_nothing_that_stays_behind(deb: Path, suite: str, room: Path):
    status, said = installed_and_purged(deb, suite, room)
    assert status == 0, said[-3000:]
    assert "PASS: All tests" in said


@pytest.mark.timeout(400)
@pytest.mark.long
def test_piuparts_is_heard(deb: Path, room: Path):
    assert deb.exists()
    status, said = installed_and_purged(package.built_as("99.0.2", no_purge), roots.SUITES[0], room)
    assert status != 0
    assert re.search(r"/etc/edged.*\s+not owned", said), said[-4000:]


def own_tests(deb: Path, chroot: Chroot, folder: Path) -> tuple[int, str]:
    """autopkgtest's verdict and words."""
    roots.need("autopkgtest", "autopkgtest")
    shutil.copytree(package.ROOT / "debian", folder / "debian")
    (folder / "debian/files").touch()  # built already
    chroot.give_network()
    words = ["autopkgtest", "--no-built-binaries", deb, folder, "--", "chroot", chroot.root]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(400)
@pytest.mark.long
def test_autopkgtest_passes(deb: Path, chroot: Chroot, tmp_path: Path):
    status, said = own_tests(deb, chroot, tmp_path / "source")
    assert status == 0, said[-3000:]
    assert re.search(r"(?m)^smoke +PASS", said)


def no_schemas(tree: Path) -> None:
    shutil.rmtree(tree / f".{package.PROGRAM}/vendor/fastjsonschema")


@pytest.mark.timeout(400)
@pytest.mark.long
def test_autopkgtest_is_heard(new_chroot: Callable[..., Chroot], deb: Path, tmp_path: Path):
    assert deb.exists()
    broken = package.built_as("99.0.3", no_schemas)
    status, said = own_tests(broken, new_chroot(roots.base(roots.SUITES[0])), tmp_path / "source")
    assert status != 0
    assert re.search(r"(?m)^smoke +FAIL", said)
