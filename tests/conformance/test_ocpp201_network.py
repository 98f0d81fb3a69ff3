"""Network profiles, migration to another CSMS and back, lines that come back, and another version on the next line.

The other CSMS is a second simulated one; where a profile leads nowhere it is a port at which nobody listens.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from edged import gateway, words
from edged.csms.backoff import BackOff
from edged.simulator.csms import Csms
from tests.conformance.doors import HOST, OLD, Pki, profile_1
from tests.conformance.scene201 import TOKENS, TWO_SOCKETS, OpenScene201, Scene201
from tests.conformance.stage import PATIENCE_S, STATION
from tests.fakes.pki import Authority

BOTH = ("ocpp2.0.1", "ocpp1.6")
CREDENTIALS = {STATION: OLD}


@contextlib.asynccontextmanager
async def another_csms(**options: Any) -> AsyncIterator[Csms]:
    async with Csms(**{"versions": ("ocpp2.0.1",), "tokens": TOKENS, "credentials": CREDENTIALS, **options}) as csms:
        yield csms


async def opened(open_scene201: OpenScene201, **options: Any) -> Scene201:
    """A station with a password; a profile is tried once."""
    return await open_scene201(
        csms_options={"credentials": CREDENTIALS},
        csms_settings=profile_1(**options),
        keys={"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 1},
    )


def profile(url: str, security_profile: int = 1, **changes: Any) -> dict[str, Any]:
    told = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 20,
        "securityProfile": security_profile,
        "ocppInterface": "Wired0",
    }
    return {**told, **changes}


def nowhere(port: int, scheme: str = "ws") -> str:
    return f"{scheme}://{HOST}:{port}/ocpp"


async def write(scene: Scene201, url: str, slot: int = 2, security_profile: int = 1, **changes: Any) -> tuple[str, str]:
    """The status of a SetNetworkProfile, and its reason."""
    data = profile(url, security_profile, **changes)
    answer = await scene.call("SetNetworkProfile", configurationSlot=slot, connectionData=data)
    return answer["status"], answer.get("statusInfo", {}).get("reasonCode", "")


async def prefer(scene: Scene201, slots: str) -> str:
    return await scene.set_variable("OCPPCommCtrlr", "NetworkConfigurationPriority", slots)


async def restarted(scene: Scene201, slots: str) -> None:
    """The order of slots is set and the station is told to start again."""
    assert await prefer(scene, slots) == "RebootRequired"
    assert await scene.status_of("Reset", type="Immediate") == "Accepted"


async def comes_to(csms: Csms, *, after: int = 0) -> dict[str, Any]:
    """The boot with which the station introduces itself there; the line is in use then."""
    boot = await csms.wait_for("BootNotification", after=after, timeout_s=PATIENCE_S)
    await csms.wait_for("StatusNotification", after=after, timeout_s=PATIENCE_S)
    return dict(boot)


async def value_at(csms: Csms, variable: str, component: str = "OCPPCommCtrlr", **more: str) -> str:
    asked = {"component": {"name": component}, "variable": {"name": variable, **more}}
    answer = await csms.call("GetVariables", {"getVariableData": [asked]})
    (result,) = answer["getVariableResult"]
    return str(result.get("attributeValue"))


# --- profiles


@pytest.mark.req("TC_B_43_CS", "TC_A_22_CS", "B09.FR.02", "B09.FR.04", "B09.FR.05", "B10.FR.02")
async def test_TC_B_43_CS_TC_A_22_CS_a_profile_that_cannot_be_or_lowers_the_security_is_rejected(
    open_scene201: OpenScene201, pki: Pki
) -> None:
    scene = await open_scene201(
        csms_options={"credentials": CREDENTIALS, "tls": pki.server()},
        csms_settings={"security_profile": 2, "password": OLD, "ca_file": pki.ca_file},
    )
    here = scene.csms.url
    assert await write(scene, "nonsense", security_profile=2) == ("Rejected", "InvalidNetworkConf")
    assert await write(scene, here, security_profile=2, ocppTransport="SOAP") == ("Rejected", "InvalidNetworkConf")
    assert await write(scene, here, security_profile=1) == ("Rejected", "NoSecurityDowngrade")
    assert await write(scene, here, slot=99, security_profile=2) == ("Rejected", "InvalidConfSlot")
    assert await prefer(scene, "2") == "Rejected"
    assert await scene.value_of("OCPPCommCtrlr.NetworkConfigurationPriority") == "1"
    assert await scene.value_of("SecurityCtrlr.SecurityProfile") == "2"


@pytest.mark.req("TC_B_45_CS", "B09.FR.01", "B10.FR.01", "B10.FR.04", "B10.FR.06", "B10.FR.10")
async def test_TC_B_45_CS_after_a_reset_the_station_comes_to_the_other_csms(open_scene201: OpenScene201) -> None:
    scene = await opened(open_scene201)
    assert await scene.reserve("BOB") == "Accepted"
    async with another_csms() as other:
        assert await write(scene, other.url) == ("Accepted", "")
        await restarted(scene, "2,1")
        assert (await comes_to(other))["reason"] == "RemoteReset"
        assert STATION not in scene.csms.connected
        assert await value_at(other, "ActiveNetworkProfile") == "2"
        assert await value_at(other, "NetworkConfigurationPriority") == "2,1"
        assert await value_at(other, "MessageTimeout", instance="Default") == "20"
        statuses = [status["connectorStatus"] for status in other.received("StatusNotification")]
        assert statuses == ["Reserved"], "what was promised stays promised"
        assert other.violations == []


@pytest.mark.req("TC_B_46_CS", "B10.FR.03", "B10.FR.04", "B10.FR.10")
async def test_TC_B_46_CS_where_the_first_entry_leads_nowhere_the_next_is_gone(
    open_scene201: OpenScene201, free_port: int
) -> None:
    scene = await opened(open_scene201)
    assert (await write(scene, nowhere(free_port)))[0] == "Accepted"
    async with another_csms() as other:
        assert (await write(scene, other.url, slot=3))[0] == "Accepted"
        await restarted(scene, "2,3")
        await comes_to(other)
        assert await value_at(other, "ActiveNetworkProfile") == "3"
        assert other.violations == []


@pytest.mark.req("TC_B_49_CS", "B10.FR.07", "B10.FR.09")
async def test_TC_B_49_CS_where_no_entry_leads_anywhere_the_station_comes_back(
    open_scene201: OpenScene201, free_port: int
) -> None:
    scene = await opened(open_scene201)
    assert (await write(scene, nowhere(free_port)))[0] == "Accepted"
    await restarted(scene, "2")
    await comes_to(scene.csms, after=scene.since)
    assert await scene.value_of("OCPPCommCtrlr.ActiveNetworkProfile") == "1"
    assert await scene.value_of("OCPPCommCtrlr.NetworkConfigurationPriority") == "2"


# --- another CSMS that another authority vouches for


async def believes(scene: Scene201, authority: Authority) -> None:
    status = await scene.status_of(
        "InstallCertificate", certificateType="CSMSRootCertificate", certificate=authority.pem
    )
    assert status == "Accepted"


@pytest.mark.req("TC_B_50_CS", "TC_A_19_CS", "M05.FR.13", "A05.FR.04", "A05.FR.05", "A05.FR.06")
async def test_TC_B_50_CS_TC_A_19_CS_another_root_and_a_higher_security_profile_are_reached(
    open_scene201: OpenScene201, pki: Pki
) -> None:
    scene = await opened(open_scene201)
    root = Authority.new("Another Root")
    await believes(scene, root)
    async with another_csms(tls=root.server().server_context(pki.folder)) as other:
        assert (await write(scene, other.url, security_profile=2))[0] == "Accepted"
        assert (await write(scene, scene.csms.url, slot=3))[0] == "Accepted"
        await restarted(scene, "2,3,1")
        await comes_to(other)
        assert await value_at(other, "SecurityProfile", "SecurityCtrlr") == "2"
        assert await value_at(other, "NetworkConfigurationPriority") == "2", "slots below it are gone"
        assert other.violations == []


@pytest.mark.req("TC_B_47_CS", "B10.FR.07", "M05.FR.15", "M05.FR.16")
async def test_TC_B_47_CS_where_the_csms_with_the_new_root_is_not_there_the_old_one_is_still_believed(
    open_scene201: OpenScene201, pki: Pki, free_port: int
) -> None:
    scene = await open_scene201(
        csms_options={"credentials": CREDENTIALS, "tls": pki.server()},
        csms_settings={"security_profile": 2, "password": OLD, "ca_file": pki.ca_file},
        keys={"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 1},
    )
    await believes(scene, Authority.new("Another Root"))
    assert (await write(scene, nowhere(free_port, "wss"), security_profile=2))[0] == "Accepted"
    await restarted(scene, "2,1")
    await comes_to(scene.csms, after=scene.since)
    assert await scene.value_of("OCPPCommCtrlr.ActiveNetworkProfile") == "1"


@pytest.mark.req("TC_A_20_CS", "TC_A_21_CS", "A05.FR.02", "A05.FR.03")
async def test_TC_A_20_CS_and_TC_A_21_CS_without_a_root_or_a_certificate_the_order_is_rejected(
    open_scene201: OpenScene201,
) -> None:
    scene = await opened(open_scene201)
    for slot, security_profile in ((2, 2), (3, 3)):
        assert (await write(scene, "wss://csms.example.com/ocpp", slot, security_profile))[0] == "Accepted"
    assert await prefer(scene, "2,1") == "Rejected"
    await believes(scene, Authority.new("A Root"))
    assert await prefer(scene, "3,1") == "Rejected"
    assert await scene.value_of("OCPPCommCtrlr.NetworkConfigurationPriority") == "1"


# --- a line that comes back


async def away(scene: Scene201, *, at_least_s: float = 0.0) -> list[str]:
    """EVSE 1 changes while there is no line; what the CSMS is told when it is back."""
    await scene.cut()
    gone_at_s = time.monotonic()
    scene.plug(1)
    await scene.knows(lambda state: state["connectors"][0]["plugged"])
    await scene.site.until(lambda: time.monotonic() - gone_at_s > at_least_s)
    await scene.restore()
    mark = scene.since
    await scene.answered()
    return [call for call in scene.calls(after=mark) if call.startswith(("Status", "Boot"))]


@pytest.mark.req("TC_B_51_CS", "B04.FR.01")
async def test_TC_B_51_CS_after_a_long_time_away_every_connector_is_told(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS, keys={"OCPPCommCtrlr.OfflineThreshold": 1})
    assert sorted(await away(scene, at_least_s=2.0)) == ["Status 1 Occupied", "Status 2 Available"]


@pytest.mark.req("TC_B_52_CS", "B04.FR.02", "20-J-05")
async def test_TC_B_52_CS_after_a_short_time_away_only_what_has_changed_is_told(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS, keys={"OCPPCommCtrlr.OfflineThreshold": 300})
    assert await away(scene) == ["Status 1 Occupied"]


@pytest.mark.req("TC_B_57_CS", "20-J-04")
async def test_TC_B_57_CS_after_a_lost_line_the_station_knocks_at_growing_intervals(
    open_scene201: OpenScene201, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "back_off_policy", words.back_off_policy)
    waits: list[float] = []
    next_s = BackOff.next_s
    monkeypatch.setattr(BackOff, "next_s", lambda one: waits.append(next_s(one)) or waits[-1])
    scene = await open_scene201()
    for name, value in (("WaitMinimum", 1), ("RandomRange", 0), ("RepeatTimes", 1)):
        await scene.configure(f"OCPPCommCtrlr.RetryBackOff{name}", value)
    scene.csms.shows_out = lambda header: True
    await scene.csms.close(STATION)
    knocks = [time.monotonic()]
    for count in (1, 2):
        await scene.site.until(lambda count=count: scene.csms.shown_out >= count, timeout_s=PATIENCE_S)
        knocks.append(time.monotonic())
    scene.csms.shows_out = lambda header: False
    mark = scene.csms.mark()
    await scene.csms.wait_disconnected(STATION)
    await scene.csms.wait_connected(STATION)
    knocks.append(time.monotonic())
    assert waits == [1, 2, 2], "doubled once, and no more"
    passed = [later - earlier for earlier, later in pairwise(knocks)]
    assert all(passed_s > 0.9 * wait_s for passed_s, wait_s in zip(passed, waits, strict=True))
    await scene.answered()
    assert scene.csms.received("BootNotification", after=mark) == []


# --- another version on the next line


@pytest.mark.req("20-J-01", "20-J-05")
async def test_a_station_that_changes_its_version_keeps_what_it_has_promised(open_scene201: OpenScene201) -> None:
    """2.0.1, then 1.6, then 2.0.1: a reservation, a changed variable, a transaction that runs and one that waits."""
    scene = await open_scene201(TWO_SOCKETS, csms_options={"versions": BOTH}, csms_settings={"versions": list(BOTH)})
    scene.forgiven = lambda sentence: "-1" in sentence
    await scene.configure("OCPPCommCtrlr.WebSocketPingInterval", 77)
    assert await scene.reserve("BOB", 2) == "Accepted"
    scene.plug(1)
    await scene.expect_status("Occupied", 1)
    scene.swipe("ALICE", 1)
    await scene.expect_event("Started", evse=1)
    await scene.energy_flows(1)
    await scene.answered()
    scene.csms.accept_versions("ocpp1.6")
    await scene.cut()
    await scene.restore()
    assert (await scene.expect("BootNotification"))["chargePointVendor"] == "Example Energy"
    await scene.expect("StatusNotification", connectorId=2, status="Reserved")
    await scene.expect("StatusNotification", connectorId=1, status="Charging")
    answer = await scene.call("GetConfiguration", key=["WebSocketPingInterval", "NetworkConfigurationPriority"])
    assert [key["value"] for key in answer["configurationKey"]] == ["77"]
    assert answer["unknownKey"] == ["NetworkConfigurationPriority"]
    await scene.cut()
    scene.unplug(1)
    await scene.knows(lambda state: state["queued"] > 0)
    assert (await scene.daemon.state())["csms"]["version"] == "ocpp1.6", "by its rules, until the CSMS says otherwise"
    await scene.stop_daemon()
    await scene.start_daemon(wait=False)
    await scene.site.until(scene.daemon.control.exists, timeout_s=PATIENCE_S)
    assert (await scene.daemon.state())["csms"]["version"] == "ocpp1.6"
    scene.csms.accept_versions("ocpp2.0.1")
    await scene.restore()
    await scene.expect("BootNotification", within_s=PATIENCE_S)
    await scene.expect_event("Ended")
    await scene.expect_status("Reserved", 2)
    await scene.answered()
    assert (await scene.daemon.state())["csms"]["version"] == "ocpp2.0.1"
    assert await scene.value_of("OCPPCommCtrlr.WebSocketPingInterval") == "77"
    assert await scene.cancel_reservation() == "Accepted"
