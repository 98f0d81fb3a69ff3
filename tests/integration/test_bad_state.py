"""The daemon on a state or a configuration that somebody has worked on by hand: a sentence each, and nothing lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.cli import main as cli
from edged.store.brief import ROWS
from edged.store.migrations import MIGRATIONS
from edged.store.opening import open_store
from tests.backup.conftest import fill_database
from tests.integration.daemon import Edged, charger, site_file
from tests.integration.peers import free_port

NEWER = (*MIGRATIONS, ("ALTER TABLE gateway ADD COLUMN since TEXT", "CREATE TABLE later (a TEXT) STRICT"))
WITHHELD = 78
Spoil = Callable[[Path], object]
NOWHERE = f"127.0.0.1:{free_port()}"


def by_hand(*statements: str) -> Spoil:
    """As with the sqlite3 command, by somebody who knows how rows are made short (`whole`)."""

    def work(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.create_function("whole", 1, ROWS.full)
            for statement in statements:
                db.execute(statement)

    return work


def is_gone(path: Path) -> None:
    path.unlink()


def controller(folder: Path, spoil: Spoil) -> Edged:
    """A daemon's folders, its database spoiled."""
    folder.mkdir()
    edged = Edged(folder)
    edged.configure(
        site_file({"box": charger("phoenix-charx-sec", NOWHERE)}, csms=f"ws://{NOWHERE}/ocpp")
        | {"gateway": {"id": "g"}}
    )
    fill_database(edged.state_dir / "edged.db")
    with closing(sqlite3.connect(edged.state_dir / "edged.db", isolation_level=None)) as db:
        for table in ("facts", "outbox"):
            db.execute(f"UPDATE {table} SET station = 'CP-1'")
    spoil(edged.state_dir / "edged.db")
    return edged


# --- what starts all the same: the sentence, and what is set aside (a row, the whole database, nothing)

ROW, WHOLE, NOTHING = "row", "whole", "nothing"
TABLES = "the database was damaged (its tables are not those of its version)"
STARTS: dict[str, tuple[Spoil, str, str]] = {
    "a row of nonsense": (
        by_hand("UPDATE facts SET value = 'nonsense' WHERE kind = 'reservation'"),
        "a stored row of reservation is set aside: not JSON",
        ROW,
    ),
    "a transaction of the year 9999": (
        by_hand(
            "UPDATE facts SET value = replace(whole(value), '2026-', '9999-') WHERE kind = 'transaction'",
            "UPDATE facts SET value = replace(whole(value), 'true', 'false') WHERE kind = 'transaction'",
        ),
        "a stored row of transaction is set aside: started: not a time of this clock",
        ROW,
    ),
    "a clock of the year 9999": (
        by_hand("UPDATE facts SET value = '9999-12-31T23:59:59+00:00' WHERE kind = 'station.wall'"),
        "the time that was kept last cannot be: 9999-12-31T23:59:59+00:00",
        NOTHING,
    ),
    "a table dropped": (by_hand("DROP TABLE parked"), TABLES, WHOLE),
    "a text": (
        lambda path: path.write_text("dear diary\n" * 400),
        "the database was damaged (file is not a database",
        WHOLE,
    ),
    "half of it": (
        lambda path: os.truncate(path, 9000),
        "the database was damaged (database disk image is malf",
        WHOLE,
    ),
    "nothing in it": (lambda path: os.truncate(path, 0), "the database was damaged (the file was empty)", NOTHING),
}


async def _starts(name: str, edged: Edged) -> None:
    _, sentence, aside = STARTS[name]
    path = edged.state_dir / "edged.db"
    content = path.read_bytes()
    await edged.up()
    edged.signal(signal.SIGTERM)
    assert await edged.ended() == 0, f"{name}: {edged.log}"
    assert sentence in edged.log, f"{name}: {edged.log}"
    assert "Traceback" not in edged.log, name
    damaged = [one.read_bytes() for one in edged.state_dir.glob("edged.db.damaged-*") if not one.name.endswith("-wal")]
    assert damaged == ([content] if aside == WHOLE else []), name
    opened = open_store(path, wall=datetime.now(UTC))
    parked = [row.parked for row in opened.store.parked() if "set aside" not in row.parked.reason]
    opened.store.close()
    assert bool(parked) == (aside == ROW), (name, parked)


async def test_whatever_was_done_to_a_database_the_daemon_starts_says_it_and_keeps_it(folder: Path) -> None:
    daemons = {name: controller(folder / str(n), spoil) for n, (name, (spoil, _, _)) in enumerate(STARTS.items())}
    try:
        await asyncio.gather(*(_starts(name, edged) for name, edged in daemons.items()))
    finally:
        for edged in daemons.values():
            await edged.close()


# --- what does not start, and says what to do


def newer(path: Path) -> None:
    open_store(path, wall=datetime.now(UTC), migrations=NEWER).store.close()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            newer,
            f"has version {len(NEWER)}, but this edged knows only up to version {len(MIGRATIONS)}: install the newer "
            "edged again, restore a backup that this one made (edged restore FILE), or move the file away",
        ),
        (lambda path: (path.unlink(), path.mkdir()), "is no file (Is a directory): move it away"),
    ],
    ids=["newer", "folder"],
)
async def test_a_daemon_that_must_not_start_ends_for_good_with_one_sentence(
    folder: Path, spoil: Spoil, sentence: str
) -> None:
    edged = controller(folder / "c", spoil)
    path = edged.state_dir / "edged.db"
    before = path.read_bytes() if path.is_file() else None
    await edged.start()
    assert await edged.ended() == WITHHELD
    said = [line for line in edged.log.splitlines() if line.startswith("edged: ")]
    assert len(said) == 1
    assert sentence in said[0]
    assert "Traceback" not in edged.log
    assert (path.read_bytes() if path.is_file() else None) == before


def test_systemd_does_not_try_again_what_a_person_must_decide() -> None:
    unit = (Path(__file__).parents[2] / "systemd" / "edged.service").read_text()
    assert f"\nRestartPreventExitStatus={WITHHELD}\n" in unit


def test_the_other_commands_go_on_beside_a_newer_database(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edged = controller(folder / "c", newer)
    words = ["-c", str(edged.config)]
    assert cli.main(["check", *words]) == 0
    assert cli.main(["status", "--control", str(edged.control)]) == 1
    assert "edged is not running" in capsys.readouterr().err
    backup = folder / "b.tar.gz"
    places = ["--state", str(edged.state_dir)]
    assert cli.main(["backup", str(backup), *words, *places, "--control", str(edged.control)]) == 0
    assert cli.main(["restore", str(backup), *words, *places]) == 1
    assert f"its database has version {len(NEWER)}" in capsys.readouterr().err


# --- the configuration


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"gateway:\n\tid: g\n", ":2: is indented with a tab: use spaces"),
        ("gateway:\n  id: g # säule\n".encode("latin-1"), ":2: is not UTF-8 text: save the file as UTF-8"),
        ("gateway:\n  id: g\n".encode("utf-16"), ":1: is not UTF-8 text: save the file as UTF-8"),
        (b"gateway:\n  id: g\0\n", ":2: holds a character that does not belong into a text file: delete it"),
        (b"#" * 10_000_000, ": is larger than 1024 KiB: this is not a configuration of edged"),
        (b"a: &a [x, x]\nb: [*a, *a]\n", ":2: repeats a value with *: write it out, aliases are not used here"),
        (b"[" * 100_000, ":1: is nested deeper than 12 levels: this is not a configuration of edged"),
        (
            b"a: !!python/object/apply:os.system [id]\n",
            ":1: has a tag (!): write the plain value, tags are not used here",
        ),
        (b"", ": is empty: write at least chargers and stations"),
        (os.urandom(64).replace(b"\n", b"\xff") + b"\xff", ":1: is not UTF-8 text: save the file as UTF-8"),
        (None, ": cannot be read (it is a folder): name another file with -c"),
        ("loop", ": cannot be read (Too many levels of symbolic links): name another file with -c"),
        ("fifo", ": cannot be read (it is not a plain file): name another file with -c"),
    ],
    ids=["tabs", "latin", "utf16", "nul", "10MB", "bomb", "deep", "tag", "empty", "binary", "folder", "loop", "fifo"],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_configuration_that_is_none_is_one_sentence_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, content: bytes | str | None, sentence: str
) -> None:
    path = tmp_path / "edged.yaml"
    match content:
        case bytes():
            path.write_bytes(content)
        case "loop":
            path.symlink_to(path.name)
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()
    words = ["--state", str(tmp_path / "state")] if command == "run" else []
    assert cli.main([command, "-c", str(path), *words]) == WITHHELD
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"{path}{sentence}",
        "edged: the configuration is wrong in 1 place: nothing was started",
    ]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text], ids=["crlf", "bom"]
)
def test_a_configuration_from_another_kind_of_computer_is_right(folder: Path, change: Callable[[str], str]) -> None:
    edged = controller(folder / "c", lambda path: None)
    edged.config.write_bytes(change(edged.config.read_text()).encode())
    assert cli.main(["check", "-c", str(edged.config)]) == 0


@pytest.fixture
async def daemon(folder: Path) -> AsyncIterator[Edged]:
    edged = controller(folder / "c", lambda path: None)
    yield edged
    await edged.close()


async def test_a_clock_in_1970_goes_on_from_what_was_kept_last(daemon: Edged, faketime: str) -> None:
    daemon.environment |= {
        "LD_PRELOAD": faketime,
        "FAKETIME": "1970-01-01 00:00:10",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    daemon.environment["TZ"] = "UTC"
    await daemon.up()
    station = (await daemon.status())["stations"][0]
    assert station["clock"]["utc"].startswith("2026-03-01T12:"), "the last moment that the store has seen"
    assert station["clock"]["synchronized"] is False
    assert [each["id"] for each in station["transactions"]] == ["tx-over", "tx-run"]


@pytest.fixture(scope="session")
def faketime() -> str:
    """Debian's libfaketime; where it is missing the test says how to get it."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "missing: faketime - install with: sudo apt-get install faketime"
    return str(found[0])
