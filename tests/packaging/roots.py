"""Debian, fresh: a minimal root of a suite with systemd, made once and never changed.

In its apt cache lie the packages that edged depends on, so that a machine made from it needs no network. The mirror is
the one that this computer uses. Made by mmdebstrap below `build/roots`, or where $EDGED_ROOTS says.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOTS = Path(os.environ.get("EDGED_ROOTS") or ROOT / "build" / "roots")
SUITES = ("bookworm", "trixie")
NATIVE = "amd64"
EMULATORS = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}
QEMU_SUITE = "trixie-backports"
"""Where QEMU is from, whatever this computer runs: statically linked, so it runs on any. Under 7.2, Debian 12's, no
service of systemd 257 starts. Under 10.0, Debian 13's own, none that has a sandbox: statx() gives every mount the same
number, and systemd takes the new root for the old one. 11 tells them apart."""
FORMATS = Path("/proc/sys/fs/binfmt_misc")

INCLUDED = ("systemd", "systemd-sysv", "dbus", "udev", "ca-certificates", "procps", "python3-minimal", "iproute2")
"""What any Debian on such a computer has."""
CACHED = ("python3", "systemd-timesyncd", "libfaketime")
TOOLS = ("apt-utils", "umockdev", "python3-cryptography", "python3-openssl")
"""What the package pulls in, or a test installs: in the cache, not installed. Emulated roots do without the tools."""
RECIPE = "1"
"""To be counted up where a root is to be made in another way."""


class Missing(Exception):
    """Something that the tests need is not on this machine; the text says how to install it."""


def need(package: str, *commands: str) -> None:
    """Install a Debian package where one of its commands is missing. Raises `Missing`."""
    done = subprocess.run([ROOT / "tools" / "need.sh", package, *commands], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(done.stderr.strip().splitlines()[-1])


def base(suite: str, arch: str = NATIVE) -> Path:
    """The root of a suite, made at the first call. Several processes may ask at once. Another architecture's is to be
    asked for within `emulation`. Raises `Missing`."""
    cached = (*CACHED, *TOOLS) if arch == NATIVE else CACHED
    name = suite if arch == NATIVE else f"{suite}-{arch}"
    return _once(name, f"{RECIPE} {INCLUDED} {cached}\n", lambda folder: _make(folder, suite, arch, cached))


@contextmanager
def emulation(arch: str) -> Iterator[None]:
    """This kernel runs another architecture's programs, also in roots that know nothing of it. What it ran them with
    before comes after this, and again alone once this has ended. Raises `Missing`."""
    qemu = _once("qemu", f"{QEMU_SUITE} {EMULATORS}\n", _fetch)
    need("arch-test", "arch-test")
    _name, kind, offset, magic, mask, _path, flags = _entry(qemu, EMULATORS[arch])
    if not (FORMATS / "status").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", FORMATS], check=True)
    # One entry for each process: the kernel asks the last one first, and none ends what another process still needs.
    name = f"edged-{arch}-{os.getpid()}"
    fields = (name, kind, offset, magic, mask, str(qemu / "usr/bin" / EMULATORS[arch]), flags)
    (FORMATS / "register").write_text(f":{':'.join(fields)}\n")
    try:
        yield
    finally:
        (FORMATS / name).write_text("-1\n")


def _once(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """A folder below `ROOTS`, made where there is none that was made by this recipe."""
    ROOTS.mkdir(parents=True, exist_ok=True)
    folder, done = ROOTS / name, ROOTS / f"{name}.done"
    with _alone(ROOTS / f"{name}.lock"):
        if not (done.exists() and done.read_text() == recipe):
            done.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.write_text(recipe)
    return folder


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def mirror() -> str:
    """Where this computer has its packages from."""
    words = ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"]
    sites = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    plain = [site for site in sites if not site.split()[-1].endswith(("-security", "-updates", "-backports"))]
    if not plain:
        raise Missing("apt knows no package lists: run apt-get update first")
    return plain[0].split()[0]


def _make(folder: Path, suite: str, arch: str, cached: Sequence[str]) -> None:
    need("mmdebstrap", "mmdebstrap")
    options = ["--quiet", f"--arch={arch}", "--variant=minbase", "--components=main", "--mode=root"]
    options.append("--aptopt=Acquire::Check-Valid-Until false")
    made = subprocess.run(
        ["mmdebstrap", *options, f"--include={','.join(INCLUDED)}", suite, str(folder), mirror()],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise Missing(f"mmdebstrap made no {suite} for {arch}: {made.stderr[-2000:]}")
    # The names and certificates of this machine, for as long as apt needs the network.
    for path in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        shutil.copyfile(Path("/") / path, folder / path)
    (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (folder / "etc/apt/apt.conf.d/99tests").write_text('Acquire::Check-Valid-Until "false";\n')
    for words in (["update"], ["install", "-y", "--no-install-recommends", "--download-only", *cached]):
        subprocess.run(["chroot", folder, "apt-get", "-q", *words], stdout=subprocess.DEVNULL, check=True)
    (folder / "etc/resolv.conf").write_text("")


def _fetch(folder: Path) -> None:
    """QEMU's emulators, by apt, which checks them with this computer's keys. Its own package lists stay as they are."""
    apt = folder / "apt"
    for part in ("lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "sources.list").write_text(f"deb {mirror()} {QEMU_SUITE} main\n")
    paths = {"Etc::SourceList": "sources.list", "State::Lists": "lists", "Cache": "cache"}
    options = [f"-oDir::{name}={apt / path}" for name, path in paths.items()]
    options += ["-oDir::Etc::SourceParts=/dev/null", "-oAPT::Sandbox::User=root", "-oAcquire::Check-Valid-Until=false"]
    for words in (["update"], ["download", "qemu-user"]):
        fetched = subprocess.run(
            ["apt-get", "-q", *options, *words], cwd=apt, capture_output=True, text=True, check=False
        )
        if fetched.returncode:
            raise Missing(f"no qemu-user from {QEMU_SUITE}: {fetched.stderr[-2000:]}")
    [package] = apt.glob("*.deb")
    # Of half a gigabyte in it, what is needed.
    members = [f"./{path}" for name in EMULATORS.values() for path in (f"usr/bin/{name}", _conf(name))]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as files:
        subprocess.run(["tar", "--extract", f"--directory={folder}", *members], stdin=files.stdout, check=True)
    for name in EMULATORS.values():
        subprocess.run([folder / "usr/bin" / name, "--version"], stdout=subprocess.DEVNULL, check=True)
    shutil.rmtree(apt)


def _conf(emulator: str) -> str:
    return f"usr/share/qemu/binfmt.d/{emulator}.conf"


def _entry(qemu: Path, emulator: str) -> list[str]:
    """How the kernel tells the emulator's programs, as the package says: name, kind, offset, magic, mask, interpreter,
    flags (F: the kernel opens the emulator now, so it need not be in the root)."""
    return (qemu / _conf(emulator)).read_text().strip().removeprefix(":").split(":")
