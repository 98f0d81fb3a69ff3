"""The same through aiomqtt and gmqtt, as their own manuals use them; knows nothing of edged, for they live elsewhere.

    .venv-rivals/bin/python benchmarks/mqtt_rivals.py aiomqtt|gmqtt PORT COUNT PER_SECOND

What is to be told waits in the program's own queue, and an event leaves it when the library says that it is published.
"""

import asyncio
import json
import sys
import time

KEEPALIVE_S = 5
TOPIC = "edged/v1/bench/event/transaction"


async def produce(queue: asyncio.Queue, count: int, per_s: float) -> None:
    await asyncio.to_thread(sys.stdin.readline)
    began_s = time.monotonic()
    for n in range(count):
        queue.put_nowait(json.dumps({"data": {"n": n}}))
        if (ahead_s := began_s + (n + 1) / per_s - time.monotonic()) > 0:
            await asyncio.sleep(ahead_s)
    print("told, 0 lost", flush=True)


async def by_aiomqtt(port: int, queue: asyncio.Queue) -> None:
    import aiomqtt

    event, said = None, False
    while True:  # as its page on reconnection: a client a connection
        try:
            async with aiomqtt.Client(
                "127.0.0.1", port, identifier="rival", keepalive=KEEPALIVE_S, protocol=aiomqtt.ProtocolVersion.V5
            ) as client:
                if not said:
                    said = True
                    print("ready", flush=True)
                while True:
                    event = await queue.get() if event is None else event
                    await client.publish(TOPIC, event, qos=1)
                    event = None
        except aiomqtt.MqttError:
            await asyncio.sleep(0.5)


async def by_gmqtt(port: int, queue: asyncio.Queue) -> None:
    import gmqtt

    client = gmqtt.Client("rival", clean_session=True)
    client.set_config({"reconnect_delay": 0.5, "reconnect_retries": gmqtt.constants.UNLIMITED_RECONNECTS})
    await client.connect("127.0.0.1", port, keepalive=KEEPALIVE_S)
    print("ready", flush=True)
    while True:
        event = await queue.get()
        while True:
            try:
                if client.is_connected:
                    client.publish(TOPIC, event, qos=1)
                    break
            except OverflowError:  # as many are under way as the broker allows
                pass
            await asyncio.sleep(0.002)


async def main(library: str, port: int, count: int, per_s: float) -> None:
    queue: asyncio.Queue = asyncio.Queue()
    publish = {"aiomqtt": by_aiomqtt, "gmqtt": by_gmqtt}[library]
    await asyncio.gather(produce(queue, count, per_s), publish(port, queue))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
