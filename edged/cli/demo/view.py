"""The live view: the story on one side, the site on the other. Pure: a picture and a size in, lines out.

Every line is at most as wide as the terminal and there are at most as many as it has rows; colors are added after the
cutting, so they never count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edged.cli.demo.ink import VERDICT_COLORS, Color, Ink, fit
from edged.cli.demo.step import Evidence, Outcome, Verdict

MIN_COLUMNS: Final = 72
MIN_ROWS: Final = 18
SITE_COLUMNS: Final = 76
SIDE_BY_SIDE: Final = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceShown:
    """One connector as the view shows it. `status` is the CSMS's; the rest is the hardware's own."""

    connector: int
    charger: str
    status: str
    contactor: str
    lock: str
    power_w: float
    energy_wh: float
    reservation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The site at one moment. `broker` None: there is none. `queued` None: the daemon does not say. `version`: what the
    line speaks, as in `ocpp1.6`; "" while nobody says."""

    places: tuple[PlaceShown, ...]
    csms_up: bool
    broker: str | None
    daemon_pid: int | None
    queued: int | None
    elapsed_s: float
    speed: float
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How far the story is."""

    outcomes: tuple[Outcome, ...] = ()
    chapter: str = ""
    sentence: str = ""
    for_s: float = 0.0


def render(picture: Picture, telling: Telling, *, columns: int, rows: int, ink: Ink) -> list[str]:
    """The whole screen."""
    head = header(picture, columns, ink)
    if columns >= SIDE_BY_SIDE:
        left = columns - SITE_COLUMNS - 2
        story = story_lines(telling, columns=left, rows=rows - 2, ink=ink)
        site = site_lines(picture, SITE_COLUMNS, ink)
        story += [" " * left] * (len(site) - len(story))
        site += [""] * (len(story) - len(site))
        return [head, "", *(f"{one}  {other}" for one, other in zip(story, site, strict=True))][:rows]
    site = site_lines(picture, columns, ink)
    story = story_lines(telling, columns=columns, rows=rows - len(site) - 3, ink=ink)
    story += [""] * (rows - len(site) - 3 - len(story))
    return [head, "", *story, "", *site][:rows]


def header(picture: Picture, columns: int, ink: Ink) -> str:
    count = len(picture.places)
    spoken = f"OCPP {picture.version.removeprefix('ocpp')}".strip()
    title = f"edged demo: {count} chargers, one {spoken} station"
    clock = f"{picture.elapsed_s:.0f} s, physics {picture.speed:g} times faster"
    return ink.paint(fit(title, columns - len(clock) - 1), Color.BOLD) + " " + ink.paint(clock, Color.DIM)


# --- the story


def story_lines(telling: Telling, *, columns: int, rows: int, ink: Ink) -> list[str]:
    """The last steps that fit, chapters above them, the one that happens now at the bottom."""
    lines: list[str] = []
    chapter = ""
    for outcome in telling.outcomes:
        if outcome.chapter != chapter:
            chapter = outcome.chapter
            lines.append(ink.paint(fit(chapter, columns), Color.BOLD))
        lines.append(_told(outcome, columns, ink))
        if outcome.verdict is Verdict.FAILED:
            lines += [ink.paint(fit(f"      {line}", columns), Color.RED) for line in what_failed(outcome)]
    if telling.sentence:
        if telling.chapter != chapter:
            lines.append(ink.paint(fit(telling.chapter, columns), Color.BOLD))
        seconds = f" {telling.for_s:4.1f} s"
        words = fit(f"  {ink.pointer} {telling.sentence}", columns - len(seconds))
        lines.append(ink.paint(words, Color.CYAN) + ink.paint(seconds, Color.DIM))
    elif telling.outcomes:
        lines.append(" " * columns)
    return lines[-rows:] if rows > 0 else []


def _told(outcome: Outcome, columns: int, ink: Ink) -> str:
    seconds = f" {outcome.seconds:4.1f} s"
    if outcome.verdict in (Verdict.NO_BROKER, Verdict.NOT_TRIED):
        seconds = f" {outcome.verdict.value}"
    words = fit(outcome.sentence, columns - len(seconds) - 4)
    mark = ink.paint(ink.mark(outcome.verdict), VERDICT_COLORS[outcome.verdict])
    return f"  {mark} {words}{ink.paint(seconds, Color.DIM)}"


def what_failed(outcome: Outcome) -> list[str]:
    """Why a step failed: what kept it from being done, then what each witness saw, those first who missed something."""
    trouble = [outcome.trouble] if outcome.trouble else []
    evidence = sorted(outcome.evidence, key=lambda one: one.ok is not False)
    return trouble + [_saw(one) for one in evidence]


def _saw(one: Evidence) -> str:
    if one.ok is False:
        return f"{one.witness}: expected {one.expects}; saw {one.words}"
    return f"{one.witness}: saw {one.words}"


# --- the site


def site_lines(picture: Picture, columns: int, ink: Ink) -> list[str]:
    title = "#  charger  at the CSMS    contactor  lock    power     register     reserved"
    lines = [ink.paint(fit(title, columns), Color.DIM)]
    lines += [_place(place, columns, ink) for place in picture.places]
    lines += ["", _links(picture, columns, ink)]
    return lines


def _place(place: PlaceShown, columns: int, ink: Ink) -> str:
    words = (
        f"{place.connector}  {place.charger:<7}  {place.status:<13}  {place.contactor:<9}  {place.lock:<6}"
        f"  {place.power_w / 1000:4.1f} kW  {place.energy_wh / 1000:8.3f} kWh  {place.reservation}"
    )
    colors = {"Charging": Color.GREEN, "Faulted": Color.RED, "Unavailable": Color.YELLOW, "Reserved": Color.YELLOW}
    color = Color.GREEN if place.power_w > 0 else colors.get(place.status, Color.PLAIN)
    return ink.paint(fit(words, columns), color)


def _links(picture: Picture, columns: int, ink: Ink) -> str:
    daemon = f"running, pid {picture.daemon_pid}" if picture.daemon_pid is not None else "not running"
    parts = [
        f"CSMS {'connected' if picture.csms_up else 'away'}",
        f"MQTT {picture.broker if picture.broker is not None else 'no broker'}",
        f"daemon {daemon}",
        f"{'?' if picture.queued is None else picture.queued} messages wait",
    ]
    well = picture.csms_up and picture.daemon_pid is not None
    return ink.paint(fit(ink.dot.join(parts), columns), Color.GREEN if well else Color.RED)
