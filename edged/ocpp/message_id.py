"""The message id of a durable record: derived, not minted, so that every transmission of it can be recognised.

Pure. Invariants: the same after a reconnect, a restart and a power cut · another one after the CSMS has refused the
record, for a CSMS that remembers its answers by id would repeat the refusal · never that of another record, also not
when a new database counts from 1 again, for the record itself is part of it.
"""

from __future__ import annotations

import hashlib

from edged.domain.effects import Record


def record_message_id(identity: str, seq: int, record: Record, *, refusals: int) -> str:
    """36 characters in UUID form (16-J-21). `refusals`: the CALLERRORs that this record has got so far in this run."""
    told = f"{identity}/{seq}/{refusals}/{record!r}"
    digest = hashlib.sha256(told.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
