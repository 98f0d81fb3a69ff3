"""Hard resets of a charger that has no reset register: an output of a relay board cuts its power."""

from __future__ import annotations

import pytest

from tests.conformance.scene import TETHERED, OpenScene

CYCLE = [(1, True), (1, False)]


@pytest.mark.req("TC_014_CS")
async def test_a_hard_reset_power_cycles_a_charger_without_a_reset_register(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED, relay_off_s=1.0)
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    await scene.site.until(lambda: scene.board.outputs[1] and not scene.unit().reachable)
    await scene.expect("BootNotification", within_s=30.0)
    await scene.ready(after=scene.since)
    assert scene.board.history == CYCLE
    assert scene.unit().reachable
    assert scene.daemon.exits == [75]


@pytest.mark.req("TC_013_CS")
async def test_a_soft_reset_leaves_the_relay_alone(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED, relay_off_s=1.0)
    assert await scene.status_of("Reset", type="Soft") == "Accepted"
    await scene.expect("BootNotification")
    await scene.ready(after=scene.since)
    assert scene.board.history == []


@pytest.mark.req("TC_015_CS")
async def test_the_power_is_cut_when_no_energy_flows_any_more(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await open_scene(TETHERED, relay_off_s=1.0)
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.energy_flows(wh=1.0)
    loaded: list[bool] = []
    cut = scene.unit().cut_power

    def look_and_cut() -> None:
        loaded.append(scene.point().contactor_closed)
        cut()

    monkeypatch.setattr(scene.unit(), "cut_power", look_and_cut)
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    assert (await scene.expect("StopTransaction"))["reason"] == "HardReset"
    await scene.expect("BootNotification", within_s=30.0)
    await scene.ready(after=scene.since)
    assert loaded == [False]


async def test_a_charger_that_does_not_answer_is_power_cycled_too(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED, relay_off_s=1.0)
    scene.unit().silent = True
    await scene.knows(lambda state: not state["connectors"][0]["online"])
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    await scene.site.until(lambda: scene.board.outputs[1])
    scene.unit().silent = False  # what hung is cured by it
    await scene.expect("BootNotification", within_s=30.0)
    await scene.ready(after=scene.since)
    assert scene.board.history == CYCLE


async def test_a_dead_board_does_not_keep_the_station_from_its_reset(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED, relay_off_s=1.0, keys={"ResetRetries": 0})
    scene.board.silent = True
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    await scene.expect("BootNotification", within_s=30.0)
    await scene.ready(after=scene.since)
    assert scene.board.history == []
    assert scene.daemon.exits == [75]


async def test_power_comes_back_when_edged_is_killed_while_it_is_cut(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED, relay_off_s=60.0, process=True)
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    await scene.site.until(lambda: scene.board.outputs[1])
    await scene.daemon.kill()
    assert scene.board.outputs[1], "only edged can put it back"
    await scene.start_daemon(wait=False)
    await scene.site.until(lambda: not scene.board.outputs[1])
    await scene.ready(after=scene.since)
    assert scene.board.history == CYCLE


async def test_power_comes_back_when_edged_is_stopped_while_it_is_cut(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED, relay_off_s=60.0)
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    await scene.site.until(lambda: scene.board.outputs[1])
    await scene.stop_daemon()
    assert scene.board.history == CYCLE
