"""An event loop whose time passes by itself, and a line in memory: hours of a field bus in seconds, always the same.

`run_virtually(coroutine)` runs a coroutine where `loop.time()` (and so `edged.chargers.moments.moment`) starts at 0 and
jumps to the next timer whenever nothing is ready. Each look at the clock costs `TICK_S`, so that a wait that spins
comes to its end. Work for a thread is done at once, in the loop. Real sockets and ptys have no place here: their time
would not pass. What would hang for ever is a `TimeoutError` at once.

    async def scene() -> None:
        pipe = MemoryPipe(lambda pipe, data: pipe.feed(answer_to(data), after_s=0.02))
        bus = Bus(BusSpec(kind=LineKind.SERIAL, port="virtual"), connect=handing_out(pipe))
        assert await bus.read(1, Table.HOLDING, 0, 2) == (1, 2)
        await bus.close()

    def test_something() -> None:
        run_virtually(scene())
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from edged.chargers.line import BusSpec, Inbox, LineDown, Pipe
from edged.chargers.moments import moment

TICK_S = 5e-6
A_DAY_S = 86_400.0
Result = TypeVar("Result")


class _Jump(selectors.DefaultSelector):
    """Selects without waiting: the time that it should have waited is passed on to the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise RuntimeError("nothing is ready, and no timer is set: nothing can ever happen again")
        self.passed_s += max(0.0, timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time as in the module's docstring."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        self._jump.passed_s += TICK_S
        return self._jump.passed_s

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """A thread's work, done at once: it takes no virtual time."""

        async def work() -> Any:
            return func(*args)

        return self.create_task(work())


def run_virtually(coroutine: Coroutine[Any, Any, Result], *, at_most_s: float = A_DAY_S) -> Result:
    """The coroutine's result; `TimeoutError` after `at_most_s` of virtual time."""

    async def bounded() -> Result:
        async with asyncio.timeout(at_most_s):
            return await coroutine

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(bounded())


class MemoryPipe:
    """A `Pipe` without a wire: `on_write(pipe, bytes)` sees what is sent, `feed` lets bytes come in.

    Make it in a running loop.
    """

    def __init__(self, on_write: Callable[[MemoryPipe, bytes], object] = lambda pipe, data: None) -> None:
        self.inbox = Inbox()
        self.on_write = on_write
        self.is_closed = False
        self.written: int = 0
        self._loop = asyncio.get_running_loop()

    async def write(self, data: bytes) -> None:
        if self.inbox.lost is not None:
            raise LineDown(self.inbox.lost)
        self.written += 1
        self.on_write(self, data)

    def feed(self, data: bytes, *, after_s: float = 0.0, character_s: float = 0.0, chunk: int = 8) -> None:
        """Bytes that begin to come after `after_s`; with `character_s`, in pieces of `chunk` that come as they end.

        Without both they are there at once, before this returns.
        """
        start = moment() + after_s
        if not character_s:
            self._arrive_at(start, data) if after_s > 0 else self._arrive(data)
            return
        for begin in range(0, len(data), chunk):
            piece = data[begin : begin + chunk]
            self._arrive_at(start + (begin + len(piece)) * character_s, piece)

    def _arrive_at(self, when: float, data: bytes) -> None:
        self._loop.call_at(when, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if data and not self.is_closed and self.inbox.lost is None:
            self.inbox.feed(data)

    def lose(self, reason: str = "the line was cut") -> None:
        """The adapter is unplugged, the connection reset."""
        self.inbox.lose(reason)

    def close(self) -> None:
        self.is_closed = True
        self.inbox.lose("the pipe is closed")


def handing_out(*pipes: Pipe) -> Callable[[BusSpec], Awaitable[Pipe]]:
    """What `Bus(connect=...)` takes: one pipe for each time that the line is opened, then `LineDown`."""
    left = list(pipes)

    async def connect(spec: BusSpec) -> Pipe:
        if not left:
            raise LineDown("there is no further pipe")
        return left.pop(0)

    return connect
