"""What a CSMS and a local operator may expect of a connector, by what its charger can. In words, with the reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edged.domain.hardware import Capability
from edged.settings import ResetLine, ResetRelay


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing that a connector can or cannot do, with the reason."""

    able: bool
    because: str


def abilities(can: Collection[Capability], relay: ResetRelay | ResetLine | None) -> dict[str, Ability]:
    """What a CSMS and a local operator may expect of a connector, in words."""
    return {
        "reset": _reset(can, relay),
        "unlock": Ability(True, "released by command")
        if Capability.UNLOCK in can
        else Ability(False, "its charger has no command for that; UnlockConnector is answered NotSupported"),
        "lock sensing": Ability(True, "the lock's position is read back")
        if Capability.LOCK_SENSE in can
        else Ability(False, "its charger does not tell where the lock is"),
        "availability": _availability(can),
        "reservation": Ability(True, "energy is withheld from everybody else")
        if Capability.WITHHOLD in can
        else Ability(False, "its charger cannot withhold energy, so it cannot be reserved: ReserveNow is Rejected"),
        "profiles": _profiles(can),
    }


def _profiles(can: Collection[Capability]) -> Ability:
    withheld = Capability.WITHHOLD in can
    if Capability.LIMIT in can:
        below = "gives none" if withheld else "cannot be stopped"
        return Ability(True, f"charging profiles set its current; below the least that it can give it {below}")
    if withheld:
        return Ability(True, "its charger can only be switched: below its full current a charging profile stops it")
    return Ability(False, "its charger can neither be limited nor stopped: SetChargingProfile is answered NotSupported")


def _reset(can: Collection[Capability], relay: ResetRelay | ResetLine | None) -> Ability:
    kinds = [word for word, each in (("soft", Capability.RESET_SOFT), ("hard", Capability.RESET_HARD)) if each in can]
    if relay is not None:
        if isinstance(relay, ResetLine):
            what = f"GPIO line {relay.line} of {relay.gpio}, active {relay.active}"
        else:
            what = f"relay {relay.output} of {relay.charger}"
        where = f"{what}, which cuts its power for {relay.off_s:g} s"
        kinds.append(f"if that does not help by {where}" if Capability.RESET_HARD in can else f"hard by {where}")
    if kinds:
        return Ability(True, ", ".join(kinds))
    return Ability(False, "its charger has no register for that: only edged itself restarts")


def _availability(can: Collection[Capability]) -> Ability:
    if Capability.AVAILABILITY not in can:
        return Ability(False, "its charger has no setting for that; edged keeps it out of service by itself")
    sensed = Capability.AVAILABILITY_SENSE in can
    return Ability(True, "set in the charger and read back" if sensed else "set in the charger, not read back")
