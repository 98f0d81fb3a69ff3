"""The whole dialogue: its steps in their order, and at the end the configuration to look at before it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from edged.chargers.serial_ports import SerialPorts
from edged.cli.setup import draft
from edged.cli.setup.answers import with_evses
from edged.cli.setup.broker import ask_broker
from edged.cli.setup.chargers import Chargers
from edged.cli.setup.ending import connectors_told
from edged.cli.setup.existing import Existing
from edged.cli.setup.form import Form
from edged.cli.setup.steps import ask_csms, ask_gateway, ask_station
from edged.cli.setup.wording import worded


class Wish(Enum):
    WRITE = auto()
    LEAVE = auto()


@dataclass(slots=True)
class Interview:
    """`ports`: the serial ports of this computer; `existing`: the configuration that there is."""

    form: Form
    ports: SerialPorts
    existing: Existing

    def hold(self) -> Wish:
        """Everything that is asked. The form's draft is then what shall be written, if it shall."""
        for step in self._first_steps():
            step()
        return self._review()

    @property
    def _steps(self) -> dict[str, Callable[[], None]]:
        form = self.form
        return {
            "gateway": lambda: ask_gateway(form),
            "chargers": Chargers(form, self.ports).ask,
            "station": lambda: ask_station(form),
            "CSMS": lambda: ask_csms(form),
            "MQTT": lambda: ask_broker(form),
        }

    def _first_steps(self) -> list[Callable[[], None]]:
        form, talk = self.form, self.form.talk
        talk.say("Each question has its default in brackets: Enter takes it. Ctrl-C leaves everything as it is.")
        if self.existing.content is None or not draft.names_at(form.tree, ()):
            return list(self._steps.values())
        talk.say(f"{form.site.config} is there already; what it says are the defaults, and nothing of it is lost.")
        for error in form.site.judge(form.tree, form.passwords.pending).errors:
            talk.wrong(str(error))
        first = talk.choose(
            "What shall be done", ["add or take away chargers", "go through everything", "change a part"]
        )
        return [[self._steps["chargers"]], list(self._steps.values()), []][first]

    def _review(self) -> Wish:
        form, talk = self.form, self.form.talk
        while True:
            form.tree = draft.in_order(with_evses(form.tree, form.site))
            talk.heading(str(form.site.config))
            for line in worded(form.tree, shown=True).splitlines():
                talk.show(line)
            judged = form.site.judge(form.tree, form.passwords.pending)
            talk.heading("What the daemon makes of it")
            for error in judged.errors:
                talk.wrong(f"{error.path}: {error.sentence}" if error.path else error.sentence)
            for warning in judged.warnings:
                talk.say(f"  warning: {warning.path}: {warning.sentence}")
            if judged.settings is not None:
                for line in connectors_told(judged.settings):
                    talk.show(line)
            talk.say()
            changes = [f"change: {name}" for name in self._steps]
            offers = [*(["write it"] if judged.settings is not None else []), *changes, "leave without writing"]
            default = 1 if judged.settings is not None else 0
            chosen = offers[talk.choose("What next", offers, default=default)]
            if chosen == "write it":
                return Wish.WRITE
            if chosen == offers[-1]:
                return Wish.LEAVE
            self._steps[chosen.removeprefix("change: ")]()
