"""The story as data: another password, and data that nobody but a vendor understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edged.cli.demo import claims
from edged.cli.demo.daemon import Disk
from edged.cli.demo.places import MESSAGE, SHOWN, STATION, VENDOR
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step

TARIFF: Final = "0.42 EUR/kWh"
STRANGER: Final = "org.stranger"
READING: Final = {"vendor_id": VENDOR, "message_id": "Reading", "data": '{"roof_kw": 7.4}'}
NOTED: Final = "noted"

# --- another password


async def _change_password(stage: Stage) -> None:
    """A CSMS that means it: once the station has accepted the new one, the former is worth nothing."""
    stage.notes["connections"] = stage.csms.connection_count(STATION)
    await stage.call("ChangeConfiguration", {"key": "AuthorizationKey", "value": stage.passwords.second})
    if stage.answer.get("status") == "Accepted" and stage.csms.credentials is not None:
        stage.csms.credentials[STATION] = stage.passwords.second


def _in_again(stage: Stage) -> Seen:
    """Who is let in has shown the password that is asked for now."""
    count = stage.csms.connection_count(STATION) - stage.notes["connections"]
    ok = count > 0 and STATION in stage.csms.connected
    return Seen(ok, f"let in by its new password, {stage.csms.refused_logins} times refused" if ok else "not here")


async def _ask_password(stage: Stage) -> None:
    await stage.call("GetConfiguration", {"key": ["AuthorizationKey"]})


def _untold(stage: Stage) -> Seen:
    told = any("value" in one for one in stage.answer.get("configurationKey", []))
    return Seen(bool(stage.answer) and not told, "AuthorizationKey is told" if told else "AuthorizationKey is not told")


def _proven(disk: Disk) -> Seen:
    """The way that works stands alone."""
    found: Mapping[str, Any] = next(iter(disk.facts.get("access", {}).values()), {})
    proven = found.get("former") is None and (found.get("way") or {}).get("password") is not None
    return Seen(proven, "the new password is kept alone" if proven else "both passwords are kept")


PASSWORD: Final = Chapter(
    title="Another password",
    steps=(
        Step(
            sentence="the CSMS changes AuthorizationKey: the station comes back with the new one",
            act=_change_password,
            claims=(
                claims.answered("ChangeConfiguration", status="Accepted"),
                claims.csms("let in by its new password", _in_again),
                claims.disk("the new password is kept alone", _proven),
                claims.unlogged(),
            ),
        ),
        Step(
            sentence="nobody can read it back",
            act=_ask_password,
            claims=(claims.csms("AuthorizationKey is not told", _untold),),
        ),
    ),
)


# --- data


async def _from_csms(stage: Stage, vendor: str) -> None:
    await stage.call("DataTransfer", {"vendorId": vendor, "messageId": MESSAGE, "data": TARIFF})


async def _to_csms(stage: Stage) -> None:
    stage.csms.answer("DataTransfer", {"status": "Accepted", "data": NOTED})
    stage.answer = await stage.daemon.ask("data_transfer", READING)


async def _list(stage: Stage) -> None:
    stage.answer = await stage.daemon.ask("list_data_transfers")


def _accepted(answer: Mapping[str, Any]) -> Seen:
    ok = answer.get("status") == "Accepted" and answer.get("data") == NOTED
    return Seen(ok, f"data_transfer: {answer.get('status')} {answer.get('data') or ''}".strip())


def _listed() -> Claim:
    wanted = [
        ("from_csms", VENDOR, "Accepted", SHOWN),
        ("from_csms", STRANGER, "UnknownVendorId", None),
        ("to_csms", VENDOR, "Accepted", NOTED),
    ]

    def look(answer: Mapping[str, Any]) -> Seen:
        found = [
            (one["direction"], one["vendor_id"], one["status"], one["answer"]) for one in answer.get("transfers", [])
        ]
        words = ", ".join(f"{direction} {vendor} {status}" for direction, vendor, status, _ in found)
        return Seen(found == wanted, words or "an empty history")

    return claims.replied("three transfers, in order, with their answers", look)


DATA: Final = Chapter(
    title="Data of a vendor",
    steps=(
        Step(
            sentence=f"the CSMS sends a tariff of {VENDOR}: taken, and answered as the site says",
            act=lambda stage: _from_csms(stage, VENDOR),
            claims=(claims.answered("DataTransfer", status="Accepted", data=SHOWN),),
        ),
        Step(
            sentence=f"nobody here knows {STRANGER}",
            act=lambda stage: _from_csms(stage, STRANGER),
            claims=(claims.answered("DataTransfer", status="UnknownVendorId"),),
        ),
        Step(
            sentence="the building sends a reading to the CSMS and has its answer",
            act=_to_csms,
            claims=(
                claims.called(
                    "DataTransfer",
                    vendorId=READING["vendor_id"],
                    messageId=READING["message_id"],
                    data=READING["data"],
                ),
                claims.replied("data_transfer: Accepted", _accepted),
            ),
        ),
        Step(sentence="the history has all three", act=_list, claims=(_listed(),)),
    ),
)
