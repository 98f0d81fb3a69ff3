"""What a newer Python wants of certificates: a site that works goes on working behind the next upgrade of Debian."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from edged.cli.doctor import look_broker
from edged.csms.endpoint import ConnectionSettings
from edged.mqtt import dialling
from edged.mqtt.options import TlsOptions
from edged.transfer.tls import trust

CSMS = ConnectionSettings(
    url="wss://csms.example.com/ocpp",
    identity="DEPOT-7",
    subprotocols=("ocpp1.6",),
    security_profile=2,
    password=b"-" * 16,
)
CONTEXTS: dict[str, Callable[[], ssl.SSLContext | None]] = {
    "the CSMS": CSMS.tls,
    "the broker": lambda: dialling._context(TlsOptions()),
    "the broker, by the doctor": lambda: look_broker._context(TlsOptions()),
    "transfers": lambda: trust(None, ()),
}


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python whose contexts are strict by default, as from 3.13 on."""
    own = ssl.create_default_context

    def create_default_context(*args: object, **more: object) -> ssl.SSLContext:
        context = own(*args, **more)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create_default_context)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("whose", CONTEXTS)
def test_an_authority_without_what_only_a_newer_python_wants_is_believed(whose: str) -> None:
    context = CONTEXTS[whose]()
    assert context is not None
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
