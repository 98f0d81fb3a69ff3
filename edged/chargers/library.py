"""Where profiles come from: the packaged directories and the site's own, which wins. Reads their files.

Owns: YAML to `profile_document.Node` (lines kept, duplicate keys and oversized or deeply nested files refused), look-up
by name. Refuses to know: what the keys mean.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_document import Node, ProfileError, ProfileErrors, Scalar
from edged.chargers.profile_reader import read_profile
from edged.chargers.relay_profile import RelayProfile, is_relay, read_relay_profile

PACKAGED_DIR = Path(__file__).parent / "profiles"
RELAYS_DIR = Path(__file__).parent / "relays"
SITE_DIR = Path("/etc/edged/profiles.d")
MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_NODES = 20_000
_SUFFIX = ".yaml"


def profile_names(site_dir: Path = SITE_DIR) -> tuple[str, ...]:
    """The names of all profiles, packaged and of the site, in alphabetical order; packaged relay boards apart."""
    return _names(site_dir, PACKAGED_DIR)


def relay_names() -> tuple[str, ...]:
    """The names of the packaged profiles of relay boards."""
    return _names(RELAYS_DIR)


def _names(*directories: Path) -> tuple[str, ...]:
    return tuple(sorted({path.stem for directory in directories for path in directory.glob(f"*{_SUFFIX}")}))


def load_any(name: str, site_dir: Path = SITE_DIR) -> DeviceProfile | RelayProfile:
    """The profile of that name, of whatever kind, the site's before the packaged one. Raises `ProfileErrors`."""
    for directory in (site_dir, PACKAGED_DIR, RELAYS_DIR):
        path = directory / f"{name}{_SUFFIX}"
        if path.parent == directory and path.is_file():
            return _load(path)
    known = ", ".join((*profile_names(site_dir), *relay_names()))
    raise ProfileErrors([ProfileError(str(site_dir), 1, "", f"there is no profile {name!r}; there are {known}")])


def load_profile(name: str, site_dir: Path = SITE_DIR) -> DeviceProfile:
    """The charger's profile of that name. `ProfileErrors` names every mistake."""
    profile = load_any(name, site_dir)
    if isinstance(profile, RelayProfile):
        raise ProfileErrors([ProfileError(str(site_dir), 1, "", f"{name!r} is a relay board, no charger")])
    return profile


def load_relay(name: str, site_dir: Path = SITE_DIR) -> RelayProfile:
    """The relay board's profile of that name. `ProfileErrors` names every mistake."""
    profile = load_any(name, site_dir)
    if isinstance(profile, DeviceProfile):
        raise ProfileErrors([ProfileError(str(site_dir), 1, "", f"{name!r} is a charger, no relay board")])
    return profile


def load_profile_file(path: Path) -> DeviceProfile:
    """The charger's profile in one file; its `profile` key must be the file's name."""
    profile = _load(path)
    if isinstance(profile, RelayProfile):
        raise ProfileErrors([ProfileError(str(path), 1, "kind", f"{profile.name!r} is a relay board, no charger")])
    return profile


def _load(path: Path) -> DeviceProfile | RelayProfile:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProfileErrors([ProfileError(str(path), 1, "", f"the file is larger than {MAX_BYTES // 1024} KiB")])
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileErrors([ProfileError(str(path), 1, "", f"the file cannot be read: {error}")]) from error
    root = parse_document(text, str(path))
    profile = read_relay_profile(root, str(path)) if is_relay(root) else read_profile(root, str(path))
    if profile.name != path.stem:
        message = f"the profile calls itself {profile.name!r} but its file is {path.name!r}"
        raise ProfileErrors([ProfileError(str(path), 1, "profile", message)])
    return profile


def parse_profile(text: str, path: str) -> DeviceProfile:
    """The profile in a YAML text; `path` names it in errors."""
    return read_profile(parse_document(text, path), path)


def parse_document(text: str, path: str) -> Node:
    """A YAML text as nodes with lines. `ProfileErrors` for anything that is no single plain YAML document."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or str(error) or "too deeply nested"
        raise ProfileErrors([ProfileError(path, line, "", f"this is no YAML: {problem}")]) from None
    if tree is None:
        raise ProfileErrors([ProfileError(path, 1, "", "the file is empty")])
    return _Composer(path).convert(tree, 0)


class _Composer:
    def __init__(self, path: str) -> None:
        self._path = path
        self._nodes = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def convert(self, node: yaml.Node, depth: int) -> Node:
        line = node.start_mark.line + 1
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise self._error(line, "the file is nested too deeply or has too many entries")
        if isinstance(node, yaml.MappingNode):
            mapping: dict[str, Node] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise self._error(line, "a key must be a plain text")
                if key.value in mapping:
                    raise self._error(key.start_mark.line + 1, f"the key {key.value!r} stands here twice")
                mapping[key.value] = self.convert(value, depth + 1)
            return Node(mapping, line)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.convert(entry, depth + 1) for entry in node.value], line)
        return Node(self._scalar(node, line), line)

    def _scalar(self, node: yaml.Node, line: int) -> Scalar:
        try:
            value = self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            raise self._error(line, f"this value cannot be read: {error}") from None
        return value if value is None or isinstance(value, (str, int, float, bool)) else str(node.value)

    def _error(self, line: int, message: str) -> ProfileErrors:
        return ProfileErrors([ProfileError(self._path, line, "", message)])
