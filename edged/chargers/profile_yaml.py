"""The text of a profile as `profile_document.Node`s with their lines, or why it is none.

Owns: what is no plain YAML document: tabs, keys that stand twice, tags, aliases that grow, numbers that no register
holds. Refuses to know: files, and what any key means.
Invariant: whatever the text, it ends soon: with nodes, with named mistakes, or with both.
"""

from __future__ import annotations

import re

import yaml

from edged.chargers.profile_document import KeyPath, Node, ProfileError, ProfileErrors, Scalar, shown
from edged.chargers.profile_rules import ProfileRule

MAX_DEPTH = 16
MAX_NODES = 20_000
MAX_BITS = 64
_TAB = re.compile(r"[ -]*\t")
_UNREADABLE = (yaml.YAMLError, ValueError, OverflowError, KeyError, IndexError, AttributeError, TypeError)
"""What the constructors of scalars raise for a text that is not what its tag says."""


def parse_document(text: str, path: str) -> Node:
    """A YAML text as nodes with lines. `ProfileErrors` for anything that is no single plain YAML document."""
    root, errors = read_document(text, path)
    if errors:
        raise ProfileErrors(errors)
    return root


def read_document(text: str, path: str) -> tuple[Node, list[ProfileError]]:
    """As `parse_document`, but mistakes with which the rest can still be read are told beside the nodes."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ProfileErrors([_no_yaml(error, text, path)]) from None
    if tree is None:
        raise ProfileErrors([ProfileError(path, 1, "", "the file is empty", ProfileRule.EMPTY_FILE)])
    composer = _Composer(path)
    return composer.convert(tree, (), tree.start_mark.line + 1), composer.errors


def _no_yaml(error: Exception, text: str, path: str) -> ProfileError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark is not None else 1
    lines = text.splitlines()
    if line <= len(lines) and _TAB.match(lines[line - 1]):
        return ProfileError(path, line, "", "a tab: indent with spaces", ProfileRule.TAB)
    if isinstance(error, RecursionError):
        return ProfileError(path, line, "", "it is nested too deeply", ProfileRule.TOO_COMPLEX)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return ProfileError(path, line, "", f"this is no YAML: {shown(problem)}", ProfileRule.NO_YAML)


class _Composer:
    def __init__(self, path: str) -> None:
        self.errors: list[ProfileError] = []
        self._path = path
        self._nodes = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def convert(self, node: yaml.Node, at: KeyPath, line: int) -> Node:
        """`line`: where its key stands, for the value of a key."""
        self._nodes += 1
        if len(at) > MAX_DEPTH or self._nodes > MAX_NODES:
            sentence = "the file is nested too deeply or has too many entries"
            raise ProfileErrors([*self.errors, self._error(at, line, sentence, ProfileRule.TOO_COMPLEX)])
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node, at), line)
        if isinstance(node, yaml.SequenceNode):
            entries = enumerate(node.value)
            return Node([self.convert(one, (*at, str(i)), one.start_mark.line + 1) for i, one in entries], line)
        return Node(self._scalar(node, at, line), line)

    def _mapping(self, node: yaml.MappingNode, at: KeyPath) -> dict[str, Node]:
        mapping: dict[str, Node] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._add(at, line, "a key must be a plain text", ProfileRule.KEY_NO_TEXT)
            elif key.value in mapping:
                sentence = f"the key {shown(key.value)!r} stands here twice"
                self._add((*at, key.value), line, sentence, ProfileRule.DUPLICATE_KEY)
            else:
                mapping[key.value] = self.convert(value, (*at, key.value), line)
        return mapping

    def _scalar(self, node: yaml.Node, at: KeyPath, line: int) -> Scalar:
        try:
            value = self._scalars.construct_object(node)
        except _UNREADABLE as error:
            problem = getattr(error, "problem", None) or "it is not what it is said or seems to be"
            self._add(at, line, f"this value cannot be read: {shown(str(problem))}", ProfileRule.UNREADABLE_VALUE)
            return None
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            self._add(at, line, f"a number of more than {MAX_BITS} bits", ProfileRule.UNREADABLE_VALUE)
            return None
        return value if value is None or isinstance(value, (str, int, float, bool)) else str(node.value)

    def _add(self, at: KeyPath, line: int, sentence: str, rule: ProfileRule) -> None:
        self.errors.append(self._error(at, line, sentence, rule))

    def _error(self, at: KeyPath, line: int, sentence: str, rule: ProfileRule) -> ProfileError:
        return ProfileError(self._path, line, ".".join(shown(key) for key in at), sentence, rule)
