"""Telling the story: one step after the other, each with its claims watched until they are seen or the time is over.

A step that fails ends its chapter; the site is put in order, and the next chapter begins. After a vital chapter that
failed nothing more is tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final, Protocol

from edged.cli.demo.places import PLACES, STATION
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Evidence, Outcome, Seen, Step, Verdict
from edged.cli.demo.witness import Witness
from edged.ports import EdgedError

LOOK_EVERY_S: Final = 0.1
TIDY_S: Final = 12.0
NOBODY: Final = "nobody to ask"


class Teller(Protocol):
    """Whoever shows the story while it happens."""

    def begins(self, chapter: Chapter, step: Step) -> None: ...

    def ends(self, outcome: Outcome) -> None: ...


async def tell(story: Sequence[Chapter], stage: Stage, teller: Teller, *, linger_s: float = 0.0) -> list[Outcome]:
    """Play every chapter. Never raises on what a step meets: that is an outcome. `linger_s`: rest between two steps."""
    outcomes: list[Outcome] = []
    lost: set[str] = set()
    over = False
    for chapter in story:
        failed = skipped = over or chapter.builds_on in lost
        for step in chapter.steps:
            if failed:
                outcome = _untold(chapter, step, Verdict.NOT_TRIED)
            elif step.needs_broker and stage.observer is None:
                outcome = _untold(chapter, step, Verdict.NO_BROKER)
            else:
                teller.begins(chapter, step)
                outcome = await perform(chapter, step, stage)
                failed = outcome.verdict is Verdict.FAILED
            outcomes.append(outcome)
            teller.ends(outcome)
            await asyncio.sleep(linger_s)
        if failed:
            lost.add(chapter.title)
        if failed and not skipped:
            over = chapter.vital
            if not over:
                await put_in_order(stage)
    return outcomes


def _untold(chapter: Chapter, step: Step, verdict: Verdict) -> Outcome:
    return Outcome(chapter=chapter.title, sentence=step.sentence, verdict=verdict)


async def perform(chapter: Chapter, step: Step, stage: Stage) -> Outcome:
    """Carry out one step and watch its claims."""
    began_s = time.monotonic()
    deadline_s = began_s + step.timeout_s
    stage.begin()
    trouble = ""
    try:
        async with asyncio.timeout(step.timeout_s):
            await step.act(stage)
    except TimeoutError:
        trouble = f"not done within {step.timeout_s:g} s"
    except (EdgedError, OSError) as error:
        trouble = str(error) or type(error).__name__
    evidence = await _watch(step, stage, time.monotonic() if trouble else deadline_s)
    done = not trouble and all(one.ok is not False for one in evidence)
    return Outcome(
        chapter=chapter.title,
        sentence=step.sentence,
        verdict=Verdict.OK if done else Verdict.FAILED,
        seconds=time.monotonic() - began_s,
        evidence=evidence,
        trouble=trouble,
    )


async def _watch(step: Step, stage: Stage, deadline_s: float) -> tuple[Evidence, ...]:
    """Look until all claims are seen, at least once and at most until the deadline."""
    seen: dict[int, Seen] = {}
    while True:
        await stage.look(claim.witness for claim in step.claims)
        for place, claim in enumerate(step.claims):
            before = seen.get(place)
            if _askable(claim, stage) and (before is None or not before.ok or claim.lasting):
                seen[place] = claim.look(stage)
        if all(one.ok for one in seen.values()) or time.monotonic() >= deadline_s:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    return tuple(_evidence(claim, seen.get(place)) for place, claim in enumerate(step.claims))


def _askable(claim: Claim, stage: Stage) -> bool:
    return claim.witness is not Witness.BROKER or stage.observer is not None


def _evidence(claim: Claim, seen: Seen | None) -> Evidence:
    return Evidence(
        witness=claim.witness,
        expects=claim.expects,
        words=NOBODY if seen is None else seen.words,
        ok=None if seen is None else seen.ok,
    )


async def put_in_order(stage: Stage) -> None:
    """Cars away, locks free, the network, the broker and the daemon back, no profile: as far as it goes within a
    bounded time."""
    stage.csms.restore()
    for place in PLACES:
        point = stage.point(place)
        point.clear_fault()
        if point.jammed:
            point.jam_lock(False)
        if point.car is not None:
            point.plug_out()
    with contextlib.suppress(EdgedError):
        if stage.broker is not None and not stage.broker.running:
            await stage.broker.start_again()
        if stage.observer is not None and not stage.observer.listening:
            await stage.observer.start()
    if not stage.daemon.running:
        await stage.daemon.start()
    deadline_s = time.monotonic() + TIDY_S
    while time.monotonic() < deadline_s:
        status = await stage.daemon.status() or {}
        for one in status.get("reservations", []):
            with contextlib.suppress(EdgedError):
                await stage.daemon.ask("cancel_reservation", {"reservation_id": one["id"]})
        with contextlib.suppress(EdgedError):
            await stage.csms.call("ClearChargingProfile", {}, station=STATION, timeout_s=TIDY_S)
        connectors = status.get("connectors", [])
        heard = stage.observer is None or stage.observer.text("status") == "online"
        if heard and connectors and all(one.get("status") == "Available" for one in connectors):
            return
        await asyncio.sleep(LOOK_EVERY_S)
