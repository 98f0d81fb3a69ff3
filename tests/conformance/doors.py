"""What scenes of security share, whatever the version: who vouches for whom, doors with and without TLS, logins."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edged.simulator.csms import Login
from tests.conformance.stage import STATION, Stage
from tests.fakes.pki import Authority, Pair, self_signed

OLD = "the password of old"
NEW = "the brand new password"
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pki:
    """Who vouches for whom, and where their files lie."""

    folder: Path
    root: Authority
    stations: Authority

    @property
    def ca_file(self) -> str:
        path = self.folder / "ca.pem"
        path.write_text(self.root.pem)
        return str(path)

    def server(self, pair: Pair | None = None, *, profile_3: bool = False) -> ssl.SSLContext:
        """What the CSMS shows; at profile 3 it wants to see the station's certificate."""
        clients = self.stations if profile_3 else None
        return (pair or self.root.server()).server_context(self.folder, clients=clients)

    def station(self, name: str = "station", *, authority: Authority | None = None) -> dict[str, str]:
        """The installer's key pair for the station."""
        cert, key = (authority or self.stations).client(STATION).write(self.folder, name)
        return {"cert": str(cert), "key": str(key)}


def profile_1(password: str = OLD, **more: Any) -> dict[str, Any]:
    return {"security_profile": 1, "password": password, **more}


def two_doors(pki: Pki, port: int, pair: Pair | None = None, *, profile_3: bool = False, **more: Any) -> dict[str, Any]:
    """A plain door and a secure one beside it; the station begins at the plain one and knows who vouches."""
    tls = pki.server(pair, profile_3=profile_3)
    return {
        "csms_options": {"credentials": {STATION: OLD}, "second_tls": tls, "second_port": port},
        "csms_settings": profile_1(ca_file=pki.ca_file, secure_url=f"wss://{HOST}:{port}/ocpp", **more),
    }


async def comes_back(scene: Stage, since: int, fits: Callable[[Login], bool] = lambda login: True) -> Login:
    """The first login after so many that is so; the line is in use then."""
    logins = scene.csms.logins
    await scene.site.until(lambda: any(map(fits, logins[since:])), timeout_s=40.0)
    await scene.csms.wait_connected(STATION)
    await scene.answered()
    return next(filter(fits, logins[since:]))


def secure(login: Login) -> bool:
    return login.tls in ("TLSv1.2", "TLSv1.3")


def plain(login: Login) -> bool:
    return login.tls is None


async def reconnects(scene: Stage) -> list[Login]:
    """Cut the line and let the station come back: how it did."""
    before = len(scene.csms.logins)
    await scene.cut()
    await scene.restore()
    await scene.answered()
    return scene.csms.logins[before:]


async def is_down(scene: Stage, why: str) -> None:
    """Until the daemon says that, and why, there is no line."""
    await scene.site.until(scene.daemon.control.exists, timeout_s=20.0)
    await scene.knows(lambda state: why in str(state["csms"]["reason"]))


async def security_event(scene: Stage, name: str, *, after: int = 0) -> dict[str, Any]:
    found = await scene.csms.wait_for(
        "SecurityEventNotification", lambda payload: payload["type"] == name, after=after, timeout_s=20.0
    )
    return dict(found)


def shown_by_the_station(scene: Stage) -> str:
    """The certificate with which the line was opened, PEM."""
    session = scene.csms._session(STATION)
    der = session.socket.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return ssl.DER_cert_to_PEM_cert(der)


def expired(pki: Pki) -> Pair:
    now = datetime.now(UTC)
    return pki.root.server(not_before=now - timedelta(days=9), not_after=now - timedelta(days=2))


WRONG: dict[str, Callable[[Pki], Pair]] = {
    "self-signed": lambda pki: self_signed(),
    "expired": expired,
    "another host's": lambda pki: pki.root.server(("elsewhere.example.com",)),
    "of an unknown authority": lambda pki: Authority.new("Unknown").server(),
}
