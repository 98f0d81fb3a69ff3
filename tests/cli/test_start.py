"""What `edged run` has loaded once it serves: all that its site needs, since an upgrade may take the files away at any
moment from then on, and nothing of what only other sites and other commands need, since every module makes it wait.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from edged.chargers import library
from edged.cli.unswept import unswept

SITE = """\
chargers: {{left: {{profile: {profile}, {line}: "127.0.0.1:1"}}}}
stations:
  - id: DEPOT-7
    csms: {{url: "ws://127.0.0.1:9/ocpp", versions: [{versions}]}}
    evses: [{{charger: left}}]
"""
BROKER = "mqtt: {url: 'mqtt://127.0.0.1:1'}\n"
UNTIL_READY = """\
import gc, json, os, sys
from edged.cli.main import main
from edged.system.notify import Notifier

def ready(_):
    told = {"modules": sorted(sys.modules), "opened": opened, "swept": gc.isenabled(), "frozen": gc.get_freeze_count()}
    print(json.dumps(told), flush=True)
    os._exit(0)

opened = []
sys.addaudithook(lambda event, told: opened.append(str(told[0])) if event == "open" else None)
Notifier.ready = ready
sys.exit(main(sys.argv[1:]))
"""
RELOAD_WITHOUT_FILES = """\
import os, signal, sys
from pathlib import Path
from edged.cli.main import main
from edged.system.notify import Notifier

def ready(_):
    config = Path(sys.argv[3])
    config.write_text(config.read_text().replace("ocpp1.6", "ocpp2.0.1"))
    sys.modules["edged.dialects.v201"] = None  # importing it fails from now on
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)

Notifier.ready = ready
sys.exit(main(sys.argv[1:]))
"""
OTHERS = {
    "edged.dialects.v201": "sites of 2.0.1",
    "edged.mqtt.mirror": "sites with a broker",
    "paho": "sites with a broker",
    "edged.chargers.rapi.link": "sites with a RAPI controller",
    "edged.cli.probe": "other commands",
    "edged.cli.setup": "other commands",
    "edged.cli.doctor": "other commands",
    "edged.cli.simulate": "other commands",
    "edged.cli.firmware_install": "other commands",
    "edged.simulator": "the demo",
    "ocpp.messages": "the library's own layer for messages",
    "ocpp.v16": "the library's own layer for messages",
    "ocpp.v201": "the library's own layer for messages",
    "jsonschema": "the library's own layer for messages",
    "cryptography": "reading certificates",
    "OpenSSL": "reading certificates",
    "ftplib": "transfers",
    "ctypes": "sites with a serial line",
}


@dataclass(frozen=True, slots=True)
class Start:
    """A daemon at READY=1. `opened`: the files that it opened until then."""

    modules: frozenset[str]
    opened: tuple[str, ...]
    swept: bool
    frozen: int

    def has(self, name: str) -> bool:
        return any(module == name or module.startswith(f"{name}.") for module in self.modules)


def run(
    script: str,
    tmp_path: Path,
    versions: str,
    *,
    more: str = "",
    profile: str = "phoenix-charx-sec",
    line: str = "tcp",
) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "edged.yaml"
    path.write_text(SITE.format(versions=versions, profile=profile, line=line) + more)
    places = ["--state", str(tmp_path / "state"), "--control", str(tmp_path / "control")]
    command = [sys.executable, "-c", script, "run", "-c", str(path), *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "EDGED_DEBUG": ""})
    assert done.returncode == 0, done.stderr
    return done


def start(tmp_path: Path, versions: str, **site: str) -> Start:
    told = json.loads(run(UNTIL_READY, tmp_path, versions, **site).stdout)
    return Start(frozenset(told["modules"]), tuple(told["opened"]), told["swept"], told["frozen"])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """OCPP 1.6 alone, a charger on Modbus TCP, no broker."""
    return start(tmp_path_factory.mktemp("site"), "ocpp1.6")


def test_a_plain_site_does_not_wait_for_what_only_others_need(plain):
    assert {name: whose for name, whose in OTHERS.items() if plain.has(name)} == {}
    assert plain.has("edged.dialects.v16")
    assert plain.has("edged.cli.run")


def test_only_the_profiles_of_the_site_are_read(plain):
    read = {Path(name).stem for name in plain.opened if Path(name).parent == library.PACKAGED_DIR}
    assert read == {"phoenix-charx-sec"}


def test_the_collector_works_once_it_serves_but_not_on_what_was_loaded(plain):
    assert plain.swept
    assert plain.frozen > 10_000


def test_what_the_site_may_come_to_speak_is_there_before_it_serves(tmp_path):
    found = start(tmp_path, "ocpp1.6, ocpp2.0.1", more=BROKER, profile="openevse-rapi", line="rtu_over_tcp")
    needed = ("edged.dialects.v16", "edged.dialects.v201", "edged.mqtt.mirror", "paho", "edged.chargers.rapi.link")
    assert [name for name in needed if not found.has(name)] == []


def test_a_reload_that_needs_files_which_an_upgrade_has_taken_away_changes_nothing(tmp_path):
    log = run(RELOAD_WITHOUT_FILES, tmp_path, "ocpp1.6").stderr
    assert "needs edged.dialects.v201, which is not there any more" in log
    assert "the old configuration stays in force" in log


@pytest.mark.parametrize("wrong", [False, True])
def test_the_collector_rests_while_modules_are_loaded(wrong):
    kept = []
    with pytest.raises(ImportError) if wrong else unswept(), unswept():
        assert not gc.isenabled()
        kept.append([])
        if wrong:
            raise ImportError
    assert gc.isenabled()
    assert any(each is kept for each in gc.get_objects(generation=2))


def test_a_collector_that_rests_already_goes_on_resting():
    gc.disable()
    try:
        with unswept():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
