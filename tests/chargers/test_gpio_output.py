"""A GPIO line that cuts power: its logic over a line in memory, and what is no chip over the real way."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from periphery import GPIO, CdevGPIO

from edged.chargers.gpio_output import GpioOutput, open_pin
from edged.ports import ChargerRefused, ChargerUnreachable

CHIP = "/dev/gpiochip0"


class Chip:
    """A chip with one line. `fails` is what the next calls of a kind come to; `stuck` keeps writes waiting."""

    def __init__(self) -> None:
        self.level: bool | None = None
        self.is_taken = False
        self.levels: list[bool] = []
        self.requested_at: list[bool] = []
        self.fails: dict[str, int] = {}
        self.reads: bool | None = None
        self.stuck = threading.Event()
        self.stuck.set()
        self.threads: set[int] = set()

    def open(self, path: str, line: int, level: bool) -> Pin:
        self.check("open")
        if self.is_taken:
            raise OSError(errno.EBUSY, "Device or resource busy")
        self.is_taken = True
        self.requested_at.append(level)
        self.level = level
        return Pin(self)

    def check(self, kind: str) -> None:
        self.threads.add(threading.get_ident())
        if kind in self.fails:
            raise OSError(self.fails[kind], os.strerror(self.fails[kind]))


class Pin:
    """What is used of python-periphery's GPIO."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip

    def read(self) -> bool:
        self.chip.check("read")
        assert self.chip.level is not None
        return self.chip.level if self.chip.reads is None else self.chip.reads

    def write(self, value: bool) -> None:
        assert type(value) is bool, "periphery takes nothing else"
        self.chip.check("write")
        assert self.chip.stuck.wait(30)
        if value is not self.chip.level:
            self.chip.levels.append(value)
        self.chip.level = value

    def close(self) -> None:
        self.chip.is_taken = False


@asynccontextmanager
async def line_of(chip: Chip, **options) -> AsyncIterator[GpioOutput]:
    output = GpioOutput(CHIP, 17, **{"opener": chip.open, "call_s": 30.0, "look_every_s": 0.01, **options})
    try:
        yield output
    finally:
        chip.stuck.set()
        await output.stop()


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


async def test_the_line_is_requested_at_rest_at_the_start_and_never_active_by_itself() -> None:
    chip = Chip()
    async with line_of(chip) as output:
        output.start()
        await until(lambda: chip.requested_at)
        assert chip.requested_at == [False]
    assert chip.levels == [] and not chip.is_taken


async def test_a_line_that_is_active_low_rests_high() -> None:
    chip = Chip()
    async with line_of(chip, active_high=False) as output:
        await output.hold(5)
        assert (chip.requested_at, chip.level) == ([True], False)
        assert await output.release()
        assert chip.level is True


async def test_it_is_active_while_it_is_held_and_at_rest_afterwards() -> None:
    chip = Chip()
    async with line_of(chip) as output:
        output.start()
        await output.hold(5)
        for _ in range(20):  # the watch looks meanwhile
            await asyncio.sleep(0.002)
        assert chip.level is True
        assert await output.release()
        assert chip.levels == [True, False]


async def test_the_line_stays_ours_between_two_holds() -> None:
    chip = Chip()
    async with line_of(chip) as output:
        for _ in range(2):
            await output.hold(5)
            await output.release()
            assert chip.is_taken
        assert chip.requested_at == [False]


async def test_a_hold_that_is_cancelled_is_followed_by_rest() -> None:
    chip = Chip()
    async with line_of(chip) as output:

        async def reset() -> None:
            try:
                await output.hold(5)
                await asyncio.sleep(60)
            finally:
                await output.release()

        task = asyncio.get_running_loop().create_task(reset())
        await until(lambda: chip.level)
        task.cancel()
        await asyncio.wait([task])
        assert chip.levels == [True, False]


async def test_a_release_whose_user_is_cancelled_comes_to_its_end() -> None:
    chip = Chip()
    async with line_of(chip) as output:
        await output.hold(5)
        chip.stuck.clear()
        task = asyncio.get_running_loop().create_task(output.release())
        await asyncio.sleep(0)
        task.cancel()
        threading.Timer(0.02, chip.stuck.set).start()
        await asyncio.wait([task])
        assert chip.level is False


async def test_a_chip_that_hangs_holds_nobody_up_and_is_followed_by_rest() -> None:
    chip = Chip()
    async with line_of(chip, call_s=0.02) as output:
        output.start()
        chip.stuck.clear()
        with pytest.raises(ChargerUnreachable, match=r"GPIO line 17 of /dev/gpiochip0 has not answered for 0\.02 s"):
            await output.hold(5)
        assert await output.release() is False
        chip.stuck.set()
        await until(lambda: chip.levels == [True, False])


async def test_a_line_in_use_by_something_else_is_told_in_one_sentence_and_asked_for_again(caplog) -> None:
    chip = Chip()
    chip.is_taken = True
    async with line_of(chip) as output:
        output.start()
        with pytest.raises(ChargerRefused, match=r"^GPIO line 17 of \S+ is used by something else already: gpioinfo"):
            await output.hold(5)
        assert await output.release() is False
        await until(lambda: "cannot cut a charger's power: GPIO line 17" in caplog.text)
        chip.is_taken = False
        await output.hold(5)
        assert chip.requested_at == [False] and chip.level is True
        assert await output.release()


async def test_a_line_that_came_free_is_brought_to_rest_by_the_watch() -> None:
    chip = Chip()
    chip.fails["open"] = errno.ENOENT
    async with line_of(chip) as output:
        output.start()
        await until(lambda: chip.threads)
        del chip.fails["open"]
        output._look_now.set()
        await until(lambda: chip.is_taken)
        assert chip.requested_at == [False]


async def test_a_chip_that_went_away_is_asked_for_anew() -> None:
    chip = Chip()
    async with line_of(chip) as output:
        await output.hold(5)
        chip.fails["write"] = errno.ENODEV
        assert await output.release() is False
        assert not chip.is_taken
        del chip.fails["write"]
        chip.level = True
        assert await output.release()
        assert chip.level is False


async def test_a_line_that_does_not_follow_is_told() -> None:
    chip = Chip()
    chip.reads = False
    async with line_of(chip) as output:
        with pytest.raises(ChargerRefused, match="was set high but reads low"):
            await output.hold(5)
        assert await output.release()


async def test_a_chip_that_cannot_read_its_outputs_is_believed() -> None:
    chip = Chip()
    chip.fails["read"] = errno.EIO
    async with line_of(chip) as output:
        await output.hold(5)
        assert await output.release()
    assert chip.levels == [True, False]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "may not be used: see GPIO in the installer's guide"),
        (errno.EINVAL, "does not exist or cannot be an output"),
        (errno.ENOTTY, "is no GPIO chip"),
        (errno.ENXIO, "cannot be requested: No such device or address"),
    ],
)
async def test_what_the_kernel_refuses_is_told_in_words(number: int, told: str) -> None:
    chip = Chip()
    chip.fails["open"] = number
    async with line_of(chip) as output:
        with pytest.raises(ChargerRefused, match=told):
            await output.hold(5)


async def test_stopping_puts_the_line_to_rest_and_gives_it_back() -> None:
    chip = Chip()
    async with line_of(chip) as output:
        await output.hold(5)
    assert chip.level is False and not chip.is_taken


async def test_what_comes_too_late_does_not_take_the_line_again_after_the_end() -> None:
    chip = Chip()
    async with line_of(chip) as output:
        await output.stop()
        with pytest.raises(ChargerRefused, match="was given back"):
            await output.hold(5)
    assert not chip.is_taken


async def test_a_chip_that_hangs_does_not_hold_up_the_end() -> None:
    chip = Chip()
    async with line_of(chip, call_s=0.02) as output:
        await output.hold(5)
        chip.stuck.clear()
        async with asyncio.timeout(30):
            await output.stop()


async def test_no_call_is_made_on_the_loop() -> None:
    chip = Chip()
    async with line_of(chip) as output:
        await output.hold(5)
        await output.release()
    assert threading.get_ident() not in chip.threads


# --- the real way, as far as a computer without a chip goes ------------------------------------------


async def test_a_chip_that_does_not_exist_refuses_the_reset() -> None:
    output = GpioOutput("/dev/gpiochip99", 17)
    with pytest.raises(ChargerRefused, match="/dev/gpiochip99 cannot be looked at on this computer"):
        await output.hold(5)
    assert await output.release() is False
    await output.stop()


@pytest.mark.parametrize("kind", ["device", "file", "folder", "pipe"])
async def test_what_is_no_chip_is_told_and_never_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "chip"
    match kind:
        case "device":
            path = Path("/dev/null")
        case "file":
            path.touch()
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)  # opening it for reading would wait for ever
    with pytest.raises(ChargerRefused, match="is no GPIO chip"):
        await GpioOutput(str(path), 17).hold(5)


def test_the_package_takes_what_it_is_given_and_says_what_we_have_words_for() -> None:
    with pytest.raises(OSError, match="Opening output line handle") as refused:
        CdevGPIO("/dev/null", 17, "high", label="edged")
    assert refused.value.errno == errno.ENOTTY
    for name in ("read", "write", "close"):
        assert callable(getattr(GPIO, name))


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "periphery", None)
    monkeypatch.setattr("edged.chargers.gpio_output.flaw_of_chip", lambda path: None)
    with pytest.raises(ChargerRefused, match="needs the package python-periphery"):
        open_pin(CHIP, 17, False)
