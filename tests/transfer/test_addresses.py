"""Which addresses may be connected to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.jobs import Cause
from edged.transfer.addresses import Gate, judged, special
from edged.transfer.failure import TransferError

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:c0a8:101::1",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.0.1",
    "100.128.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_not_connected_to(address):
    assert special(ip_address(address)) is not None
    with pytest.raises(TransferError) as raised:
        judged("name.example", 80, Gate(()), lambda host, port: [address])
    assert raised.value.cause is Cause.REFUSED
    assert not raised.value.again
    assert "files.allowed_hosts" in raised.value.reason


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_needs_no_permission(address):
    assert judged("name.example", 80, Gate(()), lambda host, port: [address]) == (ip_address(address),)


@pytest.mark.parametrize(
    ("entry", "host", "address", "permitted"),
    [
        ("files.example", "files.example", "10.0.0.1", True),
        ("Files.Example.", "files.example", "10.0.0.1", True),
        ("files.example", "files.example.", "10.0.0.1", True),
        ("bücher.example", "xn--bcher-kva.example", "10.0.0.1", True),
        ("files.example", "evil-files.example", "10.0.0.1", False),
        ("files.example", "sub.files.example", "10.0.0.1", False),
        ("10.0.0.1", "x", "10.0.0.1", True),
        ("10.0.0.1", "x", "10.0.0.2", False),
        ("10.0.0.0/24", "x", "10.0.0.200", True),
        ("10.0.0.7/24", "x", "10.0.0.200", True),
        ("10.0.0.0/24", "x", "10.0.1.1", False),
        ("10.0.0.0/24", "x", "::ffff:10.0.0.3", True),
        ("fd00::/8", "x", "fd12::1", True),
        ("[::1]", "x", "::1", True),
        ("::1", "x", "127.0.0.1", False),
        ("10.0.0.0/99", "x", "10.0.0.1", False),
    ],
)
def test_the_installer_opens_exceptions(entry, host, address, permitted):
    assert Gate((entry,)).permits(host, ip_address(address)) is permitted


@given(st.integers(0, 2**32 - 1))
def test_an_address_inside_another_is_judged_alike(number):
    inner = IPv4Address(number)
    for outer in (
        IPv6Address(0xFFFF_0000_0000 | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ):
        assert special(outer) == special(inner)


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_nothing_that_python_calls_private_is_public(address):
    odd = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    if odd or address.is_unspecified or (address.version == 4 and address.is_reserved):
        assert special(address) is not None


def test_a_scope_does_not_hide_an_address():
    with pytest.raises(TransferError, match="link-local"):
        judged("x", 80, Gate(()), lambda host, port: ["fe80::1%eth0"])


def test_a_name_without_addresses_is_a_failure():
    with pytest.raises(TransferError, match="no address"):
        judged("x", 80, Gate(()), lambda host, port: [])
