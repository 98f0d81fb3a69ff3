"""The package in a Debian that is not running: its maintainer scripts, its launcher, and what lives without systemd."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.packaging import package
from tests.packaging.chroot import Chroot

CONFIG = "/etc/edged/edged.yaml"
CREDENTIAL = "/etc/edged/credentials/csms-password"
OLD, NEW = "0.0.9", "99.0.0"
STATE = """\
places="/etc/edged /var/lib/edged /usr/lib/edged /etc/systemd /var/lib/systemd"
find $places -not -name '*.pyc' -not -name __pycache__ -printf '%p %M %u %g %l\\n' 2>/dev/null \\
    | sed 's,/usr/lib/edged/[^/ ]*,/usr/lib/edged/VERSION,' | sort
getent passwd edged; getent group edged dialout systemd-journal
cat /etc/edged/edged.yaml /etc/edged/credentials/* 2>/dev/null
"""


def furnish(chroot: Chroot) -> None:
    chroot.write(CONFIG, "gateway: {id: depot-7}\n# the installer was here\n")
    chroot.write(CREDENTIAL, "correct horse battery", mode=0o600)
    chroot.sh("install -d -o edged -g edged -m 0750 /var/lib/edged && echo records > /var/lib/edged/edged.db")
    chroot.sh("install -d /var/lib/edged-firmware && echo 0 > /var/lib/edged-firmware/1")


def script(chroot: Chroot, name: str, *arguments: str, **variables: str) -> str:
    done = chroot.run(
        f"/var/lib/dpkg/info/edged.{name}",
        *arguments,
        DPKG_MAINTSCRIPT_NAME=name,
        DPKG_MAINTSCRIPT_PACKAGE="edged",
        **variables,
    )
    return done.stdout + done.stderr


def test_a_fresh_installation_says_what_comes_next(chroot: Chroot, deb: Path):
    assert "edged is installed: run edged setup" in chroot.install(deb).splitlines()
    assert "edged is installed: run sudo edged setup" in script(chroot, "postinst", "configure", SUDO_USER="ann")
    assert chroot.sh("ls -A /etc/edged") == "credentials\nprofiles.d"
    assert chroot.sh("stat -c '%a %U %G' /etc/edged /etc/edged/credentials /etc/edged/profiles.d").splitlines() == [
        "755 root root",
        "700 root root",
        "755 root root",
    ]
    assert {"edged", "dialout"} <= set(chroot.sh("id -nG edged").split())
    assert chroot.sh("getent group systemd-journal")
    wanted = chroot.sh("ls /etc/systemd/system/multi-user.target.wants").split()
    assert {"edged.service", "edged-reboot.path", "edged-firmware.path"} <= set(wanted)
    assert "edged-reboot.service" not in wanted


def test_plain_apt_installs_it_on_a_fresh_image_without_a_network(chroot: Chroot, deb: Path):
    chroot.run("apt-get", "install", "-y", "--no-install-recommends", "python3")  # which every image has
    chroot.sh("rm -r /var/lib/apt/lists /var/cache/apt/archives/*.deb")
    shutil.copy(deb, chroot.root / "edged.deb")
    chroot.run("unshare", "--net", "apt", "install", "-y", "/edged.deb")
    assert chroot.sh("edged --version").startswith("edged ")


CALLS = {
    "preinst": ("install", f"install {OLD}", f"upgrade {OLD}", f"abort-upgrade {NEW}"),
    "postinst": ("configure ", f"configure {OLD}", f"abort-upgrade {NEW}", "abort-remove", "abort-deconfigure a b 1"),
    "prerm": (f"upgrade {NEW}", f"failed-upgrade {OLD}", "deconfigure in-favour other 1"),
    "postrm": (f"upgrade {NEW}", f"failed-upgrade {OLD}", "abort-install", f"abort-upgrade {OLD}", "disappear other 1"),
}
"""How dpkg may call them; `remove` and `purge` have tests of their own."""


@pytest.mark.parametrize("name", CALLS)
def test_a_script_changes_nothing_more_however_often_it_runs(installed_chroot: Chroot, name: str):
    furnish(installed_chroot)
    script(installed_chroot, "postinst", "configure", "")
    before = installed_chroot.sh(STATE)
    assert "/etc/systemd/system/multi-user.target.wants/edged.service" in before
    for words in CALLS[name]:
        for _ in range(2):
            assert "edged setup" not in script(installed_chroot, name, *words.split(" "))
        assert installed_chroot.sh(STATE) == before, words


def test_the_installation_mends_what_somebody_took_away(installed_chroot: Chroot):
    installed_chroot.sh("rm -r /etc/edged; userdel edged; mv /usr/bin/systemd-tmpfiles /usr/bin/other")
    script(installed_chroot, "postinst", "configure", "")
    assert installed_chroot.sh("stat -c %a:%U /etc/edged/credentials") == "700:root"
    assert installed_chroot.sh("id -un edged") == "edged"


def test_an_upgrade_and_a_downgrade_touch_nothing_of_the_sites(chroot: Chroot, deb: Path):
    chroot.install(package.built_as(OLD))
    furnish(chroot)
    before = chroot.sh(STATE)
    for version in (deb, package.built_as(NEW), deb):
        assert "edged setup" not in chroot.install(version)
        assert chroot.sh(STATE) == before


def test_removing_keeps_what_is_the_sites(installed_chroot: Chroot, deb: Path):
    furnish(installed_chroot)
    installed_chroot.run("apt-get", "remove", "-y", "edged")
    assert installed_chroot.sh("ls -d /usr/lib/edged /usr/bin/edged 2>/dev/null", check=False) == ""
    kept = (CONFIG, CREDENTIAL, "/var/lib/edged/edged.db", "/var/lib/edged-firmware/1")
    for path in kept:
        assert installed_chroot.run("test", "-s", path).returncode == 0
    assert "edged setup" not in installed_chroot.install(deb)
    assert "installer was here" in installed_chroot.sh(f"cat {CONFIG}")


def leftovers(chroot: Chroot) -> list[str]:
    found = chroot.sh("find / -xdev -name '*edged*' -not -path '/proc/*' -not -path '/dev/*'", check=False).splitlines()
    return [path for path in found if path not in ("/edged.deb", "/var/cache/apt/archives/edged.deb")]


def test_purging_leaves_nothing_but_the_user_and_may_be_repeated(installed_chroot: Chroot):
    furnish(installed_chroot)
    installed_chroot.sh("cp /var/lib/dpkg/info/edged.postrm /var/lib/dpkg/info/edged.prerm /root/")
    installed_chroot.run("apt-get", "purge", "-y", "edged")
    installed_chroot.sh("mv /root/edged.postrm /root/again")
    installed_chroot.sh("rm /root/edged.prerm; sh /root/again purge; sh /root/again purge")
    assert leftovers(installed_chroot) == []
    assert installed_chroot.sh("id -un edged") == "edged"


def test_a_package_that_does_not_purge_is_noticed(installed_chroot: Chroot):
    installed_chroot.sh("sed -i 's/rm -rf/true/' /var/lib/dpkg/info/edged.postrm")
    with pytest.raises(AssertionError):
        test_purging_leaves_nothing_but_the_user_and_may_be_repeated(installed_chroot)


# --- the launcher


EVIL = "open('/tmp/leaked', 'a').write(__name__ + '\\n')\n"
PLACES = (
    "/work/{}.py",
    "/evil/{}.py",
    "/usr/local/lib/python3.11/dist-packages/{}.py",
    "/usr/local/lib/python3.13/dist-packages/{}.py",
    "/root/.local/lib/python3.11/site-packages/{}.py",
    "/root/.local/lib/python3.13/site-packages/{}.py",
)
NAMES = ("argparse", "cryptography", "edged", "json", "sitecustomize", "usercustomize", "vendor", "websockets", "yaml")


def surround(chroot: Chroot) -> None:
    """Modules of the same names wherever Python looks for some, and a .pth file that runs code at every start."""
    for place in PLACES:
        for name in NAMES:
            chroot.write(place.format(name), EVIL)
        if "-packages" in place:
            chroot.write(place.format("evil").replace(".py", ".pth"), f"import sys; {EVIL}")
    chroot.write("/work/edged.yaml", "gateway: {}\n")


def leaked(chroot: Chroot) -> str:
    for words in (["--version"], ["check", "-c", "edged.yaml"], ["status"]):
        chroot.run(
            *("env", "--chdir=/work", "/usr/bin/edged", *words),
            check=False,
            PYTHONPATH="/evil:.",
            PYTHONSTARTUP="/evil/yaml.py",
            PYTHONUSERBASE="/root/.local",
            HOME="/root",
        )
    return chroot.sh("cat /tmp/leaked", check=False)


def test_nothing_leaks_in_from_folder_environment_or_pip(installed_chroot: Chroot):
    surround(installed_chroot)
    assert leaked(installed_chroot) == ""


@pytest.mark.parametrize("interpreter", ["/usr/bin/python3", "/usr/bin/python3 -I", "/usr/bin/python3 -S"])
def test_a_launcher_that_lets_something_in_is_noticed(installed_chroot: Chroot, interpreter: str):
    surround(installed_chroot)
    text = installed_chroot.sh("cat /usr/bin/edged")
    assert text.startswith("#!/usr/bin/python3 -IS\n")
    installed_chroot.write("/usr/bin/edged", text.replace("/usr/bin/python3 -IS", interpreter) + "\n", mode=0o755)
    assert leaked(installed_chroot)


def test_the_distributions_cryptography_is_found(installed_chroot: Chroot):
    installed_chroot.write("/usr/lib/python3/dist-packages/cryptography.py", "found = True\n")
    text = installed_chroot.sh("cat /usr/bin/edged").replace(
        "sys.exit(main())", "import cryptography; print(cryptography.found)"
    )
    installed_chroot.write("/usr/bin/asks", text + "\n", mode=0o755)
    assert installed_chroot.sh("asks") == "True"


def test_the_smoke_test_of_the_package_passes_and_can_fail(installed_chroot: Chroot):
    installed_chroot.write("/tmp/smoke", (package.ROOT / "debian/tests/smoke").read_text(), mode=0o755)
    assert "smoke" in installed_chroot.sh("/tmp/smoke")
    installed_chroot.sh(f"rm -r {package.PROGRAM}/vendor/fastjsonschema")
    assert installed_chroot.run("/tmp/smoke", check=False).returncode
