"""The time of a line: seconds of the event loop that serves it, so that a test can let a line's time pass by itself.

Owns nothing. Refuses to know: the wall clock (a line never needs it).
"""

from __future__ import annotations

import asyncio


def moment() -> float:
    """Seconds of the running loop's clock: monotonic, without meaning beyond this boot. Needs a running loop."""
    return asyncio.get_running_loop().time()
