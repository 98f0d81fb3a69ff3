"""What a power cut leaves of a station, for "disk equals memory"."""

from __future__ import annotations

from dataclasses import replace

from edged.domain.station import Boot, Connector, Station
from edged.domain.types import Now
from edged.store.records import CONNECTOR_KEPT


def kept(station: Station) -> Station:
    """The station without what a power cut takes, for "disk equals memory": equal before and after a reload.

    Deadlines, the link, the charger's last word and this boot are blanked; what is derived at load stays.
    """
    return replace(
        station,
        connectors={
            number: Connector(
                layout=connector.layout,
                capabilities=connector.layout.capabilities,
                transaction_id=connector.transaction_id,
                **{name: getattr(connector, name) for name in CONNECTOR_KEPT},
            )
            for number, connector in station.connectors.items()
        },
        reservations={key: replace(one, held_until_s=0.0) for key, one in station.reservations.items()},
        transactions={
            key: replace(one, next_sample_at_s=None, next_ended_sample_at_s=None, skipped=0, told_phase=None)
            for key, one in station.transactions.items()
        },
        firmware=None if station.firmware is None else replace(station.firmware, ticket=None),
        upload=None if station.upload is None else replace(station.upload, ticket=None),
        access=replace(station.access, failures=0, attempts=0, until_s=None),
        security_tally={},
        bills={},
        idle_resets=(),
        idle_sources={},
        resets_elsewhere=(),
        refusal_told_s=None,
        ran_kept_at_s=None,
        wrong_codes=type(station.wrong_codes)(),
        watch=type(station.watch)(),
        pending={},
        link=type(station.link)(),
        reset=None,
        tickets=0,
        aligned_slot=None,
        ended_slot=None,
        limits=None,
        isolation=None,
        boot=Boot(id="", floor=station.wall_kept, started_s=0.0),
        clock=Now(station.wall_kept, 0.0, False),
    )
