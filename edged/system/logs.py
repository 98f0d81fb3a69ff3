"""Setting up the log: one line an entry, in the journal's form or a terminal's, and never a secret in it.

Owns the format, the levels and the redaction; `system.journal` brings entries to the journal, `edged.log_fields` says
what they are about. Redaction is the last line of defence, not the first: who logs a password has a bug. Invariant:
what a peer sends can break no line in two and control no terminal.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TextIO

from edged.system import journal
from edged.system.journal import Journal, priority

WIRE_LOGGER = "edged.wire"
MIN_SECRET_CHARS = 4
MASK = "***"
_AUTHORIZATION = re.compile(r"(\bAuthorization['\"]?\s*[:=]\s*['\"]?\w{1,16}\s+)[^\s'\"]+", re.IGNORECASE)
_BASIC = re.compile(r"(\b(?:Basic|Bearer)\s+)[A-Za-z0-9+/_.=-]{8,}")
_CREDENTIALS_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{1,15}://[^/\s:@]{0,256}:)[^/\s@]{1,256}@", re.IGNORECASE)
_TEXT = r'"(?:[^"\\]|\\.)*"'
_MEMBERS = re.compile(
    rf'("(?:idTag|parentIdTag|idToken|groupIdToken|password|id_token|AuthorizationKey)"\s*:\s*){_TEXT}'
)
_KEY_THEN_VALUE = re.compile(rf'("key"\s*:\s*"AuthorizationKey"[^{{}}]*?"value"\s*:\s*){_TEXT}')
_VALUE_THEN_KEY = re.compile(rf'("value"\s*:\s*){_TEXT}([^{{}}]*?"key"\s*:\s*"AuthorizationKey")')
_PASSWORD_VARIABLE = re.compile(rf'("attributeValue"\s*:\s*){_TEXT}')


class Redaction:
    """What may not be shown, and how it is hidden."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        words = sorted({word for word in secrets if len(word) >= MIN_SECRET_CHARS}, key=len, reverse=True)
        self._words = re.compile("|".join(map(re.escape, words))) if words else None

    def apply(self, text: str) -> str:
        """`text` without known secrets, credentials of HTTP and URLs, passwords and id tokens of OCPP frames."""
        if self._words is not None:
            text = self._words.sub(MASK, text)
        if "://" in text:
            text = _CREDENTIALS_IN_URL.sub(rf"\1{MASK}@", text)
        text = _BASIC.sub(rf"\1{MASK}", _AUTHORIZATION.sub(rf"\1{MASK}", text))
        if '"' not in text:
            return text
        text = _MEMBERS.sub(rf'\1"{MASK}"', text)
        if "AuthorizationKey" in text:
            text = _VALUE_THEN_KEY.sub(rf'\1"{MASK}"\2', _KEY_THEN_VALUE.sub(rf'\1"{MASK}"', text))
        if "BasicAuthPassword" in text:
            text = _PASSWORD_VARIABLE.sub(rf'\1"{MASK}"', text)
        return text


class Recent(logging.Handler):
    """The last entries, in memory and bounded: what is left where there is no journal."""

    MAX_ENTRIES = 5000
    MAX_CHARS = 2000

    def __init__(self) -> None:
        super().__init__()
        self._entries: deque[tuple[float, str]] = deque(maxlen=self.MAX_ENTRIES)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._entries.append((record.created, self.format(record)[: self.MAX_CHARS]))
        except (TypeError, ValueError, KeyError, AttributeError):  # an entry that its author has garbled
            self.handleError(record)

    def lines(self, oldest: float | None = None, latest: float | None = None) -> list[str]:
        """Those between two moments (seconds since 1970, both included)."""
        return [
            line
            for at, line in list(self._entries)
            if (oldest is None or at >= oldest) and (latest is None or at <= latest)
        ]


recent = Recent()


class OneLine(logging.Formatter):
    """Entries in one line each; only a traceback has more. `journal`: a priority in front, no time."""

    def __init__(self, redaction: Redaction, *, journal: bool) -> None:
        super().__init__("%(name)s: %(message)s" if journal else "%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self.converter = time.gmtime
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.default_msec_format = "%s.%03dZ"
        self._redaction = redaction
        self._journal = journal

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{priority(record.levelno)}>" if self._journal else ""
        return "\n".join(prefix + line for line in self.lines(record))

    def lines(self, record: logging.LogRecord) -> list[str]:
        """The entry without its priority; only a traceback has more than one."""
        return [printable(line) for line in self._redaction.apply(super().format(record)).splitlines()]

    def hide(self, value: str) -> str:
        """A field's value, fit to be shown."""
        return printable(self._redaction.apply(value))


def printable(text: str) -> str:
    """`text` with everything that a terminal or a journal could take for more than text written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream ends in the journal: $JOURNAL_STREAM is its device and inode."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def set_up(
    level: str = "info",
    *,
    wire: bool = False,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
    journal_at: str = journal.SOCKET,
) -> None:
    """Log to `stream` (None: standard error) from `level` on; `wire`: frames too, whatever the level.

    Where the stream ends in the journal, entries go there by its own protocol, with their fields. May be called again
    when the configuration has changed: it replaces what it set up before and nothing else. The last entries stay in
    `recent`.
    """
    target = sys.stderr if stream is None else stream
    to_journal = is_journal(target, os.environ if environ is None else environ)
    shape = OneLine(Redaction(secrets), journal=to_journal)
    output = Journal(shape.lines, shape.hide, target, journal_at) if to_journal else logging.StreamHandler(target)
    output.setFormatter(shape)
    root = logging.getLogger()
    for previous in [each for each in root.handlers if isinstance(each.formatter, OneLine)]:
        root.removeHandler(previous)
        if isinstance(previous, Journal):
            previous.close()
    root.addHandler(output)
    recent.setFormatter(OneLine(Redaction(secrets), journal=False))
    root.addHandler(recent)
    root.setLevel(logging.WARNING)
    logging.getLogger("edged").setLevel(level.upper())
    logging.getLogger(WIRE_LOGGER).setLevel(logging.DEBUG if wire else logging.CRITICAL + 1)
