"""docs/conformance.md is what the tests say, and the tool that writes it overlooks nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tools import conformance

ROOT = Path(__file__).resolve().parents[2]


SERVED = conformance.Group(name="core", title="Core")
COLD_BOOT = conformance.Case(id="TC_001_CS", group="core", title="Cold boot", expect="it boots")
SHOWN = {"TC_001_CS": [conformance.Test("tests/conformance/test_x.py", "test_boots")]}


def test_the_page_is_up_to_date() -> None:
    assert conformance.main(["--check"]) == 0


def test_a_stale_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "ROOT", tmp_path)
    monkeypatch.setattr(conformance, "PAGE", tmp_path / "conformance.md")
    assert conformance.main(["--check"]) == 1
    assert conformance.main([]) == 0
    assert conformance.main(["--check"]) == 0


def test_markers_are_found_wherever_they_can_stand(tmp_path: Path) -> None:
    found = collected(
        tmp_path,
        """
        import pytest
        pytestmark = pytest.mark.req("ALL")

        @pytest.mark.req("ONE", "TWO")
        async def test_plain(): ...

        @pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.req("PARAMETER"))])
        def test_parameters(n): ...

        @pytest.mark.req("CLASS")
        class TestThings:
            def test_inside(self): ...

        TestLaw = pytest.mark.req("LAW")(object)

        @pytest.mark.req("NOBODY")
        def helper(): ...
        """,
    )
    names = {id: sorted(test.name for test in tests) for id, tests in found.items()}
    assert names == {
        "ALL": ["TestLaw", "test_inside", "test_parameters", "test_plain"],
        "ONE": ["test_plain"],
        "TWO": ["test_plain"],
        "PARAMETER": ["test_parameters"],
        "CLASS": ["test_inside"],
        "LAW": ["TestLaw"],
    }


def test_an_id_that_is_not_written_out_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(conformance.Mistake, match=r"test_it\.py:5"):
        collected(tmp_path, "import pytest\nID = 'X'\n\n\n@pytest.mark.req(ID)\ndef test_it(): ...\n")


def collected(folder: Path, text: str) -> dict[str, Any]:
    lines = text.splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    tests = folder / "tests"
    tests.mkdir()
    (tests / "test_it.py").write_text("\n".join(line[indent:] for line in lines))
    return dict(conformance.markers(folder))


def test_a_served_case_that_nothing_shows_is_a_mistake() -> None:
    a_part = {"TC_001_CS": [conformance.Test("tests/domain/test_x.py", "test_boots")]}
    for shown in ({}, a_part):
        with pytest.raises(conformance.Mistake, match="shown by no scenario"):
            conformance.page({"Cases": ([SERVED], [COLD_BOOT])}, shown, {})
    assert "test_boots" in conformance.page({"Cases": ([SERVED], [COLD_BOOT])}, SHOWN, {})


def test_a_case_cannot_be_impossible_and_shown() -> None:
    impossible = conformance.Case(id="TC_001_CS", group="core", title="t", expect="e", not_applicable="no battery")
    assert "not applicable: no battery" in conformance.page({"Cases": ([SERVED], [impossible])}, {}, {})
    with pytest.raises(conformance.Mistake, match="impossible"):
        conformance.page({"Cases": ([SERVED], [impossible])}, SHOWN, {})


def test_a_case_cannot_be_missing_and_shown() -> None:
    missing = conformance.Case(id="TC_001_CS", group="core", title="t", not_yet="nobody has written it")
    assert "not yet: nobody has written it" in conformance.page({"Cases": ([SERVED], [missing])}, {}, {})
    with pytest.raises(conformance.Mistake, match="missing"):
        conformance.page({"Cases": ([SERVED], [missing])}, SHOWN, {})


def test_a_case_that_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(conformance.Mistake, match="no official test case TC_999"):
        conformance.page({"Cases": ([SERVED], [COLD_BOOT])}, {**SHOWN, "TC_999": SHOWN["TC_001_CS"]}, {})


def test_an_id_of_our_own_needs_a_meaning() -> None:
    shown = {**SHOWN, "16-TX-99": SHOWN["TC_001_CS"]}
    with pytest.raises(conformance.Mistake, match="16-TX-99"):
        conformance.page({"Cases": ([SERVED], [COLD_BOOT])}, shown, {})
    assert "| 16-TX-99 | It holds. |" in conformance.page(
        {"Cases": ([SERVED], [COLD_BOOT])}, shown, {"16-TX-99": "It holds."}
    )


def is_named(name: str, id: str) -> bool:
    """Whether the id stands in the name, or between the ends of a row: TC_K_29_CS_to_TC_K_36_CS."""
    group, _, number = id.removesuffix("_CS").rpartition("_")
    rows = re.findall(rf"{group}_(\d+)_CS_to_{group}_(\d+)_CS", name)
    return id in name or any(int(first) <= int(number) <= int(last) for first, last in rows)


def test_every_official_scenario_is_named_after_its_case() -> None:
    """What the page links to is found by the id, or by the row that it stands in."""
    for id, tests in conformance.markers(ROOT).items():
        if conformance.OFFICIAL.fullmatch(id):
            named = [test for test in tests if is_named(test.name, id)]
            assert named or not any("tests/conformance/" in test.path for test in tests), id
