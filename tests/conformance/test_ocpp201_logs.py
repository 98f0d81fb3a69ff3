"""Logs, and what is kept of a customer: 2.0.1 N01, N09 and N10."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edged.simulator.csms_answers import Token
from tests.conformance.files import FTP_PASSWORD, LOOPBACK, names_and_content, now
from tests.conformance.scene201 import PATIENCE_S, OpenScene201, Scene201
from tests.fakes.file_servers import Call, WebServer, ftp_server, status

Web = Callable[..., WebServer]
NOTIFICATION = "LogStatusNotification"
FAR = "2099-01-01T00:00:00Z"


async def get_log(scene: Scene201, url: str, request_id: int = 7, kind: str = "DiagnosticsLog", **more: Any) -> Any:
    """The answer to a GetLog."""
    log = {"remoteLocation": url, **more.pop("log", {})}
    return await scene.call("GetLog", logType=kind, requestId=request_id, log=log, **more)


async def told(scene: Scene201, word: str, request_id: int = 7) -> None:
    await scene.csms.wait_for(
        NOTIFICATION,
        lambda payload: payload["status"] == word and payload.get("requestId") == request_id,
        after=0,
        timeout_s=PATIENCE_S,
    )


def said(scene: Scene201) -> list[tuple[str, int | None]]:
    return [(one["status"], one.get("requestId")) for one in scene.messages(NOTIFICATION, after=0)]


# --- logs


@pytest.mark.req("TC_N_25_CS", "N01.FR.01", "N01.FR.04", "N01.FR.07", "N01.FR.08", "N01.FR.09", "N01.FR.13")
async def test_TC_N_25_CS_diagnostics_are_uploaded_under_the_name_in_the_answer(
    open_scene201: OpenScene201, tmp_path: Path
) -> None:
    scene = await open_scene201(site_settings=LOOPBACK)
    up = tmp_path / "up"
    up.mkdir()
    with ftp_server(up, password=FTP_PASSWORD) as server:
        url = f"ftp://edged:{FTP_PASSWORD}@127.0.0.1:{server.address[1]}/"
        answer = await get_log(scene, url, log={"oldestTimestamp": now(-3600), "latestTimestamp": now(3600)})
        assert answer["status"] == "Accepted"
        await told(scene, "Uploaded")
    assert said(scene) == [("Uploading", 7), ("Uploaded", 7)]
    content = names_and_content((up / answer["filename"]).read_bytes())
    assert {"status.json", "keys.json", "edged.yaml", "versions.json", "security.log"} <= set(content)
    assert await scene.status_of("TriggerMessage", requestedMessage=NOTIFICATION) == "Accepted"
    assert await scene.expect(NOTIFICATION) == {"status": "Idle"}


@pytest.mark.req("TC_N_26_CS", "N01.FR.10")
async def test_TC_N_26_CS_an_upload_that_fails_says_why(open_scene201: OpenScene201, web: Web) -> None:
    server = web(status(500), status(403))
    scene = await open_scene201(site_settings=LOOPBACK)
    assert (await get_log(scene, server.url("/up/"), retries=0))["status"] == "Accepted"
    await told(scene, "UploadFailure")
    assert (await get_log(scene, server.url("/up/"), 8, retries=0))["status"] == "Accepted"
    await told(scene, "PermissionDenied", 8)
    assert said(scene) == [("Uploading", 7), ("UploadFailure", 7), ("Uploading", 8), ("PermissionDenied", 8)]


@pytest.mark.req("N01.FR.05")
async def test_where_there_is_nothing_to_send_the_request_is_rejected(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(site_settings=LOOPBACK)
    between = {"oldestTimestamp": now(), "latestTimestamp": now(-600)}
    answer = await get_log(scene, "https://example.com/up", log=between)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "NotFound")
    answer = await get_log(scene, "/etc/passwd", 8)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidURL")
    with pytest.raises(Exception, match="TypeConstraintViolation"):
        await get_log(scene, "https://example.com/up", 9, log={"oldestTimestamp": "long ago"})
    await scene.answered()
    assert said(scene) == []


@pytest.mark.req("TC_N_35_CS", "N01.FR.03")
async def test_TC_N_35_CS_the_security_log_is_uploaded(open_scene201: OpenScene201, web: Web) -> None:
    server = web(status(201))
    scene = await open_scene201(site_settings=LOOPBACK)
    answer = await get_log(scene, server.url("/up"), kind="SecurityLog", log={"oldestTimestamp": now(-60)})
    assert answer["status"] == "Accepted" and answer["filename"].endswith(".log")
    await told(scene, "Uploaded")
    assert said(scene) == [("Uploading", 7), ("Uploaded", 7)]
    assert b"StartupOfTheDevice" in server.calls[0].body


@pytest.mark.req("TC_N_36_CS", "N01.FR.12", "N01.FR.20")
async def test_TC_N_36_CS_a_second_request_takes_the_place_of_the_first(open_scene201: OpenScene201, web: Web) -> None:
    release = threading.Event()

    def slow(call: Call) -> None:
        release.wait(PATIENCE_S)

    server, second = web(slow), web(status(201))
    scene = await open_scene201(site_settings=LOOPBACK)
    assert (await get_log(scene, server.url("/up")))["status"] == "Accepted"
    await told(scene, "Uploading")
    assert await scene.status_of("TriggerMessage", requestedMessage=NOTIFICATION) == "Accepted"
    assert await scene.expect(NOTIFICATION) == {"status": "Uploading", "requestId": 7}
    assert (await get_log(scene, second.url("/up"), 8, "SecurityLog"))["status"] == "AcceptedCanceled"
    await told(scene, "Uploaded", 8)
    release.set()
    assert said(scene)[-3:] == [("AcceptedCanceled", 7), ("Uploading", 8), ("Uploaded", 8)]


# --- what is kept of a customer


async def customer(scene: Scene201, request_id: int, *, report: bool, clear: bool, **named: object) -> tuple[str, str]:
    """The answer to a CustomerInformation, and the text that follows it."""
    answer = await scene.call("CustomerInformation", requestId=request_id, report=report, clear=clear, **named)
    if answer["status"] != "Accepted":
        return str(answer["status"]), ""
    await scene.csms.wait_for(
        "NotifyCustomerInformation",
        lambda page: page["requestId"] == request_id and not page.get("tbc", False),
        after=scene.since,
        timeout_s=PATIENCE_S,
    )
    pages = [one for one in scene.messages("NotifyCustomerInformation") if one["requestId"] == request_id]
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    return "Accepted", "".join(str(page["data"]) for page in pages)


def token(value: str = "ALICE") -> dict[str, str]:
    return {"idToken": value, "type": "ISO14443"}


async def cached(scene: Scene201, value: str = "ALICE") -> None:
    """The station asks about the token and remembers the answer."""
    scene.swipe(value)
    await scene.expect("Authorize")
    await scene.answered()


@pytest.mark.req("TC_N_27_CS", "TC_N_28_CS", "N09.FR.02", "N09.FR.05", "N09.FR.06")
async def test_TC_N_27_CS_TC_N_28_CS_what_is_kept_of_a_customer_is_told(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    unknown = await customer(scene, 1, report=True, clear=False, idToken=token())
    assert unknown == ("Accepted", "Nothing is kept of this customer.")
    await cached(scene)
    status_, text = await customer(scene, 2, report=True, clear=False, idToken=token("alice"))
    assert status_ == "Accepted" and "Authorization cache" in text and "Accepted" in text
    assert "alice" not in text.casefold()
    again = await customer(scene, 3, report=True, clear=False, idToken=token())
    assert again == ("Accepted", text), "telling takes nothing away"
    for named in ({"customerIdentifier": "Alice Example"}, {"customerCertificate": CERTIFICATE}):
        assert (await customer(scene, 4, report=True, clear=False, **named))[1].startswith("Nothing is kept")


CERTIFICATE = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1"}


@pytest.mark.req("TC_N_30_CS", "TC_N_31_CS", "TC_N_32_CS", "N10.FR.01", "N10.FR.03", "N10.FR.04", "N10.FR.06")
async def test_TC_N_30_CS_TC_N_31_CS_TC_N_32_CS_what_is_kept_of_a_customer_is_cleared(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(tokens={"ALICE": Token("Blocked", expiry=FAR)})
    await cached(scene)
    _, text = await customer(scene, 1, report=True, clear=True, idToken=token())
    assert (
        "Authorization cache" in text and "2099-01-01" in text and text.endswith("has been cleared of this customer.")
    )
    nothing = await customer(scene, 2, report=True, clear=True, idToken=token())
    assert nothing == ("Accepted", "Nothing is kept of this customer.")
    await cached(scene)
    _, text = await customer(scene, 3, report=False, clear=True, idToken=token())
    assert text == "The authorization cache has been cleared of this customer."
    await scene.restart_daemon()
    assert (await customer(scene, 4, report=True, clear=False, idToken=token()))[1].startswith("Nothing is kept")


@pytest.mark.req("N09.FR.03", "N10.FR.05", "N10.FR.07")
async def test_who_names_no_customer_or_wants_nothing_is_told_so(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    assert await customer(scene, 1, report=True, clear=False) == ("Invalid", "")
    both = {"idToken": token(), "customerIdentifier": "Alice"}
    assert await customer(scene, 2, report=False, clear=True, **both) == ("Invalid", "")
    assert await customer(scene, 3, report=False, clear=False, idToken=token()) == ("Rejected", "")
    await scene.answered()
    assert scene.messages("NotifyCustomerInformation", after=0) == []
