"""FTP and FTPS: one attempt of a download or an upload. Blocks; runs in a transfer's thread.

Owns logins, folders, data connections and what a reply means. Refuses to know retries. Invariants: data connections go
to the address of the control connection, whatever the server says; with ftps nothing but AUTH TLS is sent in the clear
and data is encrypted; a server's own words get nowhere. No folder is made.

ftps://HOST is TLS from the first byte at port 990, and where nobody listens there, AUTH TLS at port 21; ftps://HOST:PORT
is AUTH TLS, unless the port is 990.
"""

from __future__ import annotations

import contextlib
import ftplib
import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from socket import AF_INET, SHUT_WR, socket

from edged.domain.jobs import Cause, Fetched
from edged.transfer.addresses import Address
from edged.transfer.attempt import Attempt, Cargo
from edged.transfer.failure import Restart, TransferError
from edged.transfer.lifeline import ENOUGH_BYTES, words
from edged.transfer.location import Location
from edged.transfer.part import PartFile
from edged.transfer.tls import tls_words

IMPLICIT_PORT = 990
EXPLICIT_PORT = 21
MAX_REPLY_LINES = 200
MIN_DATA_PORT = 1024
MAX_DATA_PORT = 65535
_BLOCK_BYTES = 16 * 1024
_CLOSED = frozenset({"530", "532", "331", "332"})
_NOT_WRITABLE = frozenset({"550", "553"})


def fetch(attempt: Attempt, location: Location, part: PartFile) -> Fetched:
    """Raises `TransferError`; what has come then lies in `part`."""
    if part.whole:
        return part.finish()
    *folders, name = location.segments
    if not name:
        raise TransferError("the address names a folder, no file", cause=Cause.BAD_REQUEST, again=False)
    with _session(attempt, location) as session:
        session.enter(folders)
        session.voidcmd("TYPE I")
        size, stamp = session.size_of(name), session.stamp_of(name)
        validator = f"{stamp} {size}" if stamp and size is not None else ""
        if part.offset and part.validator == validator:
            part.go_on(size)
        else:
            part.begin(validator, size)
        try:
            try:
                session.retrieve(name, part)
            except Restart:
                part.begin(validator, size)
                session.retrieve(name, part)
        except (TransferError, ftplib.Error, OSError, EOFError):
            part.keep()
            raise
    return part.finish()


def send(attempt: Attempt, location: Location, cargo: Cargo) -> None:
    """Into the folder that the location names. Where there is no such folder and its last name looks like that of a
    file, that is the file. Raises `TransferError`."""
    *folders, last = location.segments
    with _session(attempt, location) as session:
        session.enter(folders)
        filename = cargo.filename
        if last and last != filename:
            try:
                session.enter([last])
            except ftplib.error_perm:
                if "." not in last.strip("."):
                    raise
                filename = last
        session.voidcmd("TYPE I")
        try:
            session.store(filename, cargo)
        except ftplib.error_perm as error:
            if str(error)[:3] in _NOT_WRITABLE:
                raise TransferError(
                    f"the server {location.host} lets us write no file there", cause=Cause.REFUSED, again=False
                ) from error
            raise


class Session(ftplib.FTP_TLS):
    """A control connection. Replies and their lines are counted: a server that never ends one is left."""

    def __init__(self, attempt: Attempt, location: Location, context: ssl.SSLContext | None) -> None:
        super().__init__(context=context, timeout=attempt.rules.stall_timeout_s)
        self._attempt = attempt
        self._location = location
        self._addresses: tuple[Address, ...] = ()
        self.trust_server_pasv_ipv4_address = False

    def open(self, addresses: Sequence[Address]) -> None:
        """Connect, encrypt where that is asked for, log in."""
        location = self._location
        self.host, self.port = location.host, location.actual_port
        self.sock = self._attempt.lifeline.connect(location.host, addresses, self.port)[0]
        self.af = self.sock.family
        secure = location.scheme == "ftps"
        if secure and self.port == IMPLICIT_PORT:
            self.sock = self.context.wrap_socket(self.sock, server_hostname=location.host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        if secure and self.port != IMPLICIT_PORT:
            self.auth()
        self.login(location.user or "anonymous", location.password or "anonymous@", secure=False)
        if secure:
            self.prot_p()

    def enter(self, folders: Sequence[str]) -> None:
        """One folder after the other (RFC 1738 3.2.2)."""
        for folder in folders:
            if folder:
                self.voidcmd(f"CWD {folder}")

    def size_of(self, name: str) -> int | None:
        reply = self._asked(f"SIZE {name}")
        return int(reply) if reply.isascii() and reply.isdigit() and len(reply) <= 18 else None

    def stamp_of(self, name: str) -> str:
        reply = self._asked(f"MDTM {name}")
        return reply if reply[:14].isascii() and reply[:14].isdigit() and len(reply) <= 32 else ""

    def retrieve(self, name: str, part: PartFile) -> None:
        """Raises `Restart` where the server cannot go on in the middle."""
        with self._data(f"RETR {name}", rest=part.offset or None) as (line, _guard):
            while data := line.recv(ENOUGH_BYTES):
                part.write(data)
            if part.total is not None and part.offset < part.total:
                raise TransferError(f"the server {self.host} ended after {part.offset} of {part.total} bytes")
        try:
            self.voidresp()
        except (OSError, EOFError):
            if part.total != part.offset:  # a router may forget the control connection during a long download
                raise

    def store(self, name: str, cargo: Cargo) -> None:
        with cargo.open() as file, self._data(f"STOR {name}") as (line, guard):
            left = cargo.size_bytes
            while left and (data := file.read(min(_BLOCK_BYTES, left))):
                line.sendall(data)
                left -= len(data)
                self._attempt.lifeline.moved(len(data))
            if isinstance(line, ssl.SSLSocket):
                with contextlib.suppress(OSError):  # it is the reply that says whether all came
                    line.unwrap()
            with contextlib.suppress(OSError):
                guard.shutdown(SHUT_WR)
        self.voidresp()

    @contextmanager
    def _data(self, command: str, rest: int | None = None) -> Iterator[tuple[socket, socket]]:
        """A data connection on which the command's file passes."""
        peer, port = self._peer(), self.makepasv()[1]
        if not MIN_DATA_PORT <= port <= MAX_DATA_PORT:
            raise TransferError(f"the server {self.host} names data port {port}, which is none for data")
        line, guard = self._attempt.lifeline.connect(self.host, [peer], port)
        try:
            if rest is not None:
                self._rest(rest)
            reply = self.sendcmd(command)
            if reply[0] == "2":  # some say so before the 150
                reply = self.getresp()
            if reply[0] != "1":
                raise ftplib.error_reply(reply)
            if self._location.scheme == "ftps":
                assert isinstance(self.sock, ssl.SSLSocket)
                # Servers ask for the control connection's TLS session, so that nobody else can take the data.
                line = self.context.wrap_socket(line, server_hostname=self.host, session=self.sock.session)
            yield line, guard
        finally:
            line.close()
            guard.close()

    def _rest(self, offset: int) -> None:
        try:
            reply = self.sendcmd(f"REST {offset}")
        except ftplib.error_perm as error:
            raise Restart from error
        if not reply.startswith("350"):
            raise Restart

    def _peer(self) -> Address:
        assert self.sock is not None
        return ipaddress.ip_address(self.sock.getpeername()[0].partition("%")[0])

    def makepasv(self) -> tuple[str, int]:
        """EPSV names no address at all; PASV's is not looked at."""
        assert self.sock is not None
        peer = self.sock.getpeername()
        if self.af != AF_INET:
            return peer[0], ftplib.parse229(self.sendcmd("EPSV"), peer)[1]
        try:
            return peer[0], ftplib.parse229(self.sendcmd("EPSV"), peer)[1]
        except ftplib.error_perm:
            return peer[0], ftplib.parse227(self.sendcmd("PASV"))[1]

    def getmultiline(self) -> str:
        """The whole reply, in at most so many lines."""
        line = first = self.getline()
        if first[3:4] == "-":
            for _ in range(MAX_REPLY_LINES):
                line = self.getline()
                if line[:3] == first[:3] and line[3:4] != "-":
                    break
            else:
                raise ftplib.error_proto("endless")
        self._attempt.lifeline.renew()
        return line

    def _asked(self, command: str) -> str:
        """What a 213 says; "" where the server does not know the command."""
        try:
            reply = self.sendcmd(command)
        except ftplib.error_perm:
            return ""
        return reply[4:].strip() if reply.startswith("213") else ""


@contextmanager
def _session(attempt: Attempt, location: Location) -> Iterator[Session]:
    addresses = attempt.addresses(location)
    context = attempt.trust() if location.scheme == "ftps" else None
    session = Session(attempt, location, context)
    try:
        try:
            session.open(addresses)
        except TransferError:
            if location.scheme != "ftps" or location.port is not None:
                raise
            session.close()
            session = Session(attempt, replace(location, port=EXPLICIT_PORT), context)
            session.open(addresses)
        yield session
        with contextlib.suppress(ftplib.Error, OSError, EOFError, TransferError):
            session.sendcmd("QUIT")
    except ftplib.Error as error:
        raise _reply(location, error) from error
    except (OSError, EOFError, ValueError) as error:
        tls = tls_words(error)
        raise TransferError(
            f"the server {location.host}: {tls}" if tls else f"the line to {location.host} broke: {words(error)}"
        ) from error
    finally:
        session.close()


def _reply(location: Location, error: ftplib.Error) -> TransferError:
    """What a reply means. Only its number is shown: its text may repeat what we have said."""
    code = str(error)[:3]
    told = f"reply {code}" if code.isascii() and code.isdigit() else "a reply that is none"
    if code in _CLOSED:
        return TransferError(f"the server {location.host} lets us not in ({told})", cause=Cause.REFUSED, again=False)
    return TransferError(f"the server {location.host} gave {told}", again=not isinstance(error, ftplib.error_perm))
