"""DataTransfer and custom data of 2.0.1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.scene201 import OpenScene201

VENDORS = {"data_transfer": {"vendors": {"com.example": {"messages": ["Tariff"], "answer": "thank you"}}}}


@pytest.mark.req("TC_P_01_CS", "P01.FR.05", "P01.FR.06")
async def test_TC_P_01_CS_what_no_vendor_is_registered_for_is_refused_by_its_name(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(site_settings=VENDORS)
    assert await scene.call("DataTransfer", vendorId="org.example.nobody") == {"status": "UnknownVendorId"}
    answer = await scene.call("DataTransfer", vendorId="com.example", messageId="Other", data={"a": [1]})
    assert answer == {"status": "UnknownMessageId"}


@pytest.mark.req("P01.FR.04")
async def test_data_of_any_type_is_taken_and_answered(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(site_settings=VENDORS)
    kinds: list[Any] = ["text", {"list": [1, 2.5, None, {"deep": True}]}, [1, 2], 3, False, None]
    for data in kinds:
        answer = await scene.call("DataTransfer", vendorId="COM.example", messageId="tariff", data=data)
        assert answer == {"status": "Accepted", "data": "thank you"}
    with pytest.raises(Exception, match="PropertyConstraintViolation"):
        await scene.call("DataTransfer", vendorId="com.example", messageId="tariff", data={"a": "x" * 2**16})


@pytest.mark.req("TC_P_03_CS", "20-J-10")
async def test_TC_P_03_CS_custom_data_of_whatever_vendor_is_no_reason_to_refuse(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    custom = {"vendorId": "org.openchargealliance.something", "anything": {"there": ["is"]}}
    answer = await scene.call("GetLocalListVersion", customData=custom)
    assert answer["versionNumber"] == 0
    token = {"idToken": "ALICE", "type": "ISO14443", "customData": custom}
    answer = await scene.call("CustomerInformation", requestId=1, report=True, clear=False, idToken=token)
    assert answer["status"] == "Accepted"
