"""What the installed profiles come to: each connector's limit now, and the schedules that a CSMS asks for.

Rules (1.6 §3.13, 2.x K01/K04/K08):
- An EVSE's own limit is its TxProfiles' while one of them speaks, else its own TxDefaultProfiles', else the station's
  TxDefaultProfiles'; of one purpose the highest stack level that speaks. It is never above what the installation
  allows. Where nobody speaks there is no other limit.
- The station's limit (ChargingStationMaxProfile) is a budget that the EVSEs with a running transaction share, in the
  order in which the transactions began (`schedule.share`). What counts is what an EVSE may take, not what its car takes
  at the moment: a car that is full keeps its part until its transaction ends. Amperes are added up as if every EVSE
  used the same phases.
- Parts that shift: who gets less comes down first, the others rise when that is read back (`present_ma`).
- The site's own limits (purpose ChargingStationExternalConstraints) hold beside all of that: an EVSE's is one more
  bound of it, the station's one more budget. They alone count where smart charging is switched off.
- Below what a charger can go down to nothing is given (16-SC-17). A charger that cannot be limited but stopped gets all
  of its current or none; one that can be neither is left alone, and what it may take is taken off the budget first.
- `numberPhases` changes nothing: no charger here switches phases. Amperes hold for each phase in use, and watts for all
  that are wired together; so watts that were meant for one phase give a third of the amperes on three wires: less than
  a car on one phase could have had, and never more than was allowed. Amperes that were meant for one phase hold on all
  three: there a CSMS that reckons in power has to say watts.
- Time is the best that is known. While the clock is not trusted that is the last time that the store has seen, and on
  from there; when it becomes known everything is reckoned anew.

Kept by: `Connector.allowed_ma`, recomputed in every step in which something that it rests on has changed
(`Station.limits`), a moment at which a profile says something else included.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edged.domain.charging import (
    InstalledProfile,
    LimitsBasis,
    ProfilePurpose,
    RateUnit,
)
from edged.domain.hardware import Capability, ChargerState
from edged.domain.profile_flaws import STATION, controllable, enabled
from edged.domain.schedule import (
    FOREVER_S,
    Claim,
    Feed,
    Plan,
    Rate,
    Stack,
    milliamperes,
    plan_of,
    second,
    share,
)
from edged.domain.station import Connector, Station
from edged.domain.transition import Draft

MATTERS_MA = 1000
"""A difference below this is a charger's rounding."""


# --- what is given now


def current_ma(connector: Connector) -> int:
    """What a connector may give now: 0, or from the least that its charger can to what the installation allows."""
    limit_ma = connector.layout.max_current_ma
    if connector.allowed_ma is not None:
        limit_ma = min(limit_ma, connector.allowed_ma)
    return limit_ma if limit_ma >= _least_ma(connector) else 0


def present_ma(station: Station, connector: Connector) -> int:
    """What a connector is told to give: `current_ma`, but where a budget is shared nobody rises before the others
    report that they have come down. Without it their sum would be above the budget while one of them is slow or silent.

    A limit that its charger does not report is not waited for, but for one that is nothing. Nor is anybody waited for
    who is faulted, as a charger is after being silent for too long.
    """
    wanted_ma = current_ma(connector)
    if station.limits is None or not station.limits.shared or connector.transaction_id is None:
        return wanted_ma
    offered_ma = 0 if _gives_nothing(connector) else _set_ma(connector)
    if offered_ma is None or wanted_ma - offered_ma < MATTERS_MA:
        return wanted_ma
    others = (other for other in station.connectors.values() if other is not connector)
    if not any(_is_above(other) for other in others):
        return wanted_ma
    return offered_ma if offered_ma >= _least_ma(connector) else 0


def _is_above(connector: Connector) -> bool:
    """Whether a car may still take more here than it may have. A permission that is not reported shows in a car that
    charges."""
    permitted = connector.state is ChargerState.CHARGING if connector.permitted is None else connector.permitted
    if not permitted or connector.blocked or not connector.plugged or not controllable(connector):
        return False
    may_ma = current_ma(connector) if connector.transaction_id is not None else 0
    set_ma = _set_ma(connector)
    return may_ma == 0 if set_ma is None else set_ma - may_ma >= MATTERS_MA


def _gives_nothing(connector: Connector) -> bool:
    if connector.permitted is None:
        return connector.state in (ChargerState.CONNECTED, ChargerState.SUSPENDED_EVSE)
    return not connector.permitted


def _set_ma(connector: Connector) -> int | None:
    """What the charger is set to as it reports; None where it does not."""
    return connector.limit_ma if connector.can(Capability.LIMIT) else connector.layout.max_current_ma


def _least_ma(connector: Connector) -> int:
    layout = connector.layout
    return layout.min_current_ma if connector.can(Capability.LIMIT) else layout.max_current_ma


def _feed(connector: Connector) -> Feed:
    layout = connector.layout
    return Feed(
        phases=layout.phases,
        voltage_v=layout.voltage_v,
        least_a=_least_ma(connector) / 1000,
        most_a=layout.max_current_ma / 1000,
    )


def refresh(draft: Draft) -> None:
    """Bring every connector's `allowed_ma` up to date, if anything that it rests on has changed."""
    station = draft.station
    if not station.charging_profiles:
        if station.limits is not None:
            _allow(draft, dict.fromkeys(station.connectors))
            draft.update(limits=None)
        return
    now_s, counts = second(draft.now.utc), enabled(station)
    users = tuple(
        (connector.transaction_id, station.charges(number) is not None, connector.capabilities)
        for number, connector in station.connectors.items()
    )
    basis = station.limits
    if basis is not None and basis.enabled is counts and _still_holds(station, basis, users, now_s):
        return
    outlook = Outlook(station, now_s)
    allowed, until_s = outlook.allowed(now_s)
    _allow(draft, allowed)
    draft.update(
        limits=LimitsBasis(
            profiles=station.charging_profiles,
            corrections=station.corrections,
            users=users,
            since_s=now_s,
            until_s=until_s,
            shared=outlook.is_shared(now_s),
            enabled=counts,
            csms_ma=_by_csms(station, now_s),
        )
    )


def _by_csms(station: Station, now_s: int) -> Mapping[int, int | None] | None:
    """What each connector would be allowed without the site's own limits; None where there are none."""
    profiles = station.charging_profiles.items()
    theirs = {number: one for number, one in profiles if one.profile.purpose is not ProfilePurpose.EXTERNAL}
    if len(theirs) == len(station.charging_profiles):
        return None
    return Outlook(replace(station, charging_profiles=theirs), now_s).allowed(now_s)[0]


def _still_holds(station: Station, basis: LimitsBasis, users: tuple[object, ...], now_s: int) -> bool:
    return (
        basis.profiles is station.charging_profiles
        and basis.corrections is station.corrections
        and basis.since_s <= now_s < basis.until_s
        and basis.users == users
    )


def _allow(draft: Draft, allowed: Mapping[int, int | None]) -> None:
    for number, limit_ma in allowed.items():
        if draft.station.connectors[number].allowed_ma != limit_ma:
            draft.change(number, allowed_ma=limit_ma)


# --- looking ahead


class _User:
    """A connector with what is said of it, as of the second that was asked for last. `fixed`: it takes what it takes.

    `spoken`: its own profiles, or a limit of the site for it, say something; `own_a`: what it may take by them;
    `until_s`: from when they may say otherwise.
    """

    __slots__ = ("_caps", "_claims", "_stack", "feed", "fixed", "own_a", "spoken", "until_s")

    def __init__(self, feed: Feed, stack: Stack, caps: Stack, *, fixed: bool) -> None:
        self.feed = feed
        self.fixed = fixed
        self.spoken = False
        self.own_a = 0.0
        self.until_s = -FOREVER_S
        self._stack = stack
        self._caps = caps
        self._claims: dict[RateUnit, Claim] = {}

    def look(self, at_s: int) -> None:
        """Come to a second, which is none before the last."""
        rate, rate_until_s = self._stack.at(at_s)
        cap, cap_until_s = self._caps.at(at_s)
        self.until_s = min(rate_until_s, cap_until_s)
        self.spoken = rate is not None or cap is not None
        self.own_a = self.feed.most_a if self.fixed else min(self.feed.given(rate), self.feed.given(cap))
        self._claims.clear()

    def claim(self, unit: RateUnit, most_a: float) -> Claim:
        """What it wants of a budget in this unit, of which it can have so much at most."""
        found = self._claims.get(unit)
        if found is None or found.most_a != most_a:
            cost = self.feed.cost(unit)
            found = Claim(least_a=self.feed.least_a, most_a=most_a, cost=cost, fixed=self.fixed)
            self._claims[unit] = found
        return found


class Outlook:
    """What a station's profiles say from a second on. Asked for one second after the other, never for an earlier one;
    every answer comes with the first second at which it may be another."""

    def __init__(self, station: Station, now_s: int) -> None:
        self._station = station
        self._now_s = now_s
        self._profiles = _Sorted(station.charging_profiles.values(), enabled=enabled(station))
        self._plans: dict[tuple[int, int | None], Plan] = {}
        self._users: dict[int, _User] = {}
        self._teams: dict[tuple[int, ...], list[_User]] = {}
        groups = (self._profiles.station, self._profiles.external.get(STATION, ()))
        self._stacks = tuple(Stack([self._plan(one, now_s) for one in group]) for group in groups if group)
        running = [t for t in map(station.charges, station.connectors) if t is not None]
        running.sort(key=lambda t: (station.true_time(t.started), t.connector))
        self._running = tuple(transaction.connector for transaction in running)

    def _user(self, number: int) -> _User:
        if number not in self._users:
            connector = self._station.connectors[number]
            running = self._station.running(number)
            started_s = self._now_s if running is None else second(self._station.true_time(running.started))
            found = self._profiles.of(connector.layout.evse_id, None if running is None else running.id)
            stack = Stack(self._plan(one, started_s) for one in found)
            site = self._profiles.external.get(connector.layout.evse_id, ())
            caps = Stack(self._plan(one, started_s) for one in site)
            self._users[number] = _User(_feed(connector), stack, caps, fixed=not controllable(connector))
        return self._users[number]

    def _budgets(self, at_s: int) -> tuple[list[Rate], int]:
        """The station's limits: the CSMS's and the site's own."""
        said = [stack.at(at_s) for stack in self._stacks]
        rates = [one.rate for one in said if one.rate is not None]
        return rates, min([one.until_s for one in said], default=FOREVER_S)

    def _look(self, numbers: tuple[int, ...], at_s: int) -> tuple[list[_User], int]:
        """These connectors as they are at a second, and until when all of them are."""
        users = self._teams.get(numbers)
        if users is None:
            users = self._teams[numbers] = [self._user(number) for number in numbers]
        until_s = FOREVER_S
        for user in users:
            if at_s >= user.until_s:
                user.look(at_s)
            if user.until_s < until_s:
                until_s = user.until_s
        return users, until_s

    def _plan(self, one: InstalledProfile, started_s: int) -> Plan:
        """Only a relative profile is another one for another transaction."""
        key = one.profile.id, started_s if one.profile.schedule.start is None else None
        if key not in self._plans:
            self._plans[key] = plan_of(one.profile, started_s)
        return self._plans[key]

    def allowed(self, at_s: int) -> tuple[dict[int, int | None], int]:
        """What each connector may give, in milliampere: its part of the budget while it is in use, else what it would
        have alone. None: no profile says anything, or nothing can be done about it."""
        parts, until_s = self._share(self._running, at_s)
        budgets, _ = self._budgets(at_s)
        numbers = tuple(self._station.connectors)
        users, users_until_s = self._look(numbers, at_s)
        found: dict[int, int | None] = {}
        for number, user in zip(numbers, users, strict=True):
            if user.fixed or (not budgets and not user.spoken):
                found[number] = None
            elif number in parts:
                found[number] = milliamperes(parts[number])
            else:
                found[number] = milliamperes(_divide(budgets, [user])[0])
        return found, min(until_s, users_until_s)

    def is_shared(self, at_s: int) -> bool:
        """Whether there is a limit of the station."""
        return bool(self._budgets(at_s)[0])

    def one(self, number: int, unit: RateUnit, at_s: int) -> tuple[float, int]:
        """What a connector may give, if it is in use or was from now on, behind those that are."""
        budgets, budgets_until_s = self._budgets(at_s)
        if not budgets:
            (user,), until_s = self._look((number,), at_s)
            return user.own_a * user.feed.cost(unit), min(until_s, budgets_until_s)
        numbers = self._running if number in self._running else (*self._running, number)
        parts, until_s = self._share(numbers, at_s)
        return parts[number] * self._user(number).feed.cost(unit), until_s

    def total(self, numbers: tuple[int, ...], unit: RateUnit, at_s: int) -> tuple[float, int]:
        """What the station may take at most, if each of these connectors was in use."""
        budgets, until_s = self._budgets(at_s)
        users, users_until_s = self._look(numbers, at_s)
        total = sum(user.own_a * user.feed.cost(unit) for user in users)
        for budget in budgets:
            total = min(total, self._in_unit(budget, unit))
        return total, min(until_s, users_until_s)

    def _in_unit(self, rate: Rate, unit: RateUnit) -> float:
        if rate.unit is unit:
            return rate.limit
        layouts = [connector.layout for connector in self._station.connectors.values()]
        watts = max(layout.voltage_v for layout in layouts) * max(layout.phases for layout in layouts)
        return rate.limit * watts if unit is RateUnit.WATTS else rate.limit / watts

    def _share(self, numbers: tuple[int, ...], at_s: int) -> tuple[dict[int, float], int]:
        """The parts of those that are in use, in ampere."""
        budgets, until_s = self._budgets(at_s)
        users, users_until_s = self._look(numbers, at_s)
        return dict(zip(numbers, _divide(budgets, users), strict=True)), min(until_s, users_until_s)


def _divide(budgets: Sequence[Rate], users: Sequence[_User]) -> list[float]:
    """Amperes for each user: its own where there is no budget. Of several budgets each shares out what the ones before
    it gave, so the sum is within all of them."""
    parts = [user.own_a for user in users]
    for budget in budgets:
        claims = [user.claim(budget.unit, part) for user, part in zip(users, parts, strict=True)]
        parts = share(budget.limit, claims)
    return parts


class _Sorted:
    """Installed profiles by where they count, the highest stack level first; without `enabled` the site's own only."""

    def __init__(self, profiles: Iterable[InstalledProfile], *, enabled: bool) -> None:
        self.station: list[InstalledProfile] = []
        self.external: defaultdict[int, list[InstalledProfile]] = defaultdict(list)
        self._defaults: defaultdict[int, list[InstalledProfile]] = defaultdict(list)
        self._transactions: defaultdict[str | None, list[InstalledProfile]] = defaultdict(list)
        counted = (one for one in profiles if enabled or one.profile.purpose is ProfilePurpose.EXTERNAL)
        for one in sorted(counted, key=lambda one: (-one.profile.stack_level, one.profile.id)):
            match one.profile.purpose:
                case ProfilePurpose.STATION_MAX:
                    self.station.append(one)
                case ProfilePurpose.TX_DEFAULT:
                    self._defaults[one.evse_id].append(one)
                case ProfilePurpose.TX:
                    self._transactions[one.transaction_id].append(one)
                case ProfilePurpose.EXTERNAL:
                    self.external[one.evse_id].append(one)

    def of(self, evse_id: int, transaction_id: str | None) -> tuple[InstalledProfile, ...]:
        """What counts for an EVSE, in the order in which it is asked."""
        own = self._transactions.get(transaction_id, ()) if transaction_id is not None else ()
        return (*own, *self._defaults.get(evse_id, ()), *self._defaults.get(STATION, ()))
