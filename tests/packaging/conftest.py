"""Machines for the tests of the package. Each test has a fresh one; what they start from is made once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from benchmarks.blocks import private_mounts
from tests.packaging import package, roots, site
from tests.packaging.chroot import Chroot
from tests.packaging.machine import Machine
from tests.packaging.outside import Outside

NewLayer = Callable[[str, Callable[[Path], None]], Path]

NUMBERS = count(1)
NEWER = roots.SUITES[-1]
SMALL_MIB = 8


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--brief",
        action="store_true",
        help="without what is marked long, and on the newer Debian only what is marked both: what .ci/run has time for",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--brief"):
        out = [item for item in items if _takes_longer(item)]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


def _takes_longer(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    newer = call is not None and call.params.get("suite") == NEWER
    return item.get_closest_marker("long") is not None or (newer and item.get_closest_marker("both") is None)


@pytest.fixture(scope="session", autouse=True)
def entered() -> None:
    """These tests change mounts and control groups: never outside of a namespace of their own. Each process has one: a
    machine that boots takes a copy of all mounts along, and a disk that another process unmounts would stay mounted."""
    if not os.environ.get("EDGED_ENTERED"):
        pytest.exit("the tests of the package boot whole systems: run them with make test-package", returncode=1)
    private_mounts()


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory: what machines write costs no disk, and no test waits for one."""
    folder = tmp_path_factory.mktemp("machines")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3g", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--recursive", "--lazy", folder], check=True)


@pytest.fixture(scope="session", params=roots.SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def debian(suite: str) -> Path:
    """The suite as it comes."""
    roots.need("systemd-container", "systemd-nspawn")
    roots.need("iproute2", "ip")
    return roots.base(suite)


@pytest.fixture(scope="session")
def new_layer(memory: Path) -> NewLayer:
    """Has a layer made in a folder, once in a process: the tests come in any order, so they may come back to a suite
    that they had left, and with it to the fixtures of that suite."""
    made: dict[str, Path] = {}

    def layer(name: str, make: Callable[[Path], None]) -> Path:
        if name not in made:
            folder = memory / f"{name}-{next(NUMBERS)}"
            make(folder)
            made[name] = folder / "written"
        return made[name]

    return layer


@pytest.fixture(scope="session")
def installed(debian: Path, suite: str, new_layer: NewLayer, deb: Path) -> Path:
    """A layer over the suite: the package installed and a site configured, never started."""

    def make(folder: Path) -> None:
        folder.mkdir()
        with Machine([debian], folder) as machine:
            shutil.copy(deb, machine.root / "edged.deb")
            machine.boot()
            machine.run("apt-get", "install", "-y", "--no-install-recommends", "/edged.deb")
            site.furnish(machine)
            machine.run("systemctl", "enable", "edged.service", "chargers.service")
            machine.shut_down()

    return new_layer(f"installed-{suite}", make)


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package of this tree."""
    return package.built()


@pytest.fixture
def new_machine(memory: Path) -> Iterator[Callable[..., Machine]]:
    """Machines over the given layers, the topmost first, off; arguments are nspawn's. They go with the test."""
    with ExitStack() as stack:
        folders = []

        def make(*lowers: Path, arguments: tuple[str, ...] = ()) -> Machine:
            folder = memory / f"machine-{next(NUMBERS)}"
            folder.mkdir()
            folders.append(folder)
            return stack.enter_context(Machine(lowers, folder, arguments=arguments))

        yield make
        stack.close()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def blank(new_machine: Callable[..., Machine], debian: Path, deb: Path) -> Machine:
    """A booted machine without edged; the package is /edged.deb."""
    machine = new_machine(debian)
    shutil.copy(deb, machine.root / "edged.deb")
    machine.boot()
    return machine


@pytest.fixture
def off(new_machine: Callable[..., Machine], installed: Path, debian: Path) -> Machine:
    """A machine with edged and its site, that was not booted yet."""
    return new_machine(installed, debian)


@pytest.fixture
def machine(off: Machine) -> Machine:
    """A machine on which edged serves; nobody is at the other end of its cable."""
    off.boot()
    off.until(off.is_active, what="edged serves")
    return off


@pytest.fixture
def partition(memory: Path, tmp_path: Path) -> Iterator[Path]:
    """A small ext4 of its own, mounted."""
    image, folder = memory / f"{tmp_path.name}.img", tmp_path / "partition"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(SMALL_MIB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop,noatime", image, folder], check=True)
    (folder / "lost+found").rmdir()
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
    image.unlink()


@pytest.fixture
def small(
    new_machine: Callable[..., Machine], installed: Path, debian: Path, partition: Path
) -> Callable[..., Machine]:
    """Makes a machine, off, whose state lies on the small partition; more arguments are nspawn's."""

    def make(*arguments: str) -> Machine:
        machine = new_machine(installed, debian, arguments=(f"--bind={partition}:/var/lib/edged", *arguments))
        users = (machine.root / "etc/passwd").read_text().splitlines()
        uid, gid = next(map(int, user.split(":")[2:4]) for user in users if user.startswith("edged:"))
        os.chown(partition, uid, gid)
        (machine.root / "var/lib/edged").mkdir(exist_ok=True)
        return machine

    return make


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as outside:
        yield outside


@pytest.fixture
def new_chroot(memory: Path) -> Iterator[Callable[..., Chroot]]:
    """Roots over the given layers, the topmost first, that nobody boots. They go with the test."""
    with ExitStack() as stack:
        folders = []

        def make(*lowers: Path) -> Chroot:
            folders.append(memory / f"chroot-{next(NUMBERS)}")
            return stack.enter_context(Chroot(lowers, folders[-1]))

        yield make
        stack.close()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def chroot(new_chroot: Callable[..., Chroot], debian: Path) -> Chroot:
    """A Debian without edged."""
    return new_chroot(debian)


@pytest.fixture(scope="session")
def package_layer(debian: Path, suite: str, new_layer: NewLayer, deb: Path) -> Path:
    """A layer over the suite: the package, installed without systemd running, and nothing else."""

    def make(folder: Path) -> None:
        with Chroot([debian], folder) as chroot:
            chroot.install(deb)

    return new_layer(f"package-{suite}", make)


@pytest.fixture
def installed_chroot(new_chroot: Callable[..., Chroot], package_layer: Path, debian: Path) -> Chroot:
    """A Debian with edged as it comes."""
    return new_chroot(package_layer, debian)
