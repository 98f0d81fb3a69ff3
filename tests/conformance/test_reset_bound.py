"""A CSMS that repeats resets does not keep the site down: over the wire, with a start of the daemon after each."""

from __future__ import annotations

from tests.conformance.scene import OpenScene
from tests.conformance.scene201 import OpenScene201


async def test_the_third_hard_reset_is_refused_and_the_car_charges_on(open_scene: OpenScene) -> None:
    scene = await open_scene()
    for _ in range(2):
        assert await scene.status_of("Reset", type="Hard") == "Accepted"
        await scene.expect("BootNotification")
        await scene.ready(after=scene.since)
    await scene.charging()
    assert await scene.status_of("Reset", type="Hard") == "Rejected"
    await scene.settled()
    assert scene.payloads("StopTransaction") == []
    assert scene.daemon.exits == [75, 75]
    assert await scene.status_of("Reset", type="Soft") == "Accepted"


async def test_the_third_immediate_reset_is_refused_with_its_reason(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    for times in (1, 2):
        assert await scene.status_of("Reset", type="Immediate") == "Accepted"
        await scene.expect("BootNotification")
        await scene.ready(after=scene.since)
        assert scene.daemon.exits == [75] * times
    answer = await scene.call("Reset", type="Immediate")
    assert answer["status"] == "Rejected"
    assert "2 hard resets within an hour" in answer["statusInfo"]["additionalInfo"]
    assert await scene.status_of("Reset", type="OnIdle") == "Accepted"
