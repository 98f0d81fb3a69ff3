"""The MQTT broker: is it there, does it let us in, may we say and hear what docs/mqtt promises. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Final

from edged.cli.doctor.finding import Finding, Findings
from edged.cli.doctor.network import SEE_NETWORK, Trouble, place
from edged.cli.doctor.places import Page
from edged.cli.doctor.trust import Peer, TlsLook, judge_tls

_BAD_USER: Final = frozenset({0x86, 0x87})
_BAD_ID: Final = 0x85
_BAD_VERSION: Final = 0x84
_BANNED: Final = 0x8A
"""Reason codes of MQTT 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerVisit:
    """How far we came as another client of the same user. `trouble`: already the connection failed. `refused`: the
    broker's reason code. `lost`: it ended without one. `may_not`: what was refused, with the broker's reason."""

    trouble: Trouble | None = None
    reason: str = ""
    tls: TlsLook | None = None
    version: str = ""
    refused: int | None = None
    lost: str = ""
    may_not: tuple[tuple[str, str], ...] = ()
    status: str | None = None
    not_asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """`daemon_connected`: the running daemon's word, None unknown. `prefix`: of the gateway's topics."""

    host: str
    port: int
    secure: bool
    prefix: str
    page: Page
    now: datetime
    username: str | None = None
    has_certificate: bool = False
    daemon_runs: bool = False
    daemon_connected: bool | None = None
    ca_file: str | None = None
    clock_known: bool = True
    visit: BrokerVisit | None = None


def judge(facts: BrokerFacts | None) -> tuple[Finding, ...]:
    found = Findings("broker")
    if facts is None:
        found.ok("broker", "the configuration names no broker")
        return found.made
    if facts.visit is not None:
        _visit(found, facts, facts.visit)
    failed = any(each.level == "failed" for each in found.made)
    if facts.daemon_connected:
        found.ok("daemon", f"edged is connected to {place(facts.host, facts.port)}")
    elif facts.daemon_runs and facts.daemon_connected is False and not failed:
        found.failed(
            "daemon",
            f"edged is not connected to {place(facts.host, facts.port)}, though the broker is there",
            "sudo journalctl -u edged -g -i mqtt -n 20 --no-pager",
        )
    return found.made


def _visit(found: Findings, facts: BrokerFacts, visit: BrokerVisit) -> None:
    where = place(facts.host, facts.port)
    url = facts.page.change
    key = "mqtts://" if facts.secure else "mqtt://"
    match visit.trouble:
        case Trouble.NAME | Trouble.NO_DNS:
            found.failed("broker", f"its name {facts.host} leads nowhere ({visit.reason})", SEE_NETWORK)
            return
        case Trouble.REFUSED:
            here = facts.host in ("localhost", "127.0.0.1", "::1")
            mend = (
                "sudo systemctl restart mosquitto; systemctl status mosquitto" if here else url("write its port", key)
            )
            found.failed("broker", f"nothing listens at {where} (connection refused)", mend)
            return
        case None:
            pass
        case _:
            reason = f" ({visit.reason})" if visit.reason else ""
            found.failed(
                "broker",
                f"{where} cannot be reached{reason}",
                f"nc -vz -w 5 {quote(facts.host)} {facts.port}; ip route get {quote(facts.host)}",
            )
            return
    if visit.tls is not None:
        peer = Peer(
            subject="broker",
            who="the broker",
            host=facts.host,
            port=facts.port,
            page=facts.page,
            key=key,
            section="mqtt",
            now=facts.now,
            ca_file=facts.ca_file,
            clock_known=facts.clock_known,
        )
        if not judge_tls(found, visit.tls, peer):
            return
    if visit.not_asked:
        found.note("user", f"whether the broker lets edged in was not tried: {visit.not_asked}", "sudo edged doctor")
    elif visit.refused is not None:
        _refused(found, facts, visit)
    elif visit.lost:
        _lost(found, facts, visit)
    else:
        _rights(found, facts, visit)


def _refused(found: Findings, facts: BrokerFacts, visit: BrokerVisit) -> None:
    url = facts.page.change
    user = f"the user {facts.username}" if facts.username else "a client without a user name"
    if visit.refused in _BAD_USER:
        who = facts.username or "edged"
        found.failed(
            "user",
            f"the broker does not let {user} in ({visit.reason}): its name or its password is wrong there",
            f"sudo mosquitto_passwd /etc/mosquitto/edged/passwords {quote(who)} && sudo systemctl reload mosquitto"
            if facts.username
            else url("write username: and password: under mqtt", "mqtt:"),
        )
    elif visit.refused == _BAD_VERSION:
        found.failed(
            "version",
            f"the broker does not speak the version of MQTT that the file names ({visit.reason})",
            url("write protocol: auto", "protocol:", "mqtt:"),
        )
    elif visit.refused == _BANNED:
        found.failed(
            "user", f"the broker has banned {user} ({visit.reason})", "sudo journalctl -u mosquitto -n 20 --no-pager"
        )
    elif visit.refused == _BAD_ID:
        found.note(
            "user",
            f"the broker takes no client id but those that it knows ({visit.reason}), so its rights were not tried",
            "sudo journalctl -u mosquitto -n 20 --no-pager",
        )
    else:
        found.failed(
            "user", f"the broker refuses {user}: {visit.reason}", "sudo journalctl -u mosquitto -n 20 --no-pager"
        )


def _lost(found: Findings, facts: BrokerFacts, visit: BrokerVisit) -> None:
    url = facts.page.change
    if facts.secure and not facts.has_certificate:
        mend = url("write client_certificate: under mqtt", "mqtts://", "mqtt:")
        found.failed("broker", f"the broker hangs up ({visit.lost}): does it want a client certificate?", mend)
    elif not facts.secure:
        mend = url("write mqtts:// in place of mqtt://, and the port of TLS", "mqtt://", "mqtt:")
        found.failed("broker", f"the broker hangs up ({visit.lost}): does it want TLS?", mend)
    else:
        mend = "sudo journalctl -u mosquitto -n 20 --no-pager"
        found.failed("broker", f"the broker hangs up ({visit.lost}): it may not like our certificate", mend)


def _access(facts: BrokerFacts) -> str:
    who = facts.username or "edged"
    line = f"topic readwrite {facts.prefix}/#"
    return f"in the broker's access list, under user {who}, write: {line}, then: sudo systemctl reload mosquitto"


def _rights(found: Findings, facts: BrokerFacts, visit: BrokerVisit) -> None:
    for what, reason in visit.may_not:
        found.failed(
            "rights",
            f"the broker does not let {facts.username or 'edged'} {what} ({reason})",
            _access(facts),
        )
    if visit.may_not:
        return
    if facts.daemon_connected and visit.status is None:
        found.warning(
            "rights",
            f"edged is connected and nothing can be read at {facts.prefix}: its user may not read there, so no command "
            "comes in either",
            _access(facts),
        )
        return
    who = facts.username or "everybody"
    found.ok("rights", f"the broker lets {who} in (MQTT {visit.version}), to say and hear what is at {facts.prefix}")
