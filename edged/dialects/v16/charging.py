"""SmartCharging: commands in, answers out. 1.6 §3.13, 5.4, 5.7, 5.16."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload

DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {}
ENCODERS: Final[Mapping[str, Callable[[Reply], Payload | CallRefused]]] = {}
