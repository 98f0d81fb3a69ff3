"""What looks wrong on a line though somebody answers there, in sentences that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.chargers.hearing import Heard
    from edged.chargers.line import BusSpec


def of_line(spec: BusSpec, heard: Heard, device: str, latency_timer_ms: int | None) -> list[str]:
    """Other masters, noise, an adapter that keeps answers back."""
    from edged.chargers.opening import LEAST_LATENCY_MS, latency_words

    found = []
    if heard.requests:
        units = ", ".join(map(str, sorted(heard.requests)))
        found.append(f"another master asks on this line (unit {units}): take it off, or both will read wrong values")
    if heard.noise_bytes:
        count = heard.noise_bytes
        found.append(f"{count} bytes came that are no Modbus: look at speed, parity, wires, termination and unit ids")
    if latency_timer_ms is not None and latency_timer_ms > LEAST_LATENCY_MS:
        device = device or spec.port
        words = latency_words(device, latency_timer_ms, character_s=spec.character_s, silence_s=spec.silence_s)
        found.append(words)
    return found
