"""What one attempt works with, whatever its protocol."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edged.transfer.addresses import Address, Gate, Resolve, judged
from edged.transfer.lifeline import Lifeline
from edged.transfer.location import Location
from edged.transfer.rules import TransferRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`trust`: makes the TLS context; blocks."""

    rules: TransferRules
    gate: Gate
    resolve: Resolve
    trust: Callable[[], ssl.SSLContext]
    lifeline: Lifeline

    def addresses(self, location: Location) -> tuple[Address, ...]:
        """Where a location may be connected to. Blocks. Raises `TransferError`."""
        found = judged(location.host, location.actual_port, self.gate, self.resolve)
        self.lifeline.renew()
        return found


@dataclass(frozen=True, slots=True)
class Cargo:
    """A file that is sent: so many bytes of it under this name."""

    path: Path
    filename: str
    size_bytes: int

    def open(self) -> BinaryIO:
        return self.path.open("rb")
