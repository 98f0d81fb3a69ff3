"""The composition root's mirror: puts MQTT together from what the gateway has, and keeps on the disk what it leaves
behind at the broker. Decides nothing.
"""

from __future__ import annotations

import json
import logging
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from edged.desks import StationsView, StoredReplies
from edged.happenings import SpoolKeeper
from edged.mqtt.gateway_documents import GatewayView
from edged.ports import Clock, StoreError
from edged.settings import Settings
from edged.store.port import Store

if TYPE_CHECKING:
    from edged.mqtt.manifest import Kept
    from edged.mqtt.mirror import MqttMirror

_log = logging.getLogger(__name__)

RETAINED = "mqtt/retained"
MAX_BYTES = 16 * 1024 * 1024


class KeptTopics:
    """`mqtt.manifest.TopicKeeper` on the daemon's database: one value, packed, for topics repeat each other."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor

    def load(self) -> Kept:
        from edged.mqtt.manifest import Kept

        text = self._store.value(RETAINED)
        if text is None:
            return Kept()
        try:
            found = json.loads(zlib.decompressobj().decompress(b64decode(text), MAX_BYTES))
            return Kept(topics=frozenset(map(str, found["topics"])), histories=dict(found["histories"]))
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            _log.warning("the list of retained MQTT topics is unreadable and left out: %s", error)
            return Kept()

    def keep(self, kept: Kept) -> None:
        document = {"topics": sorted(kept.topics), "histories": {t: dict(h) for t, h in kept.histories.items()}}
        text = b64encode(zlib.compress(json.dumps(document).encode("utf-8", "surrogatepass"))).decode()

        def write() -> None:
            try:
                self._store.set_value(RETAINED, text)
            except StoreError as error:
                _log.warning("the list of retained MQTT topics was not kept: %s", error)

        try:
            self._executor.submit(write)
        except RuntimeError:
            _log.debug("the list of retained MQTT topics comes too late to be kept")


def build_mirror(
    settings: Settings,
    view: StationsView,
    store: Store,
    executor: Executor,
    clock: Clock,
    gateway: GatewayView,
    keeper: SpoolKeeper | None,
    *,
    run_id: str,
) -> MqttMirror | None:
    """The mirror of a site with a broker, not started yet; None without one."""
    if settings.mqtt is None:
        return None
    from edged.mqtt.mirror import MqttMirror  # two MiB that only a site with a broker needs
    from edged.mqtt.setup import options_from

    mirror = MqttMirror(
        options_from(settings.mqtt, gateway_id=settings.gateway.id),
        view,
        clock,
        gateway,
        run_id=run_id,
        store=StoredReplies(store, clock),
        events=None if keeper is None else keeper.kept,
        topics_kept=KeptTopics(store, executor),
        audit=None if keeper is None else keeper.tell,
    )
    view.told = mirror.told
    if keeper is not None:
        view.as_of = keeper.log.as_of
        keeper.serve(mirror.news)
    return mirror


def frame_tap(mirror: MqttMirror | None, station_id: str) -> Callable[[str, str | bytes], None] | None:
    """Where a station's OCPP frames go; None where nobody looks."""
    if mirror is None or not mirror.shows_frames:
        return None

    def tap(direction: str, frame: str | bytes) -> None:
        mirror.show_frame(station_id, direction, frame)

    return tap
