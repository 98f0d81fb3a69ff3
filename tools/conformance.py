"""Writes docs/conformance.md: which official test case and which requirement is shown by which test.

    python tools/conformance.py            write the page
    python tools/conformance.py --check    exit with 1 when the page is not what it would write

Reads the markers `@pytest.mark.req("ID", ...)` of all tests without running them, the list of the official cases and
what the house's own requirement ids mean. Refuses to guess: an id that is not written out, an official case that nobody
knows, and a case of a served profile that is neither shown nor said to be impossible are errors.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "conformance.md"
SCENARIOS = "tests/conformance/"
CASES = {
    "OCPP 1.6 compliance cases": TESTS / "conformance" / "cases.yaml",
    "OCPP 2.0.1 certification cases": TESTS / "conformance" / "cases201.yaml",
}
REQUIREMENTS = TESTS / "conformance" / "requirements.yaml"
OFFICIAL = re.compile(r"TC_(\d+(_\d+)?|[A-Z]_\d+)(_CS)?")
"""An official case, 1.6's by numbers, 2.0.1's by letter and number, with or without the end that says who is tested."""
OWN = re.compile(r"\d\d-[A-Z]+-\d+")
"""An id that only this project knows."""


class Mistake(Exception):
    """The tests or the lists do not hold together; the text says where and why."""


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """One test function (or class): its file, from the root, and its name."""

    path: str
    name: str

    @property
    def is_scenario(self) -> bool:
        """Whether the whole daemon is played, and not a part of it."""
        return self.path.startswith(SCENARIOS)

    def link(self) -> str:
        return f"[{self.name}](../{self.path})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One official case. `condition`: the declared features for which it is demanded. `not_applicable`: why no station
    can play it, `not_yet`: why it is not shown, or ""."""

    id: str
    group: str
    title: str
    expect: str = ""
    condition: str = ""
    not_applicable: str = ""
    not_yet: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Cases that belong together. `not_yet`: the profile that is not served, or ""."""

    name: str
    title: str
    not_yet: str = ""


Shown = Mapping[str, Sequence[Test]]

# --- the markers


def markers(root: Path) -> Shown:
    """Requirement id -> the tests that carry it, in order. Raises `Mistake` for an id that is not written out."""
    found: defaultdict[str, set[Test]] = defaultdict(set)
    for path in sorted((root / "tests").rglob("test_*.py")):
        place = path.relative_to(root).as_posix()
        for name, id in _marked(ast.parse(path.read_text(encoding="utf-8"), str(path)), place):
            found[id].add(Test(place, name))
    return {id: sorted(tests) for id, tests in found.items()}


def _marked(module: ast.Module, place: str, outer: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Each test of a module with each of its ids; a class hands its ids on to its tests."""
    of_all = list(outer)
    for statement in module.body:
        if isinstance(statement, ast.Assign) and _names(statement) == ["pytestmark"]:
            of_all += _ids([statement.value], place)
    for statement in module.body:
        if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            inner = ast.Module(body=statement.body, type_ignores=[])
            yield from _marked(inner, place, [*of_all, *_ids(statement.decorator_list, place)])
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test_"):
            for id in (*of_all, *_ids(statement.decorator_list, place)):
                yield statement.name, id
        elif isinstance(statement, ast.Assign):
            for name in _names(statement):
                if name.startswith(("Test", "test_")):
                    for id in (*of_all, *_ids([statement.value], place)):
                        yield name, id


def _names(statement: ast.Assign) -> list[str]:
    return [target.id for target in statement.targets if isinstance(target, ast.Name)]


def _ids(expressions: Iterable[ast.expr], place: str) -> list[str]:
    """The ids in every `mark.req(...)` of these expressions, those of single parameters too."""
    found: list[str] = []
    for expression in expressions:
        for node in ast.walk(expression):
            if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("mark.req"):
                continue
            for argument in node.args:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    raise Mistake(f"{place}:{argument.lineno}: write each requirement id out as a text")
                found.append(argument.value)
    return found


# --- the lists


def read_cases(path: Path) -> tuple[list[Group], list[Case]]:
    """The official cases and their groups, in the order of the file."""
    document = _mapping(path)
    groups = [Group(name=name, **entry) for name, entry in document["groups"].items()]
    cases = [Case(**entry) for entry in document["cases"]]
    unknown = {case.group for case in cases} - {group.name for group in groups}
    ids = [case.id for case in cases]
    if unknown or len(ids) != len(set(ids)):
        raise Mistake(f"{path}: a case stands there twice, or in a group that is not there")
    return groups, cases


def read_requirements(path: Path) -> dict[str, str]:
    """What the house's own ids mean."""
    return {str(id): str(sentence) for id, sentence in _mapping(path).items()}


def _mapping(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise Mistake(f"{path}: there is no mapping in it")
    return document


def official(shown: Shown, cases: Sequence[Case]) -> dict[str, list[Test]]:
    """Case id -> the tests that show it. Raises `Mistake` for a marker that names no case."""
    known = {case.id for case in cases}
    found: defaultdict[str, list[Test]] = defaultdict(list)
    for id, tests in shown.items():
        if OFFICIAL.fullmatch(id):
            case = id if id.endswith("_CS") else f"{id}_CS"
            if case not in known:
                raise Mistake(f"{tests[0].path}: there is no official test case {id}")
            found[case] += tests
    return {id: sorted(set(tests)) for id, tests in found.items()}


def check(groups: Sequence[Group], cases: Sequence[Case], by_case: Shown) -> None:
    """Every case of a served group is shown by a scenario or cannot be. Raises `Mistake`."""
    served = {group.name for group in groups if not group.not_yet}
    for case in cases:
        tests = [test for test in by_case.get(case.id, ()) if test.is_scenario]
        if case.not_applicable and tests:
            raise Mistake(f"{case.id} is said to be impossible, but {tests[0].name} shows it")
        if case.not_yet and tests:
            raise Mistake(f"{case.id} is said to be missing, but {tests[0].name} shows it")
        if case.group in served and not tests and not case.not_applicable and not case.not_yet:
            raise Mistake(f"{case.id} ({case.title}) is shown by no scenario, and nothing says why")


# --- the page


Lists = Mapping[str, tuple[Sequence[Group], Sequence[Case]]]
"""Each version's groups and cases under the title of its chapter."""


def page(lists: Lists, shown: Shown, meanings: Mapping[str, str]) -> str:
    """The whole page. Raises `Mistake`."""
    by_case = official(shown, [case for _, cases in lists.values() for case in cases])
    for groups, cases in lists.values():
        check(groups, cases, by_case)
    requirements = {id: tests for id, tests in shown.items() if not OFFICIAL.fullmatch(id)}
    for id in requirements.keys() - meanings.keys():
        if OWN.fullmatch(id):
            raise Mistake(f"{requirements[id][0].path}: nobody has said what {id} means; write it into the list")
    lines = [
        "# Conformance",
        "",
        "Generated by `tools/conformance.py` from the tests' markers; do not edit. A scenario plays the whole daemon",
        "between simulated chargers (Modbus) and a CSMS that checks every frame (WebSocket).",
    ]
    for title, (groups, cases) in lists.items():
        lines += ["", f"## {title}", "", *_summary(groups, cases, by_case)]
        for group in groups:
            lines += ["", f"### {group.title}", ""]
            if group.not_yet:
                lines += [f"Not yet: {group.not_yet}", ""]
            lines += ["| Case | What | Expected, or demanded for | Shown by |", "|---|---|---|---|"]
            lines += [_row(case, group, by_case.get(case.id, ())) for case in cases if case.group == group.name]
    lines += [
        "",
        "## Requirements",
        "",
        "Ids like `H01.FR.01` are the official ones of OCPP 2.0.1 and of the 1.6 security whitepaper. OCPP 1.6 itself",
        "has none: ids like `16-TX-01` are this project's own, and their meaning stands beside them.",
    ]
    for title, ids in _families(requirements):
        lines += ["", f"### {title}", "", "| Requirement | Meaning | Shown by |", "|---|---|---|"]
        lines += [f"| {id} | {_cell(meanings.get(id, ''))} | {_tests(requirements[id])} |" for id in ids]
    return "\n".join(lines) + "\n"


def _summary(groups: Sequence[Group], cases: Sequence[Case], by_case: Shown) -> list[str]:
    lines = ["| Group | Cases | Shown | Not applicable | Not yet |", "|---|---:|---:|---:|---:|"]
    total = [0, 0, 0, 0]
    for group in groups:
        mine = [case for case in cases if case.group == group.name]
        impossible = sum(bool(case.not_applicable) for case in mine)
        shown = 0 if group.not_yet else sum(case.id in by_case and not case.not_yet for case in mine)
        counts = [len(mine), shown, impossible, len(mine) - shown - impossible]
        total = [one + other for one, other in zip(total, counts, strict=True)]
        lines.append(f"| {group.title} | {' | '.join(map(str, counts))} |")
    return [*lines, f"| **All** | {' | '.join(map(str, total))} |"]


def _row(case: Case, group: Group, tests: Sequence[Test]) -> str:
    if case.not_yet:
        state = f"not yet: {case.not_yet}"
    elif case.not_applicable:
        state = f"not applicable: {case.not_applicable}"
    elif group.not_yet:
        state = f"not yet; so far {_tests(tests)}" if tests else "not yet"
    else:
        state = _tests(test for test in tests if test.is_scenario)
    return f"| {case.id} | {_cell(case.title)} | {_cell(case.expect or case.condition)} | {_cell(state)} |"


def _tests(tests: Iterable[Test]) -> str:
    return "<br>".join(test.link() for test in tests)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _families(requirements: Shown) -> list[tuple[str, list[str]]]:
    """The ids by what they have in common: 16-TX, 20-J, H01, A00, ..."""
    families: defaultdict[str, list[str]] = defaultdict(list)
    for id in requirements:
        head, dash, _ = id.rpartition("-")
        title = head if dash else id.partition(".")[0]
        families[title].append(id)
    return [(title, sorted(ids, key=_natural)) for title, ids in sorted(families.items())]


def _natural(id: str) -> list[tuple[int, str]]:
    """10 comes after 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", id)]


def write_page(root: Path = ROOT) -> str:
    """What the page of this tree should be. Raises `Mistake`."""
    lists = {title: read_cases(path) for title, path in CASES.items()}
    return page(lists, markers(root), read_requirements(REQUIREMENTS))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only tell whether the page is up to date")
    options = parser.parse_args(arguments)
    try:
        wanted = write_page()
    except Mistake as mistake:
        sys.stderr.write(f"{mistake}\n")
        return 1
    if options.check:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        if current != wanted:
            sys.stderr.write(f"{PAGE.relative_to(ROOT)} is stale: run python tools/conformance.py\n")
            return 1
        return 0
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
