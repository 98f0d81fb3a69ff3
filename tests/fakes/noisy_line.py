"""A line that does everything to a master's frames that a bad one can, by a seed: RTU on a wire or through a converter,
and Modbus TCP.

What it keeps to, because no master could tell otherwise (`beyond` lets go of it):
- a unit does one request after the other, and its replies leave in that order;
- no reply begins later than `latest_s` after its request was heard;
- what another master asks is heard as well, it listens before it speaks (mostly), and is answered by whom it asked;
- a TCP stream that stops in the middle of a frame goes on with the reply to another request, if at all;
- a reply that comes twice comes twice without the time for another request in between;
- a damaged frame has a wrong check sum (one in 65,536 would not).
On a wire (`LineKind.SERIAL`) two who speak at once spoil both frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from edged.chargers.line import BusSpec, LineKind
from edged.chargers.moments import moment
from tests.fakes.noisy_units import Book, Unit, crc_of, framed
from tests.fakes.virtual_loop import MemoryPipe

OURS = (1, 2, 3, 4)
THEIRS = (11, 12)
READS = (
    (3, 100, 20), (3, 200, 20), (3, 300, 20), (3, 100, 2), (3, 104, 2), (3, 0x0300, 1), (3, 0x0301, 1),
    (4, 100, 20), (4, 200, 20), (4, 7, 2), (4, 9, 2),
    (1, 0, 40), (1, 0x0310, 24), (1, 0x0318, 24), (2, 0, 40), (2, 0x0310, 24),
)  # fmt: skip
"""Function, address and count: many that only differ by their address, some whose reply is as long as a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How likely each damage is, of 1; events a second for what comes by itself."""

    late: float = 0.02
    slow: float = 0.04
    deaf: float = 0.015
    mute: float = 0.015
    twice: float = 0.02
    truncated: float = 0.015
    corrupted: float = 0.02
    hole: float = 0.01
    wrong_unit: float = 0.01
    wrong_function: float = 0.005
    wrong_count: float = 0.01
    wrong_echo: float = 0.02
    refused: float = 0.02
    gateway: float = 0.01
    ringing: float = 0.03
    tail: float = 0.02
    paused: float = 0.02
    hung_up: float = 0.001
    noise_per_s: float = 0.7
    foreign_per_s: float = 0.7
    # Modbus TCP alone
    wrong_id: float = 0.01
    id_zero: float = 0.01
    glued: float = 0.02
    garbage: float = 0.002
    # what no master can tell
    latest_s: float = 1.0
    beyond_late: float = 0.0
    beyond_twice: float = 0.0
    beyond_foreign_per_s: float = 0.0


FATES = (
    "late", "slow", "deaf", "mute", "twice", "truncated", "corrupted", "hole", "wrong_unit", "wrong_function",
    "wrong_count", "wrong_echo", "refused", "gateway", "ringing", "tail", "paused", "hung_up", "beyond_late",
    "beyond_twice",
)  # fmt: skip
FATES_TCP = (*FATES, "wrong_id", "id_zero", "glued", "garbage")
CALM = Weather(**dict.fromkeys((*FATES_TCP, "noise_per_s", "foreign_per_s"), 0.0))


@dataclass(slots=True, eq=False)
class _Frame:
    """Bytes on their way over a wire."""

    ends_at: float
    spoilt: bool = False


class NoisyLine:
    """Hand `sent` what the master says; it is heard through `hear`. `connect` is what a `Bus` opens.

    `frames`: how many the master has sent; `fates`: how often each damage was done.
    """

    def __init__(self, seed: object, spec: BusSpec, weather: Weather, *, echo: bool = False) -> None:
        self.book = Book()
        self.spec = spec
        self.hear: Callable[[bytes], object] = lambda data: None
        self.hang_up: Callable[[], object] = lambda: None
        self.frames = 0
        self.fates: dict[str, int] = {}
        self._rng = Random(f"line {seed}")
        self._weather = weather
        self._units = {unit_id: Unit(unit_id, self.book) for unit_id in (*OURS, *THEIRS)}
        self._echo = echo
        self._is_wire = spec.kind is LineKind.SERIAL
        self._is_mbap = spec.kind is LineKind.TCP
        self._character_s = spec.character_s
        self._speaking: list[_Frame] = []
        self._connection = 0
        self._held = b""
        self._cut = 0
        self._stream_at = 0.0
        names = FATES_TCP if self._is_mbap else FATES
        self._names = [name for name in names if getattr(weather, name) > 0]
        self._chances = [getattr(weather, name) for name in self._names]
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        if not self._is_mbap:
            for itself, per_s in (
                (self._make_noise, weather.noise_per_s),
                (self._speak_otherwise, weather.foreign_per_s),
                (self._answer_the_unheard, weather.beyond_foreign_per_s),
            ):
                if per_s:
                    self._tasks.append(self._loop.create_task(itself()))

    async def connect(self, spec: BusSpec) -> MemoryPipe:
        """A new pipe; what was on its way over an older one is lost."""
        self._connection += 1
        self._held = b""
        pipe = MemoryPipe(lambda pipe, data: self.sent(data))
        self.hear = pipe.feed
        self.hang_up = pipe.lose
        return pipe

    def calm(self) -> None:
        """From now on nothing is damaged."""
        self._names = []
        self._chances = []
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- speaking ----------------------------------------------------------------------------------

    def sent(self, data: bytes) -> None:
        """The master speaks."""
        self.frames += 1
        if self._is_mbap:
            self._loop.call_later(0.001, self._asked_over_tcp, self._connection, data)
            return
        frame = self._speak(data, is_heard=self._echo)
        self._loop.call_at(frame.ends_at, self._asked_over_rtu, frame, data, False)

    def _speak(self, data: bytes, *, is_heard: bool = True, paused_s: float = 0.0) -> _Frame:
        """Begin to send now; on a wire who speaks at the same time spoils both."""
        now = moment()
        frame = _Frame(now + len(data) * self._character_s + paused_s)
        if self._is_wire:
            self._speaking = [each for each in self._speaking if each.ends_at > now]
            for each in self._speaking:
                each.spoilt = frame.spoilt = True
            self._speaking.append(frame)
        if is_heard:
            piece = self._rng.choice((8, 16, 64)) if self._is_wire else self._rng.choice((3, 64, 256))
            for begin in range(0, len(data), piece):
                part = data[begin : begin + piece]
                pause_s = paused_s if begin + len(part) > len(data) // 2 else 0.0
                at = now + (begin + len(part)) * self._character_s + pause_s
                self._at(
                    at if self._is_wire else max(at, now + begin * 1e-5), self._heard, self._connection, frame, part
                )
        return frame

    def _heard(self, connection: int, frame: _Frame, part: bytes) -> None:
        if self._is_mbap and connection != self._connection:
            return
        self.hear(bytes((part[0] ^ self._rng.randrange(1, 256),)) + part[1:] if frame.spoilt else part)

    def _at(self, when: float, call: Callable[..., object], *arguments: object) -> None:
        self._loop.call_at(when, call, *arguments)

    def _fate(self) -> str:
        roll = self._rng.random()
        for name, chance in zip(self._names, self._chances, strict=True):
            roll -= chance
            if roll < 0:
                self.fates[name] = self.fates.get(name, 0) + 1
                return name
        return ""

    # --- units, as RTU -----------------------------------------------------------------------------

    def _asked_over_rtu(self, frame: _Frame, data: bytes, is_foreign: bool) -> None:
        if frame.spoilt or data[0] not in self._units or crc_of(data[:-2]) != data[-2:]:
            return
        fate = "" if is_foreign and self._rng.random() < 0.5 else self._fate()
        self._answer(data[0], data[1:-2], "" if is_foreign and fate == "wrong_unit" else fate, self._reply)

    def _answer(self, unit_id: int, pdu: bytes, fate: str, reply: Callable[[int, bytes, str, float], None]) -> None:
        """Serve it in its turn, as `fate` will have it, and let `reply` send what it gives."""
        now, unit, rng, weather = moment(), self._units[unit_id], self._rng, self._weather
        if fate == "deaf":
            return
        begins = max(now, unit.free_at)
        took = rng.uniform(0.004, 0.02)
        if fate == "slow":
            took = rng.uniform(0.05, 0.4)
        elif fate == "late":
            took = rng.uniform(0.1, weather.latest_s)
        elif fate == "beyond_late":
            took = rng.uniform(1.5, 6.0)
        done = begins + took
        if fate != "beyond_late" and done - now > weather.latest_s:
            return
        unit.free_at = done
        self._at(begins, self._serve, unit, pdu, fate, done, reply)

    def _serve(
        self, unit: Unit, pdu: bytes, fate: str, done: float, reply: Callable[[int, bytes, str, float], None]
    ) -> None:
        now, rng = moment(), self._rng
        if fate == "gateway":
            answer = unit.refuse(pdu, now, rng.choice((10, 11)))
        elif fate == "refused":
            answer = unit.refuse(pdu, now, rng.choice((1, 2, 3, 4, 6)))
        elif fate == "wrong_echo" and pdu[0] > 4:
            at = rng.randrange(1, 5)
            answer = pdu[:at] + bytes((pdu[at] ^ rng.randrange(1, 256),)) + pdu[at + 1 : 5]
        else:
            answer = unit.serve(pdu, now)
        if fate != "mute":
            reply(unit.unit_id, answer, fate, done)

    def _reply(self, unit_id: int, pdu: bytes, fate: str, done: float) -> None:
        rng = self._rng
        if fate == "wrong_unit":
            unit_id = rng.choice([each for each in (*OURS, *THEIRS) if each != unit_id])
            pdu = self._lie(pdu)
        elif fate == "wrong_function":
            pdu = self._lie(pdu)
            pdu = bytes((rng.choice([each for each in (1, 2, 3, 4, 5, 6, 16) if each != pdu[0] & 0x7F]),)) + pdu[1:]
        elif fate == "wrong_count" and pdu[0] < 5:
            pdu = self._shortened(pdu)
        data = framed(unit_id, pdu)
        paused_s = 0.0
        if fate in ("truncated", "corrupted", "hole"):
            data = _damaged(rng, data, fate)
        elif fate == "ringing":
            data = bytes(rng.choice((0x00, 0xFF, rng.randrange(256))) for _ in range(rng.randrange(1, 4))) + data
        elif fate == "tail":
            data += rng.randbytes(rng.randrange(1, 6))
        elif fate == "paused":
            paused_s = rng.uniform(0.002, 0.025)
        if fate == "hung_up":
            self.hang_up()
        self._at(done, self._say, data, paused_s)
        ends = done + len(data) * self._character_s + paused_s
        if fate == "twice":
            self._at(ends + rng.uniform(0.0, 0.9) * self.spec.silence_s, self._say, data, 0.0)
        elif fate == "beyond_twice":
            self._at(ends + rng.uniform(0.01, 0.2), self._say, data, 0.0)

    def _say(self, data: bytes, paused_s: float) -> None:
        self._speak(data, paused_s=paused_s)

    # --- units, as Modbus TCP ----------------------------------------------------------------------

    def _asked_over_tcp(self, connection: int, data: bytes) -> None:
        if connection != self._connection or data[6] not in self._units:
            return

        def reply(unit_id: int, pdu: bytes, fate: str, done: float) -> None:
            self._reply_over_tcp(data[:2], unit_id, pdu, fate, done)

        self._answer(data[6], data[7:], self._fate(), reply)

    def _reply_over_tcp(self, transaction: bytes, unit_id: int, pdu: bytes, fate: str, done: float) -> None:
        rng = self._rng
        if fate == "wrong_unit":
            unit_id = rng.choice([each for each in (0, 255, *OURS, *THEIRS) if each != unit_id])
            pdu = self._lie(pdu)
        elif fate == "wrong_id":
            own = int.from_bytes(transaction, "big")
            transaction = rng.choice((max(0, own - 1), max(0, own - 7), 0x8000 + own, 0xFFFF - own)).to_bytes(2, "big")
            pdu = self._lie(pdu)
        elif fate == "id_zero":
            transaction = b"\0\0"
            pdu = self._lie(pdu)
        elif fate == "wrong_function":
            pdu = bytes((pdu[0] ^ 1,)) + self._lie(pdu)[1:]
        elif fate == "wrong_count" and pdu[0] < 5:
            pdu = self._shortened(pdu)
        data = transaction + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit_id,)) + pdu
        if fate == "truncated":
            data = data[: rng.randrange(1, len(data))]
        elif fate in ("garbage", "corrupted", "hole", "ringing"):
            data = rng.randbytes(rng.randrange(1, 30)) + data if fate == "garbage" else data
        elif fate in ("twice", "beyond_twice"):
            data += data
        self._at(done, self._say_over_tcp, self._connection, data, fate)

    def _lie(self, pdu: bytes) -> bytes:
        """A reply of the same form with other contents: what an earlier or another request would have given."""
        return pdu if pdu[0] > 4 or len(pdu) < 3 else pdu[:2] + self._rng.randbytes(len(pdu) - 2)

    def _shortened(self, pdu: bytes) -> bytes:
        """Fewer registers than were asked for, which its byte count says or hides.

        If it hides just one byte, a zero behind the frame makes the CRC right again: that is the CRC's own limit.
        """
        kept = self._rng.randrange(2, len(pdu))
        hides = len(pdu) - kept > 2 and self._rng.random() < 0.5
        return pdu[:1] + (pdu[1:2] if hides else bytes((kept - 2,))) + pdu[2:kept]

    def _say_over_tcp(self, connection: int, data: bytes, fate: str) -> None:
        if connection != self._connection or self._cut == self.frames:
            return
        if fate == "hung_up":
            self.hang_up()
            return
        self._cut = self.frames if fate == "truncated" else 0
        if fate == "glued":
            self._held += data
            return
        data, self._held = self._held + data, b""
        cuts = sorted(self._rng.sample(range(1, len(data)), min(len(data) - 1, self._rng.choice((0, 0, 1, 4)))))
        for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
            self._stream_at = max(moment(), self._stream_at + 1e-6) + self._rng.choice((0.0, 0.0, 0.001, 0.02))
            self._at(self._stream_at, self._heard, connection, _Frame(0.0), data[begin:end])

    # --- what comes by itself ----------------------------------------------------------------------

    async def _make_noise(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(self._weather.noise_per_s))
            self._speak(self._rng.randbytes(self._rng.randrange(1, 13)))

    async def _speak_otherwise(self) -> None:
        """Another master, which asks our units and others, reads the same and writes what nobody else does."""
        rng = self._rng
        while True:
            await asyncio.sleep(rng.expovariate(self._weather.foreign_per_s))
            if rng.random() < 0.9:
                while any(each.ends_at + self.spec.silence_s > moment() for each in self._speaking):
                    await asyncio.sleep(0.003)
            data = framed(rng.choice((*OURS, *OURS, *THEIRS)), self._foreign_request())
            frame = self._speak(data)
            self._at(frame.ends_at, self._asked_over_rtu, frame, data, True)

    def _foreign_request(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.8:
            function, address, count = rng.choice(READS)
            return bytes((function,)) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
        value = rng.randrange(0x10000).to_bytes(2, "big")
        if rng.random() < 0.5:
            return b"\x06\x0f" + rng.randbytes(1) + value
        return b"\x10" + rng.choice((500, 502)).to_bytes(2, "big") + b"\0\x02\x04" + value + value

    async def _answer_the_unheard(self) -> None:
        """Replies of our units to a master behind another connection of a converter: its requests are not heard."""
        rng = self._rng
        while True:
            await asyncio.sleep(rng.expovariate(self._weather.beyond_foreign_per_s))
            self._answer(rng.choice(OURS), self._foreign_request(), "", self._reply)


def _damaged(rng: Random, data: bytes, how: str) -> bytes:
    """The frame with damage that its check sum tells."""
    while True:
        at = rng.randrange(len(data))
        if how == "truncated":
            return data[:at]
        if how == "hole":
            spoilt = data[:at] + data[at + rng.randrange(1, 4) :]
        else:
            spoilt = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                spoilt[rng.randrange(len(data))] ^= rng.randrange(1, 256)
            spoilt = bytes(spoilt)
        if len(spoilt) < 4 or crc_of(spoilt[:-2]) != spoilt[-2:]:
            return spoilt
