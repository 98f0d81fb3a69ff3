"""The door of the daemon: reads the configuration, runs a gateway, reads it again when told to.

With `gateway` (which puts the parts together) the only place that names every adapter and every OCPP version.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

from edged.gateway import Gateway
from edged.settings import Settings, SettingsErrors
from edged.site import load_site, profiles_of, versions_of
from edged.system.logs import set_up
from edged.system.notify import Notifier

_log = logging.getLogger(__name__)

EXIT_OK = 0


def run(settings: Settings, state_dir: Path, control_path: Path, *, last_words: str = "") -> int:
    """The daemon in the foreground, until a signal, a reset or a bug ends it. Returns the exit status.

    SIGTERM and SIGINT end it, SIGHUP reads the configuration again: a wrong one is refused and the old one stays.
    `last_words`: what the last run left when it crashed. Raises `EdgedError` where it cannot start.
    """
    os.umask(0o027)  # what is kept here is nobody else's business
    notifier = Notifier()
    current: Settings | None = settings
    status, reloaded = EXIT_OK, False
    while current is not None:
        set_up(
            current.log.level.value,
            wire=current.log.wire,
            secrets=[secret.reveal() for secret in current.secrets],
        )
        life = _run_once(current, state_dir, control_path, notifier, reloaded=reloaded, last_words=last_words)
        status, current = asyncio.run(life)
        reloaded, last_words = True, ""
    notifier.close()
    return status


async def _run_once(
    settings: Settings, state_dir: Path, control_path: Path, notifier: Notifier, *, reloaded: bool, last_words: str
) -> tuple[int, Settings | None]:
    """One configuration's life: its exit status, and the configuration to go on with, if any."""
    gateway = Gateway(settings, state_dir, control_path, notifier, last_words=last_words)
    gateway.reloaded = reloaded
    profiles = profiles_of(settings)
    following: Settings | None = None
    stopped = False

    def reload() -> None:
        nonlocal following
        if stopped:
            return
        fresh = _read_again(settings)
        if fresh is None:
            gateway.was_read_again("refused")
            return
        notifier.reloading()
        for warning in fresh.warnings:
            _log.warning("%s", warning)
        if fresh == settings and profiles_of(fresh) == profiles:
            _log.info("the configuration and its profiles were read again: nothing has changed")
            notifier.ready()
            gateway.was_read_again("unchanged")
            return
        _log.info("the configuration has changed: starting again with it")
        following = fresh
        gateway.followed = True
        gateway.leave(EXIT_OK)

    def stop() -> None:
        nonlocal following, stopped
        following, stopped = None, True
        gateway.leave(EXIT_OK)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    status = await gateway.run()
    return status, following


def _read_again(settings: Settings) -> Settings | None:
    if settings.path is None:
        return None
    try:
        fresh = load_site(settings.path)
        for station in fresh.stations:
            versions_of(station, None)  # a version that nobody spoke so far is loaded while the old one still serves
    except SettingsErrors as errors:
        for error in errors.errors:
            _log.error("the new configuration is refused: %s", error)
    except ImportError as error:
        # An upgrade under way has taken the files of the program that runs; it ends with a restart.
        _log.error("the new configuration needs %s, which is not there any more: restart edged", error.name)
    else:
        return fresh
    _log.error("the old configuration stays in force")
    return None
