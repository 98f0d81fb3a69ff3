"""The configuration, as the doctor needs it: also where this user may not read the secrets that it names.

Invariant: a secret that could not be read is replaced by a stand-in, which is sent to nobody (`Site.stand_ins`).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from edged.cli.doctor.finding import Finding, Findings
from edged.cli.doctor.places import Page
from edged.settings import Settings, SettingsError, SettingsErrors

STAND_IN: Final = "0" * 32
"""Right for every kind of password."""
MAX_LINES: Final = 20_000
MAX_BYTES: Final = 1024 * 1024
MOST_NAMES: Final = 64
_CHMOD = re.compile(r"(chmod 0?[0-7]{3} /[\w./-]+)$")
_REFERENCE = re.compile(r"\$\{credential:([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`settings` None: it is wrong, and `errors` say how. `mode`: of the file, None where it cannot be seen."""

    page: Page
    settings: Settings | None = None
    errors: tuple[SettingsError, ...] = ()
    warnings: int = 0
    mode: int | None = None
    stand_ins: bool = False


def judge(site: Site) -> tuple[Finding, ...]:
    """Each mistake as `edged check` prints it."""
    found = Findings("configuration")
    path = site.page.path
    root = site.mode is None or site.stand_ins or os.geteuid() == 0
    check = f"{'sudo ' if root else ''}edged check -c {quote(str(path))}"
    for error in site.errors:
        mend = f"{quote(os.environ.get('EDITOR') or 'nano')} +{error.line} {quote(error.file)} && {check}"
        asked = _CHMOD.search(error.sentence)
        if asked:
            mend = f"sudo {asked[1]} && {check}"
        elif not path.exists() and error.line == 0:
            mend = "sudo edged setup"
        elif site.mode is None or not site.page.lines:
            mend = check if root else f"sudo {check}"
        found.failed("file", str(error), f"sudo {mend}" if mend.startswith(("nano", "vi", "emacs")) else mend)
    settings = site.settings
    if settings is not None:
        sentence = f"{path} is right: {len(settings.stations)} station(s), {len(settings.chargers)} charger(s)"
        if site.warnings:
            found.note("file", f"{sentence}; it has {site.warnings} warning(s)", check)
        else:
            found.ok("file", sentence)
    if site.stand_ins:
        found.unseen("credentials", "the passwords that it names were not read, and so not tried")
    return found.made


def read_site(path: Path) -> Site:
    """Never raises for what is in the file."""
    from edged.site import load_site

    page, mode = Page(path, _lines(path)), _mode(path)
    try:
        settings = load_site(path)
    except SettingsErrors as errors:
        wrong = errors
    else:
        return Site(page=page, mode=mode, settings=settings, warnings=len(settings.warnings))
    if _hidden(path, page.lines):
        try:
            settings = _load_with_stand_ins(path, page.lines)
        except SettingsErrors as errors:
            wrong = errors
        else:
            return Site(page=page, mode=mode, settings=settings, warnings=len(settings.warnings), stand_ins=True)
    return Site(page=page, mode=mode, errors=wrong.errors, warnings=len(wrong.warnings))


def _lines(path: Path) -> tuple[str, ...]:
    try:
        if not path.is_file():
            return ()
        with path.open("rb") as file:
            return tuple(file.read(MAX_BYTES).decode("utf-8", "replace").splitlines()[:MAX_LINES])
    except OSError:
        return ()


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        return None


def _names(lines: Iterable[str]) -> set[str]:
    found = {name for line in lines for name in _REFERENCE.findall(line)}
    return set(sorted(found)[:MOST_NAMES])


def _hidden(path: Path, lines: Iterable[str]) -> bool:
    """Whether a secret may well be there, and is not shown to us."""
    folder = path.absolute().parent
    for name in _names(lines):
        for candidate in (folder / name, folder / "credentials" / name):
            try:
                with candidate.open("rb"):
                    pass
            except PermissionError:
                return True
            except OSError:
                continue
    return False


def _load_with_stand_ins(path: Path, lines: Iterable[str]) -> Settings:
    """Raises `SettingsErrors`."""
    from edged import settings
    from edged.chargers.library import profile_names, relay_names
    from edged.mqtt.arguments import NOT_SERVED, SHAPES
    from edged.site import SUPPORTED_VERSIONS, lookup, profiles_dir

    folder = profiles_dir(path)
    with tempfile.TemporaryDirectory(prefix="edged-doctor-") as stand_ins:
        for name in _names(lines):
            Path(stand_ins, name).write_text(STAND_IN)
        return settings.load(
            path,
            profiles=lookup(folder),
            supported_versions=SUPPORTED_VERSIONS,
            profile_names=(*profile_names(folder), *relay_names()),
            known_commands=(*SHAPES, *NOT_SERVED),
            not_built_in=NOT_SERVED,
            environ={**os.environ, "CREDENTIALS_DIRECTORY": stand_ins},
        )


def credential_of(page: Page, station: str) -> str:
    """The name of the credential that is a station's password; empty where none is named behind the station."""
    start = page.line(station)
    for line in page.lines[max(0, start - 1) :]:
        if re.match(r"\s*(-\s*)?[\"']?password[\"']?\s*:", line) or re.search(r"[{,]\s*password\s*:", line):
            named = _REFERENCE.search(line)
            return named[1] if named else ""
    return ""
