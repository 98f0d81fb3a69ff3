"""What an OpenEVSE controller at a site is, as data, and how its document is read. PURE.

Owns: the keys of a profile of `kind: rapi`. Refuses to know: files, the protocol.

Invariant: what a controller cannot be asked is declared here; what it can be asked (a lock, an ammeter) narrows at run
time what is declared, and never widens it.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.chargers.profile_document import Fields, Findings, Node, ProfileErrors
from edged.chargers.profile_reader import CERTAINTIES, read_name, read_part, read_texts, read_word
from edged.chargers.profile_rules import ProfileRule
from edged.domain.hardware import Capability, Measurand

KIND = "rapi"
TRANSPORTS = ("serial", "rtu_over_tcp")
"""In the words of a site's configuration: a serial port, or the bare bytes of one through a network converter."""
PULSES_PER_INTERVAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Without a pulse for `interval_s` the controller falls back to `fallback_a`. It keeps both in its EEPROM."""

    interval_s: int = 60
    fallback_a: int = 6

    @property
    def pulse_s(self) -> float:
        """How often a pulse is sent, so that two may be lost."""
        return self.interval_s / PULSES_PER_INTERVAL


@dataclass(frozen=True, slots=True, kw_only=True)
class RapiProfile:
    """Everything edged knows of such a controller. The texts are as in `DeviceProfile`.

    `has_lock`: built with the lock of the socket (`$S5`, `$G5`). `may_disable`: out of service is told to it (`$FD`);
    else it only sleeps. `has_voltmeter`: the voltage that it tells is measured.
    """

    name: str
    vendor: str
    model: str
    certainty: str
    sources: tuple[str, ...]
    setup: tuple[str, ...]
    notes: tuple[str, ...]
    unproven: tuple[str, ...]
    connector_type: str
    phases: int
    baudrate: int
    min_a: int
    max_a: int
    heartbeat: Heartbeat
    is_detachable: bool
    has_lock: bool
    may_disable: bool
    has_voltmeter: bool

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What such a controller offers; the one that is there may offer less."""
        offers = {
            Capability.WITHHOLD,
            Capability.PERMIT_SENSE,
            Capability.LIMIT,
            Capability.LIMIT_SENSE,
            Capability.RESET_HARD,
        }
        if self.is_detachable:
            offers |= {Capability.DETACHABLE}
        if self.has_lock:
            offers |= {Capability.UNLOCK, Capability.LOCK_SENSE}
        if self.may_disable:
            offers |= {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE}
        return frozenset(offers)

    @property
    def measurands(self) -> frozenset[Measurand]:
        """What it may measure; None of it is told where the controller has no ammeter or no sensor."""
        offers = {
            Measurand.ENERGY,
            Measurand.POWER,
            Measurand.CURRENT,
            Measurand.CURRENT_OFFERED,
            Measurand.TEMPERATURE,
        }
        return frozenset(offers | {Measurand.VOLTAGE} if self.has_voltmeter else offers)


def is_rapi(root: Node) -> bool:
    """Whether a document is that of an OpenEVSE controller, right or wrong."""
    kind = root.value.get("kind") if isinstance(root.value, dict) else None
    return kind is not None and kind.value == KIND


def read_rapi_profile(root: Node, path: str) -> RapiProfile:
    """The profile of a document. `path` only names it in errors. `ProfileErrors` with every error found."""
    findings = Findings(path, root)
    fields = Fields(findings, root, ())
    fields.node("kind")
    least, most = read_part(fields, "limit", _read_limit, (6, 80))
    profile = RapiProfile(
        name=read_name(fields),
        vendor=fields.text("vendor", required=True),
        model=fields.text("model", required=True),
        certainty=read_word(fields, "certainty", CERTAINTIES, "C", required=True),
        sources=read_texts(fields, "sources", required=True),
        setup=read_texts(fields, "setup"),
        notes=read_texts(fields, "notes"),
        unproven=read_texts(fields, "unproven"),
        connector_type=fields.text("connector", "cType2"),
        phases=fields.integer("phases", 1, low=1, high=3),
        baudrate=fields.integer("baudrate", 115_200, low=300, high=4_000_000),
        min_a=least,
        max_a=most,
        heartbeat=read_part(fields, "heartbeat", _read_heartbeat, Heartbeat()),
        is_detachable=fields.flag("detachable"),
        has_lock=fields.flag("lock"),
        may_disable=fields.flag("disable"),
        has_voltmeter=fields.flag("voltmeter"),
    )
    if profile.phases == 2:
        fields.error("phases", "2 is no way to wire a charger: 1 or 3")
    if profile.has_lock and not profile.is_detachable:
        fields.error("lock", "a lock holds a cable that can be pulled: write detachable: true as well, or delete it")
    if profile.heartbeat.fallback_a > profile.max_a:
        fields.error("heartbeat", f"falls back to {profile.heartbeat.fallback_a} A, more than the limit's max_a")
    fields.close()
    if findings.errors:
        raise ProfileErrors(findings.errors)
    return profile


def _read_limit(fields: Fields) -> tuple[int, int]:
    least = fields.integer("min_a", 6, low=6, high=80)
    most = fields.integer("max_a", 80, low=6, high=80)
    if most < least:
        fields.error("max_a", f"{most} is less than min_a, {least}", ProfileRule.REVERSED_RANGE)
    return least, most


def _read_heartbeat(fields: Fields) -> Heartbeat:
    """Shorter than a poll may take, supervision would only reduce the current for nothing."""
    return Heartbeat(
        interval_s=fields.integer("interval_s", 60, low=10, high=3600),
        fallback_a=fields.integer("fallback_a", 6, low=6, high=80),
    )
