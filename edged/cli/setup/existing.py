"""The configuration that there is already: what of it setup can take over, and why not.

Owns the promise that nothing of it is lost: every key is kept, asked for or not; comments that a person wrote cannot be
kept, so a file that has any is not touched unless that is asked for.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from edged.cli.setup import draft
from edged.cli.setup.wording import comments, worded
from edged.ports import EdgedError
from edged.settings.document import MAX_BYTES, DocumentError, Mapping, Node, read_document
from edged.settings.errors import shown

SHOWN_COMMENT = 40


@dataclass(frozen=True, slots=True)
class Existing:
    """`content`: None where there is no file. `tree`: what it says, empty where it cannot be read. `obstacle`: why it
    must not be written anew without being told to, as a sentence; empty where nothing would be lost."""

    path: Path
    content: bytes | None
    tree: Node
    obstacle: str = ""


def look(path: Path) -> Existing:
    """What there is at the place of the configuration. Raises `EdgedError` where that is no file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe or a port would be noticed by others
            raise EdgedError(f"{path} is there and is no plain file: name another with -c")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Existing(path, None, draft.EMPTY)
    except OSError as error:
        raise EdgedError(f"{path} cannot be read ({error.strerror or error}): name another with -c") from error
    try:
        tree, repeated = read_document(content)
    except DocumentError as error:
        where = f"{path}:{error.line}" if error.line else str(path)
        return Existing(path, content, draft.EMPTY, f"{where} {error.sentence}")
    if not isinstance(tree, Mapping):
        return Existing(path, content, draft.EMPTY, f"{path} holds no keys")
    if repeated:
        key = repeated[0]
        sentence = f"{path}:{key.line} {shown(key.key)} stands there twice, first in line {key.first_line}"
        return Existing(path, content, tree, sentence)
    return Existing(path, content, tree, _foreign_comments(path, content, tree))


def _foreign_comments(path: Path, content: bytes, tree: Node) -> str:
    """A sentence about what a person wrote and setup could not keep."""
    ours = {comment for _, comment in comments(worded(tree))}
    theirs = [(line, text) for line, text in comments(content.decode("utf-8-sig")) if text and text not in ours]
    if not theirs:
        return ""
    line, text = theirs[0]
    more = f", and {len(theirs) - 1} more" if len(theirs) > 1 else ""
    return f"{path}:{line} has a comment that edged setup cannot keep (# {shown(text, limit=SHOWN_COMMENT)}{more})"
