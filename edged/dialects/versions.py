"""The OCPP versions that are built in, by their subprotocols; each is loaded when a site is found to speak it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from edged.ocpp.dialect import Dialect


def _v16() -> Dialect:
    from edged.dialects.v16 import Ocpp16  # a site that speaks one version does not wait for the other's modules

    return Ocpp16()


def _v201() -> Dialect:
    from edged.dialects.v201 import Ocpp201

    return Ocpp201()


VERSIONS: Final[Mapping[str, Callable[[], Dialect]]] = MappingProxyType({"ocpp1.6": _v16, "ocpp2.0.1": _v201})
