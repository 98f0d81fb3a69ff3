"""What is in the package, and what is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging import package
from tests.packaging.chroot import Chroot

MIB = 1 << 20
VENDOR = f"{package.PROGRAM.lstrip('/')}/vendor"
UNITS = ("edged.service", "edged-reboot.path", "edged-reboot.service", "edged-firmware.path", "edged-firmware.service")


@pytest.fixture(scope="session")
def contents(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contents")
    subprocess.run(["dpkg-deb", "--raw-extract", deb, folder], check=True)
    return folder


def field(contents: Path, name: str) -> str:
    match = re.search(rf"(?m)^{name}: (.*)$", (contents / "DEBIAN/control").read_text())
    return "" if match is None else match[1]


def test_nothing_is_a_conffile_and_nothing_lies_in_etc(contents: Path):
    assert not (contents / "DEBIAN/conffiles").exists()
    assert not (contents / "etc").exists()


def test_it_is_for_every_architecture_and_nothing_in_it_is_compiled(contents: Path):
    assert field(contents, "Architecture") == "all"
    done = subprocess.run(["/usr/bin/python3", package.ROOT / "tools/vendor.py", "pure", contents], check=False)
    assert done.returncode == 0
    assert not list(contents.rglob("*.pyc"))


@pytest.mark.parametrize("name", ["extra.so", "stray.pyc", "tool"])
def test_a_compiled_file_is_found_wherever_it_is(tmp_path: Path, name: str):
    place = tmp_path / "usr/share" / name
    place.parent.mkdir(parents=True)
    place.write_bytes(b"\x7fELF\x01")
    words = ["/usr/bin/python3", package.ROOT / "tools/vendor.py", "pure", tmp_path]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is compiled" in done.stderr


def test_it_depends_on_no_python_library_of_the_distribution(contents: Path):
    depends = {word.split()[0] for word in re.split(r"[,|]\s*", field(contents, "Depends"))}
    assert {name for name in depends if name.startswith("python3")} <= {"python3", "python3:any"}
    assert "python3 (>= 3.11~)" in field(contents, "Depends")
    assert {"python3-cryptography", "python3-openssl"} <= set(field(contents, "Recommends").split(", "))


def test_it_is_small(contents: Path, deb: Path):
    assert deb.stat().st_size < 1.5 * MIB
    documentation = contents / "usr/share/doc/edged"
    assert sum(path.stat().st_size for path in documentation.rglob("*") if path.is_file()) < MIB
    assert int(field(contents, "Installed-Size")) < 8 * 1024


def test_every_schema_of_the_spoken_versions_is_there_and_no_code_of_the_library(contents: Path, deb: Path):
    assert deb.exists()
    (wheel,) = (package.ROOT / "build/vendor").glob("ocpp-*.whl")
    names = subprocess.run(["unzip", "-Z1", wheel], capture_output=True, text=True, check=True).stdout.split()
    wanted = {name for name in names if re.match(r"ocpp/v(16|201)/schemas/.*\.json$", name)}
    shipped = {str(path.relative_to(contents / VENDOR)) for path in (contents / VENDOR / "ocpp").rglob("*.*")}
    assert len(wanted) > 180
    assert shipped == wanted | {"ocpp/__init__.py"}


def test_configuration_and_broker_kit_are_examples(contents: Path):
    shared = contents / "usr/share/edged"
    assert (shared / "edged.yaml").read_bytes() == (package.ROOT / "config/edged.yaml").read_bytes()
    for path in (package.ROOT / "config/mosquitto").iterdir():
        assert (shared / "mosquitto" / path.name).read_bytes() == path.read_bytes()


def test_units_lie_where_systemd_is_not_a_link(contents: Path):
    assert {path.name for path in (contents / "usr/lib/systemd/system").iterdir()} == set(UNITS)
    assert not (contents / "lib").exists()


def test_maintainer_scripts_start_no_oneshot(contents: Path):
    scripts = "".join((contents / "DEBIAN" / name).read_text() for name in ("postinst", "prerm", "postrm"))
    for unit in ("edged.service", "edged-reboot.path", "edged-firmware.path"):
        assert f"enable '{unit}'" in scripts
    assert "edged-reboot.service" not in scripts
    assert "edged-firmware.service" not in scripts


def test_every_command_has_a_page_of_the_manual_and_completion(contents: Path):
    help_page = subprocess.run(
        [sys.executable, "-m", "edged", "--help"], capture_output=True, text=True, check=True
    ).stdout
    commands = re.findall(r"(?m)^    ([a-z][a-z-]*) ", help_page)
    assert {"run", "check", "status"} <= set(commands)
    pages = {path.name for path in (contents / "usr/share/man").rglob("*.gz")}
    assert {"edged.1.gz", *(f"edged-{command}.1.gz" for command in commands)} <= pages
    for unit in (contents / "usr/lib/systemd/system").iterdir():
        for name, section in re.findall(r"(?m)^Documentation=man:(.*)\((\d)\)$", unit.read_text()):
            assert f"{name}.{section}.gz" in pages
    for script in ("bash-completion/completions/edged", "zsh/vendor-completions/_edged"):
        text = (contents / "usr/share" / script).read_text()
        assert [command for command in commands if command not in text] == []


def test_the_documentation_has_no_broken_links(contents: Path):
    documentation = contents / "usr/share/doc/edged"
    left_out = re.compile(r"(adr/|(architecture|benchmarks|conformance|packaging)\.md|\.\./|v1\.yaml)")
    broken = []
    for page in documentation.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#: ]+)(?:#[^)]*)?\)", page.read_text()):
            if not left_out.search(target) and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_every_library_is_named_in_the_copyright_and_its_licence_is_there(contents: Path):
    documentation = contents / "usr/share/doc/edged"
    copyright_ = (documentation / "copyright").read_text()
    for library in (contents / VENDOR).iterdir():
        name = re.sub(r"-[0-9.]+\.dist-info$", "-*", library.name)
        assert f"usr/lib/edged/*/vendor/{name}/*" in copyright_
    licences = {path.name for path in (documentation / "vendor").iterdir()}
    assert len(licences) == len(list((contents / VENDOR).glob("*.dist-info")))
    for licence in licences:
        texts = "".join(path.read_text() for path in (documentation / "vendor" / licence).iterdir())
        assert re.search(r"(?i)permission is hereby granted|redistribution and use", texts)


IMPORT_ALL = f"""\
import importlib, pkgutil, sys
sys.path[:0] = ["{package.PROGRAM}", "{package.PROGRAM}/vendor"]
import edged
failed = []
for module in pkgutil.walk_packages(edged.__path__, "edged."):
    if module.name == "edged.__main__":
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] not in ("cryptography", "OpenSSL"):
            failed.append(f"{{module.name}}: {{error}}")
print(*failed, sep="\\n")
"""


def test_every_module_finds_what_it_imports_in_the_package(installed_chroot: Chroot):
    assert installed_chroot.run("/usr/bin/python3", "-IS", "-c", IMPORT_ALL).stdout.strip() == ""


def test_libraries_are_the_packages_own_although_the_distribution_has_them_too(installed_chroot: Chroot):
    for name in ("yaml", "websockets", "urllib3", "serial"):
        installed_chroot.write(
            f"/usr/lib/python3/dist-packages/{name}/__init__.py", "raise SystemExit('another one')\n"
        )
    assert installed_chroot.run("/usr/bin/python3", "-IS", "-c", IMPORT_ALL).stdout.strip() == ""


def test_modules_are_compiled_at_installation(installed_chroot: Chroot):
    count = "find /usr/lib/edged -name '*.py' -printf 1 | wc -c; find /usr/lib/edged -name '*.pyc' -printf 1 | wc -c"
    modules, compiled = installed_chroot.sh(count).split()
    assert modules == compiled != "0"
