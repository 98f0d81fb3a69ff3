"""The device model: which variables this station has, what each can be, and its value now. 2.x chapter "Device model".

Two kinds of variables make it up: keys of the configuration under another name (`device_model_keys`), the site's own
included, and facts of the station (`device_model_facts`). Queries only; nothing in here changes anything.

Invariants: each variable is there once, whatever the case of its name · what `inventory` yields, `find` finds · a
password has no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edged.domain.configuration import VALUE_MAX_CHARS, ConfigKey, KeyKind, Mutability
from edged.domain.configuration_access import mutability as mutability_of
from edged.domain.configuration_access import shown
from edged.domain.device_model_facts import FACTS, connectors_of
from edged.domain.device_model_keys import CUSTOM, KEYED, of_custom
from edged.domain.device_model_terms import Definition, Entry, Scope
from edged.domain.metering import measurands_of
from edged.domain.station import Station
from edged.domain.variables import (
    Attribute,
    Characteristics,
    Component,
    DataType,
    Variable,
    VariableStatus,
)

ATTRIBUTES = (Attribute.ACTUAL,)
"""Every variable has these, and no other."""
NO_LIMIT = 2**31 - 1

_Names = tuple[str, str | None]


def _folded(name: str, instance: str | None) -> _Names:
    return name.casefold(), instance.casefold() if instance is not None else None


def _by_component(definitions: tuple[Definition, ...]) -> dict[str, dict[_Names, Definition]]:
    """In the order of the components' names, but what belongs to the station first, then EVSEs, then connectors."""
    ordered = sorted(definitions, key=lambda one: (one.scope.value, one.component, one.name))
    found: dict[str, dict[_Names, Definition]] = {}
    for one in ordered:
        found.setdefault(one.component.casefold(), {})[_folded(one.variable.name, one.variable.instance)] = one
    return found


DEFINITIONS: Mapping[str, Mapping[_Names, Definition]] = _by_component(KEYED + FACTS)
"""Every variable that does not depend on the site, by its component's name and its own."""


def variables_in(station: Station, component: str) -> Mapping[_Names, Definition] | None:
    """The variables of a component of that name, wherever it is; None: there is none."""
    if component.casefold() == CUSTOM.casefold():
        return _by_names(station) or None
    return DEFINITIONS.get(component.casefold())


def _by_names(station: Station) -> dict[_Names, Definition]:
    return {(folded, None): of_custom(key) for folded, key in sorted(station.configuration.custom.items())}


def find(station: Station, component: Component, variable: Variable) -> Entry | VariableStatus:
    """The variable of that name, or which of the two names is unknown. A name without an instance means the one that
    has none (B06.FR.14, FR.15)."""
    variables = variables_in(station, component.name)
    if variables is None or component.instance is not None:
        return VariableStatus.UNKNOWN_COMPONENT
    place = next(iter(variables.values()))
    if not _is_there(station, component, place.scope):
        return VariableStatus.UNKNOWN_COMPONENT
    found = variables.get(_folded(variable.name, variable.instance))
    if found is None or not _present(station, component, found):
        there = any(_present(station, component, one) for one in variables.values())
        return VariableStatus.UNKNOWN_VARIABLE if there else VariableStatus.UNKNOWN_COMPONENT
    return Entry(Component(found.component, evse=component.evse, connector=component.connector), found)


def _is_there(station: Station, component: Component, scope: Scope) -> bool:
    named = (component.evse is not None, component.connector is not None)
    if named != (scope is not Scope.STATION, scope is Scope.CONNECTOR):
        return False
    return scope is Scope.STATION or next(connectors_of(station, component), None) is not None


def _present(station: Station, component: Component, definition: Definition) -> bool:
    return definition.present is None or definition.present(station, component)


def inventory(station: Station) -> Iterator[Entry]:
    """Every variable of the station: its own components, then the EVSEs', then the connectors'."""
    layouts = [connector.layout for connector in station.connectors.values()]
    evses = list(dict.fromkeys(layout.evse_id for layout in layouts))
    places: Mapping[Scope, list[tuple[int | None, int | None]]] = {
        Scope.STATION: [(None, None)],
        Scope.EVSE: [(evse, None) for evse in evses],
        Scope.CONNECTOR: [(layout.evse_id, layout.connector_id) for layout in layouts],
    }
    custom = _by_names(station)
    for variables in (*DEFINITIONS.values(), *([custom] if custom else [])):
        scope = next(iter(variables.values())).scope
        for evse, connector in places[scope]:
            for definition in variables.values():
                component = Component(definition.component, evse=evse, connector=connector)
                if _present(station, component, definition):
                    yield Entry(component, definition)


def variables_of(station: Station, component: Component, name: str) -> Iterator[Entry]:
    """The variables of that name, of every instance, that a component of the inventory has."""
    for definition in (variables_in(station, component.name) or {}).values():
        if definition.variable.name == name and _present(station, component, definition):
            yield Entry(component, definition)


def value(station: Station, entry: Entry, attribute: Attribute = Attribute.ACTUAL) -> str | None:
    """What the variable is now, "" where it is not known. None: the attribute is not there, or must not be shown."""
    if attribute not in ATTRIBUTES or mutability(station, entry) is Mutability.WRITE_ONLY:
        return None
    definition = entry.definition
    if definition.key is None:
        assert definition.fact is not None
        return definition.fact(station, entry.component)
    text = shown(station, definition.key)
    return ",".join(definition.words.get(item, item) for item in text.split(",")) if definition.words else text


def mutability(station: Station, entry: Entry) -> Mutability:
    key = key_of(station, entry)
    return Mutability.READ_ONLY if key is None or entry.definition.read_only else mutability_of(station, key)


def key_of(station: Station, entry: Entry) -> ConfigKey | None:
    """The configuration key behind a variable."""
    return None if entry.definition.key is None else station.configuration.find(entry.definition.key)


def persistent(entry: Entry) -> bool:
    """Whether the value outlives a restart: it is written down somewhere."""
    return entry.definition.key is not None or entry.definition.constant


def constant(station: Station, entry: Entry) -> bool:
    """Whether the value is the same for as long as the station runs."""
    fixed = entry.definition.key is not None and not entry.definition.read_only
    return entry.definition.constant or (fixed and mutability(station, entry) is Mutability.READ_ONLY)


def characteristics(station: Station, entry: Entry) -> Characteristics:
    definition = entry.definition
    key = key_of(station, entry)
    least, most = (None, None) if key is None else _limits(key)
    own_most = definition.maximum if definition.most is None else definition.most(station, entry.component)
    return Characteristics(
        data_type=definition.data_type,
        unit=definition.unit,
        min_limit=least if definition.minimum is None else definition.minimum,
        max_limit=most if own_most is None else own_most,
        values=definition.values or _values(station, definition, key),
        supports_monitoring=_can_be_watched(station, entry),
    )


def _can_be_watched(station: Station, entry: Entry) -> bool:
    """What can be read and changes now and then, and not by itself with every second."""
    if entry.definition.data_type is DataType.DATE_TIME or constant(station, entry):
        return False
    return mutability(station, entry) is not Mutability.WRITE_ONLY


def _limits(key: ConfigKey) -> tuple[float | None, float | None]:
    match key.kind:
        case KeyKind.INT | KeyKind.DECIMAL:
            return key.minimum, None if key.maximum >= NO_LIMIT else key.maximum
        case KeyKind.TEXT:
            return None, min(key.maximum, VALUE_MAX_CHARS)
        case _:
            return None, None


def _values(station: Station, definition: Definition, key: ConfigKey | None) -> tuple[str, ...]:
    if definition.options is not None:
        return definition.options(station)
    if key is None or definition.data_type is DataType.STRING:
        return ()
    if key.kind is KeyKind.MEASURANDS:
        return tuple(sorted(measurands_of(station)))
    return tuple(definition.words.get(item, item) for item in key.allowed)
