"""How the package is built: the same bytes from the same files, of pinned libraries alone, without network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging import package

CACHE = package.ROOT / "build" / "vendor"
PINS = Path("debian/vendor.txt")


@pytest.fixture
def tree(tmp_path: Path, deb: Path) -> Path:
    """A copy of what the package is built from, with its own libraries in it and no git."""
    assert deb.exists()  # so the cache of libraries is full
    root = tmp_path / "edged"
    root.mkdir()
    for name in (*package.SHIPPED, "README.md", "LICENSE"):
        if (package.ROOT / name).is_dir():
            shutil.copytree(package.ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(package.ROOT / name, root / name)
    shutil.copytree(CACHE, root / "build" / "vendor")
    return root


def vendor(tree: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/python3", tree / "tools" / "vendor.py", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | variables,
    )


def unpack(tree: Path) -> subprocess.CompletedProcess[str]:
    return vendor(tree, "unpack", str(tree / "out"), str(tree / "licences"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def wheel(tree: Path, start: str) -> Path:
    (found,) = (tree / "build" / "vendor").glob(f"{start}*.whl")
    return found


def add_to(archive: Path, name: str, content: bytes) -> None:
    """Add a member and pin the wheel as it is then: somebody took a new version without looking."""
    before = hashlib.sha256(archive.read_bytes()).hexdigest()
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, content)
    change(archive.parents[2] / PINS, before, hashlib.sha256(archive.read_bytes()).hexdigest())


@pytest.mark.timeout(300)
@pytest.mark.long
def test_two_builds_give_the_same_bytes(tree: Path, tmp_path: Path):
    first = package.build(tmp_path / "first", tree).read_bytes()
    for path in tree.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    elsewhere = tree.rename(tmp_path / "another-name-of-the-folder")
    os.umask(0o077)
    try:
        second = package.build(tmp_path / "second", elsewhere).read_bytes()
    finally:
        os.umask(0o022)
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()


@pytest.mark.timeout(300)
@pytest.mark.long
def test_it_is_built_without_a_network_once_the_libraries_are_there(tree: Path, tmp_path: Path):
    done = subprocess.run(
        ["unshare", "--net", tree / "tools" / "build_deb.sh", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).exists()


@pytest.mark.timeout(300)
@pytest.mark.long
def test_dpkg_buildpackage_alone_builds_it_too_and_cleans_up(tree: Path, tmp_path: Path):
    before = sorted(path.relative_to(tree) for path in tree.rglob("*") if "__pycache__" not in path.parts)
    subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=tree, check=True, capture_output=True)
    assert len(list(tmp_path.glob("edged_*_all.deb"))) == 1
    subprocess.run(["debian/rules", "clean"], cwd=tree, check=True, capture_output=True)
    after = sorted(path.relative_to(tree) for path in tree.rglob("*") if "__pycache__" not in path.parts)
    assert after in (before, sorted([*before, Path("debian/files")]))


def test_without_a_library_and_without_a_network_one_sentence_says_what_to_do(tree: Path):
    wheel(tree, "pyserial").unlink()
    done = vendor(tree, "fetch", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"vendor.py: pip could not get pyserial 3.5: give it network, or copy the wheels into {tree / 'build/vendor'}"
    )
    assert unpack(tree).stderr.startswith("vendor.py: pyserial 3.5 is not in ")


@pytest.mark.parametrize("words", [("fetch",), ("unpack", "out", "licences")])
def test_a_library_that_somebody_altered_is_refused(tree: Path, words: tuple[str, ...]):
    altered = wheel(tree, "urllib3")
    with altered.open("ab") as file:
        file.write(b"\0")
    done = vendor(tree, *words)
    assert done.returncode == 1
    assert f"{altered} is not what debian/vendor.txt pins" in done.stderr
    assert not (tree / "out" / "urllib3").exists()


def test_a_build_with_an_altered_library_fails(tree: Path, tmp_path: Path):
    with wheel(tree, "websockets").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(package.NotBuilt, match=r"is not what debian/vendor\.txt pins"):
        package.build(tmp_path / "out", tree)
    assert not list((tmp_path / "out").glob("*.deb"))


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (Path("pyproject.toml"), "websockets>=15,<18", "websockets>=15,<16", "pyproject.toml wants websockets>=15,<16"),
        (Path("pyproject.toml"), '"pyserial>=3.5,<4",', '"pyserial>=3.5,<4", "attrs>=25",', "wants attrs: pin it"),
        (Path("pyproject.toml"), '    "ocpp>=2.1,<3",\n', "", "pins ocpp, which pyproject.toml does not want"),
        (Path("pyproject.toml"), "pyserial>=3.5,<4", "pyserial~=3.5", "cannot be checked against '~=3.5'"),
        (PINS, "pyserial==3.5 --hash=sha256:", "pyserial==3.5 # ", "expected NAME==VERSION --hash=sha256:HASH"),
    ],
)
def test_pins_that_do_not_fit_the_project_are_refused(tree: Path, file: Path, old: str, new: str, said: str):
    change(tree / file, old, new)
    done = unpack(tree)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("websockets/data.bin", b"\x7fELF\x02\x01\x01", "websockets/data.bin"),
        ("websockets/tool.exe", b"MZ\x90\0", "websockets/tool.exe"),
    ],
)
def test_compiled_code_under_another_name_stops_the_build(tree: Path, name: str, content: bytes, place: str):
    add_to(wheel(tree, "websockets"), name, content)
    done = unpack(tree)
    assert done.returncode == 1
    assert f"{place} is compiled" in done.stderr


def test_a_library_does_not_write_outside_of_its_folder(tree: Path):
    add_to(wheel(tree, "websockets"), "../../evil.py", b"")
    done = unpack(tree)
    assert done.returncode == 1
    assert "wants to write to ../../evil.py" in done.stderr


def test_a_licence_that_nobody_has_read_stops_the_build(tree: Path):
    change(tree / "tools" / "vendor.py", '"EPL-2.0 OR BSD-3-Clause", "MIT"', '"MIT"')
    done = unpack(tree)
    assert done.returncode == 1
    assert "paho-mqtt 2.2.0 says of its licence 'EPL-2.0 OR BSD-3-Clause': read it" in done.stderr


def test_a_changelog_of_another_version_stops_the_build(tree: Path, tmp_path: Path):
    change(tree / "edged" / "__init__.py", '__version__ = "', '__version__ = "9')
    with pytest.raises(package.NotBuilt, match=r"changelog says [0-9.]+, edged/__init__\.py says 9"):
        package.build(tmp_path / "out", tree)


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("2.10", ">=2.9,<3", True),
        ("3.0", "<3", False),
        ("3", "==3.0", True),
        ("1.26.4", ">=1.26,<3", True),
        ("2.1", "!=2.1", False),
        ("6.0.3", ">6.0.3", False),
        ("6.0.3", "<=6.0.3", True),
        ("1", "", True),
    ],
)
def test_bounds_are_read_as_numbers(version: str, bounds: str, fits: bool, satisfies: Callable[[str, str], bool]):
    assert satisfies(version, bounds) is fits


@pytest.fixture
def satisfies() -> Callable[[str, str], bool]:
    def ask(version: str, bounds: str) -> bool:
        code = f"import vendor; print(vendor.satisfies({version!r}, {bounds!r}))"
        words = [sys.executable, "-c", code]
        return subprocess.check_output(words, cwd=package.ROOT / "tools", text=True).strip() == "True"

    return ask


def test_news_are_told_of_libraries_that_have_newer_versions(tree: Path, tmp_path: Path):
    pip = tmp_path / "python"
    pip.write_text(
        '#!/bin/sh\nfor name; do :; done\ncase $name in urllib3) v=99.0;; *) v=0.1;; esac\necho "$name ($v)"\n'
    )
    pip.chmod(0o755)
    code = "import vendor, sys; sys.executable = sys.argv[1]; print(vendor.news())"
    words = [sys.executable, "-c", code, str(pip)]
    done = subprocess.run(words, cwd=tree / "tools", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["urllib3 2.8.0 -> 99.0", "True"]


def test_the_bill_of_materials_names_every_library_that_is_in_the_package(deb: Path, tmp_path: Path):
    subprocess.run(["dpkg-deb", "--extract", deb, tmp_path], check=True)
    bill = json.loads((tmp_path / "usr/share/doc/edged/edged.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert bill["serialNumber"].startswith("urn:uuid:")
    about = bill["metadata"]["component"]
    assert (about["type"], about["name"], about["version"]) == ("application", "edged", deb.name.split("_")[1])
    shipped = {path.name for path in (tmp_path / f".{package.PROGRAM}/vendor").glob("*.dist-info")}
    listed = {f"{part['name'].replace('-', '_')}-{part['version']}.dist-info" for part in bill["components"]}
    assert listed == shipped
    assert len(listed) == 8
    pins = (package.ROOT / PINS).read_text()
    for part in bill["components"]:
        assert part["type"] == "library"
        assert part["purl"] == part["bom-ref"] == f"pkg:pypi/{part['name']}@{part['version']}"
        (digest,) = part["hashes"]
        assert digest["alg"] == "SHA-256"
        assert f"=={part['version']} --hash=sha256:{digest['content']}" in pins
        (licence,) = part["licenses"]
        assert licence.get("license", {}).get("id") in ("MIT", "BSD-3-Clause") or "OR" in licence["expression"]
        assert list((tmp_path / "usr/share/doc/edged/vendor" / part["name"]).iterdir())
    references = {part["bom-ref"] for part in bill["components"]}
    first, *others = bill["dependencies"]
    assert first["ref"] == about["bom-ref"]
    assert set(first["dependsOn"]) == references == {other["ref"] for other in others}
