"""The kinds of connectors, in OCPP's words. PURE."""

from __future__ import annotations

CONNECTOR_TYPES = (
    *("cCCS1", "cCCS2", "cG105", "cTesla", "cType1", "cType2", "s309-1P-16A", "s309-1P-32A", "s309-3P-16A"),
    *("s309-3P-32A", "sBS1361", "sCEE-7-7", "sType2", "sType3", "Other1PhMax16A", "Other1PhOver16A", "Other3Ph"),
    *("Pan", "wInductive", "wResonant", "Undetermined", "Unknown"),
)
"""OCPP 2.0.1 ConnectorEnumType."""
