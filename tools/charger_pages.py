"""Writes docs/chargers/: a page for each shipped profile, and a table of all of them.

    python tools/charger_pages.py            write the pages
    python tools/charger_pages.py --check    exit with 1 when a page is not what it would write, or is one too many

A page says what works over OCPP, what to wire and set, what to know and how sure it is. All of it comes from the
profile itself: what is not written there is not promised here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from edged.chargers.library import PACKAGED_DIR, ChargerProfile, load_charger
from edged.chargers.profile import DeviceProfile, KeepAliveBy, Toggle
from edged.chargers.profile_terms import CheckStep, Condition, GapScope, PointsBy, Transport, WriteStep
from edged.chargers.rapi.profile import RapiProfile
from edged.domain.hardware import Capability, Measurand

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "chargers"
INDEX = "README.md"
CERTAINTY = {
    "A": "vendor document and an independent implementation agree",
    "B": "one maintained implementation, or one vendor document",
    "C": "secondary listing only",
}
NEVER_MET = "No profile has been tried on the device itself unless its notes say so."
GENERATED = "<!-- written by tools/charger_pages.py -->"


def page(profile: ChargerProfile) -> str:
    """The page of one profile."""
    if isinstance(profile, RapiProfile):
        works_rows, wires = rapi_works(profile), rapi_wiring(profile)
        yaml, falls_back = rapi_example(profile), rapi_failsafe(profile)
    else:
        works_rows, wires = works(profile), wiring(profile)
        yaml, falls_back = example(profile), failsafe(profile)
    parts = [
        GENERATED,
        f"# {profile.vendor} {profile.model}",
        f"`profile: {profile.name}`, certainty {profile.certainty}: {CERTAINTY[profile.certainty]}.",
        "## What works over OCPP",
        table(("what", "how"), works_rows),
        "## To wire and to set",
        bullets([*wires, *profile.setup]),
        f"```yaml\n{yaml}\n```",
        "## When edged falls silent",
        bullets(falls_back),
        "## To know",
        bullets(profile.notes),
        *(("## Left alone, because it is unproven", bullets(profile.unproven)) if profile.unproven else ()),
        "## Sources",
        bullets([*profile.sources, NEVER_MET]),
    ]
    return "\n\n".join(parts) + "\n"


def index(profiles: Sequence[ChargerProfile]) -> str:
    """The table of all profiles."""
    rows = [
        (
            f"[{profile.vendor} {profile.model}]({profile.name}.md)",
            profile.certainty,
            *(rapi_row(profile) if isinstance(profile, RapiProfile) else row(profile)),
        )
        for profile in profiles
    ]
    head = ("charger", "certainty", "lines", "limit", "out of service", "unlock", "reset", "lock sensed", "energy")
    grades = bullets(f"{grade}: {meaning}" for grade, meaning in CERTAINTY.items())
    intro = (
        f"The chargers that edged serves out of the box. Another one is [a profile](../profiles.md) away. {NEVER_MET}"
    )
    return "\n\n".join((GENERATED, "# Chargers", intro, table(head, rows), "Certainty of the facts:", grades)) + "\n"


def row(profile: DeviceProfile) -> tuple[str, ...]:
    """Its cells behind name and certainty."""
    return (
        ", ".join(profile.bus.transports),
        f"{profile.limit.step_a:g} A" if profile.limit is not None else "-",
        availability(profile.availability, short=True),
        "yes" if Capability.UNLOCK in profile.capabilities else "-",
        ", ".join(name.removeprefix("reset_") for name in profile.actions if name.startswith("reset")) or "-",
        "yes" if Capability.LOCK_SENSE in profile.capabilities else "-",
        energy(profile),
    )


# --- what works


def works(profile: DeviceProfile) -> Iterator[tuple[str, str]]:
    offered = profile.capabilities
    yield "Start and stop", energy_control(profile)
    yield "ReserveNow", "enforced: without a matching token no energy flows"
    yield "Current limit", limit(profile)
    yield "ChangeAvailability", availability(profile.availability)
    yield "UnlockConnector", unlock(profile)
    yield "Reset", reset(profile)
    yield "Lock", lock(profile)
    yield "Meter values", meter(profile)
    cards = "read by the charger are authorized by edged" if Capability.TOKEN_READER in offered else "are not reported"
    yield "Cards", cards
    yield "Faults", faults(profile)


def energy_control(profile: DeviceProfile) -> str:
    seen = "read back" if Capability.PERMIT_SENSE in profile.capabilities else "not read back in every state"
    if profile.permit is not None:
        return f"by the register `{profile.permit.register}`, {seen}"
    if profile.limit is None or profile.limit.withhold_a is None:
        return "cannot be refused"
    seen = "read back" if Capability.PERMIT_SENSE in profile.capabilities else "not read back"
    return f"by a limit of {profile.limit.withhold_a:g} A, {seen}"


def limit(profile: DeviceProfile) -> str:
    limit = profile.limit
    if limit is None:
        return "none"
    text = f"{limit.min_a:g} to {limit.max_a:g} A in steps of {limit.step_a:g} A"
    text += ", read back" if limit.sense is not None else ", not read back"
    return text + (", never more than the charger's own maximum" if limit.max_from is not None else "")


def availability(toggle: Toggle | None, *, short: bool = False) -> str:
    if toggle is None:
        return "edged" if short else "by edged alone: it authorizes nobody and withholds energy"
    if short:
        return "emulated" if toggle.emulated else "native"
    return f"{'emulated' if toggle.emulated else 'in the charger'}, by the register `{toggle.register}`"


def unlock(profile: DeviceProfile) -> str:
    action = profile.actions.get("unlock")
    if action is None:
        return "NotSupported: the charger has no command for it"
    proof = "no lock error follows" if isinstance(action.steps[-1], CheckStep) else "the charger reports it"
    tethered = ""
    if profile.detachable is not True:
        tethered = "; NotSupported with a fixed cable"
    return f"energy is withheld first; done when {proof}{tethered}"


def reset(profile: DeviceProfile) -> str:
    kinds = [name.removeprefix("reset_") for name in ("reset_soft", "reset_hard") if name in profile.actions]
    if not kinds:
        return "of edged alone: the charger has no command for it"
    everyone = any(action.affects_all_points for name, action in profile.actions.items() if name.startswith("reset"))
    reach = ", with all points of the device" if everyone else ""
    return f"{' and '.join(kinds)}: restarts the charger{reach}, done when it answers again"


def lock(profile: DeviceProfile) -> str:
    offered = profile.capabilities
    told = "its position is reported" if Capability.LOCK_SENSE in offered else "not reported"
    if Capability.LOCK_SENSE not in offered and profile.lock:
        told = "only its errors are reported"
    return told + ("; edged locks and releases it" if Capability.LOCK_CONTROL in offered else "")


def meter(profile: DeviceProfile) -> str:
    names = sorted(str(one) for one in profile.measurands if one is not Measurand.CURRENT_OFFERED)
    if not names:
        return "none"
    kinds = {"total": "; energy is the charger's total", "session": "; energy is counted by session and added up"}
    return ", ".join(names) + kinds.get(energy(profile), "")


def energy(profile: DeviceProfile) -> str:
    if not profile.meter.energy_wh:
        return "-"
    return "session" if any("session" in name for name in profile.meter.energy_wh) else "total"


def faults(profile: DeviceProfile) -> str:
    codes = sorted({str(fault.code) for fault in profile.faults})
    return f"as {', '.join(codes)}" if codes else "none are reported"


# --- wiring, failsafe


def wiring(profile: DeviceProfile) -> Iterator[str]:
    bus = profile.bus
    if Transport.RTU in bus.transports:
        parity = {"none": "N", "even": "E", "odd": "O"}[bus.parity]
        yield f"RS-485, {bus.baudrate} Bd, 8{parity}{bus.stopbits} unless its own settings say otherwise."
    if Transport.TCP in bus.transports:
        yield f"Modbus TCP, port {bus.port}."
    if Transport.RTU_OVER_TCP in bus.transports:
        yield "Also behind a converter from serial to Ethernet that carries RTU frames."
    low, high = bus.unit_ids
    yield f"Unit id {bus.unit_id} unless set otherwise, {low} to {high} are possible."
    if profile.points.count > 1:
        how = {
            PointsBy.ADDRESS: f"told apart by addresses, {profile.points.stride} apart",
            PointsBy.UNIT_ID: "each with a unit id of its own, counted up from that of point 1",
            PointsBy.PORT: "each at a TCP port of its own, counted up from that of point 1",
        }
        count = profile.points.count
        yield f"Up to {count} points behind one device, {how[profile.points.by]}: write `point: 1` and so on."
    if bus.min_gap_s:
        who = "The whole line" if bus.gap_scope is GapScope.BUS else "It"
        yield f"{who} rests {bus.min_gap_s * 1000:g} ms after each request."
    if profile.limit is not None and profile.limit.max_from is None:
        most = f"{profile.limit.max_a:g} A"
        yield f"It does not tell its own maximum: write `max_current_a` where it may have less than {most}."
    if isinstance(profile.detachable, Condition):
        yield "Whether it has a socket or a fixed cable is read from the charger."
    else:
        yield "It is taken to have a socket." if profile.detachable else "It is taken to have a fixed cable."


def example(profile: DeviceProfile) -> str:
    bus = profile.bus
    point = ["    point: 1"] if profile.points.count > 1 else []
    if bus.transports[0] is Transport.RTU:
        lines = [
            "buses:",
            "  yard:",
            "    serial: /dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0",
            f"    baudrate: {bus.baudrate}",
            f"    parity: {bus.parity}",
            f"    stopbits: {bus.stopbits}",
            "chargers:",
            "  left:",
            f"    profile: {profile.name}",
            "    bus: yard",
            f"    unit_id: {bus.unit_id}",
        ]
        return "\n".join(lines + point)
    lines = ["chargers:", "  left:", f"    profile: {profile.name}", f"    tcp: 10.0.0.21:{bus.port}"]
    return "\n".join([*lines, f"    unit_id: {bus.unit_id}", *point])


def failsafe(profile: DeviceProfile) -> Iterator[str]:
    for write in profile.wake:
        yield f"Written after each connect: {written(profile, write)}."
    for init in profile.init:
        kind = "" if init.required else ", where the charger takes it"
        yield f"Set after each connect: {written(profile, WriteStep(init.register, init.value))}{kind}."
    alive = profile.keep_alive
    if alive is None:
        yield "edged keeps nothing alive: as far as is known the charger stays as it was told last."
        return
    how = {
        KeepAliveBy.ANY_READ: "any request keeps it alive",
        KeepAliveBy.SETPOINT: "the limit is repeated",
        KeepAliveBy.WRITE: f"{written(profile, alive.write)} is written" if alive.write is not None else "",
    }
    yield f"{how[alive.by].capitalize()} at least every {alive.interval_s:g} s; it waits {alive.timeout_s:g} s."


def written(profile: DeviceProfile, write: WriteStep) -> str:
    unit = profile.registers[write.register][0].unit
    value = write.value.hex() if isinstance(write.value, bytes) else write.value
    return f"`{write.register}` = {value}{' ' + unit if unit else ''}"


# --- controllers that speak RAPI


def rapi_row(profile: RapiProfile) -> tuple[str, ...]:
    has = "yes" if profile.has_lock else "-"
    return "RAPI, serial", "1 A", "native" if profile.may_disable else "edged", has, "hard", has, "total"


def rapi_works(profile: RapiProfile) -> Iterator[tuple[str, str]]:
    yield "Start and stop", "it is enabled (`$FE`) or put to sleep (`$FS`), read back"
    yield "ReserveNow", "enforced: without a matching token no energy flows"
    yield "Current limit", f"{profile.min_a} to {profile.max_a} A in steps of 1 A (`$SC`, in its RAM only), read back"
    native = "in the controller (`$FD`), read back"
    asleep = "by edged alone: it authorizes nobody and keeps the controller asleep"
    yield "ChangeAvailability", native if profile.may_disable else asleep
    lock = "energy is withheld first; done when the controller reports the lock open (`$S5`, `$G5`)"
    yield "UnlockConnector", lock if profile.has_lock else "NotSupported: the profile has no lock"
    yield "Reset", "hard: restarts the controller (`$FR`), done when it says that it has booted"
    yield "Lock", "its position is reported" if profile.has_lock else "not reported"
    names = sorted(str(one) for one in profile.measurands if one is not Measurand.CURRENT_OFFERED)
    yield "Meter values", f"{', '.join(names)}; energy is the controller's total and the session that runs"
    yield "Cards", "are not reported"
    yield "Faults", "each state of its own that is a fault, with its number and the controller's counters of trips"


def rapi_wiring(profile: RapiProfile) -> Iterator[str]:
    yield f"Serial, {profile.baudrate} Bd, 8N1, alone on its line: RAPI knows no addresses. It is no Modbus."
    yield "Also behind a converter from serial to Ethernet in transparent (raw) mode: `rtu_over_tcp: HOST:PORT`."
    yield "It is taken to have a socket." if profile.is_detachable else "It is taken to have a fixed cable."


def rapi_example(profile: RapiProfile) -> str:
    port = "/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0"
    lines = ["chargers:", "  left:", f"    profile: {profile.name}", f"    serial: {{port: {port}}}"]
    return "\n".join(lines)


def rapi_failsafe(profile: RapiProfile) -> Iterator[str]:
    rules = profile.heartbeat
    yield f"Set after each connect: fall back to {rules.fallback_a} A without a pulse for {rules.interval_s} s (`$SY`)."
    yield f"A pulse is sent at least every {rules.pulse_s:g} s; a missed one is acknowledged, and everything set again."


# --- Markdown


def bullets(entries: Iterator[str] | Sequence[str]) -> str:
    return "\n".join(f"- {entry}" for entry in entries)


def table(head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


# --- files


def pages() -> dict[str, str]:
    """What the folder should hold: name of the file and text."""
    profiles = [load_charger(path.stem) for path in PACKAGED_DIR.glob("*.yaml")]
    profiles.sort(key=lambda profile: (profile.vendor.lower(), profile.model.lower()))
    return {INDEX: index(profiles), **{f"{profile.name}.md": page(profile) for profile in profiles}}


def stale(folder: Path) -> list[str]:
    """The files that are missing, are otherwise or are one too many."""
    wanted = pages()
    have = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*")} if folder.is_dir() else {}
    return sorted(name for name in wanted.keys() | have.keys() if wanted.get(name) != have.get(name))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only tell whether the pages are current")
    options = parser.parse_args(arguments)
    if options.check:
        names = stale(FOLDER)
        if names:
            sys.stderr.write(f"stale: {', '.join(names)}; run python tools/charger_pages.py\n")
        return 1 if names else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for name in stale(FOLDER):
        text = wanted.get(name)
        if text is None:
            (FOLDER / name).unlink()
        else:
            (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
