"""What local people do over MQTT, as a 2.0.1 CSMS hears of it: limits, keys of the site's own, OCPP stopped."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from tests.conformance.scene201 import PATIENCE_S, SOCKET, OpenScene201
from tests.mqtt.conftest import Broker

PREFIX = "edged/v1/gw1/rpc/bms"


class Bms:
    """Asks and waits for its answer."""

    _ids = itertools.count(1)

    def __init__(self, port: int) -> None:
        self._answers: dict[str, Any] = {}
        self._news = threading.Condition()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"{PREFIX}/reply/#", 1)
        self._client.loop_start()
        assert subscribed.wait(PATIENCE_S)

    def _heard(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        with self._news:
            self._answers[body["id"]] = body
            self._news.notify_all()

    async def ask(self, command: str, **args: object) -> Any:
        """The result. Asked again and again with its id until the daemon listens: it is done once."""
        ident = str(next(self._ids))

        def wait() -> Any:
            for _ in range(int(PATIENCE_S * 4)):
                self._client.publish(f"{PREFIX}/request/{command}", json.dumps({"id": ident, "args": args}), 1)
                with self._news:
                    if self._news.wait_for(lambda: ident in self._answers, 0.25):
                        return self._answers[ident]
            return {}

        answer = await asyncio.to_thread(wait)
        assert answer.get("ok"), answer
        return answer["result"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
async def bms(broker: Broker) -> AsyncIterator[Bms]:
    one = Bms(broker.port)
    yield one
    one.close()


def site(broker: Broker) -> dict[str, Any]:
    mqtt = {"url": f"mqtt://127.0.0.1:{broker.port}", "commands": {"bms": ["*"]}}
    return {"site_settings": {"gateway": {"id": "gw1"}, "mqtt": mqtt}}


@pytest.mark.req("K11.FR.02", "K12.FR.02", "K13.FR.01")
async def test_a_limit_set_over_mqtt_is_told_to_the_csms_reaches_the_charger_and_goes(
    open_scene201: OpenScene201, broker: Broker, bms: Bms
) -> None:
    scene = await open_scene201(SOCKET, keys={"NotifyChargingLimitWithSchedules": True}, **site(broker))
    await scene.charging()
    assert await bms.ask("set_limit", connector=1, limit_a=10) == {"status": "Accepted"}
    told = await scene.expect("NotifyChargingLimit", evseId=1)
    assert told["chargingLimit"]["chargingLimitSource"] == "EMS"
    ((period,),) = [schedule["chargingSchedulePeriod"] for schedule in told["chargingSchedule"]]
    assert period["limit"] == 10
    answer = await scene.call("GetCompositeSchedule", evseId=1, duration=60)
    assert [one["limit"] for one in answer["schedule"]["chargingSchedulePeriod"]] == [10]
    await scene.site.until(lambda: scene.point().limit_ma == 10_000, timeout_s=PATIENCE_S)
    assert await bms.ask("clear_limit", connector=1) == {"status": "Accepted"}
    assert (await scene.expect("ClearedChargingLimit", evseId=1))["chargingLimitSource"] == "EMS"


async def test_a_limit_that_goes_while_ocpp_is_stopped_is_told_after_the_station_has_introduced_itself(
    open_scene201: OpenScene201, broker: Broker, bms: Bms
) -> None:
    scene = await open_scene201(SOCKET, **site(broker))
    assert await bms.ask("set_limit", connector=1, limit_a=10) == {"status": "Accepted"}
    await scene.expect("NotifyChargingLimit", evseId=1)
    assert await bms.ask("stop") is True
    assert await bms.ask("clear_limit", connector=1) == {"status": "Accepted"}
    mark = scene.csms.mark()
    assert await bms.ask("restart") is True
    boot = await scene.csms.wait_for("BootNotification", after=mark, timeout_s=PATIENCE_S)
    assert boot["reason"] == "LocalReset"
    await scene.csms.wait_for("ClearedChargingLimit", after=mark, timeout_s=PATIENCE_S)


async def test_a_key_that_the_site_has_made_up_is_one_key_for_csms_and_bms(
    open_scene201: OpenScene201, broker: Broker, bms: Bms
) -> None:
    keys = {"custom_keys": {"BadgeText": {"type": "text", "maximum": 10, "default": "hello"}}}
    scene = await open_scene201(SOCKET, station_settings=keys, **site(broker))
    assert await scene.get_variable("CustomizationCtrlr", "BadgeText") == "hello"
    assert await bms.ask("set_custom_configuration_key", key="BadgeText", value="moin") == {"status": "Accepted"}
    assert await scene.get_variable("CustomizationCtrlr", "BadgeText") == "moin"
    assert await scene.set_variable("CustomizationCtrlr", "BadgeText", "x" * 11) == "Rejected"
    assert await scene.set_variable("CustomizationCtrlr", "BadgeText", "salut") == "Accepted"
    shown = await bms.ask("get_configuration_key", keys=["BadgeText"])
    assert shown["configuration_keys"] == [{"key": "BadgeText", "value": "salut", "read_only": False}]
    assert await scene.status_of("GetBaseReport", requestId=1, reportBase="FullInventory") == "Accepted"
    reported = await scene.csms.wait_for(
        "NotifyReport",
        lambda page: any(one["variable"]["name"] == "BadgeText" for one in page["reportData"]),
        timeout_s=PATIENCE_S,
    )
    (one,) = [one for one in reported["reportData"] if one["variable"]["name"] == "BadgeText"]
    assert one["component"] == {"name": "CustomizationCtrlr"}
    assert one["variableCharacteristics"] == {"dataType": "string", "maxLimit": 10, "supportsMonitoring": True}
