"""Whatever a CSMS orders and the network does: the ways stay few, none is lowered, and home is never out of reach."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edged.domain import access, routes
from edged.domain.commands import SetNetworkProfile
from edged.domain.credentials import LinkFailure, NetworkProfile
from edged.domain.events import LinkDown, LinkFailed, LinkProven, LinkUp
from edged.domain.station import SiteRules
from tests.fakes.site import Site

RULES = SiteRules(
    security_profile=1, has_password=True, has_root=True, has_client_certificate=True, credentials_digest="as installed"
)
ATTEMPTS = 2
MOST_WAYS = access.MAX_WAYS + 2 * len(routes.SLOTS)
SLOT = st.integers(1, 3)
MOVE = st.one_of(
    st.tuples(st.just("write"), SLOT, st.integers(1, 3)),
    st.tuples(st.just("prefer"), st.lists(SLOT, min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("password"), st.integers(0, 3)),
    st.tuples(st.just("raise"), st.integers(2, 3)),
    st.tuples(st.just("fail"), st.sampled_from(LinkFailure)),
    st.tuples(st.just("come")),
    st.tuples(st.just("shut")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("wait"), st.integers(1, 100)),
)


def built() -> Site:
    keys = {"NetworkProfileConnectionAttempts": str(ATTEMPTS)}
    return Site.build(1, online=False, rules=RULES, configuration=keys)


def go(site: Site, move: tuple[object, ...]) -> None:
    number = site.station.access.number
    match move:
        case ("write", int(slot), int(level)):
            one = NetworkProfile(
                slot=slot, url=f"wss://csms{slot}/{level}", security_profile=level, message_timeout_s=20
            )
            site.do(SetNetworkProfile(request=site.ref(), slot=slot, profile=one))
        case ("prefer", list(slots)):
            site.set("NetworkConfigurationPriority", ",".join(map(str, slots)))
        case ("password", int(which)):
            site.set("AuthorizationKey", f"the password number {which}")
        case ("raise", int(level)):
            site.set("SecurityProfile", str(level))
        case ("fail", LinkFailure() as failure):
            site.do(LinkDown("cut", None))
            site.do(LinkFailed(number, failure, "so it is"))
        case ("come",):
            site.do(LinkUp(number))
            site.do(LinkProven(number))
        case ("shut",):
            site.do(LinkUp(number))
            site.do(LinkDown("shut", number))
        case ("restart",):
            site.do(LinkDown("cut", None))
            site.restart()
        case ("wait", int(seconds)):
            site.wait(seconds)


@settings(max_examples=60, deadline=None)
@example([("password", 2), ("come",), ("password", 2)])
@given(st.lists(MOVE, max_size=25))
def test_ways_stay_few_and_what_has_worked_is_never_lowered(moves: list[tuple[object, ...]]) -> None:
    site = built()
    proven = 1
    for move in moves:
        go(site, move)
        if move == ("come",):
            now = access.security_profile(site.station)
            assert now >= proven
            proven = now
        ways = site.station.access.ways
        assert len(ways) <= MOST_WAYS
        assert len(set(ways)) == len(ways)
        slots = set(site.station.network)
        assert all(slot in slots or slot == routes.SITE_SLOT for slot in routes.priority(site.station)), slots


@settings(max_examples=60, deadline=None)
@given(st.lists(MOVE, max_size=20))
def test_the_installers_own_place_is_reached_again_unless_a_higher_profile_has_worked_elsewhere(
    moves: list[tuple[object, ...]],
) -> None:
    site = built()
    for move in moves:
        go(site, move)
    if access.security_profile(site.station) > RULES.security_profile:
        return
    site.do(LinkDown("cut", None))
    seen = set()
    for _ in range(ATTEMPTS * (MOST_WAYS + 1) * 2):
        seen.add(site.station.access.way.place)
        site.do(LinkFailed(site.station.access.number, LinkFailure.UNREACHABLE, "nobody is there"))
    assert (None, None) in seen
