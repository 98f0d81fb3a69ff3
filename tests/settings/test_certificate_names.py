"""The names of a certificate in a file, read without the libraries that read all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.certificates import read_root
from edged.domain.credentials import CertificateUse
from edged.domain.jobs import ReadRoot, RootRead
from edged.settings.certificate_names import names_in
from tests.fakes.pki import authority


@pytest.mark.parametrize("serial", [1, 0x7F, 0x80, 2**150 + 3])
def test_a_certificate_has_the_names_that_the_certificate_room_gives_it(tmp_path: Path, serial: int) -> None:
    root = authority(serial=serial)
    outcome = read_root(ReadRoot(use=CertificateUse.CSMS_ROOT, pem=root.pem), None)
    assert isinstance(outcome, RootRead)
    file = tmp_path / "root.pem"
    file.write_text(f"some words before\n{root.pem}")
    wanted = [(one.algorithm, one.issuer_name_hash, one.serial_number) for one in outcome.certificate.hashes]
    assert [(one.algorithm, one.issuer_name_hash, one.serial_number) for one in names_in(file)] == wanted
    assert {one.issuer_key_hash for one in names_in(file)} == {""}


def test_what_is_no_certificate_has_no_names(tmp_path: Path) -> None:
    file = tmp_path / "what.pem"
    assert names_in(file) == (), "it is not there"
    block = authority().pem.splitlines()
    for text in (
        b"",
        b"nonsense \xff",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----",
        "\n".join([*block[:3], block[-1]]).encode(),
    ):
        file.write_bytes(text)
        assert names_in(file) == ()
