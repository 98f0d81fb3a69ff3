"""Files that a CSMS has us fetch or bring: firmware and logs, by HTTP, HTTPS, FTP and FTPS.

`FileTransfer` is the door; `archive` builds what is sent. Refuses to know OCPP, orders and what a file is for.
"""

from __future__ import annotations

from edged.domain.jobs import Cause, Done, Failed, Fetched, Stage
from edged.transfer.client import FileTransfer
from edged.transfer.location import problem_with
from edged.transfer.rules import TransferRules

__all__ = ["Cause", "Done", "Failed", "Fetched", "FileTransfer", "Stage", "TransferRules", "problem_with"]
