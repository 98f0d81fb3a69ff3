"""edged: ordinary chargers on a field bus, shown to a CSMS as one OCPP charging station."""

__version__ = "0.1.0"
