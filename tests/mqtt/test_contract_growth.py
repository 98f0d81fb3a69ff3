"""Within v1 the contract only grows: what would break a reader or a caller is refused, what adds to it passes."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import mqtt_contract

Document = dict[str, Any]


def schema(document: Document, name: str) -> Any:
    found = document["components"]["schemas"][name]
    return found["allOf"][-1] if "allOf" in found else found


def of_message(document: Document, name: str) -> Any:
    return document["components"]["messages"][name]


def binding(document: Document, operation: str) -> Any:
    return document["operations"][operation]["bindings"]["mqtt"]


def drop_everywhere(document: Document, message: str) -> None:
    for channel in document["channels"].values():
        channel["messages"].pop(message, None)


BREAKS: dict[str, tuple[Callable[[Document], Any], str]] = {
    "a topic goes": (lambda d: d["channels"].pop("connectorLock"), "connector/{connector}/lock is gone"),
    "a topic is renamed": (lambda d: d["channels"]["info"].update(address="edged/v1/{gateway}/about"), "is edged/v1"),
    "another QoS": (lambda d: binding(d, "watchLock").update(qos=0), "qos was 1 and is 0"),
    "not retained any more": (lambda d: binding(d, "watchLock").update(retain=False), "retain was True"),
    "a member goes": (lambda d: schema(d, "Meter")["properties"].pop("power_w"), "member power_w is gone"),
    "a member of a member goes": (lambda d: schema(d, "Phases")["required"].remove("l2"), "member l2 may be left out"),
    "another type": (
        lambda d: schema(d, "Meter")["properties"]["energy_wh"].update(type="string"),
        "may be string now",
    ),
    "null where there was always a value": (
        lambda d: schema(d, "Heartbeat")["properties"]["uptime_s"].update(type=["integer", "null"]),
        "may be null now",
    ),
    "fractions where there were none": (
        lambda d: schema(d, "Heartbeat")["properties"]["uptime_s"].update(type="number"),
        "may be number now",
    ),
    "a member that was always there is optional": (
        lambda d: schema(d, "Meter")["required"].remove("quality"),
        "member quality may be left out now",
    ),
    "another unit": (
        lambda d: schema(d, "Meter")["properties"].update(power_kw=schema(d, "Meter")["properties"].pop("power_w")),
        "member power_w is gone",
    ),
    "a word goes": (lambda d: schema(d, "Status")["enum"].remove("Reserved"), "never Reserved any more"),
    "any word": (lambda d: schema(d, "Status").pop("enum"), "may be any word now"),
    "another format": (
        lambda d: d["components"]["schemas"]["Time"].pop("format"),
        "format was date-time and is None",
    ),
    "below its minimum": (
        lambda d: schema(d, "Heartbeat")["properties"]["uptime_s"].update(minimum=-1),
        "minimum was 0 and is -1",
    ),
    "JSON instead of a word": (lambda d: of_message(d, "status").pop("contentType"), "has become JSON"),
    "another version": (
        lambda d: d["components"]["schemas"]["Base"]["properties"]["v"].update(const=2),
        "const was 1 and is 2",
    ),
    "an event goes": (lambda d: drop_everywhere(d, "reservation.made"), "(reservation.made): this message is gone"),
    "an event's data shrink": (
        lambda d: of_message(d, "transaction.ended")["payload"]["allOf"][1]["properties"]["data"]["properties"].pop(
            "energy_wh"
        ),
        "(transaction.ended).data: the member energy_wh is gone",
    ),
    "an event in another category": (
        lambda d: of_message(d, "firmware.status").update(tags=[{"name": "ocpp"}]),
        "(firmware.status): it is told in another category",
    ),
    "a category goes": (
        lambda d: d["channels"]["event"]["parameters"]["category"]["enum"].remove("security"),
        "category is never security any more",
    ),
    "a point goes": (
        lambda d: d["channels"]["point"]["parameters"]["point"]["enum"].remove("power_w"),
        "point is never power_w any more",
    ),
    "a command goes": (lambda d: drop_everywhere(d, "set_limit"), "(set_limit): this message is gone"),
    "a command needs another argument": (
        lambda d: schema(d, "clear_cache.args").update(required=["station"]),
        "(clear_cache).args: station must be given now",
    ),
    "an argument goes": (
        lambda d: schema(d, "reserve_now.args")["properties"].pop("evse_id"),
        "evse_id is not taken any more",
    ),
    "an argument takes less": (
        lambda d: schema(d, "set_limit.args")["properties"]["limit_a"].update(maximum=100),
        "(set_limit).args.limit_a: maximum was 1000 and is 100",
    ),
    "an argument takes fewer words": (
        lambda d: schema(d, "reset.args")["properties"]["type"]["enum"].remove("Hard"),
        "does not take Hard any more",
    ),
    "an argument takes another type": (
        lambda d: schema(d, "set_limit.args")["properties"]["limit_a"].update(type="integer"),
        "may not be number any more",
    ),
    "a command needs an id": (
        lambda d: of_message(d, "set_limit.request").update({"x-needs-id": "always"}),
        "(set_limit): it needs an id now: always",
    ),
    "a result shrinks": (
        lambda d: schema(d, "reserve_now.result")["properties"].pop("reservation_id"),
        "(reserve_now).result: the member reservation_id is gone",
    ),
    "an error code goes": (
        lambda d: schema(d, "Reply")["properties"]["error"]["properties"]["code"]["enum"].remove("busy"),
        "(reply).error.code: is never busy any more",
    ),
}


def grow(document: Document) -> None:
    """Whatever may come within v1."""
    document["channels"]["tariff"] = {**document["channels"]["info"], "address": "edged/v1/{gateway}/tariff"}
    operation = document["operations"]["watchInfo"]
    document["operations"]["watchTariff"] = {**operation, "channel": {"$ref": "#/channels/tariff"}}
    schema(document, "Meter")["properties"]["reactive_var"] = {"type": "number"}
    schema(document, "Meter")["required"].append("soc_pct")
    schema(document, "Status")["enum"].append("Discharging")
    schema(document, "set_limit.args")["properties"]["until"] = {"type": "string"}
    schema(document, "set_limit.args")["properties"]["limit_a"]["maximum"] = 2000
    schema(document, "reset.args")["properties"]["type"]["enum"].append("Later")
    schema(document, "Reply")["properties"]["error"]["properties"]["code"]["enum"].append("tired")
    document["components"]["messages"]["gateway.moved"] = {"payload": {"type": "object"}}
    document["channels"]["event"]["messages"]["gateway.moved"] = {"$ref": "#/components/messages/gateway.moved"}
    document["channels"]["event"]["parameters"]["category"]["enum"].append("weather")


@pytest.mark.parametrize("change", BREAKS)
def test_a_change_that_breaks_v1_is_refused_with_a_sentence(contract: Any, change: str) -> None:
    document = copy.deepcopy(contract.document)
    make, sentence = BREAKS[change]
    make(document)
    assert any(sentence in said for said in mqtt_contract.breaks(contract.document, document))


def test_what_only_adds_passes(contract: Any) -> None:
    document = copy.deepcopy(contract.document)
    grow(document)
    assert list(mqtt_contract.breaks(contract.document, document)) == []


def test_what_was_added_can_not_be_taken_away_again(contract: Any) -> None:
    document = copy.deepcopy(contract.document)
    grow(document)
    assert len(list(mqtt_contract.breaks(document, contract.document))) >= 10


def test_the_document_keeps_what_v1_promises(capsys: pytest.CaptureFixture[str]) -> None:
    assert mqtt_contract.main([]) == 0, capsys.readouterr().err


def test_only_what_breaks_nothing_becomes_the_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "v1.yaml", tmp_path / "asyncapi.yaml"
    shutil.copyfile(mqtt_contract.DOCUMENT, new)
    paths = [str(old), str(new)]
    assert mqtt_contract.main(paths) == 1 and "--freeze" in capsys.readouterr().err
    assert mqtt_contract.main(["--freeze", *paths]) == 0
    new.write_text(new.read_text().replace("jammed", "stuck"))
    assert mqtt_contract.main(["--freeze", *paths]) == 1 and "never jammed any more" in capsys.readouterr().err
    assert "jammed" in old.read_text()
