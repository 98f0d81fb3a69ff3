"""The way to the CSMS: security profile, password, and going back to what worked. Whitepaper A01, A05; 2.x A."""

from __future__ import annotations

from edged.domain.events import LinkFailed, LinkUp
from edged.domain.transition import Draft


def refresh(draft: Draft) -> None:
    """Nothing yet."""


def link_up(draft: Draft, event: LinkUp) -> None:
    """Nothing yet."""


def link_failed(draft: Draft, event: LinkFailed) -> None:
    """Nothing yet."""
