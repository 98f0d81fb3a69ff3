"""Signing requests and the chains that come back for them; the folder of keys."""

from __future__ import annotations

import os
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edged.certificates import check_chain, client_files, forget_keys, key_path, make_request, remove_keys
from edged.domain.credentials import ClientCertificate
from edged.domain.jobs import Cause, ChainFits, CheckChain, Failed, MakeRequest, RequestMade
from edged.settings.certificate_names import names_in
from tests.fakes.pki import DAY, authority, issue, name, sign_request, usage

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LIFE: dict[str, Any] = {"begins": NOW - DAY, "ends": NOW + 365 * DAY}
ROOT = authority(**LIFE)
BETWEEN = authority(ROOT, cn="Between", **LIFE)


def made(folder: Path, common_name: str = "SN-1", organization: str = "Example") -> RequestMade:
    outcome = make_request(MakeRequest(common_name, organization), folder)
    assert isinstance(outcome, RequestMade), outcome
    return outcome


def waiting(*requests: RequestMade) -> tuple[ClientCertificate, ...]:
    return tuple(ClientCertificate(key_id=one.key_id, requested_at=NOW) for one in requests)


def judged(
    folder: Path,
    chain: str,
    *requests: RequestMade,
    roots: tuple[str, ...] = (ROOT.pem,),
    now: datetime | None = NOW,
    future: bool = True,
) -> ChainFits | Failed:
    keys = waiting(*requests)
    job = CheckChain(chain=chain, keys=keys, roots=roots, common_name="SN-1", organization="Example", future=future)
    return check_chain(job, folder, now)


def refusal(folder: Path, chain: str, *requests: RequestMade, **more: Any) -> str:
    outcome = judged(folder, chain, *requests, **more)
    assert isinstance(outcome, Failed) and outcome.cause is Cause.INVALID, outcome
    return outcome.reason


# --- requests


@pytest.mark.req("A02.FR.02", "A02.FR.13")
def test_a_request_carries_the_subject_and_is_signed_by_its_key(tmp_path: Path) -> None:
    request = made(tmp_path / "keys")
    csr = x509.load_pem_x509_csr(request.csr.encode())
    assert csr.is_signature_valid
    assert [(part.oid, part.value) for part in csr.subject] == [
        (NameOID.COMMON_NAME, "SN-1"),
        (NameOID.ORGANIZATION_NAME, "Example"),
    ]
    assert len(request.csr) < 5500


def test_a_key_is_readable_by_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        request = made(tmp_path / "keys")
    finally:
        os.umask(before)
    assert stat.S_IMODE(key_path(tmp_path / "keys", request.key_id).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_the_private_key_is_in_no_outcome(tmp_path: Path) -> None:
    request = made(tmp_path)
    assert "PRIVATE" not in repr(request)
    assert "PRIVATE KEY" in key_path(tmp_path, request.key_id).read_text()


@pytest.mark.parametrize("names", [("", "Example"), ("SN-1", ""), ("x" * 65, "Example"), ("SN-1", "x" * 500)])
def test_names_that_no_certificate_can_hold_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    outcome = make_request(MakeRequest(*names), tmp_path)
    assert isinstance(outcome, Failed) and "64 characters" in outcome.reason
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    outcome = make_request(MakeRequest("SN-1", "Example"), tmp_path / "keys")
    assert isinstance(outcome, Failed) and "cannot be kept" in outcome.reason


# --- chains that fit


@pytest.mark.req("A02.FR.06")
def test_a_chain_for_our_key_fits(tmp_path: Path) -> None:
    request, other = made(tmp_path), made(tmp_path)
    chain = sign_request(request.csr, ROOT, serial=0xABC, **LIFE)
    outcome = judged(tmp_path, chain, other, request)
    assert isinstance(outcome, ChainFits)
    assert outcome.certificate == ClientCertificate(
        key_id=request.key_id,
        requested_at=NOW,
        chain=chain,
        not_before=LIFE["begins"],
        not_after=LIFE["ends"],
        subject="O=Example,CN=SN-1",
        serial_number="abc",
        hashes=outcome.certificate.hashes,
    )
    written = tmp_path / "leaf.pem"
    written.write_text(chain)
    assert outcome.certificate.hashes == names_in(written), "the same as from a file"
    assert {one.serial_number for one in names_in(written)} == {"abc"}


def test_a_chain_may_lead_to_the_root_by_way_of_another_ca(tmp_path: Path) -> None:
    request = made(tmp_path)
    leaf = sign_request(request.csr, BETWEEN, **LIFE)
    for chain in (leaf + BETWEEN.pem, leaf + BETWEEN.pem + ROOT.pem, leaf + ROOT.pem + BETWEEN.pem):
        assert isinstance(judged(tmp_path, chain, request), ChainFits)
    assert "does not hold" in refusal(tmp_path, leaf, request)


def test_without_a_root_the_chain_must_hold_in_itself(tmp_path: Path) -> None:
    request = made(tmp_path)
    leaf = sign_request(request.csr, ROOT, **LIFE)
    assert isinstance(judged(tmp_path, leaf, request, roots=()), ChainFits)
    assert isinstance(judged(tmp_path, leaf + ROOT.pem, request, roots=()), ChainFits)
    assert "does not hold" in refusal(tmp_path, leaf + BETWEEN.pem, request, roots=())


@pytest.mark.req("A02.FR.08")
def test_a_certificate_of_the_future_fits_as_of_its_first_moment(tmp_path: Path) -> None:
    request = made(tmp_path)
    chain = sign_request(request.csr, ROOT, begins=NOW + 5 * DAY, ends=NOW + 90 * DAY)
    outcome = judged(tmp_path, chain, request)
    assert isinstance(outcome, ChainFits) and outcome.certificate.not_before == NOW + 5 * DAY


@pytest.mark.req("A02.FR.06")
def test_where_a_certificate_must_be_valid_now_one_of_the_future_is_refused(tmp_path: Path) -> None:
    request = made(tmp_path)
    chain = sign_request(request.csr, ROOT, begins=NOW + 5 * DAY, ends=NOW + 90 * DAY)
    assert "not valid before" in refusal(tmp_path, chain, request, future=False)
    assert isinstance(judged(tmp_path, chain, request, now=None, future=False), ChainFits)


def test_while_the_clock_is_not_trusted_dates_refuse_no_chain(tmp_path: Path) -> None:
    request = made(tmp_path)
    chain = sign_request(request.csr, ROOT, begins=NOW - 9 * DAY, ends=NOW - DAY)
    assert isinstance(judged(tmp_path, chain, request), Failed)
    assert isinstance(judged(tmp_path, chain, request, now=None), ChainFits)


# --- chains that do not


@pytest.mark.req("A02.FR.06", "A02.FR.07")
def test_what_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    request = made(tmp_path)
    stranger = issue(ROOT, subject=name(CN="SN-1", O="Example"), **LIFE)
    assert "not for a key" in refusal(tmp_path, stranger.pem, request)
    assert "not for a key" in refusal(tmp_path, sign_request(request.csr, ROOT, **LIFE))
    other_name = sign_request(request.csr, ROOT, subject=name(CN="SN-2", O="Example"), **LIFE)
    assert "another common name" in refusal(tmp_path, other_name, request)
    other_owner = sign_request(request.csr, ROOT, subject=name(CN="SN-1", O="Other"), **LIFE)
    assert "another organization" in refusal(tmp_path, other_owner, request)
    no_owner = sign_request(request.csr, ROOT, subject=name(CN="SN-1"), **LIFE)
    assert "another organization" in refusal(tmp_path, no_owner, request)


@pytest.mark.req("A02.FR.06", "A02.FR.07")
@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"begins": NOW - 9 * DAY, "ends": NOW - DAY}, "expired"),
        ({"ca": True, **LIFE}, "a CA's"),
        ({"extensions": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),), **LIFE}, "not meant for clients"),
        ({"extensions": (usage(key_cert_sign=True),), **LIFE}, "not meant for signatures"),
    ],
)
def test_a_certificate_that_is_not_a_clients_is_refused(tmp_path: Path, shape: dict[str, Any], why: str) -> None:
    request = made(tmp_path)
    assert why in refusal(tmp_path, sign_request(request.csr, ROOT, **shape), request)


@pytest.mark.req("A02.FR.07")
def test_a_chain_of_somebody_elses_authority_is_refused(tmp_path: Path) -> None:
    request = made(tmp_path)
    assert "does not hold" in refusal(tmp_path, sign_request(request.csr, authority(**LIFE), **LIFE), request)


def test_a_leaf_that_a_client_signed_is_refused(tmp_path: Path) -> None:
    """Not everybody with a certificate of the root may sign others."""
    request = made(tmp_path)
    client = issue(ROOT, subject=name(CN="client"), **LIFE)
    chain = sign_request(request.csr, client, **LIFE) + client.pem
    assert "does not hold" in refusal(tmp_path, chain, request)


@pytest.mark.parametrize("chain", ["", "nonsense", ROOT.pem, "-----BEGIN CERTIFICATE-----" * 400])
def test_what_is_no_chain_is_refused(tmp_path: Path, chain: str) -> None:
    assert refusal(tmp_path, chain, made(tmp_path))


def test_a_key_that_is_gone_or_damaged_is_one_that_does_not_fit(tmp_path: Path) -> None:
    request, damaged = made(tmp_path), made(tmp_path)
    chain = sign_request(request.csr, ROOT, **LIFE)
    key_path(tmp_path, damaged.key_id).write_text("nothing")
    assert isinstance(judged(tmp_path, chain, damaged, request), ChainFits)
    key_path(tmp_path, request.key_id).unlink()
    assert "not for a key" in refusal(tmp_path, chain, damaged, request)


def test_keys_that_cannot_be_read_are_no_fault_of_the_chain(tmp_path: Path) -> None:
    """Otherwise the CSMS would be told that it has sent an invalid certificate."""
    request, other = made(tmp_path), made(tmp_path)
    chain = sign_request(request.csr, ROOT, **LIFE)
    for one in (request, other):
        key_path(tmp_path, one.key_id).rename(tmp_path / one.key_id)
        key_path(tmp_path, one.key_id).mkdir()
    outcome = judged(tmp_path, chain, request, other)
    assert isinstance(outcome, Failed) and outcome.cause is Cause.OTHER and "cannot be read" in outcome.reason
    key_path(tmp_path, request.key_id).rmdir()
    (tmp_path / request.key_id).rename(key_path(tmp_path, request.key_id))
    assert isinstance(judged(tmp_path, chain, other, request), ChainFits)


# --- the folder


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef\n"])
def test_a_name_that_is_no_keys_leads_to_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a key"):
        key_path(tmp_path, name)
    stored = ClientCertificate(key_id=name, requested_at=NOW)
    job = CheckChain(chain=ROOT.pem, keys=(stored,), roots=(), common_name="SN-1", organization="Example")
    assert isinstance(check_chain(job, tmp_path, NOW), Failed)


def test_the_client_files_are_what_tls_loads(tmp_path: Path) -> None:
    request = made(tmp_path)
    outcome = judged(tmp_path, sign_request(request.csr, BETWEEN, **LIFE) + BETWEEN.pem, request)
    assert isinstance(outcome, ChainFits)
    chain, key = client_files(outcome.certificate, tmp_path)
    assert stat.S_IMODE(chain.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(chain, key)
    written = chain.stat().st_mtime_ns
    assert client_files(outcome.certificate, tmp_path) == (chain, key)
    assert chain.stat().st_mtime_ns == written


def test_a_chain_that_is_renewed_replaces_the_file_and_an_interrupted_write_does_not_matter(tmp_path: Path) -> None:
    request = made(tmp_path)
    old = ClientCertificate(key_id=request.key_id, requested_at=NOW, chain="old")
    client_files(old, tmp_path)
    (tmp_path / f"{request.key_id}.chain.pem.new").write_text("half")
    chain, _ = client_files(ClientCertificate(key_id=request.key_id, requested_at=NOW, chain="new"), tmp_path)
    assert chain.read_text() == "new"


def test_without_a_chain_or_its_key_there_are_no_client_files(tmp_path: Path) -> None:
    request = made(tmp_path)
    with pytest.raises(FileNotFoundError):
        client_files(*waiting(request), tmp_path)
    with pytest.raises(FileNotFoundError):
        client_files(ClientCertificate(key_id="0" * 16, requested_at=NOW, chain=ROOT.pem), tmp_path)


def test_keys_that_nobody_needs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    kept, gone = made(tmp_path), made(tmp_path)
    for request in (kept, gone):
        client_files(ClientCertificate(key_id=request.key_id, requested_at=NOW, chain="chain"), tmp_path)
    (tmp_path / f"{kept.key_id}.chain.pem.new").write_text("half")
    (tmp_path / "readme.pem").write_text("not ours")
    remove_keys(tmp_path, {kept.key_id})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"{kept.key_id}.pem", f"{kept.key_id}.chain.pem", "readme.pem"]
    )


def test_a_key_that_is_forgotten_goes_with_its_chain_and_alone(tmp_path: Path) -> None:
    kept, gone = made(tmp_path), made(tmp_path)
    for request in (kept, gone):
        client_files(ClientCertificate(key_id=request.key_id, requested_at=NOW, chain="chain"), tmp_path)
    forget_keys(tmp_path, {gone.key_id, "0" * 16, "../" + tmp_path.name})
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {kept.key_id}


def test_a_folder_that_is_not_there_has_no_keys_to_remove(tmp_path: Path) -> None:
    remove_keys(tmp_path / "keys", ())
    assert not (tmp_path / "keys").exists()
