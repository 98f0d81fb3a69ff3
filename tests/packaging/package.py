"""The package under test: built once for the same files, whoever asks, and other versions made from it in a second.

What is built lies below `build/test-package`, under the hash of the files that it was built from.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from edged import __version__

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "test-package"
PROGRAMS = "/usr/lib/edged"
PROGRAM = f"{PROGRAMS}/{__version__}"
"""Where the package of this tree has its program."""
SHIPPED = ("config", "debian", "docs", "edged", "systemd", "tools", "CHANGELOG.md", "LICENSE", "pyproject.toml")
KEPT, KEPT_S = 4, 6 * 3600.0
"""How many packages of former trees stay, and for how long any does: another run may be using it."""

Change = Callable[[Path], None]
"""Changes the tree of an unpacked package; its control files are in DEBIAN."""


class NotBuilt(Exception):
    """The package could not be built; the text is what the build said last."""


@cache
def built() -> Path:
    """The package of this tree, as it is when first asked for. Several processes may ask at once. Raises NotBuilt."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with _alone(PLACE / "lock"):
        folder = PLACE / _fingerprint()
        found = list(folder.glob("edged_*_all.deb"))
        if found:
            folder.touch()
            return found[0]
        shutil.rmtree(folder, ignore_errors=True)
        _clear_up()
        return build(folder)


def build(folder: Path, root: Path = ROOT) -> Path:
    """Build the package of the tree `root` in `folder`. Raises NotBuilt."""
    done = subprocess.run([root / "tools" / "build_deb.sh", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotBuilt(done.stderr)
    return Path(done.stdout.strip().splitlines()[-1])


def built_as(version: str, *changes: Change) -> Path:
    """The package of this tree under another version, with changes if any: unpacked and packed again. A change
    finds the program where this tree's package has it."""
    original = built()
    folder = original.parent / f"as-{version}"
    result = folder / f"edged_{version}_all.deb"
    with _alone(PLACE / "lock"):
        if changes or not result.exists():
            shutil.rmtree(folder, ignore_errors=True)
            tree = folder / "tree"
            folder.mkdir()
            subprocess.run(["dpkg-deb", "--raw-extract", original, tree], check=True)
            control = tree / "DEBIAN" / "control"
            control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
            for change in changes:
                change(tree)
            _name_program(tree, version)
            packing = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build"]
            subprocess.run([*packing, tree, result], check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(tree)
    return result


def _name_program(tree: Path, version: str) -> None:
    """The folder of the program is that of its version, and the launcher knows it."""
    (tree / PROGRAM.lstrip("/")).rename(tree / PROGRAMS.lstrip("/") / version)
    launcher = tree / "usr/bin/edged"
    launcher.write_text(launcher.read_text().replace(f"/{__version__}", f"/{version}"))
    files = [path for path in tree.rglob("*") if path.is_file() and tree / "DEBIAN" not in path.parents]
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in sorted(files))
    (tree / "DEBIAN/md5sums").write_text("".join(sums))


def _fingerprint() -> str:
    """Of all files that go into the package, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(_files()):
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files() -> Iterator[Path]:
    for name in SHIPPED:
        place = ROOT / name
        found = place.rglob("*") if place.is_dir() else iter([place])
        yield from (path for path in found if path.is_file() and "__pycache__" not in path.parts)


def _clear_up() -> None:
    folders = sorted((path for path in PLACE.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for folder in folders[:-KEPT]:
        if time.time() - folder.stat().st_mtime > KEPT_S:
            shutil.rmtree(folder)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
