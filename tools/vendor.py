"""The libraries that the Debian package carries: fetched once, checked at every build, none of it compiled.

    vendor.py fetch                      fill build/vendor with what debian/vendor.txt names
    vendor.py unpack FOLDER LICENCES     lay the libraries out as they are shipped, their licences beside
    vendor.py pure FOLDER                refuse anything compiled in FOLDER
    vendor.py news                       say which libraries have newer versions

Owns: which files are taken from each library. Invariants: nothing is unpacked whose SHA-256 is not the pinned one ·
each run-time dependency of pyproject.toml is pinned, in a version that it allows, and nothing else is · imports the
standard library alone, as Python 3.11 has it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PINS: Final = ROOT / "debian" / "vendor.txt"
LICENCES: Final = ROOT / "debian" / "licences"
CACHE: Final = ROOT / "build" / "vendor"
PROJECT: Final = ROOT / "pyproject.toml"

_LINE: Final = re.compile(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*) --hash=sha256:([0-9a-f]{64})\Z")
_BOUND: Final = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9.]+)\Z")
_LICENCE: Final = re.compile(r"(?i)(licen[cs]e|copying|notice|authors|e[dp]l-v)[^/]*\Z")

# What a gateway never imports, as path prefixes. `ocpp` is read for its schemas alone (edged/dialects/validation.py).
_LEFT_OUT: Final = (
    "_yaml/",
    "fastjsonschema/__main__.py",
    "ocpp/charge_point.py",
    "ocpp/exceptions.py",
    "ocpp/experimental/",
    "ocpp/messages.py",
    "ocpp/routing.py",
    "ocpp/v16/__init__.py",
    "ocpp/v16/call",
    "ocpp/v16/datatypes.py",
    "ocpp/v16/enums.py",
    "ocpp/v201/__init__.py",
    "ocpp/v201/call",
    "ocpp/v201/datatypes.py",
    "ocpp/v201/enums.py",
    "ocpp/v21/",
    "serial/__main__.py",
    "serial/rfc2217.py",
    "serial/serialcli.py",
    "serial/serialjava.py",
    "serial/serialwin32.py",
    "serial/threaded/",
    "serial/tools/",
    "serial/urlhandler/",
    "serial/win32.py",
    "urllib3/contrib/emscripten/",
    "websockets/__main__.py",
    "websockets/cli.py",
    "websockets/legacy/",
    "websockets/sync/",
    "websockets/trio/",
)
_LEFT_OUT_SUFFIXES: Final = (".c", ".pyi", "/py.typed")
_COMPILED_SUFFIXES: Final = (".so", ".pyd", ".dll", ".dylib", ".o", ".a", ".pyc")
_COMPILED_STARTS: Final = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"!<arch>\n")

# What a library's own words mean, where it does not name its licence by SPDX.
_SPDX: Final = {"BSD": "BSD-3-Clause"}
_KNOWN_LICENCES: Final = frozenset({"BSD-3-Clause", "EPL-2.0 OR BSD-3-Clause", "MIT"})


class VendorError(Exception):
    """The libraries cannot be had, or are not what was pinned; the text says what to do."""


class Missing(VendorError):
    """A library is not in the cache, in no shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A pinned library whose wheel is there and is the right one."""

    pin: Pin
    wheel: Path
    licence: str
    """As an SPDX expression."""
    homepage: str | None


def canonical(name: str) -> str:
    """A name as package indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(path: Path = PINS, project: Path = PROJECT) -> tuple[Pin, ...]:
    """Sorted by name. Raises VendorError where they and the dependencies of `project` do not fit."""
    pins = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            raise VendorError(f"{path.name}:{number}: expected NAME==VERSION --hash=sha256:HASH")
        pins.append(Pin(name=match[1], version=match[2], sha256=match[3]))
    _agree(pins, project)
    return tuple(sorted(pins, key=lambda pin: canonical(pin.name)))


def _agree(pins: Sequence[Pin], project: Path) -> None:
    wanted = {}
    for dependency in tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]:
        name = re.split(r"[^A-Za-z0-9_.-]", dependency, maxsplit=1)[0]
        wanted[canonical(name)] = dependency[len(name) :]
    pinned = {canonical(pin.name): pin for pin in pins}
    if len(pinned) != len(pins):
        raise VendorError("debian/vendor.txt names a library twice")
    for name in sorted(wanted.keys() - pinned.keys()):
        raise VendorError(f"pyproject.toml wants {name}: pin it in debian/vendor.txt")
    for name in sorted(pinned.keys() - wanted.keys()):
        raise VendorError(f"debian/vendor.txt pins {name}, which pyproject.toml does not want: take it out")
    for name, bounds in wanted.items():
        if not satisfies(pinned[name].version, bounds):
            raise VendorError(f"pyproject.toml wants {name}{bounds}, debian/vendor.txt pins {pinned[name].version}")


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without zeros at its end."""
    numbers = [int(part) for part in re.findall(r"\d+", version)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def satisfies(version: str, bounds: str) -> bool:
    """Whether a version is within bounds such as `>=15,<18`. Raises VendorError for bounds that it cannot read."""
    judges: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
        ">=": lambda one, other: one >= other,
        "<=": lambda one, other: one <= other,
        "==": lambda one, other: one == other,
        "!=": lambda one, other: one != other,
        "<": lambda one, other: one < other,
        ">": lambda one, other: one > other,
    }
    for bound in filter(None, (part.strip() for part in bounds.split(","))):
        match = _BOUND.match(bound)
        if match is None:
            raise VendorError(f"pyproject.toml: the package cannot be checked against {bound!r}")
        if not judges[match[1]](release(version), release(match[2])):
            return False
    return True


def find_wheel(pin: Pin, cache: Path = CACHE) -> Path:
    """The wheel with the pinned hash. Raises Missing where there is none, VendorError where it is another."""
    other: Path | None = None
    for wheel in sorted(cache.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        if canonical(name) != canonical(pin.name) or version != pin.version:
            continue
        if hashlib.sha256(wheel.read_bytes()).hexdigest() == pin.sha256:
            return wheel
        other = wheel
    if other is not None:
        raise VendorError(f"{other} is not what debian/vendor.txt pins: ask where it came from, and delete it")
    raise Missing(f"{pin.name} {pin.version} is not in {cache}: run tools/vendor.py fetch where there is network")


def fetch(cache: Path = CACHE) -> None:
    """Let pip get what is missing. What is there and right needs neither pip nor network."""
    pins = read_pins()
    missing = []
    for pin in pins:
        try:
            find_wheel(pin, cache)
        except Missing:
            missing.append(pin)
    if not missing:
        return
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        pinned = Path(folder, "pins.txt")
        pinned.write_text("".join(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n" for pin in missing))
        # With these tags pip sees pure wheels and those for CPython 3.11 on amd64; which of them, the hash says.
        tags = ["--implementation=cp", "--python-version=311", "--abi=cp311", "--platform=manylinux2014_x86_64"]
        command = [*_pip(), "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", *tags]
        done = subprocess.run([*command, "--dest", folder, "--requirement", str(pinned)], check=False)
        if done.returncode:
            names = ", ".join(f"{pin.name} {pin.version}" for pin in missing)
            raise VendorError(f"pip could not get {names}: give it network, or copy the wheels into {cache}")
        for wheel in Path(folder).glob("*.whl"):
            wheel.rename(cache / wheel.name)
    for pin in missing:
        find_wheel(pin, cache)


def _pip() -> list[str]:
    """A pip that works: of this Python, of the virtual environment, of the machine."""
    environment = ROOT / os.environ.get("VENV", ".venv")
    for python in (sys.executable, str(environment / "bin" / "python"), "python3"):
        command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        try:
            if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            pass
    raise VendorError("libraries are missing and there is no pip: sudo apt-get install python3-pip")


def libraries(cache: Path = CACHE) -> Iterator[Library]:
    """What is pinned, every wheel found and checked."""
    for pin in read_pins():
        wheel = find_wheel(pin, cache)
        about = _metadata(wheel)
        yield Library(pin=pin, wheel=wheel, licence=_licence(pin, about), homepage=_homepage(about))


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode("utf-8"))


def _licence(pin: Pin, about: Message) -> str:
    said = str(about["License-Expression"] or about["License"] or "")
    licence = _SPDX.get(said, said)
    if licence not in _KNOWN_LICENCES:
        raise VendorError(
            f"{pin.name} {pin.version} says of its licence {said!r}: read it, then name it in debian/copyright and here"
        )
    return licence


def _homepage(about: Message) -> str | None:
    if about["Home-page"]:
        return str(about["Home-page"])
    for line in about.get_all("Project-URL", []):
        label, _, url = str(line).partition(",")
        if label.strip().lower() in {"homepage", "repository", "source", "source code", "github"}:
            return url.strip()
    return None


def unpack(folder: Path, licences: Path, cache: Path = CACHE) -> None:
    """Of each library the modules and data that are used, its METADATA, and its licences in a folder of their own."""
    for library in libraries(cache):
        with zipfile.ZipFile(library.wheel) as archive:
            for name in sorted(archive.namelist()):
                place = _place(library, name, folder, licences)
                if place is not None:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(_without_interpreter(name, archive.read(name)))
        owned = licences / canonical(library.pin.name)
        if not owned.is_dir():
            _licence_of_ours(library, owned)
    pure(folder)


def _licence_of_ours(library: Library, folder: Path) -> None:
    """For a wheel that brings no licence: the copy beside the pins. Raises VendorError where there is none."""
    ours = LICENCES / canonical(library.pin.name)
    if not ours.exists():
        raise VendorError(f"{library.wheel.name} brings no licence: put its text into debian/licences/{ours.name}")
    folder.mkdir(parents=True)
    (folder / "LICENSE").write_bytes(ours.read_bytes())


def _place(library: Library, name: str, folder: Path, licences: Path) -> Path | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise VendorError(f"{library.wheel.name} wants to write to {name}")
    if name.endswith("/"):
        return None
    if path.parts[0].endswith(".dist-info"):
        if path.name == "METADATA":
            return folder / path
        if _LICENCE.match(path.name):
            return licences / canonical(library.pin.name) / path.name
        return None
    if name.startswith(_LEFT_OUT) or name.endswith(_LEFT_OUT_SUFFIXES + _COMPILED_SUFFIXES):
        return None
    return folder / path


def _without_interpreter(name: str, content: bytes) -> bytes:
    """A module is no script."""
    if name.endswith(".py") and content.startswith(b"#!"):
        return content.split(b"\n", 1)[1]
    return content


def pure(folder: Path) -> None:
    """Raise VendorError for the first compiled file: the package is for every architecture and every Python 3."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                start = file.read(8)
            if path.name.endswith(_COMPILED_SUFFIXES) or start.startswith(_COMPILED_STARTS):
                raise VendorError(f"{path} is compiled, and the package is for every architecture")


def news() -> bool:
    """Print the libraries that have newer versions, one a line. Whether there are any."""
    found = False
    for pin in read_pins():
        done = subprocess.run([*_pip(), "index", "versions", pin.name], capture_output=True, text=True, check=False)
        newest = re.match(rf"{re.escape(pin.name)} \(([^)]+)\)", done.stdout, re.IGNORECASE)
        if newest is None:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise VendorError(f"the versions of {pin.name} are not known: {last}")
        if release(newest[1]) > release(pin.version):
            found = True
            print(f"{pin.name} {pin.version} -> {newest[1]}")
    return found


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The libraries that the Debian package carries.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="fill build/vendor")
    unpacking = commands.add_parser("unpack", help="lay the libraries out as they are shipped")
    unpacking.add_argument("folder", type=Path)
    unpacking.add_argument("licences", type=Path)
    commands.add_parser("pure", help="refuse anything compiled").add_argument("folder", type=Path)
    commands.add_parser("news", help="say which libraries have newer versions")
    args = parser.parse_args(words)
    os.umask(0o022)
    try:
        match args.command:
            case "fetch":
                fetch()
            case "unpack":
                unpack(args.folder, args.licences)
            case "pure":
                pure(args.folder)
            case _:
                if not news():
                    print("every library is the newest")
    except VendorError as error:
        print(f"vendor.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
