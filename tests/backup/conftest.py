"""A controller with everything on it, and another one with nothing."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.backup import places
from edged.cli import main as cli
from edged.store.opening import open_store
from tests.fakes.command_line import Edged, command_line

V1 = Path(__file__).parents[1] / "store" / "databases" / "v1.sql"
WALL = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = "0123456789abcdef"
SITE = """\
gateway: {{id: depot}}
chargers:
  right: {{profile: phoenix-charx-sec, tcp: "127.0.0.1:5020"}}
stations:
  - id: CP1
    csms:
      url: "ws://127.0.0.1:9000"
      versions: [ocpp1.6]
      password: "${{credential:csms}}"
      ca_file: {ca}
    evses: [{{charger: right}}]
"""


@dataclass(frozen=True, slots=True)
class Controller:
    """Its two folders."""

    config: Path
    state: Path

    @property
    def site(self) -> places.Site:
        return places.Site(config=self.config, state=self.state)

    @property
    def database(self) -> Path:
        return self.state / "edged.db"

    def files(self, *, aside: bool = False) -> dict[str, bytes]:
        """Everything that lies there but locks, by its path; what was set aside only if it is asked for."""
        found = {}
        for folder in (self.config.parent, self.state):
            for path in sorted(folder.rglob("*")) if folder.exists() else ():
                name = str(path.relative_to(folder.parent))
                if path.is_file() and not name.endswith(".lock") and (aside or places.ASIDE not in name):
                    found[name] = path.read_bytes()
        return found


def fill_database(path: Path) -> None:
    """A station in the middle of its day: one transaction runs, a record of another waits."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as old:
        old.executescript(V1.read_text())
    opened = open_store(path, wall=WALL)
    opened.store.set_value("host_boot", "this computer's")
    opened.store.set_value("running", "that run")
    opened.store.close()


def build(root: Path) -> Controller:
    """A controller in service, its daemon stopped."""
    ca = root / "site-ca.pem"
    ca.write_text("certificate of the site\n")
    ca.chmod(0o644)  # whatever mask the tests are run under
    folder, state = root / "etc", root / "state"
    (folder / "profiles.d").mkdir(parents=True)
    (folder / "credentials").mkdir(mode=0o700)
    (folder / "edged.yaml").write_text(SITE.format(ca=ca))
    (folder / "edged.yaml").chmod(0o640)
    own = folder / "profiles.d" / "own.yaml"
    own.write_text("name: own\n")
    own.chmod(0o644)
    secret = folder / "credentials" / "csms"
    secret.write_text("correct-horse-battery\n")
    secret.chmod(0o600)
    fill_database(state / "edged.db")
    (state / "keys").mkdir(mode=0o700)
    (state / "keys" / f"{KEY}.pem").write_text("private key\n")
    (state / "transfer").mkdir()
    (state / "transfer" / "firmware-big").write_bytes(b"x" * 1000)
    return Controller(folder / "edged.yaml", state)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A controller that nobody changes, and a backup of it: making one takes longer than copying it."""
    root = tmp_path_factory.mktemp("model")
    one = build(root)
    words = ["-c", one.config, "--state", one.state, "--control", "/none"]
    assert cli.main(["backup", str(root / "model.tar.gz"), *map(str, words)]) == 0
    return root


@pytest.fixture
def controller(model: Path, tmp_path: Path) -> Controller:
    """In service, its daemon stopped."""
    for name in ("etc", "state"):
        shutil.copytree(model / name, tmp_path / name)
    shutil.copy(model / "site-ca.pem", tmp_path)
    config = tmp_path / "etc" / "edged.yaml"
    config.write_text(SITE.format(ca=tmp_path / "site-ca.pem"))
    return Controller(config, tmp_path / "state")


@pytest.fixture
def model_backup(model: Path, tmp_path: Path) -> Path:
    """A backup of some controller."""
    return Path(shutil.copy(model / "model.tar.gz", tmp_path / "depot.tar.gz"))


@pytest.fixture
def empty(tmp_path: Path) -> Controller:
    """A new one."""
    return Controller(tmp_path / "new" / "etc" / "edged.yaml", tmp_path / "new" / "state")


def refused_start(controller: Controller) -> tuple[int, str]:
    """Start the daemon as systemd does: how it ended, and what it said. One that does not end is a failure."""
    words = ["run", "-c", controller.config, "--state", controller.state, "--control", controller.state / "c.sock"]
    command = [sys.executable, "-m", "edged", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def edged(capsys: pytest.CaptureFixture[str]) -> Edged:
    return command_line(capsys)


@pytest.fixture
def backup(edged: Edged, controller: Controller, tmp_path: Path) -> Path:
    """A backup of the controller."""
    path = tmp_path / "depot.tar.gz"
    status, _, err = edged("backup", path, "-c", controller.config, "--state", controller.state, "--control", "/none")
    assert (status, err) == (0, "")
    return path


@pytest.fixture
def final(edged: Edged, controller: Controller, tmp_path: Path) -> Path:
    """Its last backup."""
    path = tmp_path / "final.tar.gz"
    words = ("-c", controller.config, "--state", controller.state, "--control", "/none", "--final")
    status, _, err = edged("backup", path, *words)
    assert (status, err) == (0, "")
    return path
