"""What a database of this schema version holds does not change unnoticed: an older edged would set the rows aside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from edged.store.port import OUTBOX, Table
from tools import kept_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """A row with a field that no frozen form has."""

    capacity: int = 0


def test_what_is_kept_has_the_form_of_its_schema_version() -> None:
    frozen = kept_facts.FROZEN.read_text(encoding="utf-8").splitlines()
    assert kept_facts.lines() == frozen, "add a migration, then python tools/kept_facts.py --freeze"


def test_every_table_is_told() -> None:
    rows = {line.partition(":")[0] for line in kept_facts.lines() if not line.startswith(" ")}
    assert {str(table) for table in Table} <= rows
    assert f"{OUTBOX} transaction" in rows


def test_a_further_field_is_told_and_refused_within_a_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frozen = tmp_path / "kept_facts.txt"
    monkeypatch.setattr(kept_facts, "FROZEN", frozen)
    assert kept_facts.main(["--freeze"]) == 0
    assert kept_facts.main([]) == 0
    before = frozen.read_text()
    monkeypatch.setitem(kept_facts.WHOLE, Table.CACHE, Grown)  # type: ignore[arg-type]  # it is a dict
    for words in ([], ["--freeze"]):
        assert kept_facts.main(words) == 1
        assert "+    capacity?: int" in capsys.readouterr().out
    assert frozen.read_text() == before


def test_another_version_has_another_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kept_facts, "FROZEN", tmp_path / "kept_facts.txt")
    assert kept_facts.main(["--freeze"]) == 0
    monkeypatch.setitem(kept_facts.WHOLE, Table.CACHE, Grown)  # type: ignore[arg-type]  # it is a dict
    monkeypatch.setattr(kept_facts, "MIGRATIONS", (*kept_facts.MIGRATIONS, ()))
    assert kept_facts.main(["--freeze"]) == 0
    assert kept_facts.main([]) == 0
