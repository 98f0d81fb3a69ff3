"""What bash and zsh complete after `edged`: nothing of the grammar is left out, and bash really does it."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.chargers.library import PACKAGED_DIR, profile_names
from edged.cli import main as cli
from edged.mqtt.arguments import SHAPES
from tools import completion

ROOT = Path(__file__).parents[2]
SHOWN = [*cli.COMMANDS, cli.DEMO]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("completion")
    assert completion.main([str(made)]) == 0
    return made


def complete(folder: Path, *lines: list[str], where: Path | None = None) -> list[list[str]]:
    """What bash offers for the last word of each line."""
    script = [f"source {folder}/edged.bash"]
    for words in lines:
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        script += [
            f"COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}",
            "_edged",
            "printf '%s\\t' \"${COMPREPLY[@]}\"",
            "echo",
        ]
    done = subprocess.run(
        ["bash", "--norc", "-u", "-c", "\n".join(script)], capture_output=True, text=True, check=True, cwd=where
    )
    assert done.stderr == ""
    return [sorted(filter(None, line.split("\t"))) for line in done.stdout.splitlines()]


def parsers() -> Iterator[tuple[list[str], argparse.ArgumentParser]]:
    """Every command and action that people see, with what is typed for it."""

    def walk(words: list[str], parser: argparse.ArgumentParser) -> Iterator[tuple[list[str], argparse.ArgumentParser]]:
        yield words, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, sub in action.choices.items():
                    if name not in cli.HIDDEN:
                        yield from walk([*words, name], sub)

    yield from walk(["edged"], cli.parser(whole=True))


def test_commands_are_offered_and_narrowed_by_what_is_typed(folder):
    everything, some = complete(folder, ["edged", ""], ["edged", "s"])
    assert everything == sorted(SHOWN)
    assert some == sorted(name for name in SHOWN if name.startswith("s"))


def test_the_options_of_every_command_and_action_are_offered(folder):
    found = [*parsers()]
    assert ["edged", "mqtt", "purge"] in [words for words, _ in found]
    for (words, parser), offered in zip(found, complete(folder, *([*words, "-"] for words, _ in found)), strict=True):
        assert offered == sorted(flag for action in parser._actions for flag in action.option_strings), words


def test_the_choices_of_every_option_are_offered(folder):
    asked = [
        ([*words, flag, ""], sorted(map(str, action.choices)))
        for words, parser in parsers()
        for action in parser._actions
        for flag in action.option_strings
        if action.choices
    ]
    assert len(asked) > 2
    assert complete(folder, *(words for words, _ in asked)) == [choices for _, choices in asked]


def test_every_option_that_takes_a_file_completes_files_and_one_that_takes_a_folder_folders(folder, tmp_path):
    (tmp_path / "site.yaml").touch()
    (tmp_path / "si te").mkdir()
    asked, expected = [], []
    for words, parser in parsers():
        for action in parser._actions:
            if action.metavar in ("FILE", "PATH", "DIR") and action.option_strings:
                asked.append([*words, action.option_strings[-1], "si"])
                expected.append(["si te"] if action.metavar == "DIR" else ["si te", "site.yaml"])
    assert len(asked) > 10
    assert complete(folder, *asked, where=tmp_path) == expected


def test_profiles_are_offered_where_one_is_named(folder):
    offered, narrowed, file = complete(
        folder,
        ["edged", "probe", "--profile", ""],
        ["edged", "simulate", "--profile", "keb"],
        ["edged", "check", "--profile", "keb"],
    )
    assert offered == sorted(profile_names(PACKAGED_DIR))
    assert narrowed == ["keba-p30"]
    assert file == []


def test_commands_to_the_daemon_are_offered_and_their_arguments_are_not(folder):
    commands, narrowed, arguments = complete(
        folder, ["edged", "ctl", ""], ["edged", "ctl", "--json", "--id", "x", "un"], ["edged", "ctl", "ping", ""]
    )
    assert commands == sorted(SHAPES)
    assert narrowed == ["unlock_connector"]
    assert arguments == []


def test_an_option_with_its_value_in_one_word_is_completed_too(folder):
    empty, begun, after = complete(
        folder,
        ["edged", "probe", "--parity", "="],
        ["edged", "probe", "--parity", "=", "e"],
        ["edged", "mqtt", "watch", "--config", "=", "x", "--js"],
    )
    assert (empty, begun, after) == (["even", "none", "odd"], ["even"], ["--json"])


def test_the_value_of_an_option_is_taken_for_no_command(folder):
    (offered,) = complete(folder, ["edged", "mqtt", "watch", "--gateway", "purge", "--fo"])
    assert offered == []


def test_hidden_commands_are_not_offered(folder):
    for name in cli.HIDDEN:
        assert complete(folder, ["edged", name[:3]]) == [[]]


def test_zsh_is_told_every_command_option_and_choice(folder):
    text = (folder / "_edged").read_text()
    assert text.startswith("#compdef edged\n")
    functions = dict(re.findall(r"^(_edged\w*)\(\) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    for words, parser in parsers():
        body = functions["_" + "_".join(word.replace("-", "_") for word in words)]
        for action in parser._actions:
            for flag in action.option_strings:
                assert re.search(rf"[)'*]{re.escape(flag)}=?\[", body), (words, flag)
            if isinstance(action, argparse._SubParsersAction):
                names = [name for name in action.choices if name not in cli.HIDDEN]
                assert all(f"'{name}:" in body for name in names)
            elif action.choices:
                assert f"({' '.join(map(str, action.choices))})" in body


def test_zsh_reads_its_file(folder):
    assert shutil.which("zsh"), "sudo apt-get install zsh"
    done = subprocess.run(["zsh", "-n", folder / "_edged"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_tab_starts_python(folder):
    for name in ("edged.bash", "_edged"):
        assert not re.search(r"python|\$\(edged|`", (folder / name).read_text().replace("completion.py", ""))


def test_the_same_source_gives_the_same_bytes(folder, tmp_path):
    subprocess.run([sys.executable, ROOT / "tools/completion.py", tmp_path / "again"], check=True, cwd=tmp_path)
    for name in ("edged.bash", "_edged"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
