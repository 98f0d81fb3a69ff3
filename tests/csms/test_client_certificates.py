"""Security profile 3 against servers that send their alerts, in both versions of TLS, and what is wrong with files."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from edged.csms.backoff import BackOff, BackOffPolicy
from edged.csms.connection import Connection, clock_of_nobody
from edged.csms.endpoint import ClientFileError, ClientFiles, ConnectionSettings, CsmsSettingsError, no_files
from edged.csms.failure import Failure, FailureKind
from edged.domain.credentials import ClientCertificate, LinkFailure
from edged.domain.types import Now
from tests.fakes.pki import Authority, Pair, rsa_key, self_signed

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
NOW = datetime.now(UTC)
OWN = ClientCertificate(key_id="0123456789abcdef", requested_at=NOW, chain="CHAIN")


class Witness:
    """Tells the first thing that happens."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def opened(self, subprotocol: str) -> None:
        self._tell(None)

    def received(self, frame: str | bytes) -> None: ...

    def closed(self, reason: str) -> None: ...

    def failed(self, failure: Failure) -> None:
        self._tell(failure)

    def _tell(self, outcome: Failure | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


async def attempt(
    settings: ConnectionSettings, files: ClientFiles = no_files, clock: Callable[[], Now] = clock_of_nobody
) -> Failure | None:
    """One attempt's failure, None where the line came up."""
    witness = Witness()
    connection = Connection(settings, witness, BackOff(BackOffPolicy, lambda: 0.0), client_files=files, clock=clock)
    running = asyncio.create_task(connection.run())
    try:
        async with asyncio.timeout(10.0):
            return await witness.outcome
    finally:
        await connection.stop()
        await running


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.new("CSMS Root")


@pytest.fixture(scope="module")
def stations() -> Authority:
    return Authority.new("Station Root")


def profile_3(url: str, root: Authority, files: tuple[Path, Path] | None, **more: object) -> ConnectionSettings:
    settings = ConnectionSettings(
        url=url,
        identity="DEPOT-7",
        subprotocols=("ocpp1.6",),
        security_profile=3,
        roots=(root.pem,),
        client_files=files,
        close_timeout_s=0.3,
    )
    return replace(settings, **more)  # type: ignore[arg-type]


async def listen(line: ServerConnection) -> None:
    async for _ in line:
        pass


@asynccontextmanager
async def csms(tls: ssl.SSLContext) -> AsyncIterator[str]:
    async with serve(listen, "localhost", 0, ssl=tls, subprotocols=["ocpp1.6"]) as server:  # type: ignore[list-item]
        yield f"wss://localhost:{server.sockets[0].getsockname()[1]}"


def shake_hands(tls: ssl.SSLContext, peer: socket.socket) -> None:
    """As far as it goes; the alert at its end is sent."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    line = tls.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        try:
            line.do_handshake()
            return
        except ssl.SSLWantReadError:
            peer.sendall(outgoing.read())
            incoming.write(peer.recv(16384))
        except ssl.SSLError:
            peer.sendall(outgoing.read())
            return


@asynccontextmanager
async def outspoken(tls: ssl.SSLContext) -> AsyncIterator[str]:
    """A server that says why it does not like a certificate: asyncio's would leave without an alert."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve_one() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.settimeout(5.0)
                shake_hands(tls, peer)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(4096):  # what is left unread would reset the line, and the alert with it
                    pass

        served = asyncio.create_task(asyncio.to_thread(serve_one))
        yield f"wss://localhost:{listening.getsockname()[1]}"
        await asyncio.wait_for(served, 10.0)


def tls_of(root: Authority, stations: Authority, folder: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = root.server().server_context(folder, clients=stations)
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.req("TC_087_CS", "A00.FR.401")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["elliptic", "RSA", "with an intermediate"])
async def test_the_station_comes_in_by_its_certificate(
    root: Authority, stations: Authority, tmp_path: Path, version: ssl.TLSVersion, kind: str
) -> None:
    signer = stations.below() if kind == "with an intermediate" else stations
    own = signer.client("DEPOT-7", key=rsa_key() if kind == "RSA" else None)
    async with csms(tls_of(root, stations, tmp_path, version)) as url:
        assert await attempt(profile_3(url, root, own.write(tmp_path, "own"))) is None


@pytest.mark.req("A02.FR.08")
async def test_a_chain_that_edged_keeps_itself_wins_over_the_sites(
    root: Authority, stations: Authority, tmp_path: Path
) -> None:
    kept = stations.client("DEPOT-7").write(tmp_path, "kept")
    site = Authority.new("Unknown").client("DEPOT-7").write(tmp_path, "site")
    asked: list[ClientCertificate] = []

    def files(certificate: ClientCertificate) -> tuple[Path, Path]:
        asked.append(certificate)
        return kept

    async with csms(tls_of(root, stations, tmp_path, VERSIONS[1])) as url:
        assert await attempt(profile_3(url, root, site, client=OWN), files) is None
    assert asked == [OWN]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wrong", ["unknown", "expired", "self-signed"])
@pytest.mark.parametrize("server", [csms, outspoken])
async def test_a_certificate_that_the_csms_refuses_is_our_own_failure(
    root: Authority, stations: Authority, tmp_path: Path, version: ssl.TLSVersion, wrong: str, server: object
) -> None:
    if version is ssl.TLSVersion.TLSv1_2 and server is csms:
        return  # asyncio resets the line in the middle of the handshake: nobody can tell why
    own: Pair = {
        "unknown": lambda: Authority.new("Unknown").client("DEPOT-7"),
        "expired": lambda: stations.client("DEPOT-7", not_after=NOW - timedelta(hours=1)),
        "self-signed": lambda: self_signed(("DEPOT-7",)),
    }[wrong]()
    async with server(tls_of(root, stations, tmp_path, version)) as url:  # type: ignore[operator]
        failure = await attempt(profile_3(url, root, own.write(tmp_path, "own")))
    assert failure is not None
    assert (failure.kind, failure.security) == (FailureKind.CLIENT_CERTIFICATE, LinkFailure.AUTHENTICATION)


async def test_a_csms_that_misses_a_certificate_says_so_by_an_alert_behind_the_handshake(
    root: Authority, stations: Authority, tmp_path: Path
) -> None:
    async with outspoken(tls_of(root, stations, tmp_path, ssl.TLSVersion.TLSv1_3)) as url:
        failure = await attempt(profile_3(url, root, None, security_profile=2, password=b"x" * 16))
    assert failure is not None
    assert failure.kind is FailureKind.CLIENT_CERTIFICATE


@pytest.mark.req("A00.FR.411", "A00.FR.412")
@pytest.mark.parametrize(
    ("hosts", "begins", "kind"),
    [
        (("localhost",), timedelta(days=-1), None),
        (("elsewhere.example.com",), timedelta(days=-1), FailureKind.OTHER_HOST),
        (("localhost",), timedelta(days=1), FailureKind.CERTIFICATE),
    ],
)
async def test_the_server_is_judged_before_it_sees_ours(
    root: Authority, stations: Authority, tmp_path: Path, hosts: tuple[str, ...], begins: timedelta, kind: FailureKind
) -> None:
    server = root.server(hosts, not_before=NOW + begins)
    async with csms(server.server_context(tmp_path, clients=stations)) as url:
        failure = await attempt(profile_3(url, root, stations.client("DEPOT-7").write(tmp_path, "own")))
    assert (failure.kind if failure else None) is kind


async def test_a_server_behind_an_intermediate_is_known_by_its_root(
    root: Authority, stations: Authority, tmp_path: Path
) -> None:
    tls = root.below().server().server_context(tmp_path, clients=stations)
    async with csms(tls) as url:
        own = stations.client("DEPOT-7").write(tmp_path, "own")
        assert await attempt(profile_3(url, root, own)) is None


async def test_an_installed_root_and_the_sites_file_are_both_believed(
    root: Authority, stations: Authority, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(Authority.new("Another Root").pem)
    own = stations.client("DEPOT-7").write(tmp_path, "own")
    async with csms(tls_of(root, stations, tmp_path, VERSIONS[1])) as url:
        assert await attempt(profile_3(url, root, own, ca_file=ca_file)) is None
        failure = await attempt(profile_3(url, root, own, ca_file=ca_file, roots=()))
    assert failure is not None and failure.kind is FailureKind.CERTIFICATE


# --- files


@pytest.mark.parametrize("wrong", ["missing", "no certificate", "another key", "locked", "none"])
async def test_files_that_cannot_be_used_are_a_failure_and_ask_nobody(
    root: Authority, stations: Authority, tmp_path: Path, wrong: str
) -> None:
    cert, key = stations.client("DEPOT-7").write(tmp_path, "own")
    if wrong == "missing":
        key.unlink()
    elif wrong == "no certificate":
        cert.write_text("this is no certificate")
    elif wrong == "another key":
        key.write_text(stations.client("DEPOT-8").key_pem)
    elif wrong == "locked":
        key.write_text(LOCKED_KEY)
    settings = profile_3("wss://localhost:1", root, None if wrong == "none" else (cert, key))
    failure = await attempt(settings)
    assert failure is not None
    assert (failure.kind, failure.security) == (FailureKind.CLIENT_FILE, LinkFailure.OTHER)


def test_a_key_that_edged_does_not_have_is_a_failure_of_its_own(root: Authority) -> None:
    settings = profile_3("wss://localhost:1", root, None, client=OWN)
    with pytest.raises(ClientFileError, match="no keys are kept here"):
        settings.tls()

    def refuse(certificate: ClientCertificate) -> tuple[Path, Path]:
        raise ValueError("not the name of a key")

    with pytest.raises(ClientFileError, match="not the name of a key"):
        settings.tls(refuse)


def test_profile_3_needs_tls_and_sends_no_password(root: Authority, tmp_path: Path) -> None:
    with pytest.raises(CsmsSettingsError, match="3 needs a wss:// url"):
        profile_3("ws://localhost:1", root, None)
    files = (tmp_path / "c", tmp_path / "k")
    assert profile_3("wss://localhost:1", root, files, password=b"x" * 16).headers() == {}


def test_only_whom_to_trust_may_change_on_a_line(root: Authority) -> None:
    settings = profile_3("wss://localhost:1", root, None)
    assert settings.same_way(replace(settings, roots=(), ca_file=Path("other.pem")))
    for other in (replace(settings, access=1), replace(settings, client=OWN), replace(settings, url="wss://other")):
        assert not settings.same_way(other)


LOCKED_KEY = """-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF

AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
-----END EC PRIVATE KEY-----
"""


# --- a clock that is wrong, and whom else to trust


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("known", "begins", "ends", "outcome"),
    [
        (True, 1, 9, FailureKind.CERTIFICATE),  # the clock is right, the certificate is not
        (False, 1, 9, None),  # the CSMS is asked for the time
        (False, -9, -1, FailureKind.CERTIFICATE),  # over by a clock that may be slow: over
        (False, 1, 4, FailureKind.CERTIFICATE),  # over before the last moment that is known to have been
    ],
)
async def test_a_clock_that_is_not_known_to_be_right_keeps_nobody_from_telling_the_time(
    root: Authority,
    tmp_path: Path,
    known: bool,
    begins: int,
    ends: int,
    outcome: FailureKind | None,
    version: ssl.TLSVersion,
) -> None:
    pair = root.server(not_before=NOW + timedelta(days=begins), not_after=NOW + timedelta(days=ends))
    tls = pair.server_context(tmp_path)
    tls.maximum_version = version
    async with csms(tls) as url:
        settings = replace(
            profile_3(url, root, None),
            security_profile=2,
            password=b"correct horse battery",
            earliest=None if known else NOW + timedelta(days=5),
        )
        failure = await attempt(settings)
    assert (None if failure is None else failure.kind) is outcome


@pytest.mark.parametrize(("begins", "ends", "good"), [(2, 9, True), (-9, 2, False), (6, 9, False), (-9, 9, True)])
async def test_a_time_that_is_known_counts_and_not_the_systems_clock(
    root: Authority, tmp_path: Path, begins: int, ends: int, good: bool
) -> None:
    """The CSMS has told that it is five days later than the system believes."""
    pair = root.server(not_before=NOW + timedelta(days=begins), not_after=NOW + timedelta(days=ends))
    async with csms(pair.server_context(tmp_path)) as url:
        settings = replace(profile_3(url, root, None), security_profile=2, password=b"correct horse battery")
        failure = await attempt(settings, clock=lambda: Now(NOW + timedelta(days=5), 0.0, True))
    assert (failure is None) is good
    assert failure is None or failure.kind is FailureKind.CERTIFICATE


@pytest.mark.parametrize(("begins", "ends", "good"), [(-9, 9, True), (1, 9, False), (-9, -1, False)])
async def test_where_the_csms_does_not_tell_the_time_only_the_systems_clock_judges(
    root: Authority, tmp_path: Path, begins: int, ends: int, good: bool
) -> None:
    """The disk has once seen a time far away: edged's own clock, which starts from there, would refuse everybody."""
    pair = root.server(not_before=NOW + timedelta(days=begins), not_after=NOW + timedelta(days=ends))
    async with csms(pair.server_context(tmp_path)) as url:
        settings = replace(profile_3(url, root, None), security_profile=2, password=b"correct horse battery")
        assert settings.earliest is None
        failure = await attempt(settings, clock=lambda: Now(NOW + timedelta(days=3650), 0.0, False))
    assert (failure is None) is good


@pytest.mark.parametrize("system_roots", [True, False])
async def test_a_root_for_later_does_not_take_the_systems_authorities_away_from_a_site_that_rests_on_them(
    root: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system_roots: bool
) -> None:
    public = tmp_path / "public.pem"
    public.write_text(root.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    async with csms(root.server().server_context(tmp_path)) as url:
        settings = replace(
            profile_3(url, Authority.new("For later"), None),
            security_profile=2,
            password=b"correct horse battery",
            system_roots=system_roots,
        )
        failure = await attempt(settings)
    assert (failure is None) is system_roots
