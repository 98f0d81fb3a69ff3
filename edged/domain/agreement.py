"""Other rules come into force: the CSMS has agreed on another version than the one spoken before, or did so when the
power went, or the site offers another one since. 20-J-05.

Owns what a change of rules does to what is kept: configuration, reservations and transactions stay. Refuses to know
which rules were and are in force.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain.events import Registration, VersionAgreed
from edged.domain.transition import Draft

NAMELESS = -1
"""The CSMS's name for a transaction that it has none for (16-TX-04)."""


def version_agreed(draft: Draft, event: VersionAgreed) -> None:
    """The CSMS knows nothing of the station in these words: it is introduced again, not sooner than was said."""
    configuration = replace(draft.station.configuration, computed=event.computed)
    link = replace(draft.station.link, registration=Registration.NONE, boot_sent=False)
    draft.update(policy=event.policy, configuration=configuration, link=link)
    name_the_nameless(draft)


def name_the_nameless(draft: Draft) -> None:
    """Where the CSMS names transactions, one whose start has been told will never be given a name any more: its records
    must not wait for one."""
    if not draft.station.policy.csms_names_transactions:
        return
    for transaction in tuple(draft.station.transactions.values()):
        if transaction.start_told and transaction.external_ref is None:
            draft.transact(transaction.id, external_ref=NAMELESS)
