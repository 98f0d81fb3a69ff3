"""Files that a CSMS has us fetch and bring, and what installs firmware. Owns the keys of `files` and `firmware`."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from edged.settings.document import Scalar
from edged.settings.errors import shown
from edged.settings.section import Section

MAX_HOSTS = 64
MAX_WORDS = 64
DEFAULT_MB = 512
LARGEST_MB = 16 * 1024
_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})?)*\.?"
)
_DIGITS = re.compile(r"[0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """`allowed_hosts`: names, addresses and networks that a CSMS's addresses may lead to though they are not public.
    `max_mb`: the largest download."""

    allowed_hosts: tuple[str, ...] = ()
    max_mb: int = DEFAULT_MB


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareSettings:
    """`install`: the command that is given a firmware file, in words; none: firmware is not installed."""

    install: tuple[str, ...] = ()


def read_files(root: Section) -> FileSettings:
    section = root.section("files")
    hosts: list[str] = []
    for text, line, path in section.texts("allowed_hosts", limit=MAX_HOSTS):
        if _is_host(text):
            hosts.append(text)
        else:
            section.report.error(line, path, f"cannot be '{shown(text)}': {_instead(text)}")
    settings = FileSettings(
        allowed_hosts=tuple(hosts), max_mb=section.integer("max_mb", DEFAULT_MB, low=1, high=LARGEST_MB)
    )
    section.close()
    return settings


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_network(text.strip("[]"))
    except ValueError:
        return _NAME.fullmatch(text) is not None and _DIGITS.fullmatch(text) is None
    return True


def _instead(text: str) -> str:
    """What to write."""
    try:
        meant = ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        if "://" in text:
            return "write a host's name alone, without http:// and a path"
        if text.startswith("*."):
            return "write each host's name in full: there are no wildcards"
        return "write a host's name, an address, or a network like 10.0.0.0/8"
    return f"write {meant} for the network, or {text.partition('/')[0]} for the one address"


def read_firmware(root: Section) -> FirmwareSettings:
    section = root.section("firmware")
    settings = FirmwareSettings(install=_command(section))
    section.close()
    return settings


def _command(section: Section) -> tuple[str, ...]:
    """No references: whoever runs the command may not be able to resolve them."""
    node = section.node("install")
    if isinstance(node, Scalar) and "${" in node.text:
        section.error("install", "takes no references: write the command as it is")
        return ()
    text = section.text("install", limit=1024)
    if text is None:
        return ()
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        section.error("install", f"is no command ({str(error).lower()}): write a path, and its arguments behind it")
        return ()
    if not words or not words[0].startswith("/"):
        section.error("install", "must begin with a whole path, like /usr/local/sbin/install-firmware")
        return ()
    if len(words) > MAX_WORDS:
        section.error("install", f"has more than {MAX_WORDS} words: write a script")
        return ()
    if not os.access(Path(words[0]), os.X_OK):
        section.warning(
            "install", f"names {shown(words[0], limit=200)}, which cannot be executed here: no installation will work"
        )
    return words
