"""What the mirror leaves at the broker is kept in the daemon's database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.mirroring import RETAINED, KeptTopics
from edged.mqtt.manifest import Kept
from edged.ports import StoreError
from edged.store.opening import open_store
from edged.store.port import Store

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "edged.db", wall=NOON)
    yield opened.store
    opened.store.close()


def test_what_was_kept_is_there_after_a_restart(store: Store) -> None:
    many = frozenset(f"edged/v1/gw1/point/cs1/{n}/power_w" for n in range(5_000))
    kept = Kept(topics=many, histories={"a": {"status": "Available", "since": None, "previous": "x"}})
    executor = ThreadPoolExecutor(1)
    KeptTopics(store, executor).keep(kept)
    executor.shutdown(wait=True)
    assert KeptTopics(store, executor).load() == kept
    assert len(store.value(RETAINED) or "") < 100_000
    KeptTopics(store, executor).keep(Kept())  # the daemon has let go of its store: nothing happens


def test_nothing_is_there_at_first(store: Store) -> None:
    assert KeptTopics(store, ThreadPoolExecutor(1)).load() == Kept()


@pytest.mark.parametrize("text", ["", "no base64", "aGVsbG8=", "eJyrrgUAAXUA+Q==", "ü"])
def test_a_damaged_list_is_left_out_and_said(store: Store, text: str, caplog: pytest.LogCaptureFixture) -> None:
    store.set_value(RETAINED, text)
    assert KeptTopics(store, ThreadPoolExecutor(1)).load() == Kept()
    assert "unreadable" in caplog.text


def test_a_disk_that_is_full_is_a_line_in_the_log(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_name: str, _text: str | None) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(store, "set_value", full)
    executor = ThreadPoolExecutor(1)
    KeptTopics(store, executor).keep(Kept())
    executor.shutdown(wait=True)
    assert "no space left" in caplog.text
