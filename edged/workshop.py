"""What the stations' jobs are done with, put together from the settings. Decides nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from edged import certificates
from edged.diagnostics import Diagnostics, journalctl_of
from edged.domain.station import Station
from edged.jobs import FOLDER, StationJobs, Tools, clean_up, kept_name
from edged.ports import Clock
from edged.settings import Settings, StationSettings
from edged.store.port import Store
from edged.system.crash import LAST_NAME
from edged.system.installer import SYSTEMD, site_installer
from edged.transfer import FileTransfer, TransferRules

_log = logging.getLogger(__name__)

KEYS = "keys"


class Workshop:
    """One for the daemon. `keys`: the folder of private keys; `status`: what `edged status` shows; `environ` None: this
    process's."""

    def __init__(
        self,
        settings: Settings,
        state_dir: Path,
        store: Store,
        clock: Clock,
        status: Callable[[], Mapping[str, Any]],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        found = os.environ if environ is None else environ
        self.keys = state_dir.absolute() / KEYS
        self._rules = TransferRules(allowed=settings.files.allowed_hosts, max_bytes=settings.files.max_mb * 1024 * 1024)
        self._folder = state_dir.absolute() / FOLDER
        self._clock = clock
        self._store = store
        self._installer = site_installer(
            self._folder,
            config=settings.path,
            under_systemd=bool(found.get("RUNTIME_DIRECTORY")) and SYSTEMD.exists(),
        )
        self._logs = Diagnostics(
            settings=settings,
            store=store,
            status=status,
            journalctl=journalctl_of(found),
            last_crash=state_dir / LAST_NAME,
        )

    def clean_up(self, stations: Iterable[Station]) -> None:
        """Before the first job: what former runs left behind goes, but for what their stations go on with.

        Raises `StoreError`.
        """
        known = tuple(stations)
        if set(self._store.stations()) <= {station.identity.id for station in known}:
            # of a station that is not configured any more, and may be again, nobody knows here which keys it needs
            needed = {key_id for station in known for key_id in station.client_certificates}
            certificates.remove_keys(self.keys, needed)
        kept = {name for name in map(kept_name, known) if name is not None}
        try:
            clean_up(self._folder, kept)
        except OSError as error:
            _log.warning("%s cannot be used: %s", self._folder, error.strerror)

    def jobs_of(self, settings: StationSettings, station: Station) -> StationJobs:
        def roots() -> list[str]:
            return jobs.roots()

        transfer = FileTransfer(self._rules, ca_pems=roots, ca_file=settings.csms.ca_file)
        tools = Tools(
            transfer=transfer,
            installer=self._installer,
            logs=self._logs,
            clock=self._clock,
            folder=self._folder,
            keys=self.keys,
        )
        jobs = StationJobs(tools, station)
        return jobs
