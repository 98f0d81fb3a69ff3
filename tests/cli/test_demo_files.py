"""The demo's file server, and whether its witnesses notice what must not be."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.cli.demo import claims, story_logs
from edged.cli.demo.file_box import MAX_BYTES, USER, FileBox
from edged.cli.demo.places import HALL, STATION
from edged.cli.demo.stage import Options, Stage
from edged.cli.demo.step import Claim, Seen
from edged.cli.demo.story_commands import KEY, KEY_VALUE
from edged.cli.demo.story_limits import LIMITS
from edged.cli.demo.story_logs import LOGS

PASSWORD = "open sesame"


def request(
    method: str = "POST",
    *,
    password: str | None = PASSWORD,
    size: int | str | None = None,
    body: bytes = b"a file",
    filename: str = "log.tar.gz",
) -> bytes:
    lines = [f"{method} /diagnostics/ HTTP/1.1", f"Content-Length: {len(body) if size is None else size}"]
    lines.append(f'Content-Disposition: attachment; filename="{filename}"')
    if password is not None:
        lines.append(f"Authorization: Basic {base64.b64encode(f'{USER}:{password}'.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answer(box: FileBox, text: bytes) -> str:
    """The status line of what the box answers."""
    port = int(box.address.split(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    writer.write_eof()
    said = await reader.read()
    writer.close()
    return said.decode().partition("\r\n")[0]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_who_knows_the_password_brings_a_file(tmp_path: Path, method: str) -> None:
    box = FileBox(tmp_path / "files", PASSWORD)
    await box.start()
    assert await answer(box, request(method)) == "HTTP/1.1 201 Created"
    await box.stop()
    assert [path.name for path in box.arrived] == ["log.tar.gz"]
    assert box.arrived[0].read_bytes() == b"a file"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (request(password="wrong"), "401"),
        (request(password=None), "401"),
        (request("GET"), "405"),
        (request(size=MAX_BYTES + 1), "413"),
        (request(size=-1), "413"),
        (request(size="many"), "400"),
        (request(size=100), "400"),
        (b"\x00" * 100_000, "400"),
    ],
)
async def test_anything_else_is_refused_and_leaves_nothing(tmp_path: Path, text: bytes, status: str) -> None:
    box = FileBox(tmp_path / "files", PASSWORD)
    await box.start()
    assert status in await answer(box, text)
    await box.stop()
    assert box.arrived == [] and list(box.folder.iterdir()) == []
    assert box.knocks == 1


async def test_a_name_leads_out_of_the_folder_nowhere(tmp_path: Path) -> None:
    box = FileBox(tmp_path / "files", PASSWORD)
    await box.start()
    await answer(box, request(filename="../../escaped"))
    await answer(box, request(filename=".."))
    await box.stop()
    assert {path.parent for path in box.arrived} == {box.folder}
    assert not (tmp_path / "escaped").exists()


# --- what the witnesses must notice


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage on which nothing has been started."""
    stage = Stage(Options(speed=1.0, seed=1, broker=False))
    yield stage
    shutil.rmtree(stage.directory)


def archive(stage: Stage, *, log: str = "a line", key: str = KEY_VALUE) -> None:
    """One arrives as it should be, but for what is said otherwise."""
    parts = dict.fromkeys(story_logs.WANTED, b"{}")
    parts["log.txt"] = log.encode()
    parts["keys.json"] = json.dumps({KEY: key}).encode()
    parts["status.json"] = STATION.encode()
    path = stage.directory / "found.tar.gz"
    with tarfile.open(path, "w:gz") as target:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    stage.notes["arrived"], stage.notes["knocks"] = 0, 0
    stage.files.arrived.append(path)
    stage.answer = {"fileName": path.name}


def seen(stage: Stage, expects: str) -> Seen:
    claim: Claim = next(one for step in LOGS.steps for one in step.claims if one.expects == expects)
    return claim.look(stage)


def test_an_archive_as_it_should_be_is_seen_to_be_one(stage: Stage) -> None:
    archive(stage)
    for expects in ("the file that was promised", "an archive with every part", "no password in it"):
        assert seen(stage, expects).ok, expects


def test_an_archive_that_says_something_else_is_noticed(stage: Stage) -> None:
    archive(stage, key="99")
    assert not seen(stage, "an archive with every part").ok


@pytest.mark.parametrize("expects", ["an archive with every part", "no password in it"])
def test_what_is_no_archive_is_noticed(stage: Stage, expects: str) -> None:
    archive(stage)
    whole = stage.files.arrived[0].read_bytes()
    for content in (b"no archive", whole[: len(whole) // 2], whole[:-20], b""):
        stage.files.arrived[0].write_bytes(content)
        assert "cannot be opened" in seen(stage, expects).words


@pytest.mark.parametrize("form", ["plain", "hex", "base64", "header"])
def test_a_password_in_the_archive_is_noticed_in_each_form(stage: Stage, form: str) -> None:
    password = stage.passwords.second
    shown = {
        "plain": password,
        "hex": password.encode().hex(),
        "base64": base64.b64encode(password.encode()).decode(),
        "header": base64.b64encode(f"{STATION}:{password}".encode()).decode(),
    }
    archive(stage, log=f"a line with {shown[form]} in it")
    assert not seen(stage, "no password in it").ok


def test_a_password_in_the_daemons_log_is_noticed(stage: Stage) -> None:
    stage.daemon_log.write_text("nothing")
    assert claims.unlogged().look(stage).ok
    stage.daemon_log.write_text(f"the password is {stage.passwords.first}")
    assert not claims.unlogged().look(stage).ok


def test_passwords_are_new_for_each_run(stage: Stage) -> None:
    other = Stage(Options(speed=1.0, seed=1, broker=False))
    shutil.rmtree(other.directory)
    assert not set(stage.passwords.all) & set(other.passwords.all)
    assert all(16 <= len(password) <= 40 for password in stage.passwords.all)


def test_a_charger_that_offers_its_least_instead_of_nothing_is_noticed(stage: Stage) -> None:
    (third,) = (step for step in LIMITS.steps if "3 A" in step.sentence)
    (never,) = (claim for claim in third.claims if "offers nothing" in claim.expects)
    point = stage.point(HALL)
    point.set_permit(True)
    point.set_limit(6_000)
    assert not never.look(stage).ok
    point.set_permit(False)
    assert never.look(stage).ok
