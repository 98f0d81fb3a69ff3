"""Chapters of a story in 2.0.1, each for the sweep of `test_power_cuts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.fakes.central201 import token
from tests.fakes.world import Plan, World

if TYPE_CHECKING:
    from edged.domain.station import ConnectorLayout

KEYS = {"TxStartPoint": "EVConnected", "TxStopPoint": "EVConnected", "StopTransactionOnEVSideDisconnect": "false"}


def plan_201(plan: Plan) -> Plan:
    """The same site, spoken to in 2.0.1: transactions from plug to plug."""
    rules = replace(plan.rules, has_display=True)
    return replace(plan, version="ocpp2.0.1", configuration={**plan.configuration, **KEYS}, rules=rules)


# --- moves


def plug(world: World, number: int) -> None:
    world.boxes[number].plugged = world.boxes[number].hungry = True
    world.run(4)


def unplug(world: World, number: int) -> None:
    world.boxes[number].plugged = False
    world.run(4)


def ask(world: World, action: str, wait_s: float = 3.0, **payload: Any) -> None:
    world.central.ask(action, payload)
    world.run(wait_s)


def set_variable(world: World, component: str, variable: str, value: str) -> None:
    change = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value}
    ask(world, "SetVariables", setVariableData=[change])


def evse(layout: ConnectorLayout) -> dict[str, int]:
    return {"id": layout.evse_id, "connectorId": layout.connector_id}


# --- chapters


def plug_first(world: World) -> None:
    """The transaction begins with the cable; a token halts it, and it ends when the cable goes."""
    plug(world, 1)
    world.show_token("ALICE", 1)
    world.run(12)
    world.show_token("ALICE", 1)
    world.run(4)
    unplug(world, 1)


def a_stop_point_changes(world: World) -> None:
    plug(world, 1)
    world.show_token("ALICE", 1)
    world.run(6)
    set_variable(world, "TxCtrlr", "TxStopPoint", "EnergyTransfer")
    world.boxes[1].hungry = False
    world.run(6)
    unplug(world, 1)


def an_offline_session(world: World) -> None:
    world.line_up = False
    world.cut()
    plug(world, 2)
    world.show_token("ALICE", 2)
    world.run(12)
    unplug(world, 2)
    world.line_up = True
    world.connect()
    world.run(8)


def reservations_of_every_kind(world: World) -> None:
    world.central.reserve(1, 1, "BOB", 200)
    world.run(2)
    world.central.reserve(2, 0, "CARLA", 15, kind="cType2")
    world.run(2)
    plug(world, 1)
    world.show_token("BOB", 1)
    world.run(16)
    unplug(world, 1)


def a_remote_start(world: World) -> None:
    ask(world, "RequestStartTransaction", 2, idToken=token("CARLA"), remoteStartId=9, evseId=1)
    plug(world, 1)
    world.run(4)
    for course in list(world.central.books.courses.values()):
        ask(world, "RequestStopTransaction", transactionId=course.id)
    unplug(world, 1)


def a_reset_on_idle(world: World) -> None:
    plug(world, 1)
    world.show_token("ALICE", 1)
    world.run(6)
    ask(world, "Reset", type="OnIdle")
    unplug(world, 1)
    world.run(45)


def a_reset_of_an_evse(world: World) -> None:
    plug(world, 3)
    world.show_token("ALICE", 3)
    world.run(6)
    ask(world, "Reset", 14, type="Immediate", evseId=3)
    unplug(world, 3)


def three_levels_of_service(world: World) -> None:
    place = evse(world.plan.layouts[2])
    ask(world, "ChangeAvailability", 5, operationalStatus="Inoperative", evse=place)
    ask(world, "ChangeAvailability", 5, operationalStatus="Inoperative", evse={"id": 3})
    ask(world, "ChangeAvailability", 5, operationalStatus="Operative", evse=place)
    ask(world, "ChangeAvailability", 5, operationalStatus="Inoperative")
    ask(world, "ChangeAvailability", 5, operationalStatus="Operative", evse={"id": 3})
    ask(world, "ChangeAvailability", 5, operationalStatus="Operative")


def a_monitor_alerts(world: World) -> None:
    order = {
        "value": 5000,
        "type": "UpperThreshold",
        "severity": 4,
        "component": {"name": "EVSE", "evse": {"id": 1}},
        "variable": {"name": "Power"},
    }
    ask(world, "SetVariableMonitoring", setMonitoringData=[order])
    plug(world, 1)
    world.show_token("ALICE", 1)
    world.run(8)
    unplug(world, 1)
    ask(world, "ClearVariableMonitoring", id=[10_001])


def another_place(world: World) -> None:
    """The CSMS moves: a profile is written, comes first, and counts from the next start on."""
    data = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "ws://second.example",
        "messageTimeout": 30,
        "securityProfile": 1,
        "ocppInterface": "Wired0",
    }
    ask(world, "SetNetworkProfile", configurationSlot=2, connectionData=data)
    set_variable(world, "OCPPCommCtrlr", "NetworkConfigurationPriority", "2,1")
    ask(world, "Reset", 45, type="Immediate")


def messages_and_costs(world: World) -> None:
    plug(world, 1)
    world.show_token("ALICE", 1)
    world.run(4)
    ident = next(iter(world.central.books.courses), "")
    content = {"format": "UTF8", "content": "welcome"}
    message = {"id": 1, "priority": "AlwaysFront", "message": content, "transactionId": ident}
    ask(world, "SetDisplayMessage", message=message)
    ask(world, "CostUpdated", totalCost=1.5, transactionId=ident)
    unplug(world, 1)


CHAPTERS_201: tuple[Callable[[World], None], ...] = (
    plug_first,
    a_stop_point_changes,
    an_offline_session,
    reservations_of_every_kind,
    a_remote_start,
    a_reset_on_idle,
    a_reset_of_an_evse,
    three_levels_of_service,
    a_monitor_alerts,
    another_place,
    messages_and_costs,
)
