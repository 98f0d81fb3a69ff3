"""What is said of the way out."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace

import pytest

from edged.cli.doctor.finding import Level
from edged.cli.doctor.network import (
    Knock,
    Named,
    NetworkFacts,
    Resolved,
    Trouble,
    has_default_route,
    judge,
    parse_servers,
    trouble_of,
)
from tests.cli.doctor.judged import PAGE, bad, only

CSMS = Named(
    subject="csms of DEPOT-7",
    resolved=Resolved(host="csms.example.com", addresses=("93.184.216.34",), took_s=0.1),
    key="csms.example.com",
)
KNOCK = Knock(charger="right", host="10.0.0.21", port=502)
WELL = NetworkFacts(page=PAGE, interfaces=("eth0",), servers=("192.168.1.1",), named=(CSMS,), knocks=(KNOCK,))


def test_a_network_with_names_is_all_right():
    assert bad(judge(WELL)) == []


def test_offline_says_that_nothing_was_looked_at():
    only(judge(replace(WELL, offline=True, named=(), knocks=())), Level.NOTE, "--offline", command="edged doctor")


@pytest.mark.parametrize(
    ("change", "words", "command"),
    [
        ({"has_route": False, "unplugged": ("eth0",)}, "no cable in eth0", "plug it in"),
        ({"has_route": False}, "no default route", "ip route"),
        ({"has_route": False, "has_nmcli": True}, "no default route", "nmcli networking on"),
        ({"has_route": False, "interfaces": ()}, "no network interface", "ip link"),
        ({"servers": ()}, "no DNS server", "nameserver 9.9.9.9"),
        ({"servers": (), "has_nmcli": True}, "no DNS server", "nmcli device modify eth0"),
    ],
)
def test_each_trouble_of_the_network_has_its_command(change, words, command):
    only(judge(replace(WELL, **change)), Level.FAILED, words, command=command)


def test_a_site_that_talks_only_within_its_network_needs_no_way_out_of_it():
    near = replace(CSMS, resolved=replace(CSMS.resolved, addresses=("10.0.0.5",)))
    only(judge(replace(WELL, has_route=False, named=(near,))), Level.NOTE, "all that edged talks to lies in it")


@pytest.mark.parametrize(
    ("change", "level", "words", "command"),
    [
        (
            {"trouble": Trouble.NAME, "reason": "x"},
            Level.FAILED,
            "nobody knows the name",
            "yaml line 10: write the right",
        ),
        ({"trouble": Trouble.NO_DNS, "reason": "x"}, Level.FAILED, "DNS servers do not answer", "nameserver"),
        ({"took_s": 3.0}, Level.WARNING, "it took 3.0 s", "cat /etc/resolv.conf"),
    ],
)
def test_each_trouble_of_a_name_has_its_command(change, level, words, command):
    named = replace(CSMS, resolved=replace(CSMS.resolved, **change))
    only(judge(replace(WELL, named=(named,))), level, words, command=command)


@pytest.mark.parametrize(
    ("trouble", "words", "command"),
    [
        (Trouble.REFUSED, "refuses connections", "yaml line 6: write its port"),
        (Trouble.NO_ROUTE, "no way to 10.0.0.21:502", "ip route get 10.0.0.21"),
        (Trouble.SILENT, "does not answer at all", "ping -c 3 10.0.0.21"),
        (Trouble.HUNG_UP, "cannot be reached", "ping"),
        (Trouble.OTHER, "cannot be reached", "ping"),
    ],
)
def test_each_trouble_of_a_charger_has_its_command(trouble, words, command):
    only(judge(replace(WELL, knocks=(replace(KNOCK, trouble=trouble),))), Level.FAILED, words, command=command)


def test_a_charger_whose_name_is_not_known_is_told_once():
    assert bad(judge(replace(WELL, knocks=(replace(KNOCK, trouble=Trouble.NAME),)))) == []


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Trouble.REFUSED),
        (OSError(errno.EHOSTUNREACH, "x"), Trouble.NO_ROUTE),
        (OSError(errno.ENETUNREACH, "x"), Trouble.NO_ROUTE),
        (TimeoutError(), Trouble.SILENT),
        (TimeoutError(errno.ETIMEDOUT, "x"), Trouble.SILENT),
        (ConnectionResetError(errno.ECONNRESET, "x"), Trouble.HUNG_UP),
        (socket.gaierror(socket.EAI_NONAME, "x"), Trouble.NAME),
        (socket.gaierror(socket.EAI_AGAIN, "x"), Trouble.NO_DNS),
        (UnicodeError("label too long"), Trouble.NAME),
        (OSError("odd"), Trouble.OTHER),
    ],
)
def test_errors_are_told_apart(error, trouble):
    assert trouble_of(error)[0] is trouble


ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
DEFAULT = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
LOCAL = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
V6 = f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} 00000400 00000001 00000000 00000001"


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "there"),
    [
        (ROUTES + LOCAL + DEFAULT, "", True),
        (ROUTES + LOCAL, f"{V6} lo\n", False),
        (ROUTES, f"{V6} wlan0\n", True),
        ("", "", False),
        ("\x00\n00000000\n", "garbage", False),
    ],
)
def test_a_default_route_is_found_in_either_table(ipv4, ipv6, there):
    assert has_default_route(ipv4, ipv6) is there


def test_name_servers_are_read():
    assert parse_servers("# nameserver 1.1.1.1\nnameserver 9.9.9.9\nsearch x\nnameserver\n") == ("9.9.9.9",)
