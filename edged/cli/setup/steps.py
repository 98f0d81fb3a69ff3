"""The steps of a dialogue that fill in the gateway, a station and its way to the CSMS."""

from __future__ import annotations

import os
from urllib.parse import quote, unquote

from edged.cli.setup import draft
from edged.cli.setup.answers import gateway_id
from edged.cli.setup.draft import Place
from edged.cli.setup.form import Form
from edged.cli.setup.passwords import GENERATED_CHARS, base_name, generated, problem_with
from edged.settings.document import Node, Scalar
from edged.settings.model import DEFAULT_MODEL, DEFAULT_VENDOR, KNOWN_VERSIONS
from edged.site import SUPPORTED_VERSIONS

SECURITY = {
    0: "nothing: whoever knows the identity may use it",
    1: "a password, readable for whoever listens on the way",
    2: "a password, and TLS with the CSMS's certificate",
    3: "a certificate of our own, and TLS",
}
FEWEST_CHARS, MOST_CHARS = 16, 40


def ask_gateway(form: Form) -> None:
    form.talk.heading("Gateway")
    help = "In MQTT topics and logs: small letters, digits and -."
    form.ask(("gateway", "id"), "Name of this gateway", default=gateway_id(), help=help)


def ask_station(form: Form) -> None:
    """Who it says it is; of several stations the one that is meant."""
    form.talk.heading("Station")
    form.choose_station()
    place = form.of_station
    identity = "The identity under which the CSMS knows this station; also the user name of its password."
    form.ask(place("id"), "Identity of the station", default=form.text(("gateway", "id")), help=identity)
    form.ask(place("vendor"), "Vendor", default=DEFAULT_VENDOR, help="Told to the CSMS at each start, as the next two.")
    form.ask(place("model"), "Model", default=DEFAULT_MODEL, help="At most 20 characters.")
    form.ask_optional(place("serial_number"), "Serial number", help="At most 25 characters.")


def ask_csms(form: Form) -> None:
    form.talk.heading("CSMS")
    place = form.of_station("csms")
    _ask_url(form, place)
    _ask_versions(form, place)
    profile = _ask_security(form, place)
    if profile in (1, 2):
        ask_password(form, (*place, "password"), "The station's password", is_csms=True)
    elif profile == 0:
        form.put((*place, "password"), None)
    if profile == 3:
        _ask_certificate(form, (*place, "client_certificate"))
    if profile >= 2:
        help = "A file in PEM, where the CSMS's certificate is not from an authority that every computer knows."
        form.ask_optional((*place, "ca_file"), "Certificates of the CSMS's authority", help=help)
    elif form.text((*place, "ca_file")):
        form.put((*place, "ca_file"), None)


def _ask_url(form: Form, place: Place) -> None:
    help = "wss:// with TLS, ws:// without. The identity is appended, do not write it."
    url = form.ask((*place, "url"), "Address of the CSMS, like wss://csms.example.com/ocpp", help=help)
    identity = form.text(form.of_station("id"))
    head, _, tail = url.rstrip("/").rpartition("/")
    if identity and unquote(tail) == identity and "://" in head:
        question = f"{url} ends with the identity, which is appended anyway. Take it off?"
        if form.talk.confirm(question, default=True) and form.problem((*place, "url"), draft.text(head)) is None:
            url = head
            form.put((*place, "url"), draft.text(head))
    form.talk.say(f"  The station connects to {url.rstrip('/')}/{quote(identity, safe='')}")


def _ask_versions(form: Form, place: Place) -> None:
    both = [name for name in KNOWN_VERSIONS if name in SUPPORTED_VERSIONS]
    now = [node.text for node in draft.items_at(form.tree, (*place, "versions")) if isinstance(node, Scalar)]
    offers = [both, *([name] for name in both)]
    if now and now not in offers:
        offers.append(now)
    words = [", ".join(offer) for offer in offers]
    default = offers.index(now) + 1 if now in offers else 1
    help = "They are offered in this order and the CSMS chooses; one alone where it must be that."
    chosen = offers[form.talk.choose("Which OCPP", words, default=default, help=help)]
    if now or chosen != both:
        form.put((*place, "versions"), draft.texts(chosen))


def _ask_security(form: Form, place: Place) -> int:
    is_tls = form.text((*place, "url")).startswith("wss:")
    now = form.text((*place, "security_profile"))
    offers = [2, 3, 0] if is_tls else [1, 0]
    if form.text((*place, "secure_url")) and not is_tls:
        offers += [2, 3]
    default = int(now) if now in map(str, offers) else offers[0]
    help = "OCPP's security profile. 2 and 3 need an address with wss://."
    while True:
        choices = {each: SECURITY[each] for each in offers}
        profile = form.talk.choose_number("Which security profile", choices, default=default, help=help)
        problem = form.problem((*place, "security_profile"), draft.plain(profile))
        if problem is None:
            form.put((*place, "security_profile"), draft.plain(profile))
            return profile
        form.talk.wrong(f"{profile} {problem}")


def _ask_certificate(form: Form, place: Place) -> None:
    help = "Files in PEM. A key in the credentials' folder is read as ${credential:NAME}, which the service may do."
    form.ask((*place, "cert"), "The station's certificate", help=help)

    def wrapped(answer: str) -> Node:
        path = form.site.credentials / answer
        if draft.credential_name(answer) is not None:
            return draft.plain(answer)
        inside = path.parent.absolute() == form.site.credentials.absolute() and os.path.isfile(path)
        return draft.credential(path.name) if inside else draft.text(answer)

    form.ask((*place, "key"), "Its private key", wrap=wrapped)


def ask_password(form: Form, place: Place, what: str, *, is_csms: bool) -> None:
    """A password for a place: what is there, a new one that is typed, or one that nobody has to think of."""
    talk, passwords = form.talk, form.passwords
    offers = {"type": "type it", "generate": f"have one generated, {GENERATED_CHARS} letters and digits"}
    if draft.text_at(form.tree, place) is not None and form.site.problem(form.tree, passwords.pending, place) is None:
        offers = {"keep": "leave it as it is", **offers}
    elif passwords.prepared(place) is not None:
        offers = {"prepared": f"take the one that is in {form.site.credentials / base_name(place)}", **offers}
    if not is_csms:
        offers["none"] = "none"
    chosen = list(offers)[talk.choose(what, list(offers.values()))]
    match chosen:
        case "keep":
            return
        case "none":
            form.put(place, None)
            return
        case "prepared":
            password = passwords.prepared(place) or generated()
        case "generate":
            password = generated()
        case _:
            password = _typed(form, what, is_csms=is_csms)
    form.tree = passwords.place(form.tree, place, password)
    name = draft.credential_name(form.text(place))
    talk.say(f"  It goes into {form.site.credentials / (name or '')}, which only its owner may read.")
    if chosen == "generate":
        talk.say("  Read it there, once everything is written, and enter it where it is asked for.")


def _typed(form: Form, what: str, *, is_csms: bool) -> str:
    while True:
        password = form.talk.ask_password(what, check=problem_with)
        if not is_csms or FEWEST_CHARS <= len(password) <= MOST_CHARS:
            return password
        question = (
            f"It has {len(password)} characters; a CSMS may refuse less than {FEWEST_CHARS} or more than {MOST_CHARS}. "
            "Take it all the same?"
        )
        if form.talk.confirm(question, default=False):
            return password
