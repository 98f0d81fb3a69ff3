"""Claims, one small builder a kind of evidence. Each says who saw it, what was expected, and what was seen instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from edged.cli.demo.daemon import Disk
from edged.cli.demo.places import STATION, Place
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Claim, Seen
from edged.cli.demo.witness import Witness
from edged.simulator.model import PointModel

MAX_WORDS = 3
"""How many of the things that came instead are told."""


# --- the CSMS


def called(
    action: str,
    *,
    then: Callable[[Stage, Mapping[str, Any]], bool | str] | None = None,
    expects: str = "",
    **members: Any,
) -> Claim:
    """The station has called since the step began, with these members. `then` says more: False is not the one meant,
    a text is the evidence's."""
    wanted = " ".join(f"{value}" for value in members.values())
    name = f"{action} {wanted}".strip()

    def look(stage: Stage) -> Seen:
        came: list[str] = []
        for payload in stage.csms.received(action, station=STATION, after=stage.mark):
            if all(payload.get(member) == value for member, value in members.items()):
                more = then(stage, payload) if then is not None else True
                if more is not False:
                    return Seen(True, name if more is True else f"{name}: {more}")
            came.append(", ".join(f"{key} {payload[key]}" for key in payload if not isinstance(payload[key], list)))
        heard = "; ".join(came[-MAX_WORDS:])
        return Seen(False, f"{action}: {heard}" if heard else f"no {action}")

    return Claim(witness=Witness.CSMS, expects=expects or name, look=look)


def status(place: Place, word: str, **members: Any) -> Claim:
    """StatusNotification of a connector."""
    return called("StatusNotification", connectorId=place.connector, status=word, **members)


def status_now(place: Place, word: str) -> Claim:
    """What the CSMS was told last of a connector, whenever that was."""

    def look(stage: Stage) -> Seen:
        reports = stage.csms.received("StatusNotification", station=STATION)
        told = (one for one in reversed(reports) if "status" in one and one["connectorId"] == place.connector)
        last = next((one["status"] for one in told), None)
        return Seen(last == word, f"connector {place.connector} {last}")

    return Claim(witness=Witness.CSMS, expects=f"connector {place.connector} {word}", look=look)


def not_called(action: str) -> Claim:
    """The station has not called so since the step began."""

    def look(stage: Stage) -> Seen:
        count = len(stage.csms.received(action, station=STATION, after=stage.mark))
        return Seen(count == 0, f"no {action}" if count == 0 else f"{count} {action}")

    return Claim(witness=Witness.CSMS, expects=f"no {action}", look=look, lasting=True)


def silence() -> Claim:
    """Nothing reaches the CSMS."""

    def look(stage: Stage) -> Seen:
        count = sum(1 for frame in stage.csms.record if frame.index >= stage.mark)
        return Seen(count == 0 and not stage.csms.connected, f"{count} frames, not connected")

    return csms("nothing is heard", look, lasting=True)


def answered(action: str, **members: Any) -> Claim:
    """What the station answered to the CSMS's own call."""
    wanted = ", ".join(str(value) for value in members.values())

    def look(stage: Stage) -> Seen:
        got = stage.answer
        ok = all(got.get(member) == value for member, value in members.items())
        return Seen(ok, f"{action} answered {wanted if ok else dict(got)}")

    return Claim(witness=Witness.CSMS, expects=f"{action} answered {wanted}", look=look)


def csms(expects: str, look: Callable[[Stage], Seen], *, lasting: bool = False) -> Claim:
    return Claim(witness=Witness.CSMS, expects=expects, look=look, lasting=lasting)


# --- the hardware


def contactor(place: Place, *, closed: bool) -> Claim:
    """The contactor of a charger, as it is in the steel."""
    word = "closed" if closed else "open"

    def look(stage: Stage) -> Seen:
        is_closed = stage.point(place).contactor_closed
        return Seen(is_closed is closed, f"{place.charger} contactor {'closed' if is_closed else 'open'}")

    return Claim(witness=Witness.HARDWARE, expects=f"{place.charger} contactor {word}", look=look, lasting=not closed)


def lock(place: Place, *, closed: bool) -> Claim:
    """The connector lock's bolt."""

    def look(stage: Stage) -> Seen:
        is_closed = stage.point(place).lock_closed
        return Seen(is_closed is closed, f"{place.charger} lock {'closed' if is_closed else 'open'}")

    return Claim(
        witness=Witness.HARDWARE,
        expects=f"{place.charger} lock {'closed' if closed else 'open'}",
        look=look,
        lasting=True,
    )


def drawn(place: Place, amperes: float, *, within_s: float = 0.0) -> Claim:
    """What the car draws in each phase. `within_s`: so long after the CSMS had its answer at most; 0: no matter."""
    expects = f"{place.charger} draws {amperes:.1f} A" + (f" within {within_s:g} s" if within_s else "")

    def look(stage: Stage) -> Seen:
        after_s = time.monotonic() - stage.answered_s
        current_ma = max(stage.point(place).phase_currents_ma)
        ok = abs(current_ma - amperes * 1000) < 1 and (not within_s or after_s <= within_s)
        when = f" after {after_s:.1f} s" if within_s else ""
        return Seen(ok, f"{place.charger} {current_ma / 1000:.1f} A{when}")

    return Claim(witness=Witness.HARDWARE, expects=expects, look=look)


def flowing(place: Place) -> Claim:
    """Energy flows."""

    def look(stage: Stage) -> Seen:
        power_w = stage.point(place).power_w
        return Seen(power_w > 0, f"{place.charger} {power_w / 1000:.1f} kW")

    return Claim(witness=Witness.HARDWARE, expects=f"{place.charger} power flows", look=look)


def hardware(place: Place, expects: str, look: Callable[[PointModel], Seen], *, lasting: bool = False) -> Claim:
    return Claim(
        witness=Witness.HARDWARE, expects=expects, look=lambda stage: look(stage.point(place)), lasting=lasting
    )


def steel(expects: str, look: Callable[[Stage], Seen]) -> Claim:
    """What is to be seen at the hardware and needs more than one point to be judged."""
    return Claim(witness=Witness.HARDWARE, expects=expects, look=look)


# --- the broker


def mirrored(place: Place, aspect: str, **members: Any) -> Claim:
    """A retained document of a connector."""
    topic = f"{place.connector}/{aspect}"
    wanted = " ".join(f"{member}={value}" for member, value in members.items())

    def look(stage: Stage) -> Seen:
        assert stage.observer is not None
        document = stage.observer.connector(place.connector, aspect)
        ok = all(document.get(member) == value for member, value in members.items())
        found = " ".join(f"{member}={document.get(member)}" for member in members)
        return Seen(ok, f"{topic} {found}")

    return Claim(witness=Witness.BROKER, expects=f"{topic} {wanted}", look=look)


def published(topic: str, text: str) -> Claim:
    """A plain topic below the gateway's tree."""
    name = topic.rpartition("/")[2]

    def look(stage: Stage) -> Seen:
        assert stage.observer is not None
        found = stage.observer.text(topic)
        return Seen(found == text, f"{name} {found}")

    return Claim(witness=Witness.BROKER, expects=f"{name} {text}", look=look)


def broker(expects: str, look: Callable[[Stage], Seen]) -> Claim:
    return Claim(witness=Witness.BROKER, expects=expects, look=look)


# --- the daemon's own word, its disk, its process


def socket(expects: str, look: Callable[[Mapping[str, Any]], Seen], *, lasting: bool = False) -> Claim:
    """What `status` on the control socket says of the station."""

    def ask(stage: Stage) -> Seen:
        return Seen(False, "the daemon does not answer") if stage.status is None else look(stage.status)

    return Claim(witness=Witness.SOCKET, expects=expects, look=ask, lasting=lasting)


def admitted(*, yes: bool) -> Claim:
    """What the daemon answered to a token that was presented."""

    def look(stage: Stage) -> Seen:
        answer = dict(stage.answer)
        return Seen(answer.get("authorized") is yes, f"token {answer.get('reason', answer)}")

    return Claim(witness=Witness.SOCKET, expects=f"token {'let in' if yes else 'refused'}", look=look)


def disk(expects: str, look: Callable[[Disk], Seen]) -> Claim:
    """What would be found if the power went now."""

    def read(stage: Stage) -> Seen:
        return Seen(False, "the database cannot be read") if stage.disk is None else look(stage.disk)

    return on_disk(expects, read)


def on_disk(expects: str, look: Callable[[Stage], Seen]) -> Claim:
    """The same, held against what others saw."""
    return Claim(witness=Witness.DISK, expects=expects, look=look)


def kept(kind: str, key: str, expects: str, *, there: bool = True) -> Claim:
    """A fact is on the disk, or is not."""

    def look(found: Disk) -> Seen:
        is_there = found.fact(kind, key) is not None
        return Seen(is_there is there, f"{kind} {key} {'kept' if is_there else 'gone'}")

    return disk(expects, look)


def replied(expects: str, look: Callable[[Mapping[str, Any]], Seen]) -> Claim:
    """What the daemon answered on the control socket."""
    return Claim(witness=Witness.SOCKET, expects=expects, look=lambda stage: look(stage.answer))


def unlogged() -> Claim:
    """No password has got into the daemon's log."""

    def look(stage: Stage) -> Seen:
        log = stage.daemon_log.read_text(errors="replace")
        found = sum(password in log for password in stage.passwords.all)
        return Seen(found == 0, "no password in the log" if found == 0 else f"{found} passwords in the log")

    return process("no password in the log", look)


def process(expects: str, look: Callable[[Stage], Seen]) -> Claim:
    return Claim(witness=Witness.PROCESS, expects=expects, look=look)
