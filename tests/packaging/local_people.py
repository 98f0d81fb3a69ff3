"""People at the site over MQTT: they are told what happens, and order things; what they are told is noted."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import paho.mqtt.client as paho

from tests.packaging.notes import Asked, Kept, Refused, Replied, Told, Witness

TREE = "edged/v1/gw"
ACTOR = "bms"
PATIENCE_S = 1.0
"""A daemon that is killed answers nothing."""
PAUSE_S = 0.3


class LocalPeople:
    """One client, for as long as its block lasts. What comes is noted in the loop's own thread, when it certainly has
    come."""

    def __init__(self, witness: Witness, dice: random.Random) -> None:
        self._witness = witness
        self._dice = dice
        self._loop = asyncio.get_running_loop()
        self._answers: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._counter = 0
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="people", protocol=paho.MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"{TREE}/event/#", 1), (f"{TREE}/rpc/{ACTOR}/reply/#", 1)]
        )
        self._client.on_message = self._heard

    def connect(self, port: int) -> None:
        self._client.connect("127.0.0.1", port, 30)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        _, is_event, category = message.topic.partition("/event/")
        if is_event:
            self._loop.call_soon_threadsafe(self._event, category, body)
        else:
            self._loop.call_soon_threadsafe(self._reply, body)

    def _event(self, category: str, body: Mapping[str, Any]) -> None:
        matters_little = category in ("connector", "command")
        self._witness.note(None, Told(body["seq"], body["id"], body["boot"], matters_little))

    def _reply(self, body: Mapping[str, Any]) -> None:
        if body["ok"]:
            self._witness.note(None, Replied(body["id"]))
        answer = self._answers.pop(body["id"], None)
        if answer is not None and not answer.done():
            answer.set_result(body)

    async def book(self, station: str, place: int) -> None:
        """Reserve a place and give it free again, over and over."""
        while True:
            self._counter += 1
            number = 9000 + self._counter
            until = (datetime.now(UTC) + timedelta(hours=5)).isoformat(timespec="seconds").replace("+00:00", "Z")
            order = {"connector": place, "reservation_id": number, "id_token": "CAROL", "expires_at": until}
            name = f"reservation {number}"
            if await self._order(station, "reserve_now", order, {name: f"at {place}"}):
                await asyncio.sleep(self._dice.uniform(0.0, PAUSE_S))
                await self._order(station, "cancel_reservation", {"reservation_id": number}, {name: "gone"})
            await asyncio.sleep(self._dice.uniform(0.0, PAUSE_S))

    async def _order(self, station: str, command: str, args: Mapping[str, object], changes: Mapping[str, str]) -> bool:
        """Whether it may have been carried out. One that is not answered is repeated, as people do, under the same id;
        of one that was under way when the daemon ended nobody knows."""
        name = f"{command}-{self._counter}"
        topic = f"{TREE}/rpc/{ACTOR}/request/{command}"
        body = json.dumps({"id": name, "args": {"station": station, **args}})
        self._witness.note(station, Asked(changes))
        while True:
            self._answers[name] = answer = self._loop.create_future()
            self._client.publish(topic, body, qos=1)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    told = await answer
                break
            except TimeoutError:
                continue
        if told.get("error", {}).get("code") == "timeout":
            return True
        done = told["ok"] and told["result"]["status"] == "Accepted"
        self._witness.note(station, Kept(changes) if done else Refused(changes))
        return bool(done)
