"""The energy register as we report it, made of what the charger's register reads.

Owns: which reading is believed, what is added to the charger's register, and what became of it. Refuses to know what
is sampled of it, and to whom it is told.

Invariants: what is reported never falls; between two readings it grows by no more than can have flowed meanwhile and
`ONE_READING_WH`, however the register runs; no reading that was not believed is reported, and none that is old counts
as new (`Connector.energy_at`).

A reading that does not follow from the one before it is not believed at once: a torn or corrupted word lasts for one
poll. Where `READINGS_TO_BELIEVE` of them follow from one another the register itself has changed (`Turn`), and counts
on from where it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edged.domain.doubt import Doubt
from edged.domain.hardware import Meter
from edged.domain.station import Connector
from edged.domain.types import Now

READINGS_TO_BELIEVE = 3
ONE_READING_WH = 3_000.0
"""More than a meter moves at once that counts whole kilowatt-hours; less than one bit of a high word is worth (6,554 Wh
and more, where a register counts no finer than 0.1 Wh)."""
POSSIBLE_W = 44_000.0
"""Twice 3 x 32 A: what no charger exceeds for which nobody wrote more."""
BEGUN_ANEW = 10
"""A register that falls to less than this part of what it was does not jitter: it has begun anew."""


class Turn(StrEnum):
    """What became of a charger's register."""

    OVERFLOWN = "overflown"  # it has reached its end and begins at 0: what flowed is counted to the end, and from 0
    BEGUN_ANEW = "begun_anew"  # it stands at 0, or little more: a new session, a charger that has forgotten
    REPLACED = "replaced"  # it stands somewhere else: another meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A register's turn: the last reading before it, and that of now."""

    turn: Turn
    before_wh: float
    after_wh: float


def read(connector: Connector, meter: Meter, at: Now) -> tuple[dict[str, Any], Turned | None]:
    """New values of the connector's energy facts for one good reading, and the register's turn where it is seen."""
    raw_wh = meter.energy_wh
    if raw_wh is None or not math.isfinite(raw_wh) or raw_wh < 0:
        return {}, None
    last_wh = connector.energy_wh if connector.energy_wh is not None else connector.energy_kept_wh
    if last_wh is None:
        return _believed(connector, raw_wh + connector.energy_offset_wh, at), None
    grown_wh = raw_wh + connector.energy_offset_wh - last_wh
    if 0 <= grown_wh <= _possible_wh(connector, connector.energy_at, at):
        return _believed(connector, last_wh + grown_wh, at), None
    if _jitters(grown_wh, raw_wh):
        return _believed(connector, last_wh, at), None
    doubt = _doubt(connector, raw_wh, at)
    if doubt.readings < READINGS_TO_BELIEVE:
        return {"energy_wh": connector.energy_wh, "energy_doubt": doubt}, None
    return _settled(connector, last_wh, doubt, meter, at)


def in_time_wh(connector: Connector, seconds: float) -> float:
    """The most that can have flowed in a time."""
    layout = connector.layout
    wired_w = layout.max_current_ma / 1000 * layout.phases * layout.voltage_v
    return max(POSSIBLE_W, 2 * wired_w) * seconds / 3600


def _jitters(grown_wh: float, raw_wh: float) -> bool:
    """Whether it fell by little, as a sum of floats does or after one reading too high: then it is waited for."""
    return -ONE_READING_WH <= grown_wh < 0 and raw_wh * BEGUN_ANEW > raw_wh - grown_wh


def _doubt(connector: Connector, raw_wh: float, at: Now) -> Doubt:
    """This reading, with those before it from which it follows."""
    former = connector.energy_doubt
    if former is None or not 0 <= raw_wh - former.last_wh <= _possible_wh(connector, former.at, at):
        return Doubt(first_wh=raw_wh, last_wh=raw_wh, at=at, since=at, readings=1)
    return Doubt(first_wh=former.first_wh, last_wh=raw_wh, at=at, since=former.since, readings=former.readings + 1)


def _settled(
    connector: Connector, last_wh: float, doubt: Doubt, meter: Meter, at: Now
) -> tuple[dict[str, Any], Turned | None]:
    """The register stands where it says: it was late, or it has turned."""
    offset_wh, raw_wh = connector.energy_offset_wh, doubt.last_wh
    before_wh = last_wh - offset_wh
    if doubt.first_wh >= before_wh:
        moved = connector.energy_moved_at
        if connector.energy_wh is None or doubt.first_wh - before_wh <= _possible_wh(connector, moved, doubt.since):
            return _believed(connector, raw_wh + offset_wh, at), None  # a register that is written now and then
        turn = Turn.REPLACED
    else:
        end_wh = meter.energy_ends_wh
        past_end_wh = None if end_wh is None else doubt.first_wh + end_wh - before_wh
        if past_end_wh is not None and 0 <= past_end_wh <= _possible_wh(connector, connector.energy_at, doubt.since):
            turn, last_wh = Turn.OVERFLOWN, last_wh + past_end_wh
        else:
            turn = Turn.BEGUN_ANEW if doubt.first_wh * BEGUN_ANEW <= before_wh else Turn.REPLACED
    reported_wh = last_wh + (raw_wh - doubt.first_wh)  # never less, however floats round
    facts = _believed(connector, reported_wh, at)
    facts |= {"energy_offset_wh": last_wh - doubt.first_wh, "energy_kept_wh": reported_wh}
    return facts, Turned(turn=turn, before_wh=before_wh, after_wh=raw_wh)


def _believed(connector: Connector, energy_wh: float, at: Now) -> dict[str, Any]:
    facts: dict[str, Any] = {"energy_wh": energy_wh, "energy_at": at, "energy_doubt": None}
    if connector.energy_wh is None or energy_wh > connector.energy_wh:
        facts["energy_moved_at"] = at
    return facts


def _possible_wh(connector: Connector, since: Now | None, at: Now) -> float:
    """What can have flowed since then, and what one reading may move. Without a time, as after a restart: no more than
    the latter."""
    if since is None:
        return ONE_READING_WH
    return ONE_READING_WH + in_time_wh(connector, max(0.0, at.monotonic_s - since.monotonic_s))
