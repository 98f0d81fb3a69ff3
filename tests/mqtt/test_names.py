"""Topic names: round trips, slugs, and who may be answered where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.mqtt.names import MAX_REPLY_TOPIC_BYTES, Names, RequestTopic, StateTopic

NAMES = Names("site/edged", "gw-1")
slugs = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
levels = st.text(st.characters(exclude_characters="/+#\x00", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(slugs, st.none() | st.integers(1, 9999), st.sampled_from(["info", "status", "ocpp/is_connected"]))
def test_a_state_topic_comes_apart_as_it_was_put_together(station: str, connector: int | None, aspect: str) -> None:
    topic = NAMES.of_station(station, aspect) if connector is None else NAMES.of_connector(station, connector, aspect)
    assert NAMES.parse_state(topic) == StateTopic(station, connector, aspect)


@given(levels | st.just(""), levels | st.just(""))
def test_a_request_topic_comes_apart_as_it_was_put_together(actor: str, command: str) -> None:
    assert NAMES.parse_request(NAMES.request(actor, command)) == RequestTopic(actor, command)


@given(st.text(max_size=80))
def test_no_topic_breaks_the_parsers(topic: str) -> None:
    NAMES.parse_request(topic)
    NAMES.parse_state(topic)
    NAMES.parse_state(f"{NAMES.prefix}/station/{topic}")
    NAMES.parse_request(f"{NAMES.prefix}/rpc/{topic}")


@pytest.mark.parametrize(
    "rest",
    [
        "cs1",
        "a b/info",
        "cs1/connector/01/status",
        "cs1/connector/one/status",
        "cs1/connector/1",
        "cs1/connector/1/",
    ],
)
def test_what_is_no_place_in_the_tree_is_none(rest: str) -> None:
    assert NAMES.parse_state(f"{NAMES.prefix}/station/{rest}") is None


@given(st.text(max_size=300))
def test_a_reply_never_leaves_its_callers_own_tree(wanted: str) -> None:
    for address in (NAMES.reply_address("bms", wanted), NAMES.reply_address("bms", NAMES.reply_prefix("bms") + wanted)):
        if address is not None:
            assert address.startswith(NAMES.reply_prefix("bms"))
            assert not set(address) & set("+#\x00")
            assert len(address.encode()) <= MAX_REPLY_TOPIC_BYTES


@pytest.mark.parametrize("end", ["\x7f", "\x80", "\x9f", "\ufdd0", "\ufffe", "\U0001ffff", "\ud800", "\n", "\x00"])
def test_what_a_broker_may_end_the_connection_for_is_no_reply_topic(end: str) -> None:
    """Mosquitto does, and as an answer is sent again on the next line, it would do so again and again."""
    assert NAMES.reply_address("bms", NAMES.reply_prefix("bms") + "mine" + end) is None
    assert NAMES.reply_address("bms", NAMES.reply_prefix("bms") + "m\u00efne \u4f60/\U0001f50c") is not None


def test_the_default_reply_to_a_very_long_command_is_bounded() -> None:
    assert NAMES.default_reply("bms", "x" * 1000) == NAMES.default_reply("bms", "unknown")


@pytest.mark.parametrize("root", ["", "a/b/c/d", "a//b", "/a", "a/", "a+", "#", "$SYS"])
def test_a_root_that_the_contract_forbids_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="root"):
        Names(root, "gw1")


@pytest.mark.parametrize("gateway", ["", "GW", "a b", "x" * 33, "a/b"])
def test_a_gateway_that_the_contract_forbids_is_refused(gateway: str) -> None:
    with pytest.raises(ValueError, match="gateway"):
        Names("edged", gateway)
