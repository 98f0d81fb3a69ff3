"""The other name of a configuration key: its Component.Variable, as an installer may write it.

Data only. One registry of keys, two sets of names, which meet in `device_model_keys`; which of them a CSMS may use is
its dialect's matter.
"""

from __future__ import annotations

from collections.abc import Mapping

from edged.domain.configuration import REGISTRY, ConfigKey
from edged.domain.device_model_keys import KEYED

KEY_OF_VARIABLE: Mapping[str, str] = {
    definition.name: definition.key for definition in KEYED if definition.key is not None and not definition.words
}
"""Without those whose values have other words there: under such a name a value would be in doubt."""
_FOLDED = {variable.casefold(): key.casefold() for variable, key in KEY_OF_VARIABLE.items()}


def site_key(name: str) -> ConfigKey | None:
    """The key that an installer means, by either of its names, ignoring case."""
    folded = name.casefold()
    return REGISTRY.get(_FOLDED.get(folded, folded))


def known_names() -> tuple[str, ...]:
    """Every name that `site_key` takes, for hints."""
    return (*(key.name for key in REGISTRY.values()), *KEY_OF_VARIABLE)
