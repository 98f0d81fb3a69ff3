"""The starts of this gateway, as its store remembers them: how many, and of the last few when, why, and for how long.

A journal in memory forgets all of that with the power. Owns what the store's values of the gateway say of its runs, in
one commit at the start of each and one at its end. Refuses to know what a start leads to. Invariants: a run is the last
one from its `began` on, and it ended in order only if `ended` says so · what cannot be read begins anew and is in
nobody's way · bounded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from edged import __version__
from edged.domain import firmware
from edged.domain.station import Station
from edged.ports import Clock, StoreError
from edged.store.codec import Unreadable, decode, encode
from edged.store.port import Store

_log = logging.getLogger(__name__)

HOST_BOOT = "host_boot"
"""The computer's run that the last run was in."""
RUNNING = "running"
"""The last run, until it ends in order."""
HISTORY = "history"
RUNS_MAX = 20
DETAIL_MAX_CHARS = 200
CSMS = "csms"


class Why(StrEnum):
    FIRST = "first start"
    LOST = "database replaced"
    CONFIGURATION = "new configuration"
    RESET = "reset"
    FIRMWARE = "firmware"
    STOPPED = "stopped"  # and started, by people or their package manager
    REBOOTED = "computer restarted"  # in good order
    FAILED = "edged failed"  # while the computer ran on: a crash, the watchdog, a kill
    POWER = "power lost"  # or the computer failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: when and why it began. `trusted`: somebody had told the time. `updated_from`: the version of the run
    before, where it was another. `rebooted`: the computer had not run on. `total_s`: for how long the stations had run
    before it, as far as was kept. `ran_s`: for how long this one ran, at least that where it did not end in order.
    """

    number: int
    at: datetime
    trusted: bool
    version: str
    why: Why
    detail: str = ""
    updated_from: str = ""
    rebooted: bool = False
    total_s: float = 0.0
    ran_s: float | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """`reboots`: starts before which the computer had not run on."""

    starts: int = 0
    reboots: int = 0
    runs: tuple[Run, ...] = ()


class History:
    """Of one run. `here`: the computer's run; `last_words`: what the last run left when it crashed."""

    def __init__(self, store: Store, clock: Clock, *, here: str, run_id: str, last_words: str = "") -> None:
        self._store = store
        self._clock = clock
        self._here = here
        self._run_id = run_id
        self._last_words = last_words
        self._kept = _read(store.value(HISTORY))
        self._began = clock.now()
        self.continued = store.value(HOST_BOOT) == here
        """Whether the computer has run since the last time, and charging with it."""
        self.unexpected = store.value(RUNNING) is not None
        """Whether the last run ended without a word."""

    def began(self, stations: Sequence[Station], *, reloaded: bool, lost: str | None) -> None:
        """From here on this run is the last. `stations` as they were loaded; `lost`: why the database is not the one of
        the last run. Raises `StoreError`."""
        now = self._began
        total_s = max((station.ran_kept_s for station in stations), default=0.0)
        before = self._kept.runs[-1:]
        why, detail = self._why(stations, reloaded=reloaded, lost=lost)
        other = before[0].version if before and before[0].version != __version__ else ""
        run = Run(
            number=self._kept.starts + 1,
            at=now.utc,
            trusted=now.synchronized,
            version=__version__,
            why=why,
            detail=detail[:DETAIL_MAX_CHARS],
            updated_from=other,
            rebooted=not self.continued,
            total_s=total_s,
        )
        closed = tuple(_closed(one, total_s) for one in before)
        self._kept = Kept(
            starts=run.number,
            reboots=self._kept.reboots + bool(before and run.rebooted),
            runs=(*self._kept.runs[:-1], *closed, run)[-RUNS_MAX:],
        )
        self._store.set_values({HOST_BOOT: self._here, RUNNING: self._run_id, HISTORY: self._text()})
        _log.info("start %d: %s%s", run.number, why, f" ({run.detail})" if run.detail else "")

    def _why(self, stations: Sequence[Station], *, reloaded: bool, lost: str | None) -> tuple[Why, str]:
        if lost is not None:
            return Why.LOST, lost
        if not self._kept.runs:
            return Why.FIRST, ""
        if reloaded:
            return Why.CONFIGURATION, ""
        asked = next((station for station in stations if station.next_boot_reason is not None), None)
        if asked is not None and asked.next_boot_reason == firmware.BOOT_REASON:
            return Why.FIRMWARE, asked.identity.id
        if asked is not None:
            return Why.RESET, _order(asked)
        if self.unexpected:
            return (Why.FAILED if self.continued else Why.POWER), summary(self._last_words)
        return (Why.STOPPED if self.continued else Why.REBOOTED), ""

    def learn(self) -> bool:
        """Put the moment of the start right once the time is known. True: there is something to `keep`."""
        now, runs = self._clock.now(), self._kept.runs
        if not runs or runs[-1].trusted or not now.synchronized:
            return False
        at = now.utc - timedelta(seconds=now.monotonic_s - self._began.monotonic_s)
        self._change(at=at, trusted=True)
        return True

    def keep(self) -> None:
        """Blocking. Where the disk does not take it the end of the run brings it again."""
        try:
            self._store.set_value(HISTORY, self._text())
        except StoreError as error:
            _log.warning("the moment of this start was not kept: %s", error)

    def ended(self) -> None:
        """This run ends in order. Blocking. Raises `StoreError`."""
        if self._kept.runs:
            self._change(ran_s=round(self._clock.now().monotonic_s - self._began.monotonic_s, 1), ended=True)
        self._store.set_values({RUNNING: None, HISTORY: self._text()})

    def _change(self, **changes: Any) -> None:
        *former, last = self._kept.runs
        self._kept = replace(self._kept, runs=(*former, replace(last, **changes)))

    def _text(self) -> str:
        return json.dumps(encode(self._kept), separators=(",", ":"))

    def document(self) -> dict[str, Any]:
        """What `edged status` shows: the newest run first. `ended` None: it runs."""
        runs = self._kept.runs
        return {
            "starts": self._kept.starts,
            "reboots": self._kept.reboots,
            "ran_s": round(runs[-1].total_s) if runs else 0,
            "runs": [_shown(run, running=run is runs[-1]) for run in reversed(runs)],
        }


def summary(words: str) -> str:
    """The line of a crash that says most: the first of a fatal signal's, the last of an exception's."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[0] if lines[0].startswith("Fatal") else lines[-1]


def _read(text: str | None) -> Kept:
    try:
        kept: Kept = Kept() if text is None else decode(Kept, json.loads(text))
    except (Unreadable, ValueError, RecursionError) as error:
        _log.warning("what was kept of former starts cannot be read and begins anew: %s", error)
        return Kept()
    return kept


def _closed(run: Run, total_s: float) -> Run:
    """A run that is over: for how long it ran at least, where it did not say."""
    ran_s = total_s - run.total_s
    return replace(run, ran_s=round(ran_s, 1)) if run.ran_s is None and 0.0 < ran_s < float("inf") else run


def _order(station: Station) -> str:
    """The reset that a station was ordered."""
    whole = [one for one in station.resets.resets if one.evse is None]
    if not whole:
        return station.identity.id
    last = whole[-1]
    source = "its CSMS" if last.source == CSMS else last.source or "somebody"
    return f"{last.kind} reset of {station.identity.id}, ordered by {source}"


def _shown(run: Run, *, running: bool) -> dict[str, Any]:
    return {
        "start": run.number,
        "at": run.at.isoformat(timespec="seconds"),
        "clock_known": run.trusted,
        "why": run.why.value,
        "detail": run.detail or None,
        "rebooted": run.rebooted,
        "version": run.version,
        "updated_from": run.updated_from or None,
        "ran_s": run.ran_s,
        "ended": None if running else "in order" if run.ended else "without a word",
    }
