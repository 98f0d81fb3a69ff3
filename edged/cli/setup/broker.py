"""The step of a dialogue that fills in the broker and who may command through it."""

from __future__ import annotations

from edged.cli.setup import draft
from edged.cli.setup.form import Form
from edged.cli.setup.steps import ask_password
from edged.settings.broker import DEFAULT_ROOT
from edged.settings.document import Scalar

EVERYTHING = "all"
HOME_ASSISTANT = "homeassistant"


def ask_broker(form: Form) -> None:
    talk = form.talk
    talk.heading("MQTT")
    help = "A mirror of everything, and commands, for a building-management system or Home Assistant."
    before = draft.at(form.tree, ("mqtt",))
    if not talk.confirm("Connect to a broker?", default=before is not None, help=help):
        form.put(("mqtt",), None)
        return
    url = form.ask(("mqtt", "url"), "Its address", default="mqtt://localhost:1883", help="mqtts:// with TLS.")
    help = "Without a user name the broker must let everybody in."
    user = form.ask_optional(("mqtt", "username"), "User name", default=form.text(("gateway", "id")), help=help)
    if user is None:
        form.put(("mqtt", "password"), None)
    else:
        ask_password(form, ("mqtt", "password"), "The broker's password", is_csms=False)
    if url.startswith("mqtts:"):
        help = "A file in PEM, where the broker's certificate is not from an authority that every computer knows."
        form.ask_optional(("mqtt", "ca_file"), "Certificates of the broker's authority", help=help)
    else:
        for key in ("ca_file", "client_certificate"):
            form.put(("mqtt", key), None)
    form.ask(("mqtt", "root"), "First word of all topics", default=DEFAULT_ROOT)
    _ask_home_assistant(form)
    _ask_actors(form)


def _ask_home_assistant(form: Form) -> None:
    place = ("mqtt", "home_assistant")
    now = form.text(place)
    if not form.talk.confirm("Shall Home Assistant find the chargers?", default=bool(now)):
        form.put(place, None)
        return
    form.ask(place, "The prefix of its discovery", default=HOME_ASSISTANT)


def _ask_actors(form: Form) -> None:
    """Who may command. A name is what the broker calls the client that publishes."""
    place = ("mqtt", "commands")
    now = draft.names_at(form.tree, place)

    def check(answer: str) -> str | None:
        names = _words(answer)
        if not names:
            return "write names with commas between them"
        return next(filter(None, (form.problem((*place, name), draft.texts(["*"])) for name in names)), None)

    told = form.talk.ask_optional(
        "Who may send commands",
        default=", ".join(now),
        help="Names with commas between them, like bms, homeassistant. Nobody may, unless named here.",
        check=check,
    )
    names = [] if told is None else _words(told)
    for name in now:
        if name not in names:
            form.put((*place, name), None)
    if not names:
        form.put(place, None)
    for name in names:
        _ask_commands(form, name)


def _ask_commands(form: Form, name: str) -> None:
    place = ("mqtt", "commands", name)
    now = [node.text for node in draft.items_at(form.tree, place) if isinstance(node, Scalar)]

    def listed(answer: str) -> list[str]:
        return ["*"] if answer == EVERYTHING else _words(answer)

    told = form.talk.ask(
        f"What may {name} command",
        default=EVERYTHING if "*" in now else ", ".join(now),
        help=f"{EVERYTHING}, or commands with commas between them, like set_limit, reserve_now.",
        check=lambda each: form.problem(place, draft.texts(listed(each))) if listed(each) else "name a command",
    )
    form.put(place, draft.texts(listed(told)))


def _words(answer: str) -> list[str]:
    """The words between commas, each once."""
    return list(dict.fromkeys(filter(None, (word.strip() for word in answer.split(",")))))
