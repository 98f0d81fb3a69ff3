"""The dialogue without a terminal: what is asked, what bad answers come to, what a configuration that is there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edged.chargers.serial_ports import SerialPorts
from edged.cli.setup.dialogue import Dialogue, Ended
from edged.cli.setup.existing import look
from edged.cli.setup.form import Form
from edged.cli.setup.interview import Interview, Wish
from edged.cli.setup.judgement import Site
from edged.cli.setup.passwords import Passwords
from edged.cli.setup.wording import worded
from edged.cli.setup.writing import Writer
from edged.ports import EdgedError
from edged.settings import ResetRelay, RtuOverTcpLine, SerialLine, Settings, TcpLine
from edged.site import load_site
from tests.cli.setup.test_setup_writing import moment

Answers = Mapping[str, str | list[str]]
TCP = {"Which line": "1", "Its address": "10.0.0.21", "Its profile": "phoenix-charx-sec"}
PASSWORD = {"The station's password [": "2"}
CSMS = {"Address of the CSMS": "wss://csms.example.com/ocpp", **PASSWORD}
MOST_QUESTIONS = 300


class Person:
    """Answers each question as it begins with: the next of these answers, Enter where there is none. The last answer to
    a question is given once; who is asked for ever leaves."""

    def __init__(self, answers: Answers) -> None:
        self._answers = {key: [value] if isinstance(value, str) else list(value) for key, value in answers.items()}
        self.shown: list[str] = []
        self.asked: list[str] = []

    def read(self, prompt: str) -> str:
        self.asked.append(prompt)
        self.shown.append(prompt)
        if len(self.asked) > MOST_QUESTIONS:
            raise EOFError
        for key, answers in self._answers.items():
            if prompt.startswith(key) and answers:
                return answers.pop(0)
        return ""

    @property
    def unused(self) -> dict[str, list[str]]:
        return {key: answers for key, answers in self._answers.items() if answers}

    @property
    def wrong(self) -> list[str]:
        return [line.strip() for line in self.shown if line.startswith("  ! ")]


class Talk:
    """What came of a dialogue."""

    def __init__(self, folder: Path, answers: Answers, *, root: Path | None = None, may_scan: bool = False) -> None:
        self.person = Person(answers)
        self.site = Site(folder / "edged.yaml", folder / "credentials")
        self.existing = look(self.site.config)
        self.passwords = Passwords(self.site)
        tree, _ = self.passwords.adopt(self.existing.tree)
        talk = Dialogue(self.person.read, self.person.read, self.person.shown.append)
        control = folder / "control.sock"
        self.form = Form(talk, self.site, self.passwords, tree, control=control, may_scan=may_scan)
        self.interview = Interview(self.form, SerialPorts(root or folder), self.existing)

    def hold(self) -> Wish:
        wish = self.interview.hold()
        assert self.person.unused == {}, self.person.shown
        return wish

    def write(self) -> Settings:
        config, credentials = self.site.config, self.site.credentials
        writer = Writer(config=config, credentials=credentials, load=load_site, local=moment)
        writer.write(worded(self.form.tree).encode(), self.passwords.used(self.form.tree))
        return load_site(config)


@pytest.fixture
def hold(tmp_path: Path) -> Callable[..., tuple[Settings, Person]]:
    """Holds a dialogue to its end, writes what came of it and loads that."""

    def run(*answers: Answers, **more: object) -> tuple[Settings, Person]:
        merged: dict[str, str | list[str]] = {}
        for each in answers:
            merged.update(each)
        talk = Talk(tmp_path, merged, **more)  # type: ignore[arg-type]
        assert talk.hold() is Wish.WRITE
        return talk.write(), talk.person

    return run


def test_enter_is_enough_wherever_there_is_a_default(hold):
    found, person = hold(TCP, CSMS)
    (station,) = found.stations
    assert station.id == found.gateway.id
    assert (station.vendor, station.model, station.serial_number) == ("edged", "Gateway", None)
    assert station.csms.security_profile == 2
    assert station.csms.versions == ("ocpp2.0.1", "ocpp1.6")
    assert found.chargers["charger-1"].line == TcpLine(host="10.0.0.21", port=502)
    assert found.mqtt is None
    assert person.wrong == []


def test_a_generated_password_is_in_its_file_and_not_on_the_screen(hold, tmp_path):
    found, person = hold(TCP, CSMS)
    secret = found.stations[0].csms.password
    assert secret is not None
    assert len(secret.reveal()) == 32
    assert (tmp_path / "credentials/csms-password").read_text() == f"{secret.reveal()}\n"
    assert not any(secret.reveal() in line for line in person.shown)


BAD = [
    ("Name of this gateway", ["A b", "x" * 33, "a\tb", "a: b"], "use 1 to 32 small letters"),
    ("Which line", ["0", "99", "one", "-1", "1.0", "٣"], "write a number from 1 to"),
    ("Its address", ["a b", "10.0.0.1:0", "10.0.0.1:99999", ":502", "http://x"], "write HOST:PORT"),
    ("Its name", ["a b", "-x", "x" * 33, "a.b", "{}"], "use 1 to 32 letters"),
    ("Its profile", ["charx", "../x"], "there is no profile"),
    ("Its profile", ["modbus-relay"], "is no charger: relay boards"),
    ("Its profile", ["heidelberg-energy-control"], "does not speak tcp"),
    ("Its unit id", ["0", "300", "one", "1.5"], "must be a whole number"),
    ("At most how many", ["5", "1001", "NaN", "1e2", "six"], "must be a number from 6 to 1000"),
    ("How many of its", ["0", "999", "-", "a"], "write a number from 1 to"),
    ("What next", ["0", "write it", "99"], "write a number from 1 to"),
    ("Identity of the station", ["..", "."], "cannot be"),
    ("Vendor", ["x" * 21], "must be a text of 1 to 20"),
    ("Model", ["x" * 21], "must be a text of 1 to 20"),
    ("Serial number", ["x" * 26], "must be a text of 1 to 25"),
    ("Vendor", ["${env:HOME}", "${"], "cannot hold ${"),
    ("Address of the CSMS", ["csms", "wss://", "wss://u:p@h/", "wss://h/?a", "wss://h:x"], ""),
    ("Which OCPP", ["1.6", "0", "4"], "write a number from 1 to 3"),
    ("Which security profile", ["1", "4", "-"], "write 2, 3, 0"),
    ("Certificates of the CSMS's", ["/nowhere/ca.pem"], "cannot be read"),
    ("Certificates of the CSMS's", ["/dev/ptmx", "/dev"], "is no plain file"),
    ("Connect to a broker", ["maybe", "1"], "answer yes or no"),
]


@pytest.mark.parametrize(("question", "answers", "told"), BAD)
def test_a_bad_answer_is_told_and_asked_for_again(hold, question, answers, told):
    rest = {**TCP, **CSMS}
    last = rest.get(question, "") if question != "Which line" else "1"
    replies = [*answers, str(last)]
    if question == "What next":
        replies = [*answers, "3"]  # of the chargers
    found, person = hold({**rest, question: replies})
    assert found.stations
    assert len(person.wrong) == len(answers)
    assert all(told in line or "characters which cannot be seen" in line for line in person.wrong), person.wrong


def test_a_password_is_typed_twice_and_its_length_doubted(hold):
    typed = ["short", "short", "1234567890123456", "1234567890123457", "1234567890123456", "1234567890123456"]
    found, person = hold(
        TCP,
        CSMS,
        {"The station's password [": "1", "The station's password (": typed[0::2], "The same once more": typed[1::2]},
        {"It has 5 characters": "no"},
    )
    secret = found.stations[0].csms.password
    assert secret is not None
    assert secret.reveal() == "1234567890123456"
    assert "! that is not the same as before: type both again" in person.wrong


def test_an_identity_behind_the_address_is_taken_off(hold):
    found, person = hold(
        TCP, PASSWORD, {"Identity": "DEPOT 7", "Address of the CSMS": "ws://10.0.0.5:9000/ocpp/DEPOT%207"}
    )
    assert found.stations[0].csms.url == "ws://10.0.0.5:9000/ocpp"
    assert any("connects to ws://10.0.0.5:9000/ocpp/DEPOT%207" in line for line in person.shown)
    assert found.stations[0].csms.security_profile == 1


def test_without_a_password_nothing_is_asked_about_one(hold):
    found, person = hold(TCP, {"Address of the CSMS": "ws://10.0.0.5", "Which security profile": "0"})
    assert found.stations[0].csms.password is None
    assert not any("password" in prompt for prompt in person.asked)


def test_a_client_certificate_is_two_files_and_a_key_among_the_credentials_is_a_reference(hold, tmp_path):
    (tmp_path / "credentials").mkdir(mode=0o700)
    cert, key = tmp_path / "station.crt", tmp_path / "credentials" / "station-key"
    cert.write_text("")
    key.write_text("")
    key.chmod(0o600)
    found, _ = hold(
        TCP,
        {
            "Address of the CSMS": "wss://csms.example.com/ocpp",
            "Which security profile": "3",
            "The station's certificate": ["", "/nowhere.crt", str(cert)],
            "Its private key": ["/nowhere.key", str(key)],
        },
    )
    assert found.stations[0].csms.client_certificate is not None
    assert found.stations[0].csms.client_certificate.key == key
    assert "key: ${credential:station-key}" in (tmp_path / "edged.yaml").read_text()


def test_a_broker_its_user_and_who_may_command(hold, tmp_path):
    found, person = hold(
        TCP,
        CSMS,
        {
            "Connect to a broker": "yes",
            "Its address": ["10.0.0.21", "http://b", "mqtts://broker.example.com"],
            "User name": "edged",
            "The broker's password [": "2",
            "First word": ["a//b", "site/edged"],
            "Shall Home Assistant": "y",
            "Who may send commands": [",", "a/b", "bms-op, homeassistant"],
            "What may bms-op command": ["fly", "set_limit, reserve_now"],
            "What may homeassistant command": "all",
        },
    )
    mqtt = found.mqtt
    assert mqtt is not None
    assert (mqtt.host, mqtt.port, mqtt.tls, mqtt.username) == ("broker.example.com", 8883, True, "edged")
    assert (mqtt.root, mqtt.home_assistant) == ("site/edged", "homeassistant")
    assert mqtt.commands == {"bms-op": {"set_limit", "reserve_now"}, "homeassistant": {"*"}}
    assert mqtt.password is not None
    assert (tmp_path / "credentials/mqtt-password").exists()
    assert len(person.wrong) == 5


def test_a_broker_without_users_has_no_password(hold):
    found, _ = hold(TCP, CSMS, {"Connect to a broker": "yes", "User name": "-"}, {"Its address": ["10.0.0.21", ""]})
    assert found.mqtt is not None
    assert (found.mqtt.username, found.mqtt.password, found.mqtt.commands) == (None, None, {})


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def computer(tmp_path: Path) -> Path:
    """One with two adapters, one of which has a name that lasts."""
    root = tmp_path / "root"
    (root / "dev/serial/by-id").mkdir(parents=True)
    for name in ("ttyUSB0", "ttyAMA0"):
        (root / "dev" / name).touch()
    (root / "dev/serial/by-id/usb-FTDI-port0").symlink_to("../../ttyUSB0")
    return root


def test_serial_ports_are_offered_by_the_names_that_last(hold, computer):
    found, person = hold(
        CSMS,
        {"Which line": "1", "Its profile": "heidelberg-energy-control", "Speed, parity": ["fast", "9600 8N1"]},
        root=computer,
    )
    assert "   1  /dev/serial/by-id/usb-FTDI-port0" in person.shown
    assert "   2  /dev/ttyAMA0" in person.shown
    line = SerialLine(port="/dev/serial/by-id/usb-FTDI-port0", baudrate=9600, parity="none")
    assert found.chargers["charger-1"].line == line
    assert found.chargers["charger-1"].bus == "line-1"


def test_a_second_charger_on_the_same_line_shares_it_and_a_unit_id_is_given_once(hold, computer):
    found, person = hold(
        CSMS,
        {
            "Which line": ["1", "1", "1"],
            "Its profile": ["heidelberg-energy-control"] * 3,
            "What next": ["1", "1", "3"],
            "Its unit id": ["1", "1", "2", ""],
            "Its name": ["left", "right", "right", "third"],
        },
        root=computer,
    )
    assert "line-1 of the configuration: /dev/serial/by-id/usb-FTDI-port0" in "\n".join(person.shown)
    assert {name: (each.bus, each.unit_id) for name, each in found.chargers.items()} == {
        "left": ("line-1", 1),
        "right": ("line-1", 2),
        "third": ("line-1", 3),
    }
    assert [evse.charger for evse in found.stations[0].evses] == ["left", "right", "third"]
    assert any("left is already unit 1" in line for line in person.wrong)


def test_a_controller_without_an_address_has_a_line_of_its_own(hold, computer):
    found, _ = hold(CSMS, {"Which line": "2", "Its profile": "openevse-rapi"}, root=computer)
    charger = found.chargers["charger-1"]
    assert (charger.bus, charger.unit_id) == (None, None)
    assert charger.line == SerialLine(port="/dev/ttyAMA0", baudrate=115_200, parity="none")


def test_a_charger_behind_a_converter(hold):
    found, _ = hold(
        CSMS,
        {
            "Which line": "2",
            "Its address": ["10.0.0.40", "10.0.0.40:4001"],
            "Its profile": ["keba-p30", "heidelberg-energy-control"],
        },
    )
    assert found.chargers["charger-1"].line == RtuOverTcpLine(host="10.0.0.40", port=4001)


def test_a_controller_with_several_points_is_as_many_chargers(hold):
    found, _ = hold(TCP, CSMS, {"How many of its": "3", "Its name": "hall"})
    assert {name: each.point for name, each in found.chargers.items()} == {"hall": 1, "hall-2": 2, "hall-3": 3}
    assert len(found.stations[0].evses) == 3


def test_a_charger_that_cannot_be_there_is_not_taken(hold, computer):
    found, person = hold(
        CSMS,
        {
            "Which line": ["1", "1", "1"],
            "Its profile": ["heidelberg-energy-control", "openevse-rapi", "heidelberg-energy-control"],
            "What next": ["1", "1", "3"],
            "Its unit id": ["1", "2"],
        },
        root=computer,
    )
    assert {name: each.unit_id for name, each in found.chargers.items()} == {"charger-1": 1, "charger-2": 2}
    assert any(line.startswith("! charger-2 was not taken: is the same wire as bus line-1") for line in person.wrong)


def test_no_line_is_looked_at_that_a_running_daemon_holds(tmp_path, computer, monkeypatch):
    def held(specs: object, control: object) -> None:
        raise EdgedError("edged is running and holds it: stop it first (sudo systemctl stop edged)")

    monkeypatch.setattr("edged.cli.asking.keep_off_the_daemon", held)
    answers = {**CSMS, "Which line": "1", "Its profile": "heidelberg-energy-control", "Look who": "yes"}
    talk = Talk(tmp_path, {**answers, "Unit ids": ["0", "1-999", "9-1", "1"]}, root=computer, may_scan=True)
    assert talk.hold() is Wish.WRITE
    assert "! edged is running and holds it: stop it first (sudo systemctl stop edged)" in talk.person.wrong
    assert sum("write it like 3 or 1-247" in line for line in talk.person.wrong) == 3


# --- a configuration that is there ------------------------------------------------------------------------------------

OTHERS = """\
gateway:
  id: depot-7
  hard_reset: host
chargers:
  left:
    profile: phoenix-charx-sec
    tcp: 10.0.0.21:502
    point: 2
    reset_relay: {charger: board, output: 3}
  board: {profile: modbus-relay, tcp: 10.0.0.30:502}
stations:
  - id: DEPOT-7
    csms:
      url: ws://10.0.0.5/ocpp
      password: correct horse 42
    evses: [{charger: left, connectors: [{type: sType2}]}]
    configuration: {HeartbeatInterval: 300}
    custom_keys: {BadgeText: {type: text, maximum: 40, default: Welcome}}
    offline_tokens: [0012]
log: {level: debug}
"""


def test_nothing_that_setup_does_not_ask_for_is_lost(hold, tmp_path):
    (tmp_path / "edged.yaml").write_text(OTHERS)
    before = load_site(tmp_path / "edged.yaml")
    found, person = hold({"What shall be done": "2"})
    changed = [line for line in person.wrong if "already" not in line]
    assert changed == []
    assert found.chargers == before.chargers
    assert found.stations[0].configuration == {"HeartbeatInterval": "300"}
    assert found.stations == before.stations
    assert isinstance(found.chargers["left"].reset_relay, ResetRelay)
    assert (found.gateway, found.log) == (before.gateway, before.log)


def test_a_password_that_was_written_out_moves_into_a_file(hold, tmp_path):
    (tmp_path / "edged.yaml").write_text(OTHERS)
    found, person = hold({"What shall be done": "3"})
    assert found.stations[0].csms.password is not None
    assert found.stations[0].csms.password.reveal() == "correct horse 42"
    assert "horse" not in (tmp_path / "edged.yaml").read_text()
    assert not any("horse" in line for line in person.shown)


def test_a_charger_is_added_to_what_is_there(hold, tmp_path):
    (tmp_path / "edged.yaml").write_text(OTHERS)
    found, person = hold(
        {"What shall be done": "1", "What next": ["1", "3"], "Which line": "1", "Its address": "10.0.0.22"},
        {"Its profile": "phoenix-charx-sec", "Its name": ["left", "right"]},
    )
    assert "! left is there already" in person.wrong
    assert [evse.charger for evse in found.stations[0].evses] == ["left", "right"]
    assert found.chargers["left"].reset_relay is not None


def test_a_charger_is_taken_away_with_its_seat(hold, tmp_path):
    (tmp_path / "edged.yaml").write_text(OTHERS.replace("    reset_relay: {charger: board, output: 3}\n", ""))
    found, _ = hold(
        {"What shall be done": "1", "What next": ["1", "2", "3"], "Which line": "1", "Its address": "10.0.0.22"},
        {"Its profile": "phoenix-charx-sec", "Its name": "right", "Which one": "1"},
    )
    assert [evse.charger for evse in found.stations[0].evses] == ["right"]
    assert set(found.chargers) == {"board", "right"}


def test_of_several_stations_the_one_that_is_meant_is_changed(hold, tmp_path):
    second = """\
  - id: DEPOT-8
    csms: {url: ws://10.0.0.5/ocpp, security_profile: 0}
    evses: [{charger: other}]
"""
    text = OTHERS.replace("log: {", f"{second}log: {{")
    text = text.replace("  board:", '  other: {profile: phoenix-charx-sec, tcp: "10.0.0.23"}\n  board:')
    (tmp_path / "edged.yaml").write_text(text)
    found, _ = hold(
        {"What shall be done": "3", "What next": ["4", "1"], "Which station": "2", "Identity of the station": "HALL-8"}
    )
    assert [station.id for station in found.stations] == ["DEPOT-7", "HALL-8"]


def test_what_is_wrong_in_it_is_told_and_can_be_put_right(hold, tmp_path):
    text = OTHERS.replace("correct horse 42", "${credential:csms-password}").replace("id: depot-7", "id: Depot 7")
    (tmp_path / "edged.yaml").write_text(text)
    found, person = hold(
        {"What shall be done": "3", "What next": ["1", "4", "1"], "Name of this gateway": ["", "depot-7"]},
        {"The station's password [": "2", "Which security": "1"},
    )
    assert found.gateway.id == "depot-7"
    assert any("wants the credential csms-password, which does not exist" in line for line in person.wrong)
    assert any("gateway.id: cannot be 'Depot 7'" in line for line in person.wrong)


def test_leaving_writes_nothing(tmp_path):
    talk = Talk(tmp_path, {**TCP, **CSMS, "What next": ["3", "7"]})
    assert talk.hold() is Wish.LEAVE
    assert list(tmp_path.iterdir()) == []


def test_an_end_of_the_input_is_an_end(tmp_path):
    talk = Talk(tmp_path, {"Which line": ["x"] * 1000})
    with pytest.raises(Ended, match="the input ended before the last question"):
        talk.interview.hold()
    assert list(tmp_path.iterdir()) == []


# --- whatever is answered ---------------------------------------------------------------------------------------------

ANSWERS = st.one_of(
    st.sampled_from(["", "", "", "1", "2", "3", "yes", "no", "-", "wss://csms.example.com", "10.0.0.1", "a, b", "all"]),
    st.sampled_from(["heidelberg-energy-control", "phoenix-charx-sec", "openevse-rapi", "/dev/ttyS0", "DEPOT-7"]),
    st.sampled_from(["a: b", "x\nevil: 1", "'\"\\", "${env:HOME}", "${credential:x}", "#", "\t", "\udcff", "mqtt://b"]),
    st.text(max_size=12),
)


class Anybody:
    """Says anything, and in the end Enter."""

    def __init__(self, answers: list[str]) -> None:
        self._answers = answers
        self._count = 0

    def read(self, prompt: str) -> str:
        self._count += 1
        if self._count > MOST_QUESTIONS:
            raise EOFError
        if self._answers:
            return self._answers.pop(0)
        if "[" in prompt:
            return ""
        if "shown" in prompt or "once more" in prompt:
            return "correct horse 42"
        return next((value for key, value in {**TCP, **CSMS}.items() if prompt.startswith(key)), "")


@settings(max_examples=15, deadline=None)
@example([])
@given(st.lists(ANSWERS, max_size=40))
def test_whatever_is_answered_what_is_written_loads(tmp_path_factory, answers):
    folder = tmp_path_factory.mktemp("any")
    talk = Talk(folder, {})
    anybody = Anybody(list(answers))
    talk.form.talk.read = talk.form.talk.read_hidden = anybody.read
    try:
        wish = talk.interview.hold()
    except Ended:
        wish = Wish.LEAVE
    assert wish is Wish.WRITE or answers
    if wish is Wish.WRITE:
        assert talk.write().stations
    else:
        assert list(folder.iterdir()) == []
