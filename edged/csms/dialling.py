"""One attempt to open a line to a CSMS: TLS, the addresses of a name, the WebSocket handshake, the certificate's dates.

Owns what a line needs before it is one. Refuses to know when there should be one, what flows over it, and what becomes
of a failure. Invariant: a CSMS whose certificate is refused is told nothing, no name and no password.

    NotReached   no line; `failure` says why
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from edged import __version__
from edged.csms.endpoint import ClientFileError, ClientFiles, ConnectionSettings
from edged.csms.failure import Failure, FailureKind, failure_of
from edged.csms.line import Connect, Line, OutOfDate, out_of_date, too_early, watch_by_kernel, without_dates
from edged.domain.types import Now
from edged.ports import EdgedError

_log: Final = logging.getLogger(__name__)
# The library prints every header at DEBUG, the Authorization header too.
_library_log: Final = logging.getLogger("edged.csms.websockets")
_library_log.setLevel(logging.WARNING)

_REFUSED: Final = "the CSMS's certificate is refused"


class NotReached(EdgedError):
    """There is no line. Never leaves this room."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def clock_of_nobody() -> Now:
    """The system's clock, which nobody has confirmed."""
    return Now(datetime.now(UTC), time.monotonic(), False)


class Dialler:
    """`client_files`: where edged's own keys are. `clock`: the time by which certificates are judged."""

    def __init__(self, client_files: ClientFiles, clock: Callable[[], Now]) -> None:
        self._client_files = client_files
        self._now = clock

    async def dial(self, settings: ConnectionSettings) -> Line:
        """A line on which nothing has been said. Raises `NotReached`."""
        try:
            tls = settings.tls(self._client_files)  # anew each time: the installer may have mended the file
        except ClientFileError as error:
            raise NotReached(Failure(FailureKind.CLIENT_FILE, str(error))) from error
        except OSError as error:
            reason = f"the CA file cannot be used: {error.strerror or error.args[-1]}"
            raise NotReached(Failure(FailureKind.CA_FILE, reason)) from error
        try:
            return await self._reach(settings, tls)
        except OutOfDate as error:
            raise NotReached(Failure(FailureKind.CERTIFICATE, f"{_REFUSED}: {error}")) from error
        except (WebSocketException, OSError, EOFError, UnicodeError) as error:
            raise NotReached(failure_of(error, certified=settings.security_profile == 3)) from error

    def refusal(self, line: Line, settings: ConnectionSettings) -> str:
        """Why the certificate of a line that is up is not believed any more, or ""."""
        problem = out_of_date(line, self._now(), settings.earliest)
        return f"{_REFUSED}: {problem}" if problem else ""

    async def _reach(self, settings: ConnectionSettings, tls: ssl.SSLContext | None) -> Line:
        """Where the time is not known, a certificate that is valid only later keeps no CSMS from telling it; where it
        is, edged's own time counts (`out_of_date`)."""
        try:
            return await self._open(settings, tls)
        except ssl.SSLCertVerificationError as error:
            known = self._now().synchronized
            if tls is None or not too_early(error) or not (known or settings.earliest is not None):
                raise
            if known:
                return await self._open(settings, without_dates(tls))  # judged before it is told anything
        _log.info("%s: the clock is behind the CSMS's certificate: the CSMS is asked for the time", settings.identity)
        return await self._open(settings, without_dates(tls))

    async def _open(self, settings: ConnectionSettings, tls: ssl.SSLContext | None) -> Line:
        now = self._now

        class Judged(Line):
            def judge(self) -> str:
                return out_of_date(self, now(), settings.earliest)

        line = await Connect(
            settings.address,
            create_connection=Judged,
            subprotocols=[Subprotocol(name) for name in settings.subprotocols],
            additional_headers=settings.headers(),
            user_agent_header=f"edged/{__version__}",
            compression=None,  # many a CSMS breaks on it (20-J-07 only recommends it to stations)
            proxy=None,
            open_timeout=settings.open_timeout_s,
            close_timeout=settings.close_timeout_s,
            ping_interval=None,  # ours follows a changed interval at once
            max_size=settings.max_frame_bytes,
            logger=_library_log,
            happy_eyeballs_delay=_race_delay_s(settings),
            ssl=tls,
        )
        assert isinstance(line, Line)
        watch_by_kernel(line)
        return line


def _race_delay_s(settings: ConnectionSettings) -> float | None:
    """A broken IPv6 must not eat the whole time-out; where there is one address only, there is no race, and an attempt
    that is cancelled cannot leave a socket behind (Python's race can)."""
    try:
        ip_address(urlsplit(settings.url).hostname or "")
    except ValueError:
        return 0.25
    return None
