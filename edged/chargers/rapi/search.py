"""Whether a RAPI controller is at the end of a line, and which profiles fit it.

Owns: what is asked to find out, and how often. Refuses to know: the terminal, the configuration.
Invariant: it never commands anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edged.chargers.fit import Fit, Verdict
from edged.chargers.line import BusSpec
from edged.chargers.rapi.inquiry import RapiInquiry, Told
from edged.chargers.rapi.probe import identity_of, judge
from edged.chargers.rapi.profile import RapiProfile

TRIES = 2
TELLING = ("GV", "GS", "GE", "G5", "GG")
"""What tells a controller, the version first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundController:
    """A controller that answered. `fits` has every profile of its kind, the best first."""

    spec: BusSpec
    round_trip_s: float
    identity: Mapping[str, str]
    fits: tuple[Fit, ...]

    @property
    def best(self) -> Fit | None:
        """The profile to take, None where none fits."""
        return self.fits[0] if self.fits and self.fits[0].verdict is not Verdict.DOES_NOT_FIT else None


async def look_for_controller(spec: BusSpec, profiles: Sequence[RapiProfile]) -> FoundController | None:
    """None: nobody answers in RAPI. Raises `LineDown` where the line cannot be opened."""
    inquiry = RapiInquiry(spec)
    told: dict[str, Told] = {}
    try:
        for name in TELLING:
            for _ in range(TRIES):
                told[name] = await inquiry.ask(name)
                if told[name].reply is not None:
                    break
            if told[TELLING[0]].reply is None:
                return None
    finally:
        inquiry.close()
    answered = {name: each for name, each in told.items() if each.reply is not None}
    values = {name: each.values for name, each in answered.items() if each.values is not None}
    fits = sorted((judge(profile, told) for profile in profiles), key=lambda each: each.rank)
    return FoundController(
        spec=spec,
        round_trip_s=min(each.round_trip_s for each in answered.values()),
        identity=identity_of(values),
        fits=tuple(fits),
    )
