"""A draft as YAML: whatever stands in it, the loader reads the same back, and nobody's text becomes a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.cli.setup import draft
from edged.cli.setup.existing import look
from edged.cli.setup.wording import comments, worded
from edged.settings.document import Entry, Mapping, Node, Scalar, Sequence, read_document

EXAMPLE = Path(__file__).parents[3] / "config" / "edged.yaml"
HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(
        [
            "a: b",
            "a\nevil: true",
            "- x",
            "#",
            "a #b",
            "'",
            '"',
            "\\",
            "{}",
            "[a, b]",
            "&a",
            "*a",
            "!tag",
            "%",
            "@",
            "`",
            "|",
            ">",
            "? x",
            "---",
            "...",
            "~",
            "null",
            "yes",
            "0012",
            "1e3",
            ".5",
            "-5",
            "\t",
            " x ",
            "x:",
            ":x",
            "a:b",
            "${env:HOME}",
            "${",
            "\x85\u2028\ufeff\x00",
            "\U0001f50c",
            "",
        ]
    ),
)
NUMBERS = st.sampled_from(["5", "-5", "+7", ".5", "1.25", "true", "off", "~", "null", ""])
SCALARS = st.one_of(
    HOSTILE.map(draft.text), HOSTILE.map(lambda words: Scalar(words, 0)), NUMBERS.map(lambda words: Scalar(words, 0))
)


def mappings(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    members = st.dictionaries(HOSTILE, inner, max_size=4)
    return members.map(lambda found: Mapping(tuple(Entry(key, node, 0) for key, node in found.items()), 0))


TREES = mappings(
    st.recursive(
        SCALARS,
        lambda inner: mappings(inner) | st.lists(inner, max_size=4).map(lambda items: Sequence(tuple(items), 0)),
        max_leaves=12,
    )
)


def meaning(node: Node) -> object:
    """What the loader can tell of a tree: texts, and of those without quotes whether they are more than a text."""
    match node:
        case Scalar():
            is_more = (
                node.is_null or node.text.lower() in {"true", "off"} or node.text in {"5", "-5", "+7", ".5", "1.25"}
            )
            return (None if node.is_null else node.text, node.plain and is_more)
        case Sequence():
            return [meaning(each) for each in node.items]
        case Mapping():
            return {entry.key: meaning(entry.node) for entry in node.entries}


@given(TREES.filter(lambda tree: bool(tree.entries)))  # type: ignore[union-attr]
def test_the_loader_reads_back_what_a_draft_says(tree):
    again, repeated = read_document(worded(tree).encode())
    assert repeated == []
    assert meaning(again) == meaning(tree)


@given(TREES.filter(lambda tree: bool(tree.entries)))  # type: ignore[union-attr]
def test_what_was_read_back_is_worded_as_before(tree):
    once = worded(tree)
    assert worded(read_document(once.encode())[0]) == once


def test_the_annotated_example_survives_with_every_key():
    tree, _ = read_document(EXAMPLE.read_bytes())
    assert meaning(read_document(worded(tree).encode())[0]) == meaning(tree)


@pytest.mark.parametrize("place", [("stations", 0, "csms", "password"), ("mqtt", "password")])
def test_a_password_that_is_written_out_is_not_shown(place):
    tree = draft.put(draft.EMPTY, place, draft.text("correct horse battery"))
    assert "horse" in worded(tree)
    assert "horse" not in worded(tree, shown=True)
    assert "password: ***" in worded(tree, shown=True)


def test_a_reference_to_a_password_is_shown():
    tree = draft.put(draft.EMPTY, ("mqtt", "password"), draft.credential("mqtt-password"))
    assert "${credential:mqtt-password}" in worded(tree, shown=True)


def test_everything_behind_a_sign_of_a_comment_counts_as_one():
    assert list(comments("a: 1\nb: 2  # why\n# all\nc: '#x'\n")) == [(2, "why"), (3, "all"), (4, "x'")]


def test_what_setup_has_written_it_may_write_again(tmp_path):
    tree, _ = read_document(EXAMPLE.read_bytes())
    path = tmp_path / "edged.yaml"
    path.write_text(worded(tree).replace("hard_reset: service", "hard_reset: host"))
    found = look(path)
    assert found.obstacle == ""
    assert draft.text_at(found.tree, ("gateway", "hard_reset")) == "host"


@pytest.mark.parametrize(
    ("text", "obstacle"),
    [
        (
            "gateway: {id: a}  # mine\nlog: {}\n# and more\n",
            ":1 has a comment that edged setup cannot keep (# mine, and 1",
        ),
        ("gateway:\n\tid: a\n", ":2 is indented with a tab: use spaces"),
        ("- a\n", " holds no keys"),
        ("", " is empty: write at least chargers and stations"),
        ("log: {}\nlog: {}\n", ":2 log stands there twice, first in line 1"),
        ("a: \xff\n", ":1 is not UTF-8 text: save the file as UTF-8"),
    ],
)
def test_what_cannot_be_kept_is_an_obstacle(tmp_path, text, obstacle):
    path = tmp_path / "edged.yaml"
    path.write_bytes(text.encode("latin-1"))
    assert look(path).obstacle.startswith(f"{path}{obstacle}")


def test_no_file_is_no_obstacle(tmp_path):
    found = look(tmp_path / "edged.yaml")
    assert (found.content, found.tree, found.obstacle) == (None, draft.EMPTY, "")
