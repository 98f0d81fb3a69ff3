"""Whether this computer can make a Debian and boot it: without that no test of the package can say anything.

    tests/packaging/enter.sh python -m tests.packaging.preflight

Ends with 1 and the reason where it cannot: no right to mount, no mirror, no control groups.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.blocks import BlocksError, private_mounts
from tests.packaging import roots
from tests.packaging.machine import Dead, Machine


def main() -> int:
    try:
        private_mounts()
        roots.need("systemd-container", "systemd-nspawn")
        roots.need("iproute2", "ip")
        oldest, *_ = [roots.base(suite) for suite in roots.SUITES]
        with tempfile.TemporaryDirectory() as name:
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", name], check=True)
            folder = Path(name, "machine")
            folder.mkdir()
            with Machine([oldest], folder) as machine:
                machine.boot()
            subprocess.run(["umount", "--recursive", "--lazy", name], check=True)
    except (BlocksError, Dead, OSError, roots.Missing, subprocess.SubprocessError) as error:
        print(f"no Debian can be booted here: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
