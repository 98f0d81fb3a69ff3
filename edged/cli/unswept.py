"""Importing without the garbage collector, which would look again and again through what only grows, and find nothing.

A tenth of the processor time until the daemon serves (docs/benchmarks.md).
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def unswept() -> Iterator[None]:
    """The collector rests in the block, and takes what was made there for old. Where it rested before it goes on so."""
    swept = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # the two together: all objects are of the oldest generation, and none was looked at
        if swept:
            gc.enable()
