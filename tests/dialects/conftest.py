"""A station to translate for, and the shipped schemas as a judge that is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from edged.dialects.v16 import POLICY
from edged.dialects.v16.schemas import answer_violation, call_violation
from edged.domain.configuration import Configuration
from edged.domain.hardware import Capability, Measurand
from edged.domain.station import Boot, Connector, ConnectorLayout, Identity, SiteRules, Station
from edged.domain.types import Now

NOON = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)


def _connector(number: int, **facts: Any) -> Connector:
    layout = ConnectorLayout(
        number=number,
        evse_id=number,
        connector_id=1,
        charger=f"bay{number}",
        connector_type="sType2",
        capabilities=frozenset({Capability.WITHHOLD, Capability.UNLOCK}),
        measurands=frozenset(Measurand),
    )
    seen = {"online": True, "observed_at_s": 99.0, **facts}
    return Connector(layout=layout, capabilities=layout.capabilities, **seen)


@pytest.fixture
def make_connector() -> Callable[..., Connector]:
    return _connector


@pytest.fixture
def make_station() -> Callable[..., Station]:
    def build(*connectors: Connector, **facts: Any) -> Station:
        numbered = {c.number: c for c in connectors or (_connector(1), _connector(2))}
        whole: dict[str, Any] = {
            "identity": Identity(id="DEPOT-7", vendor="Example Energy", model="Depot 3"),
            "policy": POLICY,
            "rules": SiteRules(),
            "boot": Boot(id="boot1", floor=NOON, started_s=0.0),
            "configuration": Configuration(changed={}, site={}, computed={}),
            "connectors": numbered,
            "wall_kept": NOON,
            "clock": Now(NOON, 100.0, True),
        }
        return Station(**{**whole, **facts})

    return build


@pytest.fixture
def assert_v16() -> Callable[[str, Any], None]:
    """Assert that a payload passes 1.6's schema NAME (or NAMEResponse): the shipped one, and ours where it is one."""

    def check(name: str, payload: Any) -> None:
        text = files("ocpp").joinpath("v16/schemas", f"{name}.json").read_text(encoding="utf-8-sig")
        schema = json.loads(text)
        jsonschema.validators.validator_for(schema)(schema).validate(json.loads(json.dumps(payload, allow_nan=False)))
        action = name.removesuffix("Response")
        violation = answer_violation(action, payload) if action != name else call_violation(action, payload)
        assert violation is None

    return check
