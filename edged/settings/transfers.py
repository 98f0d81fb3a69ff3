"""Data transfers: the vendors that the site has registered. Owns the keys of `data_transfer`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edged.domain.answers import TransferStatus, Verdict
from edged.domain.station import Vendor
from edged.settings.errors import shown
from edged.settings.section import MAX_TEXT, Pattern, Section

MAX_VENDORS = 100
MAX_MESSAGES = 200
MAX_VENDOR_CHARS = 255
MAX_MESSAGE_CHARS = 50
VENDOR = Pattern(
    re.compile(rf"(?=[^\s])[^\x00-\x1f\x7f]{{1,{MAX_VENDOR_CHARS}}}(?<=[^\s])"),
    f"a vendor's id has 1 to {MAX_VENDOR_CHARS} characters, like com.example",
)


def read_vendors(root: Section) -> Mapping[str, Vendor]:
    """The vendors by their case-folded ids."""
    section = root.section("data_transfer")
    found: dict[str, Vendor] = {}
    written: dict[str, str] = {}
    for name, entry in section.entries("vendors", names=VENDOR, limit=MAX_VENDORS):
        folded = name.casefold()
        if folded in found:
            sentence = f"is the same vendor as {shown(written[folded])}, for case does not count: delete one"
            entry.report.error(entry.line, entry.path, sentence)
            continue
        found[folded], written[folded] = _vendor(entry), name
    section.close()
    return found


def _vendor(section: Section) -> Vendor:
    if "messages" in section and section.is_empty("messages"):
        section.error("messages", "is empty: name the messages that are taken, or delete the line to take all")
    messages = section.texts("messages", limit=MAX_MESSAGES, length=MAX_MESSAGE_CHARS)
    verdict = section.choice("status", Verdict, Verdict.ACCEPTED)
    vendor = Vendor(
        messages=frozenset(text.casefold() for text, _, _ in messages),
        status=TransferStatus(verdict.value),
        answer=section.text("answer", limit=MAX_TEXT),
    )
    section.close()
    return vendor
