"""The way to the CSMS over real TLS: passwords, security profiles, certificates, and what is done when one fails."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edged.domain import access
from edged.simulator.csms import Csms, ErrorAnswer
from tests.conformance.doors import (
    NEW,
    OLD,
    WRONG,
    Pki,
    comes_back,
    is_down,
    plain,
    profile_1,
    reconnects,
    secure,
    security_event,
    two_doors,
)
from tests.conformance.scene import SOCKET, STATION, OpenScene, Scene
from tests.fakes.pki import Authority, self_signed


@pytest.fixture
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "TRIAL_S", 4.0)


async def change(scene: Scene, key: str, value: object) -> str:
    return await scene.status_of("ChangeConfiguration", key=key, value=str(value))


async def accepted(scene: Scene, key: str, value: object) -> int:
    """Change a key; how many had logged in before that."""
    before = len(scene.csms.logins)
    assert await change(scene, key, value) == "Accepted"
    return before


# --- the password


@pytest.mark.req("TC_073_CS", "A01.FR.01")
async def test_TC_073_CS_a_new_password_is_used_for_a_new_connection_at_once(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET, csms_options={"credentials": {STATION: OLD}}, csms_settings=profile_1())
    before = await accepted(scene, "AuthorizationKey", NEW)
    scene.csms.credentials = {STATION: NEW}
    await comes_back(scene, before)
    assert "BootNotification" not in scene.calls(), "it has not restarted"
    await reconnects(scene)
    await scene.restart_daemon()
    assert scene.csms.refused_logins == 0


@pytest.mark.req("TC_073_CS")
async def test_TC_073_CS_a_password_that_the_csms_does_not_take_after_all_is_given_up(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET, csms_options={"credentials": {STATION: OLD}}, csms_settings=profile_1())
    before = await accepted(scene, "AuthorizationKey", NEW)
    await comes_back(scene, before)
    assert scene.csms.refused_logins == access.MAX_REFUSALS
    await reconnects(scene)
    assert scene.csms.refused_logins == access.MAX_REFUSALS, "the new one is forgotten"


@pytest.mark.req("TC_073_CS", "A01.FR.01")
@pytest.mark.parametrize("bad", ["short", "x" * 41, "Gärtner und Söhne"])
async def test_TC_073_CS_what_cannot_be_a_password_is_rejected(open_scene: OpenScene, bad: str) -> None:
    scene = await open_scene(SOCKET, csms_options={"credentials": {STATION: OLD}}, csms_settings=profile_1())
    before = len(scene.csms.logins)
    assert await change(scene, "AuthorizationKey", bad) == "Rejected"
    await scene.settled()
    assert len(scene.csms.logins) == before


@pytest.mark.req("16-J-05")
async def test_a_password_in_hexadecimal_is_sent_as_its_bytes_where_the_site_says_so(open_scene: OpenScene) -> None:
    old, new = "00ff" * 8, "f00d" * 10
    scene = await open_scene(
        SOCKET,
        csms_options={"credentials": {STATION: bytes.fromhex(old)}},
        csms_settings=profile_1(old, password_encoding="hex"),
    )
    assert await change(scene, "AuthorizationKey", NEW) == "Rejected"
    before = await accepted(scene, "AuthorizationKey", new)
    scene.csms.credentials = {STATION: bytes.fromhex(new)}
    await comes_back(scene, before)


@pytest.mark.req("TC_073_CS")
@pytest.mark.parametrize("taken", [True, False])
async def test_a_daemon_that_is_killed_in_the_middle_of_a_change_finds_the_password_that_counts(
    open_scene: OpenScene, taken: bool
) -> None:
    scene = await open_scene(
        SOCKET, process=True, csms_options={"credentials": {STATION: OLD}}, csms_settings=profile_1()
    )
    before = await accepted(scene, "AuthorizationKey", NEW)
    scene.csms.credentials = {STATION: NEW if taken else OLD}
    await scene.restart_daemon(kill=True, wait=False)
    await comes_back(scene, before)
    assert (scene.csms.refused_logins == 0) is taken
    event = await security_event(scene, "ResetOrReboot", after=scene.since)
    assert event["techInfo"] == "unexpected"


async def test_nobody_is_shown_a_password(open_scene: OpenScene) -> None:
    scene = await open_scene(
        SOCKET,
        process=True,
        csms_options={"credentials": {STATION: OLD}},
        csms_settings=profile_1(),
        site_settings={"log": {"level": "debug", "wire": True}},
    )
    before = await accepted(scene, "AuthorizationKey", NEW)
    scene.csms.credentials = {STATION: NEW}
    await comes_back(scene, before)
    keys = (await scene.call("GetConfiguration"))["configurationKey"]
    assert {"key": "AuthorizationKey", "readonly": False} in keys
    state = await scene.daemon.state()
    await scene.stop_daemon()
    log = (scene.folder / "edged.log").read_text()
    assert '"key":"AuthorizationKey","value":"***"' in log, "the wire was on"
    for secret in (OLD, NEW):
        header = base64.b64encode(f"{STATION}:{secret}".encode()).decode()
        for place in (log, str(state), str(keys), str(scene.csms.received("SecurityEventNotification"))):
            assert secret not in place
            assert header not in place


async def test_what_is_kept_is_readable_by_its_owner_only(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET, csms_options={"credentials": {STATION: OLD}}, csms_settings=profile_1())
    before = await accepted(scene, "AuthorizationKey", NEW)
    scene.csms.credentials = {STATION: NEW}
    await comes_back(scene, before)
    kept = [path for path in scene.daemon.state_dir.iterdir() if path.name.startswith("edged.db")]
    assert {"edged.db", "edged.db-wal"} <= {path.name for path in kept}
    assert {path.name for path in kept if path.stat().st_mode & 0o077} <= {"edged.db.lock"}


async def test_a_password_that_the_installer_writes_later_wins(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET, csms_options={"credentials": {STATION: OLD}}, csms_settings=profile_1())
    before = await accepted(scene, "AuthorizationKey", NEW)
    scene.csms.credentials = {STATION: NEW}
    await comes_back(scene, before)
    await scene.stop_daemon()
    scene.csms_settings = profile_1("written by the installer")
    scene.csms.credentials = {STATION: "written by the installer"}
    scene.write_config()
    await scene.start_daemon()
    assert scene.csms.refused_logins == 0


# --- the security profile


@pytest.mark.req("TC_083_CS", "A05.FR.05", "A05.FR.06", "A05.FR.09")
async def test_TC_083_CS_a_raised_profile_is_used_at_once_and_the_lower_one_never_again(
    open_scene: OpenScene, pki: Pki, free_port: int
) -> None:
    scene = await open_scene(SOCKET, **two_doors(pki, free_port))
    before = await accepted(scene, "SecurityProfile", 2)
    assert secure(await comes_back(scene, before))
    assert await scene.value_of("SecurityProfile") == "2"
    assert all(map(secure, await reconnects(scene)))
    before = len(scene.csms.logins)
    await scene.restart_daemon()
    assert all(map(secure, scene.csms.logins[before:]))
    assert await change(scene, "SecurityProfile", 1) == "Rejected"


@pytest.mark.req("TC_083_CS", "A05.FR.06")
async def test_TC_083_CS_a_reset_right_behind_the_change_comes_back_at_the_higher_profile(
    open_scene: OpenScene, pki: Pki, free_port: int
) -> None:
    scene = await open_scene(SOCKET, **two_doors(pki, free_port))
    before = await accepted(scene, "SecurityProfile", 2)
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    assert secure(await comes_back(scene, before))
    await scene.ready(after=scene.since)
    assert "BootNotification" in scene.calls()
    assert await scene.value_of("SecurityProfile") == "2"


@pytest.mark.req("TC_083_CS", "TC_087_CS")
async def test_TC_083_CS_from_a_password_to_a_certificate_of_its_own(
    open_scene: OpenScene, pki: Pki, free_port: int
) -> None:
    doors = two_doors(pki, free_port, profile_3=True, client_certificate=pki.station())
    scene = await open_scene(SOCKET, **doors)
    before = await accepted(scene, "SecurityProfile", 3)
    login = await comes_back(scene, before)
    assert (login.client, login.user) == (STATION, None)
    assert await scene.value_of("SecurityProfile") == "3"


@pytest.mark.req("A05.FR.08")
@pytest.mark.parametrize("reset", [False, True])
async def test_TC_083_CS_a_raised_profile_that_gives_no_connection_goes_back_to_the_lower_one(
    open_scene: OpenScene, pki: Pki, free_port: int, reset: bool
) -> None:
    scene = await open_scene(SOCKET, **two_doors(pki, free_port, self_signed()))
    before = await accepted(scene, "SecurityProfile", 2)
    if reset:
        assert await scene.status_of("Reset", type="Hard") == "Accepted"
    assert plain(await comes_back(scene, before))
    assert await scene.value_of("SecurityProfile") == "1"
    await security_event(scene, "InvalidCentralSystemCertificate")
    assert all(map(plain, await reconnects(scene)))


@pytest.mark.req("A05.FR.08")
@pytest.mark.usefixtures("short_trials")
async def test_a_secure_door_that_is_not_there_is_not_waited_for_for_ever(
    open_scene: OpenScene, pki: Pki, free_port: int
) -> None:
    doors = two_doors(pki, free_port)
    del doors["csms_options"]["second_tls"]
    scene = await open_scene(SOCKET, **doors)
    before = await accepted(scene, "SecurityProfile", 2)
    assert plain(await comes_back(scene, before))
    assert await scene.value_of("SecurityProfile") == "1"


@pytest.mark.req("A05.FR.08")
async def test_a_daemon_that_is_killed_in_the_middle_of_a_failing_upgrade_goes_back(
    open_scene: OpenScene, pki: Pki, free_port: int
) -> None:
    scene = await open_scene(SOCKET, process=True, **two_doors(pki, free_port, self_signed()))
    before = await accepted(scene, "SecurityProfile", 2)
    await scene.restart_daemon(kill=True, wait=False)
    assert plain(await comes_back(scene, before))
    assert await scene.value_of("SecurityProfile") == "1"


@pytest.mark.req("TC_084_CS", "A05.FR.01", "A05.FR.02", "A05.FR.03", "A05.FR.04")
@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"security_profile": 1, "password": OLD, "ca_file": True}, (0, 1, 3, 4, "one", "")),
        ({"security_profile": 1, "password": OLD}, (2, 3)),
        ({"security_profile": 0, "ca_file": True}, (0, 1, 2, 3)),
    ],
)
async def test_TC_084_CS_a_profile_that_is_lower_or_lacks_what_it_needs_is_rejected(
    open_scene: OpenScene, pki: Pki, settings: dict[str, Any], wanted: tuple[object, ...]
) -> None:
    csms_settings = {**settings, **({"ca_file": pki.ca_file} if "ca_file" in settings else {})}
    scene = await open_scene(SOCKET, csms_settings=csms_settings)
    before = len(scene.csms.logins)
    for profile in wanted:
        assert await change(scene, "SecurityProfile", profile) == "Rejected", profile
    await scene.settled()
    assert len(scene.csms.logins) == before
    assert await scene.value_of("SecurityProfile") == str(settings["security_profile"])


# --- who is who


@pytest.mark.req("TC_085_CS")
async def test_TC_085_CS_the_identity_is_the_user_of_basic_authentication_each_time(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET, csms_options={"credentials": {STATION: OLD}}, csms_settings=profile_1())
    await reconnects(scene)
    assert [login.user for login in scene.csms.logins] == [STATION, STATION]
    assert scene.csms.refused_logins == 0


@pytest.mark.req("TC_086_CS", "A00.FR.313")
async def test_TC_086_CS_over_tls_with_a_server_that_somebody_known_vouches_for(
    open_scene: OpenScene, pki: Pki
) -> None:
    scene = await open_scene(
        SOCKET,
        csms_options={"credentials": {STATION: OLD}, "tls": pki.server()},
        csms_settings={"password": OLD, "ca_file": pki.ca_file},
    )
    (login,) = scene.csms.logins
    assert secure(login)
    assert login.user == STATION
    assert await scene.value_of("SecurityProfile") == "2"


@pytest.mark.req("TC_086_CS", "A00.FR.308", "A00.FR.309", "A00.FR.310")
@pytest.mark.parametrize("wrong", WRONG)
async def test_TC_086_CS_a_server_with_a_wrong_certificate_learns_nothing_and_is_reported_later(
    open_scene: OpenScene, pki: Pki, wrong: str
) -> None:
    tls = pki.server(WRONG[wrong](pki))
    scene = await open_scene(
        SOCKET,
        wait=False,
        csms_options={"credentials": {STATION: OLD}, "tls": tls},
        csms_settings={"password": OLD, "ca_file": pki.ca_file},
    )
    await is_down(scene, "certificate is refused")
    assert (scene.csms.logins, scene.csms.refused_logins) == ([], 0)
    tls.load_cert_chain(*pki.root.server().write(pki.folder, "mended"))
    await scene.ready()
    if wrong == "another host's":
        return  # that is no critical event: it stays in the security log
    await security_event(scene, "InvalidCentralSystemCertificate")
    assert [p["type"] for p in scene.payloads("SecurityEventNotification", after=0)].count(
        "InvalidCentralSystemCertificate"
    ) == 1, "once an outage"


@pytest.mark.req("TC_087_CS")
async def test_TC_087_CS_the_station_shows_its_own_certificate(open_scene: OpenScene, pki: Pki) -> None:
    scene = await open_scene(
        SOCKET,
        csms_options={"tls": pki.server(profile_3=True)},
        csms_settings={"security_profile": 3, "ca_file": pki.ca_file, "client_certificate": pki.station()},
    )
    (login,) = scene.csms.logins
    assert (login.client, login.user) == (STATION, None)
    assert await scene.value_of("SecurityProfile") == "3"


@pytest.mark.req("TC_087_CS")
async def test_a_station_whose_certificate_is_refused_goes_on_trying(open_scene: OpenScene, pki: Pki) -> None:
    stranger = pki.station("stranger", authority=Authority.new("Unknown"))
    scene = await open_scene(
        SOCKET,
        wait=False,
        csms_options={"tls": pki.server(profile_3=True)},
        csms_settings={"security_profile": 3, "ca_file": pki.ca_file, "client_certificate": stranger},
    )
    await is_down(scene, "refuses the station's certificate")
    cert, key = pki.stations.client(STATION).write(pki.folder, "good")
    Path(stranger["key"]).write_bytes(key.read_bytes())
    Path(stranger["cert"]).write_bytes(cert.read_bytes())
    await scene.ready()
    assert scene.csms.logins[-1].client == STATION


# --- what is told of the station's life


@pytest.mark.req("16-J-33", "A04.FR.02")
async def test_each_start_and_each_reset_is_a_security_event_that_reaches_the_csms(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await security_event(scene, "StartupOfTheDevice")
    assert await scene.status_of("Reset", type="Soft") == "Accepted"
    await scene.ready(after=scene.since)
    told = [await security_event(scene, name, after=scene.since) for name in ("ResetOrReboot", "StartupOfTheDevice")]
    assert [event["techInfo"] for event in told] == ["RemoteReset", "RemoteReset"]


@pytest.mark.req("16-J-33")
async def test_a_csms_that_knows_no_security_events_is_asked_once_a_connection(open_scene: OpenScene) -> None:
    def deaf(csms: Csms) -> None:
        csms.answer("SecurityEventNotification", ErrorAnswer("NotImplemented"))

    scene = await open_scene(SOCKET, script=deaf)
    await scene.call("ChangeConfiguration", key="CpoName", value="Example Energy")
    await scene.settled()
    assert scene.calls(after=0).count("SecurityEventNotification") == 1
    await scene.knows(lambda state: state["queued"] == 0)


# --- a line that is none


@pytest.mark.req("TC_073_CS", "A05.FR.08")
@pytest.mark.parametrize("change_of", ["AuthorizationKey", "SecurityProfile"])
async def test_a_csms_that_lets_the_new_way_in_and_closes_at_once_has_not_taken_it(
    open_scene: OpenScene, change_of: str
) -> None:
    options: dict[str, Any] = {"csms_options": {"credentials": {STATION: OLD}}, "csms_settings": profile_1()}
    wanted = f"Basic {base64.b64encode(f'{STATION}:{OLD}'.encode()).decode()}"
    if change_of == "SecurityProfile":
        options, wanted = {"csms_settings": {"security_profile": 0, "password": OLD}}, ""
    scene = await open_scene(SOCKET, **options)
    before = await accepted(scene, change_of, NEW if change_of == "AuthorizationKey" else 1)
    scene.csms.credentials = None
    scene.csms.shows_out = lambda header: header != wanted
    await comes_back(scene, before)
    assert scene.csms.shown_out == access.MAX_REFUSALS
    assert (await scene.daemon.state())["security"] == {"profile": 1 if wanted else 0, "on_trial": False}


@pytest.mark.req("A00.FR.308")
async def test_a_station_whose_clock_is_behind_reaches_its_csms_and_learns_the_time(
    open_scene: OpenScene, pki: Pki
) -> None:
    now = datetime.now(UTC)
    pair = pki.root.server(not_before=now + timedelta(hours=1), not_after=now + timedelta(days=9))
    scene = await open_scene(
        SOCKET,
        wait=False,
        csms_options={"credentials": {STATION: OLD}, "tls": pki.server(pair)},
        csms_settings={"password": OLD, "ca_file": pki.ca_file},
    )
    await scene.csms.wait_for("BootNotification")
    await scene.knows(lambda state: state["clock"]["synchronized"])
    await is_down(scene, "certificate is refused")  # by the time that it has told, its certificate is not valid
