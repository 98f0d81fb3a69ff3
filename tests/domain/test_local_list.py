"""The local list: which updates are taken, what they leave behind, and that it outlives a restart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.answers import ListStatus
from edged.domain.commands import ClearCache, GetLocalListVersion, ListChange, SendLocalList
from edged.domain.events import TokenAnswered
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo
from tests.fakes.site import START, Site

YES = IdTokenInfo(AuthorizationStatus.ACCEPTED)
NO = IdTokenInfo(AuthorizationStatus.BLOCKED)
Entry = tuple[str, IdTokenInfo | None]


def send(site: Site, version: int, *entries: Entry, full: bool = False) -> Any:
    """The answer to an update; an entry without info takes its token out."""
    changes = tuple(ListChange(IdToken(name), info) for name, info in entries)
    site.do(SendLocalList(request=site.ref("SendLocalList"), version=version, full=full, changes=changes))
    return site.reply().status


def told(site: Site) -> Any:
    """The version that the station tells."""
    site.do(GetLocalListVersion(site.ref("GetLocalListVersion")))
    return site.reply().data


def held(site: Site) -> dict[str, IdTokenInfo]:
    """The list, by the tokens as they are spelled in it."""
    return {entry.id_token.value: entry.info for entry in site.station.local_list.values()}


def with_list(*names: str, version: int = 5, **keys: str) -> Site:
    site = Site.build(1, configuration=keys)
    assert send(site, version, *((name, YES) for name in names), full=True) is ListStatus.ACCEPTED
    return site


# --- a full list


def test_a_full_list_replaces_all_of_the_old_one() -> None:
    site = with_list("ALICE", "BOB")
    assert send(site, 6, ("BOB", NO), ("CAROL", YES), full=True) is ListStatus.ACCEPTED
    assert held(site) == {"BOB": NO, "CAROL": YES}
    assert told(site) == 6


@pytest.mark.parametrize("version", [1, 4, 5, 6, 2**31])
def test_a_full_list_may_have_any_version(version: int) -> None:
    site = with_list("ALICE")
    assert send(site, version, ("BOB", YES), full=True) is ListStatus.ACCEPTED
    assert told(site) == version


def test_a_full_list_without_entries_clears_the_list() -> None:
    site = with_list("ALICE")
    assert send(site, 6, full=True) is ListStatus.ACCEPTED
    assert held(site) == {}


def test_a_full_list_has_nothing_to_take_out() -> None:
    site = with_list("ALICE")
    assert send(site, 6, ("BOB", YES), ("ALICE", None), full=True) is ListStatus.FAILED
    assert held(site) == {"ALICE": YES}


# --- a difference


def test_a_difference_adds_replaces_and_takes_out() -> None:
    site = with_list("ALICE", "BOB", "CAROL")
    assert send(site, 6, ("ALICE", NO), ("BOB", None), ("DAVE", YES)) is ListStatus.ACCEPTED
    assert held(site) == {"ALICE": NO, "CAROL": YES, "DAVE": YES}
    assert told(site) == 6


def test_a_difference_may_be_the_first_update_of_all() -> None:
    site = Site.build(1)
    assert send(site, 1, ("ALICE", YES)) is ListStatus.ACCEPTED
    assert held(site) == {"ALICE": YES}


def test_a_difference_without_entries_only_changes_the_version() -> None:
    site = with_list("ALICE")
    before = site.station.local_list
    assert send(site, 9) is ListStatus.ACCEPTED
    assert site.station.local_list is before
    assert told(site) == 9


def test_to_take_out_who_is_not_there_is_no_mistake() -> None:
    site = with_list("ALICE")
    assert send(site, 6, ("BOB", None)) is ListStatus.ACCEPTED
    assert held(site) == {"ALICE": YES}


def test_a_token_is_the_same_however_it_is_spelled_and_shown_as_it_came_last() -> None:
    site = with_list("Alice", "Bob")
    assert send(site, 6, ("ALICE", NO), ("bOB", None)) is ListStatus.ACCEPTED
    assert held(site) == {"ALICE": NO}


@pytest.mark.req("TC_043_2_CS")
@pytest.mark.parametrize("version", [1, 4, 5])
def test_a_difference_that_is_not_newer_is_a_mismatch_whatever_is_in_it(version: int) -> None:
    site = with_list("ALICE")
    assert send(site, version, ("BOB", YES)) is ListStatus.VERSION_MISMATCH
    assert send(site, version, ("BOB", YES), ("bob", YES)) is ListStatus.VERSION_MISMATCH
    assert held(site) == {"ALICE": YES}
    assert told(site) == 5


def test_a_difference_must_be_newer_than_an_update_that_has_emptied_the_list() -> None:
    site = with_list("ALICE")
    send(site, 6, full=True)
    assert send(site, 6, ("ALICE", YES)) is ListStatus.VERSION_MISMATCH
    assert send(site, 7, ("ALICE", YES)) is ListStatus.ACCEPTED


# --- what is Failed leaves everything as it was


@pytest.mark.req("TC_043_3_CS")
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("version", [0, -1, -7])
def test_a_version_below_one_is_refused(full: bool, version: int) -> None:
    site = with_list("ALICE")
    before = site.station
    assert send(site, version, ("BOB", YES), full=full) is ListStatus.FAILED
    assert site.station == before


@pytest.mark.req("TC_043_3_CS")
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    "entries",
    [
        [("BOB", YES), ("CAROL", YES), ("BOB", YES)],
        [("Bob", YES), ("bOB", NO)],
        [("BOB", YES), ("BOB", None)],
        [("", YES)],
        [("A", YES), ("B", YES), ("C", YES), ("D", YES)],
    ],
    ids=["twice", "twice in other letters", "in and out", "nobody", "too many at once"],
)
def test_an_update_that_cannot_be_carried_out_changes_nothing(full: bool, entries: Sequence[Entry]) -> None:
    site = with_list("ALICE", SendLocalListMaxLength="3")
    before, commits = site.station, site.disk.commits
    assert send(site, 6, *entries, full=full) is ListStatus.FAILED
    assert site.station == before
    assert site.disk.commits == commits


@pytest.mark.req("TC_043_3_CS")
def test_the_length_of_the_list_is_counted_after_the_change() -> None:
    site = with_list("A", "B", "C", LocalAuthListMaxLength="3")
    assert send(site, 6, ("D", YES)) is ListStatus.FAILED
    assert send(site, 6, ("A", NO)) is ListStatus.ACCEPTED
    assert send(site, 7, ("A", None), ("D", YES)) is ListStatus.ACCEPTED
    assert send(site, 8, *((name, YES) for name in "ABCD"), full=True) is ListStatus.FAILED
    assert held(site) == {"B": YES, "C": YES, "D": YES}
    assert told(site) == 7


# --- a list that is switched off


@pytest.mark.req("TC_043_1_CS", "TC_042_1_CS")
def test_a_list_that_is_switched_off_takes_no_update_and_has_no_version() -> None:
    site = with_list("ALICE")
    site.set("LocalAuthListEnabled", "false")
    assert send(site, 6, ("BOB", YES), full=True) is ListStatus.NOT_SUPPORTED
    assert told(site) is None
    assert site.reply().status is ListStatus.NOT_SUPPORTED


def test_a_list_that_is_switched_on_again_is_the_old_one() -> None:
    site = with_list("ALICE")
    site.set("LocalAuthListEnabled", "false")
    site.set("LocalAuthListEnabled", "true")
    assert held(site) == {"ALICE": YES}
    assert told(site) == 5


# --- its version


@pytest.mark.req("TC_042_2_CS")
def test_an_empty_list_has_the_version_0_whatever_was_sent() -> None:
    site = Site.build(1)
    assert told(site) == 0
    send(site, 3, full=True)
    assert told(site) == 0
    send(site, 4, ("ALICE", YES))
    assert told(site) == 4
    send(site, 5, ("ALICE", None))
    assert told(site) == 0


# --- the list and the cache


def learn(site: Site, token: str) -> None:
    """The CSMS is asked about a token and accepts it; nobody stays in."""
    site.show(token, 1)
    site.do(TokenAnswered(site.question(), YES))
    site.show(token, 1)


@pytest.mark.req("16-AUTH-02")
@pytest.mark.parametrize("full", [True, False])
def test_an_update_takes_its_tokens_out_of_the_cache(full: bool) -> None:
    site = Site.build(1)
    learn(site, "ALICE")
    learn(site, "BOB")
    assert set(site.station.cache) == {"alice", "bob"}
    assert send(site, 1, ("Alice", NO), full=full) is ListStatus.ACCEPTED
    assert set(site.station.cache) == {"bob"}


def test_an_update_that_is_refused_leaves_the_cache_alone() -> None:
    site = Site.build(1)
    learn(site, "ALICE")
    assert send(site, 0, ("ALICE", NO), full=True) is ListStatus.FAILED
    assert set(site.station.cache) == {"alice"}


def test_what_was_learned_while_the_list_was_switched_off_goes_with_the_next_update() -> None:
    site = with_list("ALICE", "BOB")
    site.set("LocalAuthListEnabled", "false")
    learn(site, "ALICE")
    learn(site, "BOB")
    site.set("LocalAuthListEnabled", "true")
    assert send(site, 6, ("BOB", None)) is ListStatus.ACCEPTED
    assert site.station.cache == {}


def test_clearing_the_cache_leaves_the_list_alone() -> None:
    site = with_list("ALICE")
    site.do(ClearCache(site.ref("ClearCache")))
    assert held(site) == {"ALICE": YES}


# --- it is kept


@pytest.mark.req("16-AUTH-08")
def test_the_list_and_its_version_survive_a_restart() -> None:
    site = with_list("Alice")
    later = START + timedelta(days=30)
    rich = IdTokenInfo(AuthorizationStatus.CONCURRENT_TX, IdToken("Family"), later)
    send(site, 6, ("Ümläut \U0001f697", rich))
    site.restart()
    assert held(site) == {"Alice": YES, "Ümläut \U0001f697": rich}
    assert told(site) == 6


def test_one_update_is_one_commit() -> None:
    site = Site.build(1)
    commits = site.disk.commits
    send(site, 1, *((f"T{n}", YES) for n in range(500)), full=True)
    assert site.disk.commits == commits + 1


# --- a law: whatever is sent, the list is what a plain dictionary would be

NAMES = st.sampled_from(["a", "A", "b", "c", "C", "d", "e"])
INFOS = st.sampled_from([YES, NO, IdTokenInfo(AuthorizationStatus.ACCEPTED, IdToken("G"), START)])
UPDATES = st.tuples(
    st.integers(min_value=-1, max_value=9),
    st.booleans(),
    st.lists(st.tuples(NAMES, st.none() | INFOS), max_size=4),
)
SWITCHES = st.sampled_from(["restart", "off", "on"])


class Model:
    """The rules once more, in the simplest words: a dictionary and a number."""

    def __init__(self) -> None:
        self.entries: dict[str, IdTokenInfo] = {}
        self.version = 0
        self.enabled = True

    def send(self, version: int, full: bool, entries: list[Entry]) -> str:
        if not self.enabled:
            return "NotSupported"
        if version in (0, -1):
            return "Failed"
        if not full and version <= self.version:
            return "VersionMismatch"
        names = [name.lower() for name, _ in entries]
        if len(entries) > 3 or sorted(set(names)) != sorted(names):
            return "Failed"
        new = {} if full else dict(self.entries)
        for name, info in entries:
            if info is not None:
                new[name.lower()] = info
            elif full:
                return "Failed"
            elif name.lower() in new:
                del new[name.lower()]
        if len(new) > 4:
            return "Failed"
        self.entries, self.version = new, version
        return "Accepted"


@given(st.lists(UPDATES | SWITCHES, max_size=12))
def test_any_sequence_of_updates_and_restarts_gives_what_a_dictionary_gives(
    moves: list[str | tuple[int, bool, list[Entry]]],
) -> None:
    site = Site.build(1, configuration={"SendLocalListMaxLength": "3", "LocalAuthListMaxLength": "4"})
    model = Model()
    for move in moves:
        if move == "restart":
            site.restart()
        elif isinstance(move, str):
            model.enabled = move == "on"
            site.set("LocalAuthListEnabled", "true" if model.enabled else "false")
        else:
            version, full, entries = move
            assert send(site, version, *entries, full=full).value == model.send(version, full, entries)
        assert {key: entry.info for key, entry in site.station.local_list.items()} == model.entries
        if model.enabled:
            assert told(site) == (model.version if model.entries else 0)
    site.restart()
    assert {key: entry.info for key, entry in site.station.local_list.items()} == model.entries
