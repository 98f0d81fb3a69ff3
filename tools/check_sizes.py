"""The house rules that a linter does not know: sizes, two banned names, and where an OCPP version may be named.

    python tools/check_sizes.py [FOLDER]

Prints one line for each finding, `file:line: sentence`, and ends with status 1 where there is any.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_MODULE_LINES = 420
MAX_FUNCTION_LINES = 70
BANNED_CLASS = "ChargePoint"
BANNED_MODULE = "handlers"
VERSIONED = ("dialects", "settings", "simulator", "cli", "app.py", "site.py")
"""Where an OCPP version may be named: folders and modules of the package."""
_VERSION = re.compile(r"ocpp ?[12]\.\d(\.\d)?j?|(1\.6j?|2\.0\.1|2\.1)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` counts from 1."""

    path: Path
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence}"


def findings(package: Path) -> Iterator[Finding]:
    """Everything in a package that breaks a rule."""
    for path in sorted(package.rglob("*.py")):
        yield from _in_module(path, path.relative_to(package))


def _in_module(path: Path, place: Path) -> Iterator[Finding]:
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > MAX_MODULE_LINES:
        yield Finding(path, 1, f"the module has {lines} lines, more than {MAX_MODULE_LINES}")
    if path.stem == BANNED_MODULE:
        yield Finding(path, 1, f"no module is called {BANNED_MODULE}: name it after what it owns")
    tree = ast.parse(text, filename=str(path))
    documented = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield Finding(path, node.lineno, f"{node.name} has {length} lines, more than {MAX_FUNCTION_LINES}")
        elif isinstance(node, ast.ClassDef) and node.name == BANNED_CLASS:
            yield Finding(path, node.lineno, f"no class is called {BANNED_CLASS}: it attracts everything")
        elif isinstance(node, ast.Constant) and id(node) not in documented and _names_version(node.value):
            if place.parts[0] in VERSIONED:
                continue
            yield Finding(path, node.lineno, f"{node.value!r} names an OCPP version: that is a dialect's matter")


def _names_version(value: object) -> bool:
    return isinstance(value, str) and _VERSION.fullmatch(value.strip()) is not None


def _docstrings(tree: ast.AST) -> set[int]:
    """The string expressions that stand alone: documentation, also of attributes."""
    return {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def main() -> int:
    package = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "edged"
    found = list(findings(package))
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
