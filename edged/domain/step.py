"""The core's one door: `step(station, event, now)`. Routing only; the rules are in the functional blocks.

After every event the consequences are brought up to date in a fixed order (`_settle`), so that no block needs to know
what another's change means for it. Purely functional seen from outside: same arguments, same transition.
"""

from __future__ import annotations

from typing import assert_never

from edged.domain import (
    access,
    agreement,
    authorization,
    availability,
    certificate,
    charging_profile,
    composite,
    configuration_access,
    connector,
    customer,
    data_transfer,
    delivery,
    display,
    fault_memory,
    firmware,
    interruption,
    isolation,
    key_watch,
    limits,
    local_list,
    lock_order,
    log_upload,
    metering,
    monitoring,
    network,
    profile_report,
    provisioning,
    rate_change,
    remote,
    reporting,
    reservation,
    reset,
    restarts,
    security_event,
    session,
    site_limit,
    unlock,
    variable_access,
    watching,
)
from edged.domain.charging_commands import (
    ClearChargingProfile,
    GetChargingProfiles,
    GetCompositeSchedule,
    SetChargingProfile,
    SetLocalLimit,
)
from edged.domain.commands import (
    AcceptSignedChain,
    CancelReservation,
    ChangeAvailability,
    ClearCache,
    ClearDisplayMessage,
    Command,
    DeleteCertificate,
    GetConfiguration,
    GetDisplayMessages,
    GetInstalledCertificates,
    GetLocalListVersion,
    GetLog,
    GetTransactionStatus,
    InstallCertificate,
    PlainCommand,
    ReceiveData,
    ReportSecurityEvent,
    RequestStart,
    RequestStop,
    ReserveNow,
    ResetStation,
    SendData,
    SendLocalList,
    SetConfiguration,
    SetDisplayMessage,
    SetNetworkProfile,
    TellCost,
    TellCustomer,
    TriggerMessage,
    TriggerSigning,
    UnlockConnector,
    UpdateFirmware,
)
from edged.domain.events import (
    ActionPerformed,
    BootAnswered,
    BootFailed,
    ChargerLost,
    ConnectorObserved,
    Event,
    Happening,
    JobDone,
    JobStaged,
    LinkDown,
    LinkFailed,
    LinkProven,
    LinkUp,
    PresentToken,
    QuestionAnswered,
    RecordDelivered,
    RecordGivenUp,
    RegistrationLost,
    Started,
    SuspicionRaised,
    Tick,
    TimeTold,
    TokenAnswered,
    VersionAgreed,
)
from edged.domain.local_commands import ClearFault, LocalCommand, MonitorConfiguration, RestartOcpp, SetLock, StopOcpp
from edged.domain.monitors import MonitoringCommand
from edged.domain.station import Station
from edged.domain.transition import Draft, Transition
from edged.domain.types import Now
from edged.domain.variables import VariableCommand


def step(station: Station, event: Event, now: Now) -> Transition:
    """What becomes of a station when something happens at a time."""
    draft = Draft(station, now)
    if isinstance(event, Started) and event.unexpected:
        interruption.doubt(draft)  # before anything of this run is told
    provisioning.watch_clock(draft)
    reservation.expire_due(draft)
    if isinstance(event, Command):
        _command(draft, event)
    else:
        _happening(draft, event)
    _settle(draft)
    if isinstance(event, Tick):
        watching.watch(draft)
    isolation.refresh(draft)
    return draft.transition()


def _settle(draft: Draft) -> None:
    """The consequences, in order: silence, availability, what can no longer be promised, starts, what may flow, phases,
    what was waiting. A connector that goes out of service or is lost does so before anything starts on it."""
    connector.note_silence(draft)
    availability.refresh(draft)
    reservation.remove_lost(draft)
    connector.begin_and_end(draft)
    charging_profile.refresh(draft)
    site_limit.refresh(draft)
    limits.refresh(draft)
    connector.refresh(draft)
    rate_change.refresh(draft)
    reservation.remove_lost(draft)  # whose driver has waited for too long counts again, and may find no place any more
    unlock.refresh(draft)
    lock_order.refresh(draft)
    firmware.refresh(draft)
    log_upload.refresh(draft)
    certificate.refresh(draft)
    data_transfer.refresh(draft)
    access.refresh(draft)
    display.refresh(draft)
    reset.refresh(draft)


def _tick(draft: Draft) -> None:
    metering.sample_due(draft)
    session.give_up_overdue(draft)
    provisioning.boot_when_due(draft)
    provisioning.heartbeat_when_due(draft)
    provisioning.keep_wall(draft)
    fault_memory.tick(draft)


def _command(draft: Draft, event: Command) -> None:
    if isinstance(event, VariableCommand):
        variable_access.serve(draft, event)
    elif isinstance(event, MonitoringCommand):
        monitoring.serve(draft, event)
    elif isinstance(event, LocalCommand):
        _local_command(draft, event)
    else:
        _plain_command(draft, event)


def _local_command(draft: Draft, event: LocalCommand) -> None:
    match event:
        case StopOcpp():
            isolation.stop(draft, event)
        case RestartOcpp():
            isolation.restart(draft, event)
        case MonitorConfiguration():
            key_watch.monitor(draft, event)
        case SetLock():
            lock_order.order(draft, event)
        case ClearFault():
            lock_order.clear_fault(draft, event)
        case _:
            assert_never(event)


def _plain_command(draft: Draft, event: PlainCommand) -> None:
    match event:
        case ReserveNow():
            reservation.reserve(draft, event)
        case CancelReservation():
            reservation.cancel(draft, event)
        case RequestStart():
            remote.request_start(draft, event)
        case RequestStop():
            remote.request_stop(draft, event)
        case GetTransactionStatus():
            delivery.tell_state(draft, event)
        case UnlockConnector():
            unlock.unlock(draft, event)
        case ChangeAvailability():
            availability.change(draft, event)
        case ResetStation():
            reset.reset(draft, event)
        case SetConfiguration():
            configuration_access.change(draft, event)
        case GetConfiguration():
            configuration_access.read(draft, event)
        case ClearCache():
            authorization.clear_cache(draft, event)
        case TriggerMessage():
            provisioning.trigger(draft, event)
        case TriggerSigning():
            certificate.trigger(draft, event)
        case SendLocalList():
            local_list.update(draft, event)
        case GetLocalListVersion():
            local_list.tell_version(draft, event)
        case SetChargingProfile() | ClearChargingProfile() | GetChargingProfiles():
            _profiles(draft, event)
        case GetCompositeSchedule():
            composite.compose(draft, event)
        case SetLocalLimit():
            site_limit.change(draft, event)
        case UpdateFirmware():
            firmware.order(draft, event)
        case GetLog():
            log_upload.order(draft, event)
        case TellCustomer():
            customer.tell(draft, event)
        case SetNetworkProfile():
            network.set_profile(draft, event)
        case InstallCertificate():
            certificate.install(draft, event)
        case DeleteCertificate():
            certificate.delete(draft, event)
        case GetInstalledCertificates():
            certificate.tell_installed(draft, event)
        case AcceptSignedChain():
            certificate.accept_chain(draft, event)
        case ReceiveData():
            data_transfer.receive(draft, event)
        case SendData():
            data_transfer.send(draft, event)
        case SetDisplayMessage():
            display.set_message(draft, event)
        case GetDisplayMessages():
            display.tell_messages(draft, event)
        case ClearDisplayMessage():
            display.clear_message(draft, event)
        case TellCost():
            display.tell_cost(draft, event)
        case ReportSecurityEvent():
            security_event.report(draft, event)
        case _:
            assert_never(event)


def _profiles(draft: Draft, event: SetChargingProfile | ClearChargingProfile | GetChargingProfiles) -> None:
    match event:
        case SetChargingProfile():
            charging_profile.install(draft, event)
        case ClearChargingProfile():
            charging_profile.clear(draft, event)
        case GetChargingProfiles():
            profile_report.tell(draft, event)


def _happening(draft: Draft, event: Happening) -> None:
    match event:
        case ConnectorObserved():
            connector.observed(draft, event)
        case ChargerLost():
            connector.lost(draft, event)
        case ActionPerformed():
            unlock.performed(draft, event)
            reset.performed(draft, event)
        case PresentToken():
            session.present(draft, event)
        case Tick():
            _tick(draft)
        case Started():
            restarts.started(draft, event)
            agreement.name_the_nameless(draft)
            provisioning.started(draft, event)
            access.begin(draft)
        case LinkUp():
            certificate.link_up(draft)
            access.link_up(draft)
            provisioning.link_up(draft)
        case LinkProven():
            access.link_proven(draft, event)
        case LinkFailed():
            access.link_failed(draft, event)
        case VersionAgreed():
            agreement.version_agreed(draft, event)
        case LinkDown():
            access.link_lost(draft, event)
            provisioning.link_down(draft, event)
        case BootAnswered():
            provisioning.boot_answered(draft, event)
        case BootFailed():
            provisioning.boot_failed(draft)
        case RegistrationLost():
            provisioning.registration_lost(draft)
        case TimeTold():
            provisioning.told(draft, event)
        case TokenAnswered():
            session.answered(draft, event)
        case QuestionAnswered():
            data_transfer.answered(draft, event)
            certificate.answered(draft, event)
            reporting.answered(draft, event)
        case JobStaged():
            firmware.staged(draft, event)
        case JobDone():
            firmware.done(draft, event)
            log_upload.done(draft, event)
            certificate.done(draft, event)
        case SuspicionRaised():
            security_event.suspicion(draft, event)
        case RecordDelivered():
            delivery.delivered(draft, event)
            display.delivered(draft, event)
        case RecordGivenUp():
            delivery.given_up(draft, event)
        case _:
            assert_never(event)
