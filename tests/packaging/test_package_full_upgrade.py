"""From one Debian to the next with the package installed: nothing is reinstalled, and the daemon goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging import package, roots
from tests.packaging.chroot import Chroot

CONFIG = "/etc/edged/edged.yaml"
CREDENTIAL = "/etc/edged/credentials/csms-password"


@pytest.mark.timeout(1200)
@pytest.mark.long
def test_a_full_upgrade_to_the_next_debian_keeps_it_running(new_chroot: Callable[..., Chroot], deb: Path):
    chroot = new_chroot(roots.base("bookworm"))
    chroot.install(deb)
    chroot.write(CONFIG, "gateway: {id: depot-7}\n# the installer was here\n")
    chroot.write(CREDENTIAL, "correct horse battery", mode=0o600)
    chroot.sh("install -d -o edged -g edged -m 0750 /var/lib/edged && echo records > /var/lib/edged/edged.db")
    assert chroot.sh("/usr/bin/python3 --version").startswith("Python 3.11")
    owner = chroot.sh("id edged")

    chroot.give_network()
    chroot.sh("sed -i 's/bookworm/trixie/g' $(find /etc/apt/sources.list /etc/apt/sources.list.d -type f)")
    chroot.run("apt-get", "update", within_s=300)
    chroot.run("apt-get", "-y", "-o", "Dpkg::Options::=--force-confold", "full-upgrade", within_s=800)

    assert chroot.sh("/usr/bin/python3 --version").startswith("Python 3.13")
    assert chroot.sh("dpkg-query -W -f '${db:Status-Abbrev}' edged").strip() == "ii"
    assert chroot.sh("dpkg --audit") == ""
    assert "installer was here" in chroot.sh(f"cat {CONFIG}")
    assert chroot.sh(f"stat -c '%a %U' {CREDENTIAL} /var/lib/edged").splitlines() == ["600 root", "750 edged"]
    assert chroot.sh("cat /var/lib/edged/edged.db") == "records"
    assert chroot.sh("id edged") == owner
    versions = chroot.sh("find /usr/lib/edged -name '*.pyc' | sed 's/.*cpython-//; s/\\.pyc//' | sort -u")
    assert versions == "313"
    chroot.sh(f"rm {CONFIG}")
    chroot.write("/tmp/smoke", (package.ROOT / "debian/tests/smoke").read_text(), mode=0o755)
    assert "smoke" in chroot.sh("/tmp/smoke")
