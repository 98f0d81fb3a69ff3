"""`edged check --profile FILE`, for who writes one: is this profile right, and what will its charger be able to do?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.cli import output
from edged.cli.abilities import abilities

if TYPE_CHECKING:
    from edged.chargers.library import AnyProfile


def check_profile_file(path: Path, *, as_json: bool) -> int:
    """Every mistake with line, key and rule; or what the profile offers over OCPP."""
    from edged.chargers.library import load_file
    from edged.chargers.profile_document import ProfileErrors
    from edged.site import settings_error

    try:
        profile = load_file(path)
    except ProfileErrors as wrong:
        errors = [settings_error(error) for error in wrong.errors]
        if as_json:
            output.say_json({"ok": False, "errors": [output.finding(error) for error in errors], "profile": None})
        else:
            output.complain_about(errors, "the profile")
        return output.BAD_CONFIGURATION
    told = _told_of(profile)
    if as_json:
        output.say_json({"ok": True, "errors": [], "profile": told})
    else:
        _print(path, told)
    return output.DONE


def _told_of(profile: AnyProfile) -> dict[str, Any]:
    from edged.chargers.relay_profile import RelayProfile

    told: dict[str, Any] = {
        "name": profile.name,
        "vendor": profile.vendor,
        "model": profile.model,
        "certainty": profile.certainty,
        "unproven": list(profile.unproven),
    }
    if isinstance(profile, RelayProfile):
        return {**told, "outputs": profile.outputs.count}
    can = abilities(profile.capabilities, None)
    return {
        **told,
        "abilities": {name: {"able": each.able, "because": each.because} for name, each in can.items()},
        "measurands": sorted(profile.measurands),
    }


def _print(path: Path, told: dict[str, Any]) -> None:
    output.say(f"{told['name']}: {told['vendor']} {told['model']}, certainty {told['certainty']}")
    if "outputs" in told:
        output.say(f"  a relay board with {told['outputs']} outputs")
    else:
        for name, each in told["abilities"].items():
            output.say(f"  {name:<13} {'yes' if each['able'] else 'no '}  {each['because']}")
        measured = ", ".join(told["measurands"])
        output.say(f"  {'measured':<13} {'yes' if measured else 'no '}  {measured or 'nothing: it has no meter'}")
    for sentence in told["unproven"]:
        output.say(f"  unproven: {sentence}")
    output.say(f"{path} is right")
