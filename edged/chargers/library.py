"""Where profiles come from: the packaged directories and the site's own, which wins. Reads their files.

Owns: look-up by name, the bounds of a file, which reader a document is for. Refuses to know: YAML (`profile_yaml`) and
what the keys mean.
"""

from __future__ import annotations

import stat
from functools import lru_cache
from pathlib import Path

from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_document import Node, ProfileError, ProfileErrors, shown
from edged.chargers.profile_reader import PROFILE_NAME, read_profile
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_yaml import read_document
from edged.chargers.rapi.profile import RapiProfile, is_rapi, read_rapi_profile
from edged.chargers.relay_profile import RelayProfile, is_relay, read_relay_profile

PACKAGED_DIR = Path(__file__).parent / "profiles"
RELAYS_DIR = Path(__file__).parent / "relays"
SITE_DIR = Path("/etc/edged/profiles.d")
MAX_BYTES = 256 * 1024
_SUFFIX = ".yaml"

ChargerProfile = DeviceProfile | RapiProfile
"""A charger's: over Modbus, or over RAPI."""
AnyProfile = ChargerProfile | RelayProfile
"""A profile of any kind."""


def profile_names(site_dir: Path = SITE_DIR) -> tuple[str, ...]:
    """The names of all profiles, packaged and of the site, in alphabetical order; packaged relay boards apart."""
    return _names(site_dir, PACKAGED_DIR)


def relay_names() -> tuple[str, ...]:
    """The names of the packaged profiles of relay boards."""
    return _names(RELAYS_DIR)


def _names(*directories: Path) -> tuple[str, ...]:
    return tuple(sorted({path.stem for directory in directories for path in directory.glob(f"*{_SUFFIX}")}))


def load_any(name: str, site_dir: Path = SITE_DIR) -> AnyProfile:
    """The profile of that name, of whatever kind, the site's before the packaged one. Raises `ProfileErrors`."""
    for directory in (site_dir, PACKAGED_DIR, RELAYS_DIR):
        path = directory / f"{name}{_SUFFIX}"
        if path.parent == directory and path.is_file():
            return load_file(path)
    known = ", ".join((*profile_names(site_dir), *relay_names()))
    sentence = f"there is no profile {shown(name)!r}; there are {known}"
    raise ProfileErrors([ProfileError(str(site_dir), 1, "", sentence, ProfileRule.NO_SUCH_PROFILE)])


def load_charger(name: str, site_dir: Path = SITE_DIR) -> ChargerProfile:
    """The charger's profile of that name, whatever it speaks. `ProfileErrors` names every mistake."""
    profile = load_any(name, site_dir)
    return profile if isinstance(profile, RapiProfile) else _charger(profile, str(site_dir))


def load_profile(name: str, site_dir: Path = SITE_DIR) -> DeviceProfile:
    """The profile of that name of a charger that speaks Modbus. `ProfileErrors` names every mistake."""
    return _charger(load_any(name, site_dir), str(site_dir))


def load_relay(name: str, site_dir: Path = SITE_DIR) -> RelayProfile:
    """The relay board's profile of that name. `ProfileErrors` names every mistake."""
    profile = load_any(name, site_dir)
    if not isinstance(profile, RelayProfile):
        sentence = f"{name!r} is a charger, no relay board"
        raise ProfileErrors([ProfileError(str(site_dir), 1, "kind", sentence, ProfileRule.WRONG_KIND)])
    return profile


def load_profile_file(path: Path) -> DeviceProfile:
    """The charger's profile in one file; its `profile` key must be the file's name."""
    return _charger(load_file(path), str(path))


def load_file(path: Path) -> AnyProfile:
    """The profile in one file, of whatever kind; its `profile` key must be the file's name. Raises `ProfileErrors`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe or a port would wait for somebody, for ever
            raise OSError(0, "it is no plain file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            sentence = f"the file is larger than {MAX_BYTES // 1024} KiB"
            raise ProfileErrors([ProfileError(str(path), 1, "", sentence, ProfileRule.FILE_TOO_LARGE)])
        text = data.decode()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        sentence = "the file is no UTF-8 text"
        raise ProfileErrors([ProfileError(str(path), line, "", sentence, ProfileRule.UNREADABLE_FILE)]) from error
    except OSError as error:
        sentence = f"the file cannot be read: {error.strerror or error}"
        raise ProfileErrors([ProfileError(str(path), 1, "", sentence, ProfileRule.UNREADABLE_FILE)]) from error
    return _judged(text, str(path), path.name)


def parse_profile(text: str, path: str) -> DeviceProfile:
    """The charger's profile in a YAML text; `path` names it in errors."""
    return _charger(_judged(text, path), path)


def _charger(profile: AnyProfile, path: str) -> DeviceProfile:
    if isinstance(profile, DeviceProfile):
        return profile
    what = "speaks RAPI, not Modbus" if isinstance(profile, RapiProfile) else "is a relay board, no charger"
    sentence = f"{profile.name!r} {what}"
    raise ProfileErrors([ProfileError(path, 1, "kind", sentence, ProfileRule.WRONG_KIND)])


@lru_cache(maxsize=8)
def _judged(text: str, path: str, file_name: str | None = None) -> AnyProfile:
    """The profile in a text, of whatever kind. `ProfileErrors` with every mistake: of YAML, of the name, of meaning.

    The last few are kept: a start asks for each three times (the check, what a reload compares with, the chargers).
    """
    root, errors = read_document(text, path)
    if file_name is not None:
        errors += _misnamed(root, path, file_name)
    try:
        profile = _read(root, path)
    except ProfileErrors as wrong:
        told = {error.key_path for error in errors if error.rule is ProfileRule.UNREADABLE_VALUE}
        raise ProfileErrors((*errors, *(error for error in wrong.errors if error.key_path not in told))) from None
    if errors:
        raise ProfileErrors(errors)
    return profile


def _read(root: Node, path: str) -> AnyProfile:
    if is_relay(root):
        return read_relay_profile(root, path)
    return read_rapi_profile(root, path) if is_rapi(root) else read_profile(root, path)


def _misnamed(root: Node, path: str, file_name: str) -> list[ProfileError]:
    named = root.value.get("profile") if isinstance(root.value, dict) else None
    name = "" if named is None else str(named.value)
    if named is None or not PROFILE_NAME.fullmatch(name) or f"{name}{_SUFFIX}" == file_name:
        return []
    sentence = f"the profile calls itself {name!r} but its file is {file_name!r}"
    return [ProfileError(path, named.line, "profile", sentence, ProfileRule.FILE_NAME)]
