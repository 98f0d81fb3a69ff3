"""Who may sign firmware, and whether a signature is one; and life without the compiled packages."""

from __future__ import annotations

import base64
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from edged.certificates import check_signer, verify_firmware
from edged.domain.files import FirmwareOrder
from edged.domain.jobs import Cause, CheckSigner, Done, Failed, VerifyFirmware
from tests.fakes.pki import DAY, Pair, authority, issue, name, rsa_key, usage

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LIFE: dict[str, Any] = {"begins": NOW - DAY, "ends": NOW + 365 * DAY}
ROOT = authority(**LIFE)
BETWEEN = authority(ROOT, cn="Between", **LIFE)
EC_SIGNER = issue(ROOT, subject=name(CN="signer"), **LIFE)
RSA_SIGNER = issue(ROOT, subject=name(CN="signer"), key=rsa_key(), **LIFE)
CONTENT = bytes(range(256)) * 4096  # four pieces


def refusal(outcome: Done | Failed) -> str:
    assert isinstance(outcome, Failed) and outcome.cause is Cause.INVALID, outcome
    return outcome.reason


def signer(certificate: str, *roots: Pair) -> Done | Failed:
    return check_signer(CheckSigner(certificate, tuple(root.pem for root in roots)), NOW)


# --- who may sign


@pytest.mark.req("L01.FR.23")
def test_a_signer_of_one_of_the_roots_may_sign() -> None:
    assert signer(EC_SIGNER.pem, authority(**LIFE), ROOT) == Done()


def test_a_signer_may_bring_the_way_to_the_root() -> None:
    below = issue(BETWEEN, **LIFE)
    assert signer(below.pem + BETWEEN.pem, ROOT) == Done()
    assert signer(below.pem, BETWEEN) == Done()
    assert "does not hold" in refusal(signer(below.pem, ROOT))


@pytest.mark.req("L01.FR.24")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: issue(authority(**LIFE), **LIFE), "does not hold"),
        (lambda: issue(**LIFE), "does not hold"),
        (lambda: issue(ROOT, begins=NOW - 9 * DAY, ends=NOW - DAY), "expired"),
        (lambda: issue(ROOT, begins=NOW + DAY, ends=NOW + 9 * DAY), "not valid before"),
        (lambda: issue(ROOT, extensions=(usage(key_cert_sign=True),), **LIFE), "not meant for signatures"),
        (lambda: issue(ROOT, key=rsa_key(1024), **LIFE), "1024 bits"),
    ],
)
def test_a_signer_that_is_not_fit_is_refused(make: Any, why: str) -> None:
    assert why in refusal(signer(make().pem, ROOT))


@pytest.mark.parametrize("life", [(-9 * DAY, -DAY), (DAY, 9 * DAY)])
def test_while_the_clock_is_not_trusted_dates_refuse_no_signer(life: tuple[Any, Any], tmp_path: Path) -> None:
    one = issue(ROOT, begins=NOW + life[0], ends=NOW + life[1])
    job = CheckSigner(one.pem, (ROOT.pem,))
    assert isinstance(check_signer(job, NOW), Failed)
    assert check_signer(job, None) == Done()
    assert isinstance(check_signer(CheckSigner(one.pem, (authority(**LIFE).pem,)), None), Failed)
    (tmp_path / "fw").write_bytes(b"firmware")
    order = FirmwareOrder(
        location="", retrieve_at=NOW, signing_certificate=one.pem, signature=one.sign_ecdsa(b"firmware")
    )
    assert verify_firmware(VerifyFirmware(order, "fw"), tmp_path / "fw", None) == Done()


def test_without_a_root_nobody_may_sign() -> None:
    assert "no manufacturer's root" in refusal(signer(EC_SIGNER.pem))


@pytest.mark.parametrize("certificate", ["", "nonsense"])
def test_what_is_no_certificate_may_not_sign(certificate: str) -> None:
    assert "no certificate" in refusal(signer(certificate, ROOT))


# --- signatures


def verified(folder: Path, by: Pair, signature: str, content: bytes = CONTENT, now: datetime = NOW) -> Done | Failed:
    path = folder / "firmware.bin"
    path.write_bytes(content)
    order = FirmwareOrder(
        location="https://example.com/f", retrieve_at=NOW, request_id=1, signing_certificate=by.pem, signature=signature
    )
    return verify_firmware(VerifyFirmware(order, path.name), path, now)


@pytest.mark.req("L01.FR.04")
def test_a_signature_over_the_whole_file_is_verified(tmp_path: Path) -> None:
    assert verified(tmp_path, RSA_SIGNER, RSA_SIGNER.sign_pss(CONTENT)) == Done()
    assert verified(tmp_path, EC_SIGNER, EC_SIGNER.sign_ecdsa(CONTENT)) == Done()


def test_the_salts_length_is_the_signers_choice(tmp_path: Path) -> None:
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = base64.b64encode(RSA_SIGNER.key.sign(CONTENT, pss, hashes.SHA256())).decode()
    wrapped = "\n".join(signature[at : at + 64] for at in range(0, len(signature), 64))
    assert verified(tmp_path, RSA_SIGNER, wrapped) == Done()


@pytest.mark.req("L01.FR.04")
@pytest.mark.parametrize("damage", [lambda c: c + b"\0", lambda c: c[:-1], lambda c: b"\1" + c[1:], lambda c: b""])
def test_a_file_that_differs_by_a_byte_is_refused(tmp_path: Path, damage: Any) -> None:
    for by, signature in ((RSA_SIGNER, RSA_SIGNER.sign_pss(CONTENT)), (EC_SIGNER, EC_SIGNER.sign_ecdsa(CONTENT))):
        assert "not the certificate's" in refusal(verified(tmp_path, by, signature, damage(CONTENT)))


def test_somebody_elses_signature_is_refused(tmp_path: Path) -> None:
    other = issue(ROOT, **LIFE)
    assert "ECDSA" in refusal(verified(tmp_path, EC_SIGNER, other.sign_ecdsa(CONTENT)))
    assert "RSA-PSS" in refusal(verified(tmp_path, RSA_SIGNER, other.sign_ecdsa(CONTENT)))
    assert "Schnorr is not supported" in refusal(verified(tmp_path, EC_SIGNER, RSA_SIGNER.sign_pss(CONTENT)))


def test_the_older_padding_of_rsa_is_not_among_what_the_rule_names(tmp_path: Path) -> None:
    signature = base64.b64encode(RSA_SIGNER.key.sign(CONTENT, padding.PKCS1v15(), hashes.SHA256())).decode()
    assert "RSA-PSS" in refusal(verified(tmp_path, RSA_SIGNER, signature))


@pytest.mark.parametrize("signature", ["", "   ", "!!!!", "ÄÖÜ", "QQ", "A" * 5000, "A" * 800])
def test_what_is_no_signature_is_refused(tmp_path: Path, signature: str) -> None:
    for by in (EC_SIGNER, RSA_SIGNER):
        refusal(verified(tmp_path, by, signature))


def test_a_signer_that_has_expired_meanwhile_is_refused(tmp_path: Path) -> None:
    signature = EC_SIGNER.sign_ecdsa(CONTENT)
    assert "expired" in refusal(verified(tmp_path, EC_SIGNER, signature, now=NOW + 400 * DAY))


def test_a_file_that_cannot_be_read_says_nothing_of_its_signature(tmp_path: Path) -> None:
    order = FirmwareOrder(
        location="",
        retrieve_at=NOW,
        request_id=1,
        signing_certificate=EC_SIGNER.pem,
        signature=EC_SIGNER.sign_ecdsa(b""),
    )
    outcome = verify_firmware(VerifyFirmware(order, "gone"), tmp_path / "gone", NOW)
    assert isinstance(outcome, Failed) and outcome.cause is Cause.OTHER


# --- without the packages


_WITHOUT = """
import sys
from datetime import datetime, timezone
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
import edged.gateway
from edged import certificates
from edged.domain.credentials import CertificateUse
from edged.domain.files import FirmwareOrder
from edged.domain.jobs import CheckChain, CheckSigner, MakeRequest, ReadRoot, VerifyFirmware

now, here = datetime(2026, 5, 4, tzinfo=timezone.utc), Path(".")
order = FirmwareOrder(location="", retrieve_at=now)
for outcome in (
    certificates.check_signer(CheckSigner("", ()), now),
    certificates.verify_firmware(VerifyFirmware(order, "f"), here / "f", now),
    certificates.read_root(ReadRoot(use=CertificateUse.CSMS_ROOT, pem=""), now),
    certificates.make_request(MakeRequest("SN-1", "Example"), here / "keys"),
    certificates.check_chain(CheckChain(chain="", keys=(), roots=(), common_name="", organization=""), here, now),
):
    print(outcome.cause, "python3-cryptography" in outcome.reason, "python3-openssl" in outcome.reason)
certificates.remove_keys(here, ())
"""


@pytest.mark.parametrize("missing", [("cryptography", "OpenSSL"), ("cryptography",), ("OpenSSL",)])
def test_without_the_packages_every_job_says_what_to_install_and_edged_starts(
    tmp_path: Path, missing: tuple[str, ...]
) -> None:
    script = _WITHOUT.format(missing=missing)
    project = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["Unsupported True True"] * 5
    assert list(tmp_path.iterdir()) == []


def test_the_packages_are_not_imported_before_the_first_job(tmp_path: Path) -> None:
    script = "import sys, edged.gateway, edged.certificates; print({'cryptography', 'OpenSSL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
