"""Child processes under measurement: starting and ending them, what /proc says of them, and percentiles."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STATE_ROOT = Path("/var/tmp")
"""A real disk: /tmp may be memory."""
KIB = 1024
END_TIMEOUT_S = 10.0


def environment(**more: str) -> dict[str, str]:
    """This process's, but with byte code kept, as an installed package has it."""
    return {**{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}, **more}


@contextlib.contextmanager
def child(arguments: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """`python ARGUMENTS` with pipes; asked to end, then made to, when the block is left."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment(), **options}
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, text=True, **options)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Close its input, ask it to end, and after a while do not ask."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def first_line(process: subprocess.Popen[str]) -> str:
    """What a child says when it is ready. Raises `RuntimeError` where it died instead."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a child ended before it was ready: {process.args!r}")
    return line.strip()


def farewell(process: subprocess.Popen[str]) -> Any:
    """Close a child's input and read the JSON that it leaves behind."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.stdin = None
    return json.loads(process.stdout.read())


def memory_mib(pid: int) -> tuple[float, float]:
    """RSS and PSS of a process."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            found[name] = int(rest.split()[0]) / KIB
    return found["Rss"], found["Pss"]


def written_bytes(pid: int | str = "self") -> int:
    """What a process has caused to be sent to the disk so far."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "write_bytes":
            return int(value)
    raise RuntimeError("the kernel does not account for input and output")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
