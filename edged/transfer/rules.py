"""What a transfer may cost and whom it may reach. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRules:
    """`allowed`: host names, addresses or networks (CIDR) that may be private, loopback, link-local and the like.

    `max_bytes`: the largest download. `keep_free_bytes`: what must stay free on the disk. `connect_timeout_s`: for each
    address that is tried. `stall_timeout_s`: within it something must happen: an answer, or 8 KiB of the file.
    `total_timeout_s`: one attempt; the next one resumes.
    """

    allowed: tuple[str, ...] = ()
    max_bytes: int = 512 * 1024 * 1024
    keep_free_bytes: int = 64 * 1024 * 1024
    connect_timeout_s: float = 30.0
    stall_timeout_s: float = 60.0
    total_timeout_s: float = 3600.0
