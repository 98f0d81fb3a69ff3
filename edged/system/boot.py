"""Whether the computer has restarted since the last run: decides if charging went on without us.

The kernel's boot id says so. A sandbox may hide it (ProcSubset=pid); then a file in the runtime directory does, which
lies in memory and goes with the power.
"""

from __future__ import annotations

import uuid
from pathlib import Path

KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MARKER = "boot-id"


def host_boot(runtime: Path, kernel: Path = KERNEL_BOOT_ID) -> str:
    """A text that is the same for as long as the computer runs."""
    try:
        return kernel.read_text(encoding="ascii").strip()
    except OSError:
        pass
    marker = runtime / MARKER
    try:
        return marker.read_text(encoding="ascii").strip()
    except OSError:
        pass
    fresh = str(uuid.uuid4())
    try:
        marker.write_text(fresh, encoding="ascii")
    except OSError:
        pass  # nowhere to leave it: the next run takes the computer for restarted, which ends transactions, losing none
    return fresh
