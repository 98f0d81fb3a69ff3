"""Secrets that lie about, and lines that others can listen to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

from edged.cli.doctor.finding import Finding, Findings
from edged.cli.doctor.network import is_public
from edged.cli.doctor.places import Page

_PASSWORD = re.compile(r"(?:^|[\s{,])[\"']?password[\"']?\s*:\s*(?P<value>[^\s,}#]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line to somebody. `addresses`: where it leads, empty where that is not known; `local`: this very computer."""

    subject: str
    host: str
    addresses: tuple[str, ...]
    key: str
    profile: int | None = None
    has_password: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityFacts:
    """`mode`: of the configuration, None where it cannot be seen. `lines`: those without TLS."""

    page: Page
    mode: int | None
    lines: tuple[Line, ...] = ()
    stations: int = 0


def literal_passwords(lines: Iterable[str]) -> tuple[int, ...]:
    """The lines, from 1, in which a password stands as it is. Never what it is."""
    found = []
    for number, line in enumerate(lines, start=1):
        match = _PASSWORD.search(line) if not line.lstrip().startswith("#") else None
        if match is not None and "${" not in match["value"] and match["value"] not in ("~", "null", '""', "''"):
            found.append(number)
    return tuple(found)


def judge(facts: SecurityFacts) -> tuple[Finding, ...]:
    found = Findings("security")
    literal = literal_passwords(facts.page.lines)
    path = quote(str(facts.page.path))
    folder = quote(f"{facts.page.path.absolute().parent}/credentials")
    if literal and facts.mode is not None and facts.mode & 0o007:
        found.warning(
            "password",
            f"a password stands in {facts.page.path} line {literal[0]}, which everybody here may read "
            f"(mode {facts.mode & 0o7777:04o})",
            f"sudo chmod 640 {path} && sudo chgrp edged {path}",
        )
    elif literal:
        found.note(
            "password",
            f"a password stands in {facts.page.path} line {literal[0]}: type it, Return and Ctrl-D into its own file, "
            "and write password: ${credential:csms-password} in place of it",
            f"sudo install -d -m 700 {folder} && sudo sh -c 'umask 077; cat > {folder}/csms-password' && "
            f"sudo nano +{literal[0]} {path}",
        )
    for line in facts.lines:
        _line(found, line, facts.page)
    if not found.made:
        found.ok("lines", "no password lies about, and no line without TLS leads out of the site")
    return found.made


def _line(found: Findings, line: Line, page: Page) -> None:
    if line.addresses and not is_public(line.addresses):
        if line.has_password and not _is_loopback(line.addresses):
            found.note(
                line.subject,
                f"the password goes to {line.host} without TLS: whoever is in this network can read it",
                page.change(_mend(line), line.key),
            )
        return
    what = "the password and all" if line.has_password else "all"
    where = f"{line.host} is outside of the site" if line.addresses else f"where {line.host} is, is not known"
    profile = "" if line.profile is None else f" (security profile {line.profile})"
    found.warning(
        line.subject,
        f"{what} that is said goes to {line.host} without TLS{profile}, and {where}",
        page.change(_mend(line), line.key),
    )


def _is_loopback(addresses: tuple[str, ...]) -> bool:
    return all(address == "::1" or address.startswith("127.") for address in addresses)


def _mend(line: Line) -> str:
    if line.profile is None:
        return "write mqtts:// in place of mqtt://"
    return "write wss:// in place of ws://, and security_profile: 2"
