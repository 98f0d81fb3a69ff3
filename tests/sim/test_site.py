"""Whole sites in virtual time with seeded faults. A failing seed is in the test's name; `SEED=n` reruns it alone."""

from __future__ import annotations

import os
import random

import pytest

from tests.fakes.world import World
from tests.sim.laws import Laws
from tests.sim.life import Life, calm_down

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else range(200)
LIFE_S = 1200


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_site_survives_its_life(seed: int) -> None:
    rng = random.Random(f"crashes {seed}")
    crash_at = sorted(rng.sample(range(5, 2500), rng.randrange(0, 6)))
    world = World(seed, Laws, crash_at=crash_at)
    life = Life(world)
    world.start()
    life.go_on()
    world.run(LIFE_S)
    life.end()
    calm_down(world)
    laws = world.watch
    assert isinstance(laws, Laws)
    laws.judge()
