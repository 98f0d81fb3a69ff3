"""`edged setup --answers`: nothing is asked, the same mistakes are told with the line of the answers, twice is once."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.cli import main as cli
from edged.cli.setup.wording import quoted
from edged.settings import SettingsErrors
from edged.site import load_site

Setup = Callable[..., tuple[int, str, str]]
CHARGER = "  left: {profile: heidelberg-energy-control, serial: {port: /dev/ttyS0}, unit_id: 1}\n"
PLAIN = f"""\
chargers:
{CHARGER}
stations:
  - id: DEPOT-7
    csms:
      url: wss://csms.example.com/ocpp
      password: "correct horse 42"
"""
LINES = {"chargers": 1, "left": 2, "stations": 4, "id": 5, "csms": 6, "url": 7, "password": 8}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def setup(capsys: pytest.CaptureFixture[str], tmp_path: Path, site: Path) -> Setup:
    """Runs it with this text as its answers."""

    def run(text: str | bytes, *words: str) -> tuple[int, str, str]:
        answers = tmp_path / "answers.yaml"
        answers.write_bytes(text.encode() if isinstance(text, str) else text)
        status = cli.main(["setup", "-c", str(site / "edged.yaml"), "--answers", str(answers), *words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def password(site: Path) -> str:
    (station,) = load_site(site / "edged.yaml").stations
    assert station.csms.password is not None
    return station.csms.password.reveal()


def test_answers_become_a_configuration_and_its_passwords_files(setup, site):
    status, out, err = setup(PLAIN)
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"wrote {site}/credentials/csms-password",
        f"wrote {site}/edged.yaml",
        "next:",
        f"  edged run -c {site}/edged.yaml --state state",
        "  edged status --watch --control state/control.sock",
        f"  edged doctor -c {site}/edged.yaml",
    ]
    assert "horse" not in (site / "edged.yaml").read_text()
    assert password(site) == "correct horse 42"
    assert [evse.charger for evse in load_site(site / "edged.yaml").stations[0].evses] == ["left"]
    assert stat.S_IMODE((site / "credentials/csms-password").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "answer", ["{generate: true}", '"correct horse 42"', "{file: secret}", "{credential: csms-password}"]
)
def test_the_same_answers_twice_are_the_same_file_and_nothing_has_changed(setup, site, tmp_path, answer):
    (tmp_path / "secret").write_text("correct horse 42\n")
    text = PLAIN.replace('"correct horse 42"', answer)
    if "credential" in answer:
        (site / "credentials").mkdir()
        (site / "credentials/csms-password").write_text("correct horse 42\n")
        (site / "credentials/csms-password").chmod(0o600)
    assert setup(text)[0] == 0
    before = (site / "edged.yaml").read_bytes(), password(site)
    status, out, _ = setup(text)
    assert status == 0
    assert out.startswith(f"nothing has changed: {site}/edged.yaml says all this already\n")
    assert ((site / "edged.yaml").read_bytes(), password(site)) == before
    assert sorted(path.name for path in site.rglob("*")) == ["credentials", "csms-password", "edged.yaml"]


def test_a_generated_password_is_long_and_another_one_each_time(setup, site, tmp_path):
    text = PLAIN.replace('"correct horse 42"', "{generate: true}")
    setup(text)
    first = password(site)
    assert len(first) == 32
    assert first.isalnum()
    (site / "edged.yaml").unlink()
    (site / "credentials/csms-password").unlink()
    setup(text)
    assert password(site) != first


def test_a_password_that_a_power_cut_left_alone_is_taken_up_again(setup, site):
    text = PLAIN.replace('"correct horse 42"', "{generate: true}")
    setup(text)
    first = password(site)
    (site / "edged.yaml").unlink()
    setup(text)
    assert password(site) == first


def test_what_is_there_is_replaced_with_force_only_and_kept(setup, site):
    setup(PLAIN)
    before = (site / "edged.yaml").read_text()
    status, _, err = setup(PLAIN.replace("DEPOT-7", "DEPOT-8"))
    assert status == 1
    assert err == (
        f"edged: {site}/edged.yaml is there and says something else: nothing was changed; --force replaces it and "
        "keeps it as edged.yaml.old-DATE\n"
    )
    assert (site / "edged.yaml").read_text() == before
    status, out, _ = setup(PLAIN.replace("DEPOT-7", "DEPOT-8"), "--force")
    assert status == 0
    (kept,) = site.glob("edged.yaml.old-*")
    assert f"kept what was there as {kept}\n" in out
    assert kept.read_text() == before
    assert load_site(site / "edged.yaml").stations[0].id == "DEPOT-8"


def test_a_new_password_gets_a_file_of_its_own_so_that_the_kept_configuration_has_the_old_one(setup, site):
    setup(PLAIN)
    status, _, _ = setup(PLAIN.replace("horse 42", "camel 42"), "--force")
    assert status == 0
    assert password(site) == "correct camel 42"
    (kept,) = site.glob("edged.yaml.old-*")
    kept.rename(site / "edged.yaml")
    assert password(site) == "correct horse 42"


def test_a_password_that_is_to_be_generated_stays_the_one_in_force(setup, site):
    setup(PLAIN)
    setup(PLAIN.replace("horse 42", "camel 42"), "--force")
    status, out, _ = setup(PLAIN.replace('"correct horse 42"', "{generate: true}"))
    assert status == 0
    assert out.startswith("nothing has changed")
    assert password(site) == "correct camel 42"


def test_a_lost_password_is_written_again_though_the_configuration_is_the_same(setup, site):
    setup(PLAIN)
    (site / "credentials/csms-password").unlink()
    status, out, _ = setup(PLAIN)
    assert status == 0
    assert out.startswith(f"wrote {site}/credentials/csms-password\nnext:")
    assert password(site) == "correct horse 42"


def test_a_script_reads_what_was_written(setup, site):
    status, out, err = setup(PLAIN, "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    (station,) = told.pop("stations")
    assert told == {
        "ok": True,
        "changed": True,
        "config": f"{site}/edged.yaml",
        "kept": None,
        "credentials": [f"{site}/credentials/csms-password"],
        "warnings": [],
    }
    assert station["id"] == "DEPOT-7"
    assert station["connectors"][0]["abilities"]["reservation"]["able"]
    told = json.loads(setup(PLAIN, "--json")[1])
    assert (told["changed"], told["credentials"]) == (False, [])
    told = json.loads(setup(PLAIN.replace("42", "43"), "--json")[1])
    assert (told["ok"], told["changed"]) == (False, False)


def test_a_script_reads_what_is_wrong(setup, tmp_path, site):
    status, out, _ = setup(PLAIN.replace("wss:", "http:"), "--json")
    told = json.loads(out)
    assert status == 78
    assert told["ok"] is False
    (error,) = told["errors"]
    assert (error["file"], error["line"], error["path"]) == (str(tmp_path / "answers.yaml"), 7, "stations[0].csms.url")
    assert list(site.iterdir()) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("wss://csms", "http://csms", "7: stations[0].csms.url: must start with ws:// or wss://"),
        ("      url: wss://csms.example.com/ocpp\n", "", "6: stations[0].csms.url: is missing: write the address"),
        ("DEPOT-7", "[a, b]", "5: stations[0].id: must be a text, not a list"),
        ("id: DEPOT-7", "name: DEPOT-7", "5: stations[0].name: is not a key that edged knows here"),
        ("unit_id: 1", "unit_id: one", "2: chargers.left.unit_id: must be a whole number from 1 to 15"),
        ("unit_id: 1", "unit: 1", "2: chargers.left.unit: is not a key that edged knows here; did you mean unit_id?"),
        ("heidelberg-energy-control", "heidelbreg", "2: chargers.left.profile: there is no profile heidelbreg;"),
        ("chargers:\n", "", ":"),
        (CHARGER, "", "1: chargers: "),
        ('"correct horse 42"', "{generate: no}", "8: stations[0].csms.password: is generated by {generate: true}"),
        ('"correct horse 42"', "{generate: 1, file: x}", "8: stations[0].csms.password: must be {generate: true}, "),
        ('"correct horse 42"', "{make: true}", "8: stations[0].csms.password: has no make: write {generate: true}"),
        ('"correct horse 42"', "{file: [a]}", "8: stations[0].csms.password: must be {generate: true}"),
        ('"correct horse 42"', "{file: nowhere}", "8: stations[0].csms.password: names "),
        ('"correct horse 42"', "{file: two-lines}", "8: stations[0].csms.password: must be one line of"),
        ('"correct horse 42"', "{file: not-text}", "8: stations[0].csms.password: names "),
        ('"correct horse 42"', "{file: .}", "8: stations[0].csms.password: names "),
        ('"correct horse 42"', '{file: "a\\0b"}', "8: stations[0].csms.password: names "),
        ('"correct horse 42"', "{credential: nobody}", "8: stations[0].csms.password: wants the credential nobody"),
        ('"correct horse 42"', "{credential: ../../x}", "8: stations[0].csms.password: names no credential"),
        ('"correct horse 42"', "[a]", "8: stations[0].csms.password: must be {generate: true}, "),
        ('"correct horse 42"', '" "', "8: stations[0].csms.password: must be one line of 1 to"),
        ('"correct horse 42"', '"a\\nb"', "8: stations[0].csms.password: must be one line of 1 to"),
        ('"correct horse 42"', f'"{"x" * 2100}"', "8: stations[0].csms.password: must be one line of 1 to"),
        (
            '"correct horse 42"',
            "${env:NOBODY_SET_THIS}",
            "8: stations[0].csms.password: wants the environment variable",
        ),
        (
            '"correct horse 42"',
            "x\n      ca_file: /dev/ptmx",
            "9: stations[0].csms.ca_file: names /dev/ptmx, which is no plain",
        ),
        ("id: DEPOT-7", "id: ${env:EDGED_SETUP_0}", "5: stations[0].id: wants the environment variable EDGED_SETUP_0"),
        ("  - id", "\t- id", "5: is indented with a tab: use spaces"),
        ("stations:", "chargers:", "4: chargers: stands there twice, first in line 1: delete one"),
        ("stations:", "gateway: {id: A b}\nstations:", "4: gateway.id: cannot be 'A b'"),
        ("stations:", "gateway: depot\nstations:", "4: gateway: must hold keys with values"),
        ("stations:", "mqtt: {url: x}\nstations:", "4: mqtt.url: must be mqtt://HOST:PORT"),
        ("stations:", "mqtt: [1]\nstations:", "4: mqtt: must hold keys with values"),
        ("stations:", "wishes: none\nstations:", "4: wishes: is not a key that edged knows here"),
        (PLAIN, "stations", " must hold answers like `stations:`"),
        (PLAIN, "", " is empty"),
        (PLAIN, "stations: {}\nchargers: []", "stations: must be a list"),
        (PLAIN, "a: !!python/object:os.system x", "1: has a tag (!)"),
        (PLAIN, "a: &x [*x]", "1: repeats a value with *"),
    ],
)
def test_a_wrong_answer_is_told_with_its_line_and_changes_nothing(setup, site, tmp_path, before, after, told):
    (tmp_path / "two-lines").write_text("a\nb\n")
    (tmp_path / "not-text").write_bytes(b"\xff\xfe")
    assert before in PLAIN
    status, out, err = setup(PLAIN.replace(before, after, 1))
    assert status == 78
    assert out == ""
    lines = err.splitlines()
    assert any(told in line for line in lines), err
    assert all(line.startswith(f"{tmp_path}/answers.yaml") for line in lines[:-1])
    assert lines[-1].startswith("edged: the file of answers is wrong in ")
    assert lines[-1].endswith(": nothing was changed")
    assert list(site.iterdir()) == []


def test_a_file_of_answers_that_is_not_there_is_told(capsys, tmp_path):
    status = cli.main(["setup", "-c", str(tmp_path / "e.yaml"), "--answers", str(tmp_path / "none.yaml")])
    assert status == 78
    assert "cannot be read (No such file or directory): name a file of answers" in capsys.readouterr().err


def test_without_answers_and_without_a_terminal_there_is_one_sentence(capsys, tmp_path):
    assert cli.main(["setup", "-c", str(tmp_path / "edged.yaml")]) == 2
    assert capsys.readouterr().err == (
        "edged: this is no terminal: run edged setup in one, or write the answers into a file and use --answers FILE\n"
    )


def test_json_is_for_answers(capsys, tmp_path):
    assert cli.main(["setup", "-c", str(tmp_path / "edged.yaml"), "--json"]) == 2
    assert "--json is for --answers FILE" in capsys.readouterr().err


def test_credentials_elsewhere_are_found_by_the_loader_and_by_whoever_starts_edged(setup, site, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    status, out, _ = setup(PLAIN, "--credentials", str(elsewhere))
    assert status == 0
    assert f"  CREDENTIALS_DIRECTORY={elsewhere} edged run -c {site}/edged.yaml --state state" in out.splitlines()
    assert "CREDENTIALS_DIRECTORY" not in os.environ
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(elsewhere))
    assert password(site) == "correct horse 42"


def test_a_service_s_own_credentials_do_not_stand_in_for_those_of_the_site(setup, site, tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "other").write_text("somebody else's!")
    status, _, err = setup(PLAIN.replace('"correct horse 42"', "{credential: other}"))
    assert status == 78
    assert "8: stations[0].csms.password: wants the credential other, which does not exist" in err
    assert setup(PLAIN)[0] == 0
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert password(site) == "correct horse 42"


def test_whatever_else_a_configuration_may_say_may_be_answered(setup, site):
    text = PLAIN + "    configuration: {HeartbeatInterval: 300}\n    offline_tokens: [0012]\nlog: {level: debug}\n"
    assert setup(text)[0] == 0
    found = load_site(site / "edged.yaml")
    assert found.stations[0].configuration == {"HeartbeatInterval": "300"}
    assert [token.value for token in found.stations[0].offline_tokens] == ["0012"]
    assert found.log.level == "debug"


HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=24),
    st.sampled_from(
        ["x\nevil: 1", "x: {a: b}", "- x", "${env:PATH}", "${credential:a}", "${", "\t", "'\"\\", "# x", "~"]
    ),
)
FIELDS = {
    "gateway.id": lambda found: found.gateway.id,
    "vendor": lambda found: found.stations[0].vendor,
    "model": lambda found: found.stations[0].model,
    "serial": lambda found: found.stations[0].serial_number,
    "id": lambda found: found.stations[0].id,
    "password": lambda found: found.stations[0].csms.password.reveal(),
    "user": lambda found: found.mqtt.username,
    "secret": lambda found: found.mqtt.password.reveal(),
    "root": lambda found: found.mqtt.root,
    "actor": lambda found: next(iter(found.mqtt.commands)),
    "port": lambda found: found.chargers["left"].line.port,
}
RIGHT = {
    "gateway.id": "g",
    "vendor": "v",
    "model": "m",
    "serial": "s",
    "id": "DEPOT-7",
    "password": "correct horse 42",
    "user": "u",
    "secret": "p",
    "root": "edged",
    "actor": "bms",
    "port": "/dev/ttyS0",
}


def all_fields(values: dict[str, str]) -> str:
    words = {name: quoted(value) for name, value in values.items()}
    return (
        f"gateway: {{id: {words['gateway.id']}}}\n"
        f"chargers: {{left: {{profile: heidelberg-energy-control, serial: {{port: {words['port']}}}}}}}\n"
        f"stations: [{{id: {words['id']}, vendor: {words['vendor']}, model: {words['model']}, "
        f"serial_number: {words['serial']}, "
        f'csms: {{url: "wss://c", password: {words["password"]}}}}}]\n'
        f'mqtt: {{url: "mqtt://b", username: {words["user"]}, password: {words["secret"]}, root: {words["root"]}, '
        f'commands: {{{words["actor"]}: ["*"]}}}}\n'
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(field=st.sampled_from(sorted(FIELDS)), value=HOSTILE)
def test_no_answer_breaks_the_file_or_becomes_a_key(setup, site, field, value):
    for path in [*site.glob("edged.yaml*"), *site.glob("credentials/*")]:
        path.unlink()
    status, _, err = setup(all_fields({**RIGHT, field: value}))
    if status == 78:
        assert not (site / "edged.yaml").exists()
        assert "Traceback" not in err
        return
    assert status == 0
    found = load_site(site / "edged.yaml")
    is_expanded = value == "${env:PATH}" and field != "actor"  # a key is taken as it is written
    expected = os.environ["PATH"] if is_expanded else value
    told = {name: read(found) for name, read in FIELDS.items()}
    assert told == {**RIGHT, field: expected}


def test_the_loader_has_the_last_word(setup, site, monkeypatch):
    def refuse(path: Path) -> None:
        raise SettingsErrors([])

    monkeypatch.setattr("edged.site.load_site", refuse)
    assert setup(PLAIN)[0] == 78
    assert [path.name for path in site.rglob("*") if path.is_file()] == []


def test_the_example_of_the_documentation_works(setup, site, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "setup.md").read_text()
    lines = page[page.index("    gateway:\n") : page.index("\n\nThe same answers twice")].splitlines()
    (tmp_path / "broker-password.txt").write_text("correct horse 42\n")
    status, _, err = setup("\n".join(line.removeprefix("    ") for line in lines))
    assert (status, err) == (0, "")
    found = load_site(site / "edged.yaml")
    assert [evse.charger for evse in found.stations[0].evses] == ["left", "right"]
    assert found.mqtt is not None
    assert found.mqtt.password is not None
    assert found.mqtt.password.reveal() == "correct horse 42"
