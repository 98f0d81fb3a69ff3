"""OCPP stopped and started by local people in the middle of a site's life: the CSMS's books agree in the end."""

from __future__ import annotations

import pytest

from edged.domain.local_commands import RestartOcpp, StopOcpp
from edged.domain.types import RequestRef
from tests.fakes.central import Moods
from tests.fakes.world import Plan, World
from tests.sim.laws import Laws
from tests.sim.life import calm_down
from tests.sim.test_power_cuts import PLAN, PLAN_201, charge, unplug


def stop(world: World) -> None:
    world.guard(lambda: world.engine.post(StopOcpp(RequestRef("mqtt:bms", f"stop {world.elapsed_s}", "stop"))))


def restart(world: World) -> None:
    world.guard(lambda: world.engine.post(RestartOcpp(RequestRef("mqtt:bms", f"restart {world.elapsed_s}", "restart"))))


def begun(plan: Plan) -> World:
    world = World(3, Laws, plan=plan)
    world.central.moods = Moods()
    world.start()
    world.run(20)
    return world


@pytest.mark.parametrize("plan", [PLAN, PLAN_201], ids=["1.6", "2.0.1"])
async def test_what_ran_before_runs_on_and_what_began_meanwhile_is_never_told(plan: Plan) -> None:
    world = begun(plan)
    charge(world, 1)
    received = len(world.central.received)
    stop(world)
    world.run(60)
    assert not world.wire.connected
    charge(world, 2)
    assert world.engine.station.running(2) is not None
    world.run(60)
    assert len(world.central.received) <= received + 2, "nothing but what was on its way"
    restart(world)
    world.run(40)
    assert world.wire.connected
    unplug(world, 2)
    unplug(world, 1)
    calm_down(world)
    assert world.engine.station.transactions == {}
    assert world.engine.station.queued == 0


@pytest.mark.parametrize("plan", [PLAN, PLAN_201], ids=["1.6", "2.0.1"])
@pytest.mark.parametrize("crash", [False, True], ids=["no crash", "a crash meanwhile"])
async def test_stopping_again_and_again_doubles_and_loses_nothing(plan: Plan, crash: bool) -> None:
    world = begun(plan)
    for _ in range(3):
        charge(world, 1)
        stop(world)
        world.run(20)
        if crash:
            world.guard(lambda: world.die(power=False))
            world.run(60)
        restart(world)
        world.run(30)
        unplug(world, 1)
        world.run(10)
    calm_down(world)
    assert world.engine.station.transactions == {}
    assert world.engine.station.isolation is None
