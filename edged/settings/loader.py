"""From a file to `Settings`, or every error at once. The only module of the room that opens the configuration."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import stat
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from edged.domain.effects import RestartScope
from edged.settings.broker import read_mqtt
from edged.settings.document import MAX_BYTES, DocumentError, read_document
from edged.settings.errors import SettingsError, SettingsErrors, shown
from edged.settings.files import FirmwareSettings, read_files, read_firmware
from edged.settings.model import GatewaySettings, LogLevel, LogSettings, Settings, TimeSource
from edged.settings.secret import References
from edged.settings.section import Pattern, Report, Section
from edged.settings.stations import read_stations
from edged.settings.transfers import read_vendors
from edged.settings.wiring import ProfileLookup, check_wiring, read_buses, read_chargers

GATEWAY_ID = Pattern(re.compile(r"[a-z0-9-]{1,32}"), "use 1 to 32 small letters, digits and -")
FALLBACK_GATEWAY_ID = "edged"


def load(
    path: Path,
    *,
    profiles: ProfileLookup,
    supported_versions: Collection[str],
    profile_names: Collection[str] = (),
    known_commands: Collection[str] = (),
    not_built_in: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
    hostname: str | None = None,
    not_shown: list[SettingsError] | None = None,
) -> Settings:
    """The configuration in `path`. Raises `SettingsErrors` with everything that is wrong with it.

    `profile_names` are only for hints. `known_commands` empty: names of commands are not checked.
    `not_built_in`: commands that may be written and have no effect yet: warnings. `environ`
    and `hostname` None: this process's and this computer's. `not_shown`: gets what this user may not read, which the
    settings then are without; None: that is an error too.
    """
    try:
        content, readable = _read(path)
    except OSError as error:
        remedies = {errno.EACCES: "let this user read it, or ", errno.ENOENT: "write it, or "}
        remedy = f"{remedies.get(error.errno or 0, '')}name another file with -c"
        sentence = f"cannot be read ({error.strerror or error}): {remedy}"
        raise SettingsErrors([SettingsError(str(path), 0, "", sentence)]) from error
    return parse(
        content,
        path,
        profiles=profiles,
        supported_versions=supported_versions,
        profile_names=profile_names,
        known_commands=known_commands,
        not_built_in=not_built_in,
        environ=environ,
        hostname=hostname,
        readable=readable,
        not_shown=not_shown,
    )


def _read(path: Path) -> tuple[bytes, bool]:
    """Content, cut a byte behind the largest that is allowed, and whether others may read the file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError(0, "it is a folder" if stat.S_ISDIR(mode) else "it is not a plain file")
    with open(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1), bool(mode & stat.S_IROTH)


def parse(
    content: bytes,
    path: Path,
    *,
    profiles: ProfileLookup,
    supported_versions: Collection[str],
    profile_names: Collection[str] = (),
    known_commands: Collection[str] = (),
    not_built_in: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
    hostname: str | None = None,
    readable: bool = False,
    not_shown: list[SettingsError] | None = None,
) -> Settings:
    """The same for content that was read already; `path` names it and is where relative paths start."""
    references = References(os.environ if environ is None else environ, path.absolute().parent)
    report = Report(str(path), references, not_shown=not_shown)
    try:
        node, repeated = read_document(content)
    except DocumentError as error:
        raise SettingsErrors([SettingsError(str(path), error.line, "", error.sentence)]) from error
    for key in repeated:
        report.error(key.line, shown(key.key), f"stands there twice, first in line {key.first_line}: delete one")
    root = Section(report, node, "")
    if not root.keys:
        report.raise_errors()
    buses = read_buses(root)
    chargers = read_chargers(root, buses, profiles, profile_names)
    check_wiring(root, buses, chargers)
    settings = Settings(
        gateway=_gateway(root.section("gateway"), socket.gethostname() if hostname is None else hostname),
        buses={name: line for name, (line, _) in buses.items()},
        chargers={name: wired.settings for name, wired in chargers.items()},
        stations=read_stations(root, chargers, supported_versions, readable=readable),
        mqtt=read_mqtt(root, known_commands, not_built_in, readable=readable),
        vendors=read_vendors(root),
        files=read_files(root),
        firmware=read_firmware(root),
        log=_log(root.section("log")),
        path=path,
        digest=hashlib.sha256(content).hexdigest(),
    )
    root.close()
    report.raise_errors()
    return replace(settings, warnings=tuple(sorted(report.warnings, key=lambda warning: warning.line)))


def load_firmware(path: Path) -> FirmwareSettings:
    """The section `firmware` alone, for who may not read the secrets of the rest.

    Raises `SettingsErrors` for mistakes in it, and `OSError`.
    """
    content, _ = _read(path)
    report = Report(str(path), References({}, path.absolute().parent))
    try:
        node, _ = read_document(content)
    except DocumentError as error:
        raise SettingsErrors([SettingsError(str(path), error.line, "", error.sentence)]) from error
    settings = read_firmware(Section(report, node, ""))
    report.raise_errors()
    return settings


def _gateway(section: Section, hostname: str) -> GatewaySettings:
    slug = re.sub(r"[^a-z0-9-]+", "-", hostname.lower().partition(".")[0])[:32].strip("-")
    settings = GatewaySettings(
        id=section.text("id", pattern=GATEWAY_ID) or slug or FALLBACK_GATEWAY_ID,
        hard_reset=section.choice("hard_reset", RestartScope, RestartScope.SERVICE),
        time_source=section.choice("time_source", TimeSource, TimeSource.CSMS),
    )
    section.close()
    return settings


def _log(section: Section) -> LogSettings:
    settings = LogSettings(
        level=section.choice("level", LogLevel, LogLevel.INFO),
        wire=section.flag("wire", False),
    )
    section.close()
    return settings
