"""The archive of logs: its bound, its names, its bytes."""

from __future__ import annotations

import os
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.transfer.archive import NOTE, ArchiveError, Part, build

PLENTY = 10_000_000


def read(path: Path) -> dict[str, bytes]:
    with tarfile.open(path, "r:gz") as archive:
        assert all(member.isreg() and member.mode == 0o600 for member in archive)
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def test_parts_come_back_as_they_were(tmp_path):
    parts = [Part("b.log", iter([b"one\n", b"", b"two\n"])), Part("a.json", b"{}"), Part("empty", b"")]
    size = build(tmp_path / "log.tar.gz", parts, max_bytes=PLENTY)
    assert size == (tmp_path / "log.tar.gz").stat().st_size
    assert list(read(tmp_path / "log.tar.gz").items()) == [("a.json", b"{}"), ("b.log", b"one\ntwo\n"), ("empty", b"")]
    assert [path.name for path in tmp_path.iterdir()] == ["log.tar.gz"]
    assert (tmp_path / "log.tar.gz").stat().st_mode & 0o777 == 0o600


def test_the_same_parts_make_the_same_bytes(tmp_path):
    build(tmp_path / "one", [Part("a", b"x"), Part("b", b"y")], max_bytes=PLENTY)
    build(tmp_path / "two", [Part("b", b"y"), Part("a", b"x")], max_bytes=PLENTY)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_over_the_bound_the_biggest_loses_its_oldest_lines_and_a_note_says_so(tmp_path):
    lines = [b"line %09d\n" % number for number in range(200_000)]  # 3 MB
    build(tmp_path / "log", [Part("small", b"kept"), Part("edged.log", iter(lines))], max_bytes=1_000_000)
    found = read(tmp_path / "log")
    kept = found["edged.log"]
    assert next(iter(found)) == NOTE
    assert found["small"] == b"kept"
    assert b"".join(lines).endswith(kept)
    assert kept.startswith(b"line ")
    assert 900_000 < len(kept) < 1_000_000
    cut = sum(map(len, lines)) - len(kept)
    assert found[NOTE].decode() == (
        f"edged.log: the first {cut} bytes were left out, the archive is bounded to 1000000 bytes\n"
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300_000), max_size=6), st.integers(60_000, 500_000))
def test_the_archive_is_never_larger_than_its_bound(tmp_path_factory, sizes, bound):
    folder = tmp_path_factory.mktemp("archive")
    noise = random.Random(1)
    parts = [Part(f"{number}.bin", noise.randbytes(size)) for number, size in enumerate(sizes)]
    assert build(folder / "log", parts, max_bytes=bound) <= bound
    found = read(folder / "log")
    for part in parts:
        assert part.content.endswith(found[part.name])
    assert (NOTE in found) == any(part.content != found[part.name] for part in parts)


def test_a_part_without_end_in_sight_needs_no_more_disk_than_the_bound(tmp_path):
    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield b"0123456\n" * 8192
            used = sum(os.fstat(int(fd)).st_size for fd in open_files(tmp_path))
            assert used < 3_500_000

    build(tmp_path / "log", [Part("a", endless())], max_bytes=1_000_000)


def open_files(folder: Path) -> list[str]:
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            place = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if place.startswith(str(folder)):
            found.append(descriptor)
    return found


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("/etc/passwd", "etc/passwd"),
        ("../../x", "x"),
        ("a/../b", "a/b"),
        ("a//b/", "a/b"),
        ("lög\n.txt", "l_g_.txt"),
        ("", "part"),
        ("..", "part"),
        ("C:\\x", "C__x"),
        (NOTE, f"{NOTE}-2"),
    ],
)
def test_names_are_made_harmless(tmp_path, name, safe):
    build(tmp_path / "log", [Part(name, b"x")], max_bytes=PLENTY)
    assert list(read(tmp_path / "log")) == [safe]


def test_a_name_that_is_long_or_taken_is_still_a_name(tmp_path):
    build(tmp_path / "log", [Part("x" * 500, b"1"), Part("x" * 500, b"2"), Part("x" * 500, b"3")], max_bytes=PLENTY)
    assert sorted(read(tmp_path / "log").values()) == [b"1", b"2", b"3"]


def test_a_part_that_breaks_off_is_taken_as_far_as_it_goes(tmp_path):
    def broken() -> Iterator[bytes]:
        yield b"begun"
        raise OSError(5, "Input/output error")

    build(tmp_path / "log", [Part("a", broken()), Part("b", b"y")], max_bytes=PLENTY)
    assert read(tmp_path / "log") == {NOTE: b"a: could not be read to its end\n", "a": b"begun", "b": b"y"}


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(ArchiveError, match="no space left on device"):
        build(tmp_path / "log", [Part("a", b"x")], max_bytes=PLENTY)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_while_packing_leaves_nothing(tmp_path, monkeypatch):
    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(ArchiveError, match="no space left on device"):
        build(tmp_path / "log", [Part("a", b"x")], max_bytes=PLENTY)
    assert list(tmp_path.iterdir()) == []


def test_a_bound_that_holds_nothing_is_an_error(tmp_path):
    with pytest.raises(ArchiveError, match="too few"):
        build(tmp_path / "log", [Part("a", b"x")], max_bytes=10)
    assert list(tmp_path.iterdir()) == []


def test_too_many_parts_are_an_error(tmp_path):
    with pytest.raises(ArchiveError, match="at most 1000 parts"):
        build(tmp_path / "log", (Part(f"{number}", b"") for number in range(1001)), max_bytes=PLENTY)
