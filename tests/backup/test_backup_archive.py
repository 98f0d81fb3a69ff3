"""The archive's reader against everything that is not what the writer made."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.backup import archive, putting_back
from edged.backup.manifest import MAX_FILE_BYTES, MAX_MEMBERS, ArchiveError
from edged.store.migrations import MIGRATIONS
from tests.backup.conftest import Controller, Edged


@pytest.fixture
def backup(model_backup: Path) -> Path:
    return model_backup


Entries = list[tuple[tarfile.TarInfo, bytes]]


def entries_of(path: Path) -> Entries:
    with tarfile.open(path) as tar:
        found = []
        for member in tar:
            file = tar.extractfile(member)
            found.append((member, b"" if file is None else file.read()))
        return found


def pack(path: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes]], *, form: int = tarfile.USTAR_FORMAT) -> None:
    with tarfile.open(path, "w:gz", format=form) as tar:
        for member, content in entries:
            tar.addfile(member, io.BytesIO(content))


def remade(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The archive with another manifest."""
    entries = entries_of(path)
    facts = json.loads(entries[0][1])
    change(facts)
    content = json.dumps(facts).encode()
    entries[0][0].size = len(content)
    pack(path, [(entries[0][0], content), *entries[1:]])


def _entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(content), kind, link
    return member


def _refused(edged: Edged, path: Path, empty: Controller) -> str:
    """One sentence, status 1, nothing there."""
    status, out, err = edged("restore", path, "-c", empty.config, "--state", empty.state)
    assert (status, out, len(err.splitlines())) == (1, "", 1), (out, err)
    assert empty.files() == {}
    assert err.startswith(f"edged: {path}: ")
    return err.removeprefix(f"edged: {path}: ").strip()


# --- what is no archive, or half of one


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is cut off: copy it again from where it comes"),
        (b"hello\n", "it is no backup of edged, or damaged: copy it again from where it comes"),
        (gzip.compress(b""), "it is cut off: copy it again from where it comes"),
        (gzip.compress(b"hello\n" * 400), "it is no backup of edged, or damaged: a header in it does not hold"),
        (gzip.compress(bytes(10240)), "it is an archive, but no backup of edged: it begins with no manifest"),
        (b"PK\x03\x04" + bytes(100), "it is no backup of edged, or damaged: copy it again from where it comes"),
    ],
    ids=["empty", "text", "empty gzip", "gzipped text", "zeros", "zip"],
)
def test_what_is_no_backup_is_one_sentence(
    edged: Edged, empty: Controller, tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(content)
    assert _refused(edged, path, empty) == sentence


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98, 0.999])
def test_half_an_archive_is_refused(edged: Edged, empty: Controller, backup: Path, share: float) -> None:
    whole = backup.read_bytes()
    backup.write_bytes(whole[: int(len(whole) * share)])
    assert _refused(edged, backup, empty) == "it is cut off: copy it again from where it comes"


def test_an_archive_without_its_manifest_in_front_is_refused(edged: Edged, empty: Controller, backup: Path) -> None:
    pack(backup, entries_of(backup)[1:])
    assert _refused(edged, backup, empty) == "it is an archive, but no backup of edged: it begins with no manifest"


def test_what_is_no_file_is_refused(edged: Edged, empty: Controller, tmp_path: Path) -> None:
    status, _, err = edged("restore", tmp_path, "-c", empty.config, "--state", empty.state)
    assert (status, len(err.splitlines())) == (1, 1)
    status, _, err = edged("restore", tmp_path / "none", "-c", empty.config, "--state", empty.state)
    words = "cannot be read (No such file or directory): name the backup that you want to put back"
    assert (status, err) == (1, f"edged: {tmp_path}/none {words}\n")


# --- what was changed


def test_a_missing_member_is_named(edged: Edged, empty: Controller, backup: Path) -> None:
    entries = entries_of(backup)
    pack(backup, [each for each in entries if each[0].name != "config/edged.yaml"])
    assert "where its manifest promises config/edged.yaml" in _refused(edged, backup, empty)
    pack(backup, entries[:-1])
    assert _refused(edged, backup, empty) == f"{entries[-1][0].name} is missing in it"


def test_a_changed_member_is_named(edged: Edged, empty: Controller, backup: Path) -> None:
    pack(backup, [(m, c.replace(b"correct-horse", b"correct-mouse")) for m, c in entries_of(backup)])
    assert _refused(edged, backup, empty) == (
        "config/credentials/csms in it is not what its manifest says: its checksum is another"
    )


def test_a_member_more_is_named(edged: Edged, empty: Controller, backup: Path) -> None:
    pack(backup, [*entries_of(backup), (_entry("config/profiles.d/more.yaml", b"x"), b"x")])
    assert _refused(edged, backup, empty) == "it holds config/profiles.d/more.yaml, of which its manifest says nothing"


def test_something_behind_the_end_is_refused(edged: Edged, empty: Controller, backup: Path) -> None:
    backup.write_bytes(backup.read_bytes() + gzip.compress(b"more" * 1000))
    assert _refused(edged, backup, empty) == "there is more behind its end: it was not made by edged"


# --- what leaves its folder

OUTSIDE = [
    "/etc/passwd",
    "../evil",
    "config/../../evil",
    "config/profiles.d/../../../evil",
    "config/files/../evil",
    "config/files//etc/passwd",
    "config/profiles.d/.hidden",
    "state/edged.db.lock",
    "state/keys/../../evil",
    "config/profiles.d/a\nb",
    "outside/../1",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leaves_its_folder_is_refused(edged: Edged, empty: Controller, backup: Path, name: str) -> None:
    entries = entries_of(backup)
    pack(backup, [entries[0], (_entry(name, b"x"), b"x"), *entries[1:]])
    assert _refused(edged, backup, empty).endswith("whose place is not edged's: it was not made by edged")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_that_promises_such_a_path_is_refused(
    edged: Edged, empty: Controller, backup: Path, name: str
) -> None:
    remade(backup, lambda facts: facts["members"][0].update(name=name))
    said = _refused(edged, backup, empty)
    assert "whose place is not edged's" in said or said == "its manifest is not one of edged"


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, b"S", b"x"],
)
def test_what_is_no_plain_file_is_refused(edged: Edged, empty: Controller, backup: Path, kind: bytes) -> None:
    entries = entries_of(backup)
    pack(backup, [entries[0], (_entry("config/edged.yaml", kind=kind, link="/etc/passwd"), b""), *entries[1:]])
    said = _refused(edged, backup, empty)
    assert said.startswith("config/edged.yaml in it is no plain file") or "config/edged.yaml/, whose place" in said


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_headers_that_extend_others_are_refused(edged: Edged, empty: Controller, backup: Path, form: int) -> None:
    entries = entries_of(backup)
    pack(backup, [entries[0], (_entry(f"config/profiles.d/{'x' * 200}", b"x"), b"x")], form=form)
    assert "it was not made by edged" in _refused(edged, backup, empty)


@pytest.mark.parametrize(
    ("outside", "good"),
    [("/etc/ssl/site.pem", True), ("etc/ssl", False), ("/etc/../x", False), ("/", False), ("//x", False), (7, False)],
)
def test_where_a_file_lay_is_a_plain_path(backup: Path, outside: object, good: bool) -> None:
    def tell(facts: dict[str, Any]) -> None:
        (found,) = [member for member in facts["members"] if "outside" in member]
        found["outside"] = outside

    remade(backup, tell)
    if good:
        archive.read(backup)
    else:
        with pytest.raises(ArchiveError, match="not one of edged"):
            archive.read(backup)


def test_two_files_for_one_place_are_refused(edged: Edged, empty: Controller, backup: Path) -> None:
    entries = entries_of(backup)
    content = b"gateway: {id: evil}\n"
    (told,) = [m for m in json.loads(entries[0][1])["members"] if m["name"] == "config/edged.yaml"]
    digest = archive.digest_of(content)
    more = told | {"name": "config/files/edged.yaml", "size": digest.size, "sha256": digest.sha256}
    pack(backup, [*entries, (_entry("config/files/edged.yaml", content), content)])
    remade(backup, lambda facts: facts["members"].append(more))
    status, _, err = edged("restore", backup, "-c", empty.config, "--state", empty.state)
    assert (status, len(err.splitlines())) == (1, 1)
    assert "two files of the backup have one place" in err
    assert empty.files() == {}


# --- what is too large


def test_a_bomb_is_put_down_before_it_goes_off(backup: Path, edged: Edged, empty: Controller) -> None:
    entries = entries_of(backup)
    size = 64 * MAX_FILE_BYTES

    def blow_up(facts: dict[str, Any]) -> None:
        facts["members"][0].update(size=size)

    remade(backup, blow_up)
    assert _refused(edged, backup, empty).endswith("is larger than any that edged keeps")
    member = _entry("config/edged.yaml")
    member.size = size
    pack(backup, [entries[0]])
    with gzip.open(backup, "wb") as file:
        file.write(entries[0][0].tobuf(tarfile.USTAR_FORMAT) + entries[0][1] + bytes(-len(entries[0][1]) % 512))
        file.write(member.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(size // MAX_FILE_BYTES):
            file.write(bytes(MAX_FILE_BYTES))
    assert _refused(edged, backup, empty) == "config/edged.yaml in it is larger than any that edged keeps"


def test_a_manifest_without_end_is_put_down(edged: Edged, empty: Controller, tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    content = b" " * (archive.MAX_MANIFEST_BYTES + 1)
    pack(path, [(_entry("manifest.json", content), content)])
    assert _refused(edged, path, empty) == "its manifest is larger than any of edged"


def test_more_members_than_any_site_has_are_refused(edged: Edged, empty: Controller, backup: Path) -> None:
    def multiply(facts: dict[str, Any]) -> None:
        one = facts["members"][0]
        facts["members"] = [one | {"name": f"config/profiles.d/{n}"} for n in range(MAX_MEMBERS + 1)]

    remade(backup, multiply)
    assert _refused(edged, backup, empty) == "its manifest is not one of edged"


# --- what is too new, or nonsense


def test_a_newer_format_says_which_edged_is_needed(edged: Edged, empty: Controller, backup: Path) -> None:
    remade(backup, lambda facts: facts.update(format=2, edged="9.1", members="of another kind"))
    assert _refused(edged, backup, empty) == (
        "it was made by edged 9.1 in format 2, which this one does not know: install that edged first"
    )


def test_a_newer_database_says_which_edged_is_needed(edged: Edged, empty: Controller, backup: Path) -> None:
    remade(backup, lambda facts: facts.update(schema=99, edged="9.1"))
    assert _refused(edged, backup, empty) == (
        "its database has version 99, this edged knows only up to version "
        f"{len(MIGRATIONS)}: install edged 9.1 or newer first"
    )


@pytest.mark.parametrize("lie", ["newer", "text", "tables"])
def test_a_database_that_its_manifest_lies_about_is_refused(
    edged: Edged, empty: Controller, backup: Path, tmp_path: Path, lie: str
) -> None:
    import sqlite3
    from contextlib import closing

    entries = entries_of(backup)
    path = tmp_path / "copy.db"
    path.write_bytes(entries[-1][1])
    if lie == "text":
        path.write_bytes(b"dear diary " * 400)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute(
                "PRAGMA user_version = 99"
                if lie == "newer"
                else "CREATE TRIGGER t AFTER INSERT ON facts BEGIN SELECT 1; END"
            )
            db.commit()
    content = path.read_bytes()
    entries[-1][0].size = len(content)
    pack(backup, [*entries[:-1], (entries[-1][0], content)])
    digest = archive.digest_of(content)
    remade(backup, lambda facts: facts["members"][-1].update(size=digest.size, sha256=digest.sha256))
    status, _, err = edged("restore", backup, "-c", empty.config, "--state", empty.state)
    assert (status, len(err.splitlines())) == (1, 1), err
    assert empty.files() == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.pop("members"),
        lambda facts: facts.update(members={}),
        lambda facts: facts.update(members=[7]),
        lambda facts: facts.update(members=[{}]),
        lambda facts: facts["members"][0].update(mode="rwx"),
        lambda facts: facts["members"][0].update(mode="4755"),
        lambda facts: facts["members"][0].update(size=-1),
        lambda facts: facts["members"][0].update(size=True),
        lambda facts: facts["members"][0].update(sha256="x"),
        lambda facts: facts["members"][0].update(group="wheel"),
        lambda facts: facts.update(made_at="yesterday"),
        lambda facts: facts.update(made_at="2026-03-01T12:00:00"),
        lambda facts: facts.update(made_at=None),
        lambda facts: facts.update(gateway="a\nb"),
        lambda facts: facts.update(final="yes"),
        lambda facts: facts.update(unsent=None),
        lambda facts: facts.update(format="1"),
        lambda facts: facts.update(schema=None),
        lambda facts: facts["members"].append(facts["members"][0]),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    edged: Edged, empty: Controller, backup: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    remade(backup, change)
    assert _refused(edged, backup, empty) == "its manifest is not one of edged"


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"format": 1}'])
def test_a_manifest_that_is_none_is_refused(edged: Edged, empty: Controller, backup: Path, content: bytes) -> None:
    pack(backup, [(_entry("manifest.json", content), content), *entries_of(backup)[1:]])
    assert _refused(edged, backup, empty).startswith("its manifest is ")


# --- the law


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_happens_to_an_archive_it_is_refused_or_gives_exactly_what_was_packed(
    backup: Path, data: st.DataObject, tmp_path: Path
) -> None:
    whole = backup.read_bytes()
    packed = {member.name: content for member, content in entries_of(backup)}
    spoiled = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(spoiled) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "drop", "double"])):
            case "flip":
                spoiled[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del spoiled[max(1, place) :]
            case "drop":
                del spoiled[place : place + data.draw(st.integers(1, 600))]
                spoiled = spoiled or bytearray(b"x")
            case _:
                spoiled[place:place] = spoiled[place : place + data.draw(st.integers(1, 600))]
    path = tmp_path / "spoiled.tar.gz"
    path.write_bytes(bytes(spoiled))
    found: dict[str, io.BytesIO] = {}

    class Kept(io.BytesIO):
        def close(self) -> None: ...

    def sink(name: str) -> io.BytesIO:
        return found.setdefault(name, Kept())

    try:
        manifest = putting_back.judge(path)
        archive.read(path, sink)
    except ArchiveError:
        return
    del packed["manifest.json"]
    assert {name: file.getvalue() for name, file in found.items()} == packed
    assert [member.name for member in manifest.members] == list(packed)
