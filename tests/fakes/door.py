"""The CSMS's door in virtual time: who is let in with which security profile and password, and how the station is told
of others, honestly or not."""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.csms.endpoint import ConnectionSettings
from edged.csms.failure import Failure, FailureKind

OWN_PASSWORD = "the site's own password"
CLOSED = Failure(FailureKind.NETWORK, "nobody answers (played)")
ODD = Failure(FailureKind.CERTIFICATE, "not a certificate that is known (played)")
UNAUTHORIZED = Failure(FailureKind.HTTP, "not authorized (played)", 401)

NOBODY = "nobody.example"
"""An address at which nobody answers."""
Key = tuple[int, bytes | None]


@dataclass
class Door:
    """`failures`: profiles that are not served, and what happens to whoever tries. `ordered`: another profile was told
    and no line has come about since. `promised`: passwords that are taken once their order is accepted."""

    profile: int
    password: bytes = OWN_PASSWORD.encode()
    failures: dict[int, Failure] = field(default_factory=dict)
    ordered: bool = False
    promised: set[bytes] = field(default_factory=set)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.failures = {profile: CLOSED for profile in range(4) if profile != self.profile}

    def judge(self, settings: ConnectionSettings) -> Failure | None:
        """None: come in."""
        self.attempts += 1
        if NOBODY in settings.url:
            return CLOSED
        if settings.security_profile in self.failures:
            return self.failures[settings.security_profile]
        if settings.security_profile in (1, 2) and settings.password != self.password:
            return UNAUTHORIZED
        if settings.security_profile == 3 and settings.client is None:
            return UNAUTHORIZED
        return None

    def entered(self, settings: ConnectionSettings) -> None:
        """A line has come about: nobody goes back behind its profile."""
        self.ordered = False
        if settings.security_profile > self.profile:
            self.failures[self.profile] = CLOSED
            self.profile = settings.security_profile


def key_of(settings: ConnectionSettings) -> Key:
    """What tells one way from another."""
    return settings.security_profile, settings.password if settings.security_profile in (1, 2) else None
