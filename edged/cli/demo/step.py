"""What a story is made of: chapters, steps, and claims that real witnesses must bear out. Data, and no more.

A step is done when its act has been carried out and every claim has been seen to be true. A claim that has been seen
once counts; a `lasting` one (nothing happened, nothing is left) must be true when all others have been seen, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edged.cli.demo.stage import Stage
from edged.cli.demo.witness import Witness

STEP_S: Final = 15.0


class Verdict(StrEnum):
    """What became of a step."""

    OK = "ok"
    FAILED = "FAILED"
    NO_BROKER = "no broker"  # there is nobody to ask
    NOT_TRIED = "not tried"  # it builds on a step that failed


@dataclass(frozen=True, slots=True)
class Seen:
    """What a witness saw, in a few words."""

    ok: bool
    words: str


Look = Callable[[Stage], Seen]
Act = Callable[[Stage], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What must be seen, and by whom. `look` is asked again and again until it is, or the time is over."""

    witness: Witness
    expects: str
    look: Look
    lasting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One sentence of the story. `needs_broker`: it has no meaning without one."""

    sentence: str
    act: Act
    claims: tuple[Claim, ...]
    timeout_s: float = STEP_S
    needs_broker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """Steps that build on each other. `vital`: without it there is nothing left to tell. `builds_on`: the title of a
    chapter that must have happened."""

    title: str
    steps: tuple[Step, ...]
    vital: bool = False
    builds_on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A claim and what its witness saw last; `ok` None: there was nobody to ask."""

    witness: Witness
    expects: str
    words: str
    ok: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a step. `trouble`: what kept its act from being carried out."""

    chapter: str
    sentence: str
    verdict: Verdict
    seconds: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    trouble: str = ""
