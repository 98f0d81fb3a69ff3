"""Debian, fresh: a minimal root of a suite with systemd, made once and never changed.

In its apt cache lie the packages that edged depends on, so that a machine made from it needs no network. The mirror is
the one that this computer uses. Made by mmdebstrap below `build/roots`, or where $EDGED_ROOTS says.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOTS = Path(os.environ.get("EDGED_ROOTS") or ROOT / "build" / "roots")
SUITES = ("bookworm", "trixie")
NATIVE = "amd64"
EMULATORS = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}

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
    """The root of a suite, made at the first call. Several processes may ask at once. Raises `Missing`."""
    ROOTS.mkdir(parents=True, exist_ok=True)
    folder = ROOTS / (suite if arch == NATIVE else f"{suite}-{arch}")
    done = folder.with_name(f"{folder.name}.done")
    cached = (*CACHED, *TOOLS) if arch == NATIVE else CACHED
    recipe = f"{RECIPE} {INCLUDED} {cached}\n"
    with _alone(folder.with_name(f"{folder.name}.lock")):
        if arch != NATIVE:
            _emulate(arch)
        if not (done.exists() and done.read_text() == recipe):
            need("mmdebstrap", "mmdebstrap")
            done.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, suite, arch, cached)
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


def _emulate(arch: str) -> None:
    """Let this kernel run another architecture's programs, for as long as the namespace is there."""
    need("qemu-user-static", f"{EMULATORS[arch]}-static")
    need("binfmt-support", "update-binfmts")
    need("arch-test", "arch-test")
    formats = Path("/proc/sys/fs/binfmt_misc")
    if not (formats / "status").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", formats], check=True)
    subprocess.run(["update-binfmts", "--enable", EMULATORS[arch]], check=True)
