"""The runner: every job has one end, an abandoned one none, and the folder keeps nothing that is of no use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edged.domain.credentials import CertificateUse, ClientCertificate
from edged.domain.events import Event, JobDone, JobStaged
from edged.domain.files import FirmwareOrder, FirmwareStatus, FirmwareUpdate, LogKind, LogOrder
from edged.domain.jobs import (
    Cause,
    CheckChain,
    CheckSigner,
    Done,
    Failed,
    Fetched,
    FetchFirmware,
    InstallFirmware,
    Job,
    MakeRequest,
    ReadRoot,
    SendLog,
    Stage,
    VerifyFirmware,
)
from edged.domain.station import Station
from edged.domain.types import Now
from edged.jobs import MAX_AT_ONCE, StationJobs, Tools, clean_up, file_name, kept_name, prepare, remove
from edged.system.installer import OWN_RESULTS, REQUESTS
from edged.threads import in_thread
from tests.domain.test_firmware import ROOT
from tests.fakes.site import START, station

KEY = "00000000-0000-4000-8000-000000000001"
ORDER = FirmwareOrder(
    location="http://h/path/fw.tar.gz?sig=1", retrieve_at=START, retries=2, retry_interval_s=3, key=KEY
)
LOG = LogOrder(kind=LogKind.DIAGNOSTICS, location="ftp://h/up", filename="a.tar.gz", retries=1, retry_interval_s=9)
NAME = f"firmware-{KEY}.tar.gz"


class Clock:
    def now(self) -> Now:
        return Now(START, 0.0, True)

    def learn(self, utc: Any) -> None:
        raise AssertionError


@dataclass
class World:
    """Transfer, installer and logs at once. `hold`: nothing ends before it is set."""

    outcome: Any = field(default_factory=Done)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None
    content: bytes = b"the archive"
    written: asyncio.Barrier | None = None

    async def _end(self) -> Any:
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        return self.outcome

    async def fetch(
        self, url: str, target: Path, *, retries: int, retry_interval_s: int, staged: Callable[[Stage], None]
    ) -> Any:
        self.asked.append((url, target, retries, retry_interval_s))
        target.touch()
        staged(Stage.PAUSED)
        return await self._end()

    async def send(self, url: str, source: Path, filename: str, *, retries: int, retry_interval_s: int) -> Any:
        self.asked.append((url, source.read_bytes(), filename, retries, retry_interval_s))
        return await self._end()

    async def install(self, name: str, *, resume: bool, rebooting: Callable[[], None]) -> Any:
        self.asked.append((name, resume))
        rebooting()
        return await self._end()

    async def write(self, order: LogOrder, station: Station, target: Path) -> None:
        target.write_bytes(self.content)
        if self.written is not None:
            await self.written.wait()


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "transfer"
        self.world = World()
        self.world.hold.set()
        self.events: list[Event] = []
        self.arrived = asyncio.Event()
        tools = Tools(
            transfer=self.world,
            installer=self.world,
            logs=self.world,
            clock=Clock(),
            folder=self.folder,
            keys=folder / "keys",
        )
        self.jobs = StationJobs(tools, station())
        self.jobs.attach(self.post)

    def post(self, event: Event) -> None:
        self.events.append(event)
        self.arrived.set()

    def commission(self, job: Job, ticket: str = "boot-1") -> None:
        self.jobs.commission(ticket, job, station())

    async def end(self, ticket: str = "boot-1") -> Any:
        async with asyncio.timeout(30):
            while True:
                for event in self.events:
                    if isinstance(event, JobDone) and event.ticket == ticket:
                        return event.outcome
                self.arrived.clear()
                await self.arrived.wait()

    def stages(self) -> list[Stage]:
        return [event.stage for event in self.events if isinstance(event, JobStaged)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# --- each kind


async def test_firmware_is_fetched_under_our_own_name(bench: Bench) -> None:
    bench.world.outcome = Fetched(NAME, 1, "00")
    bench.commission(FetchFirmware(ORDER))
    assert await bench.end() == Fetched(NAME, 1, "00")
    assert bench.world.asked == [(ORDER.location, bench.folder / NAME, 2, 3)]
    assert bench.stages() == [Stage.PAUSED]


async def test_firmware_is_given_to_the_installer(bench: Bench) -> None:
    bench.commission(InstallFirmware(NAME, resume=True))
    assert await bench.end() == Done()
    assert bench.world.asked == [(NAME, True)] and bench.stages() == [Stage.REBOOTING]


async def test_a_log_is_collected_sent_and_forgotten(bench: Bench) -> None:
    bench.commission(SendLog(LOG))
    assert await bench.end() == Done()
    assert bench.world.asked == [("ftp://h/up", b"the archive", "a.tar.gz", 1, 9)]
    assert [path.name for path in bench.folder.iterdir()] == [REQUESTS]


async def test_however_many_logs_are_asked_for_one_is_collected_at_a_time(bench: Bench) -> None:
    gate, entered = threading.Event(), []

    def collect(target: Path) -> None:
        entered.append(target)
        gate.wait(20)
        target.write_bytes(b"the archive")

    async def write(order: LogOrder, station: Station, target: Path) -> None:
        await in_thread(collect, target)

    bench.world.write = write  # type: ignore[method-assign]
    for number in range(50):
        bench.commission(SendLog(LOG), f"boot-{number}")
        while not entered:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        if number < 49:
            bench.jobs.abandon(f"boot-{number}")
    assert len(entered) == 1
    gate.set()
    assert await bench.end("boot-49") == Done()
    assert len(entered) == 2 and [path.name for path in bench.folder.iterdir()] == [REQUESTS]


async def test_two_stations_never_send_each_others_log(tmp_path: Path) -> None:
    """Tickets are numbered by each station for itself, and the folder is one for all."""
    one, other = Bench(tmp_path), Bench(tmp_path)
    one.world.content, other.world.content = b"of one", b"of the other"
    one.world.written = other.world.written = asyncio.Barrier(2)
    one.commission(SendLog(LOG))
    other.commission(SendLog(LOG))
    assert await one.end() == await other.end() == Done()
    assert one.world.asked[0][1] == b"of one" and other.world.asked[0][1] == b"of the other"


@pytest.mark.parametrize(
    "job",
    [
        CheckSigner("no certificate", (ROOT.pem,)),
        VerifyFirmware(ORDER, NAME),
        ReadRoot(use=CertificateUse.CSMS_ROOT, pem="no certificate"),
        CheckChain(chain="no chain", keys=(), roots=(), common_name="a", organization="b"),
    ],
)
async def test_what_certificates_say_comes_back(bench: Bench, job: Job) -> None:
    bench.commission(job)
    assert isinstance(await bench.end(), Failed)


async def test_a_key_is_made_in_its_own_folder(bench: Bench, tmp_path: Path) -> None:
    bench.commission(MakeRequest("CP-1", "Maker"))
    assert "BEGIN CERTIFICATE REQUEST" in (await bench.end()).csr
    assert list((tmp_path / "keys").iterdir())


@pytest.mark.parametrize("name", ["../edged.db", "/etc/passwd", "firmware-1", "log-1", ""])
@pytest.mark.parametrize("kind", [InstallFirmware, lambda name: VerifyFirmware(ORDER, name)])
async def test_no_job_touches_a_file_that_is_no_firmware(bench: Bench, name: str, kind: Callable[[str], Job]) -> None:
    bench.commission(kind(name))
    assert isinstance(await bench.end(), Failed)
    assert bench.world.asked == []


# --- ends


async def test_an_abandoned_job_is_never_heard_of_again(bench: Bench) -> None:
    bench.world.hold.clear()
    bench.commission(SendLog(LOG))
    await asyncio.sleep(0)
    bench.jobs.abandon("boot-1")
    bench.commission(SendLog(LOG), "boot-2")
    bench.world.hold.set()
    assert await bench.end("boot-2") == Done()
    await bench.jobs.stop()
    assert len(bench.events) == 1
    bench.jobs.abandon("nobody")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("s3cret")])
async def test_a_bug_of_ours_is_logged_and_ends_the_job(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bench.world.error = error
    bench.commission(SendLog(LOG))
    outcome = await bench.end()
    assert isinstance(outcome, Failed) and outcome.cause is Cause.OTHER and "s3cret" not in outcome.reason
    assert caplog.records[-1].levelname == "ERROR" and caplog.records[-1].exc_info


async def test_a_disk_that_refuses_is_no_bug(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.world.error = OSError(28, "No space left on device")
    bench.commission(SendLog(LOG))
    assert await bench.end() == Failed("No space left on device")
    assert all(record.levelname == "WARNING" for record in caplog.records)


async def test_too_much_at_once_is_refused(bench: Bench) -> None:
    bench.world.hold.clear()
    for number in range(MAX_AT_ONCE):
        bench.commission(SendLog(LOG), f"boot-{number}")
    bench.commission(SendLog(LOG), "boot-x")
    assert isinstance(await bench.end("boot-x"), Failed)
    await bench.jobs.stop()
    assert len(bench.events) == 1, "who stops tells nobody"


async def test_work_in_a_thread_is_over_when_its_waiter_is_gone() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)
        ended.set()

    waiter = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 30)
    waiter.cancel()
    await asyncio.sleep(0)
    assert not waiter.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert ended.is_set()


# --- the folder


def updating(status: FirmwareStatus) -> Station:
    return replace(station(), firmware=FirmwareUpdate(order=ORDER, status=status))


@pytest.mark.parametrize(
    ("location", "ending"),
    [
        ("http://h/fw.swu", ".swu"),
        ("http://h/fw-1.2.3.tar.gz?token=x.exe", ".tar.gz"),
        ("ftp://h/a.b/fw", ""),
        ("http://h/", ""),
        ("http://h/x." + "a" * 20, ""),
        ("http://h/..%2f..%2fx", ""),
        ("http://[h/x.bin", ""),
        ("http://h/x.b;rm", ""),
    ],
)
def test_a_firmwares_name_has_the_ending_of_theirs_and_nothing_else(location: str, ending: str) -> None:
    assert file_name(replace(ORDER, location=location)) == f"firmware-{KEY}{ending}"


async def test_a_firmware_is_removed_once_it_is_of_no_more_use(bench: Bench) -> None:
    prepare(bench.folder)
    for name in (NAME, f"{NAME}.part", f"{NAME}.asked", "firmware-other"):
        (bench.folder / name).touch()
    bench.jobs.show(updating(FirmwareStatus.INSTALLING), Clock().now())
    await bench.jobs.stop()
    assert (bench.folder / NAME).exists()
    bench.jobs.show(updating(FirmwareStatus.INSTALLED), Clock().now())
    await bench.jobs.stop()
    assert sorted(path.name for path in bench.folder.iterdir()) == ["firmware-other", REQUESTS]


async def test_a_key_that_the_station_has_given_up_is_removed_and_no_other(bench: Bench) -> None:
    keys = bench.folder.parent / "keys"
    bench.commission(MakeRequest("CP-1", "Example Energy"))
    made = await bench.end()
    other = write_other_key(keys)
    held = ClientCertificate(key_id=made.key_id, requested_at=Clock().now().utc)
    bench.jobs.show(replace(station(), client_certificates={made.key_id: held}), Clock().now())
    await bench.jobs.stop()
    assert (keys / f"{made.key_id}.pem").exists()
    bench.jobs.show(station(), Clock().now())
    await bench.jobs.stop()
    assert [path.name for path in keys.iterdir()] == [other.name]


def write_other_key(keys: Path) -> Path:
    other = keys / "0123456789abcdef.pem"
    other.write_text("another station's")
    return other


def test_the_start_removes_what_nobody_goes_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "transfer"
    prepare(folder)
    (folder / OWN_RESULTS).mkdir()
    for name in (NAME, f"{NAME}.part.json", "firmware-old", "log-boot-1", "link"):
        (folder / name).touch()
    (folder / "left").mkdir()
    (folder / "left" / "over").touch()
    (folder / "link").unlink()
    (folder / "link").symlink_to(tmp_path)
    clean_up(folder, {NAME})
    assert sorted(path.name for path in folder.iterdir()) == [NAME, f"{NAME}.part.json", REQUESTS, OWN_RESULTS]
    assert folder.stat().st_mode & 0o777 == 0o700 and tmp_path.exists()
    remove(tmp_path / "nowhere", NAME)


@pytest.mark.parametrize(
    ("status", "kept"), [(FirmwareStatus.DOWNLOADING, NAME), (FirmwareStatus.DOWNLOAD_FAILED, None)]
)
def test_the_file_of_an_update_in_force_is_kept(status: FirmwareStatus, kept: str | None) -> None:
    assert kept_name(updating(status)) == kept
    assert kept_name(station()) is None


def test_the_csmss_own_authorities_may_sign_for_its_servers(bench: Bench) -> None:
    assert bench.jobs.roots() == []
    root = replace(ROOT, use=CertificateUse.CSMS_ROOT, pem="CSMS", fingerprint="cd")
    shown = replace(station(), certificates={"ab": ROOT, "cd": root})
    bench.jobs.show(shown, Clock().now())
    assert bench.jobs.roots() == ["CSMS"]
