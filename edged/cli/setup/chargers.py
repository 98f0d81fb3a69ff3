"""The step of a dialogue that puts chargers on wires: a line, who is on it, a name, what its wiring carries."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from edged.chargers.line import LineKind
from edged.chargers.serial_ports import SerialPorts
from edged.cli.setup import draft, looking
from edged.cli.setup.form import Form
from edged.cli.setup.wires import Wire, addresses, ask_settings, choose, known_wires, put_line
from edged.ports import EdgedError
from edged.settings import ProfileFacts
from edged.settings.document import Node
from edged.settings.section import hint
from edged.settings.wiring import NAME
from edged.site import profiles_dir

_IDS = re.compile(r"([0-9]{1,3})(?:-([0-9]{1,3}))?")
_TRANSPORT = {LineKind.SERIAL: "serial", LineKind.TCP: "tcp", LineKind.RTU_OVER_TCP: "rtu_over_tcp"}


@dataclass(slots=True)
class Chargers:
    """`ports`: the serial ports of this computer."""

    form: Form
    ports: SerialPorts
    library: looking.Library | None = None

    def ask(self) -> None:
        """At least one charger, and as many more as there are."""
        talk = self.form.talk
        talk.heading("Chargers")
        self.form.choose_station()
        self._tell()
        while True:
            names = self._names()
            what = ["add a charger", "take one away", "go on"] if names else ["add a charger"]
            place = talk.choose("What next", what, default=3) if names else 0
            if place == 0:
                self._add()
                self._tell()
            elif place == 1:
                self._take_away(names)
                self._tell()
            else:
                return

    def _read_library(self) -> looking.Library:
        if self.library is None:
            self.library = looking.Library.of(profiles_dir(self.form.site.config))
        return self.library

    def _names(self) -> tuple[str, ...]:
        return draft.names_at(self.form.tree, ("chargers",))

    def _tell(self) -> None:
        tree = self.form.tree
        if not self._names():
            self.form.talk.say("There is none yet.")
        for name in self._names():
            unit = draft.text_at(tree, ("chargers", name, "unit_id"))
            words = [draft.text_at(tree, ("chargers", name, "profile")) or "", self._where(name)]
            self.form.talk.show(f"  {name}: {', '.join([*words, *([f'unit {unit}'] if unit else [])])}")

    def _where(self, name: str) -> str:
        tree = self.form.tree
        bus = draft.text_at(tree, ("chargers", name, "bus"))
        if bus is not None:
            line = draft.text_at(tree, ("buses", bus, "serial")) or draft.text_at(tree, ("buses", bus, "rtu_over_tcp"))
            return f"{bus} ({line})"
        places = (("serial", "port"), ("tcp",), ("rtu_over_tcp",))
        return next(filter(None, (draft.text_at(tree, ("chargers", name, *each)) for each in places)), "no line")

    # --- who is on it -------------------------------------------------------------------------------------------------

    def _add(self) -> None:
        wire = choose(self.form.talk, self.form.tree, self.ports)
        findings = self._look(wire) if self.form.may_scan else ()
        new = [each for each in findings if not self._is_configured(wire, each)]
        if findings and not new:
            self.form.talk.say("Everybody who answered is in the configuration already.")
        taken = 0
        for finding in new:
            who = "the controller" if finding.unit_id is None else f"unit {finding.unit_id}"
            if self.form.talk.confirm(f"Take {who}?", default=bool(finding.profiles)):
                self._enter(replace(wire, spec=finding.spec), finding)
                taken += 1
                wire = self._again(wire)
        if not taken and (not findings or self.form.talk.confirm("Enter one by hand?", default=False)):
            self._enter(wire, None)

    def _again(self, wire: Wire) -> Wire:
        """The same line by its name in the draft, where it has one by now."""
        known = (each for each in known_wires(self.form.tree) if each.spec.endpoint == wire.spec.endpoint)
        return wire if wire.spec.kind is LineKind.TCP else next(known, wire)

    def _look(self, wire: Wire) -> tuple[looking.Finding, ...]:
        form, kind = self.form, wire.spec.kind
        if not form.talk.confirm("Look who is on it?", default=True, help="Registers are read, nothing is written."):
            return ()
        library = self._read_library()
        usual = library.usual_ids(kind)
        lines = (wire.spec,) if wire.bus else library.settings_to_try(wire.spec)
        last = looking.LAST_ID[kind]
        told = form.talk.ask(
            "Unit ids to ask",
            default="usual",
            help=f"Like 3 or 1-{last}. The usual ones are 1-{looking.USUAL_LAST} and those that chargers come with.",
            check=lambda each: None if each == "usual" or _ids(each, last) else f"write it like 3 or 1-{last}",
        )
        ids = usual if told == "usual" else _ids(told, last)
        search = looking.Search(lines, ids, library, form.control, with_rapi=kind is not LineKind.TCP and not wire.bus)
        minutes = max(1, round(search.longest_s / 60))
        form.talk.say(f"This takes at most {minutes} min, and longer where somebody answers; Ctrl-C ends the search.")
        try:
            looked = search.run()
        except EdgedError as held:
            form.talk.wrong(str(held))
            return ()
        for finding in looked.findings:
            form.talk.say(finding.words)
        for sentence in looked.trouble:
            form.talk.wrong(sentence)
        return looked.findings

    def _is_configured(self, wire: Wire, finding: looking.Finding) -> bool:
        tree = self.form.tree
        for name in self._names():
            unit = draft.text_at(tree, ("chargers", name, "unit_id"))
            if unit != (None if finding.unit_id is None else str(finding.unit_id)):
                continue
            if wire.bus is not None and draft.text_at(tree, ("chargers", name, "bus")) == wire.bus:
                return True
            if wire.spec.kind is LineKind.TCP and self._where(name) in addresses(wire.spec):
                return True
        return False

    # --- one charger --------------------------------------------------------------------------------------------------

    def _enter(self, wire: Wire, finding: looking.Finding | None) -> None:
        """Into the draft, where the loader takes it; otherwise the draft stays what it was."""
        form, talk = self.form, self.form.talk
        before = form.tree
        name = talk.ask("Its name", default=self._free_name(), help="In logs, MQTT and commands.", check=self._name)
        profile = self._profile(wire, finding)
        facts = form.site.facts(profile) or ProfileFacts()
        place = ("chargers", name)
        form.put((*place, "profile"), draft.text(profile))
        self._connect(name, wire, facts, is_found=finding is not None)
        if facts.addressed:
            if finding is not None and finding.unit_id is not None:
                form.put((*place, "unit_id"), draft.plain(finding.unit_id))
            else:
                form.ask((*place, "unit_id"), "Its unit id", default=self._free_unit(name, facts), wrap=draft.plain)
        help = "What the wiring to it carries; edged never allows more. Without an answer what its profile says counts."
        form.ask_optional((*place, "max_current_a"), "At most how many ampere", help=help, wrap=draft.plain)
        names = [name] if facts.points == 1 else self._points(name, facts.points)
        problem = next(filter(None, (self._entry_problem(each) for each in names)), None)
        if problem is not None:
            form.tree = before
            talk.wrong(f"{name} was not taken: {problem}")
            return
        if draft.items_at(form.tree, form.of_station("evses")):
            for each in names:
                seats = draft.items_at(form.tree, form.of_station("evses"))
                form.put(form.of_station("evses", len(seats), "charger"), draft.text(each))

    def _entry_problem(self, name: str) -> str | None:
        form = self.form
        bus = draft.text_at(form.tree, ("chargers", name, "bus"))
        places = [("chargers", name), *([("buses", bus)] if bus is not None else [])]
        found = (form.site.problem(form.tree, form.passwords.pending, each) for each in places)
        return next(filter(None, found), None)

    def _points(self, name: str, points: int) -> list[str]:
        """A controller with several charging points is as many chargers."""
        form = self.form
        told = form.talk.ask(
            f"How many of its {points} charging points are used",
            default="1",
            check=lambda each: None if _ids(each, points) else f"write a number from 1 to {points}",
        )
        entry = draft.at(form.tree, ("chargers", name))
        assert entry is not None
        names = [name]
        for point in range(2, int(told.partition("-")[0]) + 1):
            names.append(self._free(f"{name}-{point}"[:32]))
            form.put(("chargers", names[-1]), draft.put(entry, ("point",), draft.plain(point)))
        return names

    def _name(self, answer: str) -> str | None:
        if not NAME.expression.fullmatch(answer):
            return NAME.advice
        return f"{answer} is there already" if answer in self._names() else None

    def _free_name(self) -> str:
        return self._free(f"charger-{len(self._names()) + 1}")

    def _free(self, name: str) -> str:
        taken, number = self._names(), 1
        stem = name.rstrip("0123456789")[:28]
        while name in taken:
            number += 1
            name = f"{stem}{number}"
        return name

    def _profile(self, wire: Wire, finding: looking.Finding | None) -> str:
        form = self.form
        fitting = [] if finding is None else list(finding.profiles)
        help = f"Those that fit: {', '.join(fitting[:6])}." if fitting else f"There are {', '.join(form.site.names)}."

        def check(answer: str) -> str | None:
            facts = form.site.facts(answer)
            if facts is not None and not facts.charges:
                return f"{answer} is no charger: relay boards are written with an editor"
            if facts is None or answer not in form.site.names:
                return f"there is no profile {answer}, or it is wrong; {hint(answer, form.site.names)}"
            if _TRANSPORT[wire.spec.kind] not in facts.transports:
                return f"{answer} does not speak {_TRANSPORT[wire.spec.kind]}: {', '.join(sorted(facts.transports))}"
            return None

        return form.talk.ask("Its profile", default=fitting[0] if fitting else "", help=help, check=check)

    def _connect(self, name: str, wire: Wire, facts: ProfileFacts, *, is_found: bool) -> None:
        form, spec, place = self.form, wire.spec, ("chargers", name)
        if spec.kind is LineKind.TCP:
            form.put((*place, "tcp"), draft.text(addresses(spec)[0]))
            return
        if wire.bus is not None and facts.addressed:
            form.put((*place, "bus"), draft.text(wire.bus))
            return
        if spec.kind is LineKind.SERIAL and not is_found:
            spec = ask_settings(
                form.talk, replace(spec, baudrate=facts.baudrate, parity=facts.parity, stopbits=facts.stopbits)
            )
        if facts.addressed:
            bus = self._free_bus()
            form.tree = put_line(form.tree, ("buses", bus), spec, "serial")
            form.put((*place, "bus"), draft.text(bus))
        elif spec.kind is LineKind.SERIAL:
            form.tree = put_line(form.tree, (*place, "serial"), spec, "port")
        else:
            form.put((*place, "rtu_over_tcp"), draft.text(addresses(spec)[0]))

    def _free_unit(self, name: str, facts: ProfileFacts) -> str:
        """The profile's unit id, or the next that nobody has on the same line."""
        tree, where = self.form.tree, self._where(name)
        units = {
            draft.text_at(tree, ("chargers", other, "unit_id"))
            for other in self._names()
            if other != name and self._where(other) == where
        }
        low, high = facts.unit_ids
        free = (str(unit) for unit in (facts.unit_id, *range(low, high + 1)) if str(unit) not in units)
        return next(free, str(facts.unit_id))

    def _free_bus(self) -> str:
        names = draft.names_at(self.form.tree, ("buses",))
        return next(name for number in range(1, 1000) if (name := f"line-{number}") not in names)

    def _take_away(self, names: tuple[str, ...]) -> None:
        place = self.form.talk.choose("Which one?", [*names, "none of them"], default=len(names) + 1)
        if place < len(names):
            self.form.tree = without(self.form.tree, names[place])


def _ids(text: str, last: int) -> tuple[int, ...]:
    """Nothing where it is no range from 1 to `last`."""
    found = _IDS.fullmatch(text)
    if found is None:
        return ()
    low, high = int(found[1]), int(found[2] or found[1])
    return tuple(range(low, high + 1)) if 1 <= low <= high <= last else ()


def without(tree: Node, name: str) -> Node:
    """The draft without a charger, its seats, and the line that nobody else is on."""
    bus = draft.text_at(tree, ("chargers", name, "bus"))
    tree = draft.drop(tree, ("chargers", name))
    for station in range(len(draft.items_at(tree, ("stations",)))):
        place = ("stations", station, "evses")
        for seat in reversed(range(len(draft.items_at(tree, place)))):
            if draft.text_at(tree, (*place, seat, "charger")) == name:
                tree = draft.drop(tree, (*place, seat))
        if not draft.items_at(tree, place):
            tree = draft.drop(tree, place)
    others = draft.names_at(tree, ("chargers",))
    if bus is not None and not any(draft.text_at(tree, ("chargers", other, "bus")) == bus for other in others):
        tree = draft.drop(tree, ("buses", bus))
        if not draft.names_at(tree, ("buses",)):
            tree = draft.drop(tree, ("buses",))
    return tree
