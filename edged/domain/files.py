"""Firmware updates and uploads of logs as data: how far they are, and in which words that is told. 1.6 §6.19/5.9 and
the security whitepaper L01, N01; 2.x L01, N01.

Data only; the rules are `firmware`'s and `log_upload`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FirmwareStatus(StrEnum):
    """2.x's words; a version with fewer leaves some out."""

    IDLE = "Idle"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOADING = "Downloading"
    DOWNLOAD_PAUSED = "DownloadPaused"
    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    SIGNATURE_VERIFIED = "SignatureVerified"
    INVALID_SIGNATURE = "InvalidSignature"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALLING = "Installing"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLED = "Installed"


FIRMWARE_OVER = frozenset(
    {
        FirmwareStatus.DOWNLOAD_FAILED,
        FirmwareStatus.INVALID_SIGNATURE,
        FirmwareStatus.INSTALL_VERIFICATION_FAILED,
        FirmwareStatus.INSTALLATION_FAILED,
        FirmwareStatus.INSTALLED,
    }
)
"""Statuses after which nothing more comes."""
FIRMWARE_INSTALLING = frozenset({FirmwareStatus.INSTALLING, FirmwareStatus.INSTALL_REBOOTING})
"""The site's hook has the file: there is no way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareOrder:
    """What the CSMS asked for. `signing_certificate` (PEM) and `signature` (base64) belong to a `signed` update.
    `request_id` names it where the version gives it a name. `retries`: further attempts after the first. `key`: our own
    name for the order, never given twice; "" until it was accepted."""

    location: str
    retrieve_at: datetime
    install_at: datetime | None = None
    retries: int = 0
    retry_interval_s: int = 0
    request_id: int | None = None
    signed: bool = False
    signing_certificate: str = ""
    signature: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareUpdate:
    """One update (*kept* but for `ticket`). `status`: how far it is; `told`: what the CSMS was last told of it, which
    lags behind where a version has no word. `file`: what was downloaded. `waiting`: it is to be installed as soon as
    nobody charges. `reason`: why it failed, for people. `ticket`: the job that is under way in this run."""

    order: FirmwareOrder
    status: FirmwareStatus = FirmwareStatus.IDLE
    told: FirmwareStatus = FirmwareStatus.IDLE
    file: str = ""
    waiting: bool = False
    reason: str = ""
    ticket: str | None = None

    @property
    def over(self) -> bool:
        return self.status in FIRMWARE_OVER

    @property
    def installing(self) -> bool:
        return self.status in FIRMWARE_INSTALLING


class LogKind(StrEnum):
    DIAGNOSTICS = "DiagnosticsLog"
    SECURITY = "SecurityLog"


class UploadStatus(StrEnum):
    """2.x's words; 1.6's DiagnosticsStatusNotification has fewer."""

    IDLE = "Idle"
    UPLOADING = "Uploading"
    UPLOADED = "Uploaded"
    UPLOAD_FAILURE = "UploadFailure"
    BAD_MESSAGE = "BadMessage"
    PERMISSION_DENIED = "PermissionDenied"
    NOT_SUPPORTED = "NotSupportedOperation"
    CANCELED = "AcceptedCanceled"  # a newer order took its place


UPLOAD_OVER = frozenset(set(UploadStatus) - {UploadStatus.UPLOADING})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOrder:
    """What the CSMS asked for. `request_id` None: 1.6's GetDiagnostics, whose statuses carry no id. The content is
    bounded by `oldest` and `latest`, where they are given."""

    kind: LogKind
    location: str
    filename: str
    oldest: datetime | None = None
    latest: datetime | None = None
    retries: int = 0
    retry_interval_s: int = 0
    request_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUpload:
    """One upload (*kept* but for `ticket`). `status` is the last that was told."""

    order: LogOrder
    status: UploadStatus = UploadStatus.IDLE
    ticket: str | None = None
