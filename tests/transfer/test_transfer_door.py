"""The room from outside: what it imports when, and how its threads behave."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from edged.domain.jobs import Cause, Failed
from edged.transfer import TransferRules
from edged.transfer.failure import TransferError
from edged.transfer.lifeline import Lifeline, in_thread


def test_the_libraries_are_imported_by_the_first_transfer_only():
    script = (
        "import sys, edged.transfer, edged.transfer.archive\n"
        "edged.transfer.FileTransfer(edged.transfer.TransferRules())\n"
        "assert not {'urllib3', 'ftplib', 'http.client', 'edged.transfer.web', 'edged.transfer.ftp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_thread_that_hangs_does_not_keep_the_process_from_leaving():
    script = (
        "import asyncio, pathlib, threading\n"
        "from edged.transfer import FileTransfer, TransferRules\n"
        "async def main():\n"
        "    asked = threading.Event()\n"
        "    def resolve(host, port):\n"
        "        asked.set()\n"
        "        threading.Event().wait()\n"
        "    transfer = FileTransfer(TransferRules(), resolve=resolve)\n"
        "    task = asyncio.create_task(transfer.fetch('http://h/', pathlib.Path('none/x'), retries=0,"
        " retry_interval_s=1, staged=print))\n"
        "    while not asked.is_set():\n"
        "        await asyncio.sleep(0.01)\n"
        "import edged.transfer.lifeline as lifeline\n"
        "lifeline.GRACE_S = 0.1\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20, cwd="/tmp")


@pytest.mark.parametrize(("url", "cause"), [("sftp://h/x", Cause.UNSUPPORTED), ("nonsense", Cause.BAD_REQUEST)])
async def test_what_is_no_address_costs_no_attempt(bench, url, cause):
    for outcome in (await bench.fetch(url, retries=3), await bench.send(url, retries=3)):
        assert isinstance(outcome, Failed)
        assert outcome.cause is cause
    assert bench.pauses == []


async def test_two_downloads_to_one_file_do_not_mix(bench):
    bench.target.parent.mkdir(exist_ok=True)
    from edged.transfer.part import PartFile

    rules = TransferRules()
    first = PartFile(bench.target, "x", rules, Lifeline(rules))
    second = PartFile(bench.target, "x", rules, Lifeline(rules))
    first.open()
    with pytest.raises(TransferError, match="the disk did not take the file"):
        second.open()
    second.close()
    assert bench.part.exists()
    first.close()


async def test_an_error_of_ours_is_not_swallowed():
    def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_thread(work, Lifeline(TransferRules()))


async def test_a_line_that_was_cut_connects_no_more():
    lifeline = Lifeline(TransferRules())
    lifeline.cut("enough")
    with pytest.raises(TransferError, match="enough"):
        lifeline.connect("h", [__import__("ipaddress").ip_address("127.0.0.1")], 9)


async def test_a_transfer_cancelled_while_it_waits_for_its_next_attempt_is_over(bench):
    waiting = asyncio.Event()

    async def sleep(pause_s: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    from edged.transfer import FileTransfer

    bench.resolve_to([])
    transfer = FileTransfer(bench.rules, sleep=sleep, **bench.more)
    task = asyncio.create_task(
        transfer.fetch("http://h/", bench.target, retries=1, retry_interval_s=1, staged=bench.stages.append)
    )
    await asyncio.wait_for(waiting.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "transfer" not in [thread.name for thread in threading.enumerate()]
