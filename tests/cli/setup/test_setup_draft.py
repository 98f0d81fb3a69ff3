"""The tree of a configuration in the making: what is not touched stays."""

from __future__ import annotations

from edged.cli.setup import draft
from edged.cli.setup.answers import gateway_id
from edged.cli.setup.chargers import without
from edged.cli.setup.wording import worded
from edged.settings.document import read_document

SITE = """\
log: {level: debug}
buses:
  yard: {serial: /dev/ttyUSB0}
chargers:
  left: {profile: a, bus: yard, unit_id: 1}
  right: {profile: a, bus: yard, unit_id: 2, reset_relay: {charger: board, output: 3}}
stations:
  - id: A
    evses: [{charger: left}, {charger: right}]
    offline_tokens: [0012]
"""


def tree():
    return read_document(SITE.encode())[0]


def test_a_value_that_is_put_leaves_all_others():
    changed = draft.put(tree(), ("stations", 0, "csms", "url"), draft.text("ws://x"))
    assert draft.text_at(changed, ("stations", 0, "csms", "url")) == "ws://x"
    assert draft.drop(changed, ("stations", 0, "csms")) == tree()


def test_a_list_takes_an_entry_behind_its_last():
    changed = draft.put(tree(), ("stations", 0, "evses", 2, "charger"), draft.text("third"))
    seats = [draft.text_at(each, ("charger",)) for each in draft.items_at(changed, ("stations", 0, "evses"))]
    assert seats == ["left", "right", "third"]


def test_what_is_not_there_is_dropped_without_a_trace():
    assert draft.drop(tree(), ("mqtt", "password")) == tree()
    assert draft.drop(tree(), ("stations", 7)) == tree()


def test_a_charger_goes_with_its_seat_and_the_line_stays_for_the_other():
    changed = without(tree(), "left")
    assert draft.names_at(changed, ("chargers",)) == ("right",)
    assert draft.names_at(changed, ("buses",)) == ("yard",)
    assert [draft.text_at(each, ("charger",)) for each in draft.items_at(changed, ("stations", 0, "evses"))] == [
        "right"
    ]


def test_the_last_charger_of_a_line_takes_the_line_with_it():
    changed = without(without(tree(), "left"), "right")
    assert draft.at(changed, ("buses",)) is None
    assert draft.at(changed, ("stations", 0, "evses")) is None


def test_chapters_come_in_their_usual_order_and_strange_ones_behind_what_they_follow():
    node = draft.put(draft.put(tree(), ("gateway", "id"), draft.text("g")), ("mqtt", "url"), draft.text("mqtt://b"))
    assert draft.names_at(draft.in_order(node), ()) == ("log", "gateway", "buses", "chargers", "stations", "mqtt")


def test_places_are_named_as_errors_name_them():
    assert draft.named(("stations", 0, "csms", "url")) == "stations[0].csms.url"


def test_a_token_keeps_its_zeros():
    assert "[0012]" in worded(tree())


def test_a_gateway_is_called_as_its_host():
    assert gateway_id("Depot_7.example.com") == "depot-7"
    assert gateway_id("...") == "edged"
    assert gateway_id("x" * 99) == "x" * 32
