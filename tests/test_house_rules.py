"""The architecture's rules as tests: who imports whom, how large a module may grow, which names are not used."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import check_sizes

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "edged"
CONTRACTS = {
    each["id"]: each
    for each in tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
PURE = (
    "domain",
    "ocpp",
    "dialects",
    "chargers.profile",
    "chargers.registers",
    "mqtt.topics",
    "mqtt.commands",
    "mqtt.discovery",
    "store.records",
)
"""What the design calls pure; each is named in the contract as soon as it exists."""


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_import_contract_is_kept(contract, tmp_path):
    linter = Path(sys.executable).with_name("lint-imports")
    command = [linter, "--contract", contract, "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_pure_module_stands_in_the_contract():
    named = set(CONTRACTS["pure"]["source_modules"])
    places = {f"edged.{name}": PACKAGE / name.replace(".", "/") for name in PURE}
    existing = {name for name, place in places.items() if place.is_dir() or place.with_suffix(".py").exists()}
    assert existing <= named


def test_every_ocpp_version_stands_in_the_contract():
    versions = {f"edged.dialects.{path.name}" for path in (PACKAGE / "dialects").glob("v*") if path.is_dir()}
    assert versions == set(CONTRACTS["versions"]["modules"])


def test_no_module_and_no_function_has_outgrown_its_size_and_no_banned_name_is_used():
    assert [str(finding) for finding in check_sizes.findings(PACKAGE)] == []


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("long.py", "x = 1\n" * 421, "the module has 421 lines"),
        ("deep.py", "def f():\n" + "    x = 1\n" * 70, "f has 71 lines"),
        ("deep.py", "async def f():\n" + "    x = 1\n" * 70, "f has 71 lines"),
        ("handlers.py", "", "no module is called handlers"),
        ("names.py", "class ChargePoint: pass\n", "no class is called ChargePoint"),
        ("names.py", "VERSION = 'ocpp1.6'\n", "names an OCPP version"),
        ("names.py", "VERSION = {'2.0.1': 1}\n", "names an OCPP version"),
    ],
)
def test_a_broken_rule_is_found(tmp_path, name, text, complaint):
    (tmp_path / name).write_text(text)
    assert [complaint in str(finding) for finding in check_sizes.findings(tmp_path)] == [True]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("right.py", "x = 1\n" * 420),
        ("right.py", "def f():\n" + "    x = 1\n" * 69),
        ("right.py", '"""ocpp1.6"""\nx = 1\n"""2.0.1"""\n'),
        ("right.py", "MQTT = '3.1.1'\nADDRESS = '192.168.2.1'\n"),
        ("app.py", "VERSION = 'ocpp1.6'\n"),
    ],
)
def test_what_keeps_the_rules_is_not_complained_about(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert list(check_sizes.findings(tmp_path)) == []
