"""The man pages that tools/manpages.py writes: nothing of the grammar, the configuration and the log is left out."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.cli import main as cli
from edged.cli import manual
from edged.log_fields import FIELDS, journal_name
from edged.site import load_site
from tools import manpages

ROOT = Path(__file__).parents[2]
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO")


PAGES: dict[str, str] = manpages.pages()
MODULES = {name: cli.module_of(name) for name in (*cli.COMMANDS, *cli.HIDDEN, cli.DEMO)}


def plain(page: str) -> str:
    """A page's words as a reader sees them."""
    text = re.sub(r"\\f.", "", page).replace("\\-", "-").replace("\\ ", " ").replace("\\&", "")
    for escape, char in (("(aq", "'"), ("(dq", '"'), ("(ga", "`"), ("(ti", "~"), ("(ha", "^"), ("e", "\\")):
        text = text.replace(f"\\{escape}", char)
    return text


def subparsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def every(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for _, sub in subparsers(parser):
        yield from every(sub)


def page_of(name: str) -> str:
    return next(page for file, page in PAGES.items() if file.rpartition(".")[0] == f"edged-{name}")


def test_every_command_has_a_page():
    names = {name for name, _ in subparsers(cli.parser())}
    assert {file.rpartition(".")[0] for file in PAGES} == {
        *(f"edged-{name}" for name in names),
        "edged",
        "edged.yaml",
        "edged.service",
    }


def test_status_78_is_told_for_what_is_kept_too():
    for page in (page_of("run"), PAGES["edged.service.8"], cli.parser().epilog or ""):
        assert "what is kept needs a person" in " ".join(plain(page).split())


def test_every_page_of_a_command_has_its_sections():
    for name in MODULES:
        found = re.findall(r"^\.SH (.*)$", page_of(name), re.MULTILINE)
        assert [each for each in SECTIONS if each not in found] == [], name


def test_every_option_and_operand_stands_in_its_page_with_what_it_takes_and_its_help():
    whole = dict(subparsers(cli.parser(whole=True)))
    for name, parser in whole.items():
        page = plain(page_of(name))
        told = " ".join(page.split()).casefold()
        for sub in every(parser):
            for action in sub._actions:
                if isinstance(action, argparse._SubParsersAction):
                    continue
                for word in action.option_strings or [str(action.metavar)]:
                    assert re.search(rf"^{re.escape(word)}\b|, {re.escape(word)}\b", page, re.MULTILINE), (name, word)
                words = (action.help or "") % {**vars(action), "prog": sub.prog}
                assert " ".join(words.split()).casefold() in told, (name, words)


def test_the_page_of_edged_names_every_command_but_those_of_units():
    page = plain(PAGES["edged.1"])
    assert {name for name in MODULES if f"edged-{name}(1)" in page} == MODULES.keys() - {*cli.HIDDEN}


def test_pages_refer_only_to_pages_that_there_are():
    for page in PAGES.values():
        for name, section in re.findall(r"^\.BR (\S+) \((\d)\)", page, re.MULTILINE):
            assert f"{plain(name)}.{section}" in PAGES or name in ("systemctl", "journalctl")


def keys(value: Any, path: str = "") -> Iterator[str]:
    """The places of all values."""
    if isinstance(value, dict):
        for key, each in value.items():
            here = f"{path}.{'NAME' if path in manpages.OPEN else key}".lstrip(".")
            below = [*keys(each, here)]
            yield from below or [here]
    elif isinstance(value, list):
        for each in value:
            yield from keys(each, path)


def test_every_key_of_the_annotated_configuration_has_its_entry():
    page = plain(PAGES["edged.yaml.5"])
    for key in set(keys(yaml.safe_load((ROOT / "config/edged.yaml").read_text()))):
        head, _, last = key.rpartition(".")
        inside = re.search(rf"^{re.escape(head)}: .*\b{re.escape(last)}: ", page, re.MULTILINE)
        assert inside or re.search(rf"^(\.SS )?{re.escape(key)}(:|$)", page, re.MULTILINE), key


def test_every_comment_of_the_annotated_configuration_is_told():
    told = " ".join(plain(PAGES["edged.yaml.5"]).split())
    comments = [
        found[1]
        for line in (ROOT / "config/edged.yaml").read_text().splitlines()
        if (found := re.search(r"(?:^|\s)# *([^#]*)$", line)) and not re.match(r"[\w.-]+(\[\w+\])?:( |$)", found[1])
    ]
    assert len(comments) > 80
    for comment in comments:
        assert " ".join(comment.split()).rstrip(":") in told


def test_a_key_that_is_commented_out_has_its_entry_with_its_example():
    page = plain(PAGES["edged.yaml.5"])
    assert "\nstations.csms.secure_url: wss://csms.example.com:8443/ocpp\n" in page
    assert "\nstations.custom_keys.NAME: {type: text, maximum: 40, default: Welcome}\n" in page


def test_the_least_configuration_that_is_shown_is_one(tmp_path):
    path = tmp_path / "edged.yaml"
    path.write_text(manpages.LEAST)
    assert [station.id for station in load_site(path).stations] == ["DEPOT-7"]
    for line in manpages.LEAST.splitlines():
        assert f"\n{line}\n" in plain(PAGES["edged.yaml.5"])


def test_the_page_of_the_service_names_every_unit_and_every_field_of_the_log():
    page = plain(PAGES["edged.service.8"])
    for name in (*(path.name for path in (ROOT / "systemd").iterdir()), *map(journal_name, FIELDS)):
        assert f"\n{name}\n" in page


@pytest.mark.parametrize("name", MODULES)
def test_every_command_says_what_it_is_for_and_shows_examples_that_its_grammar_takes(name):
    module = MODULES[name]
    assert manual.details(module).strip()
    examples = manual.examples(module)
    assert examples
    for typed, _ in examples:
        words = shlex.split(typed)
        if words[0] == "edged":
            assert words[1] == name
            assert cli.parser(whole=True).parse_args(words[1:]).name == name


@pytest.mark.parametrize("name", [*MODULES])
def test_help_shows_the_examples_too(name, capsys):
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    shown = capsys.readouterr().out
    for typed, does in manual.examples(MODULES[name]):
        assert f"\n  {typed}\n      {does}\n" in shown


def test_the_same_source_gives_the_same_bytes_and_another_moment_another_date(tmp_path):
    pages = []
    for folder, moment in (("a", "86400"), ("b", "86400"), ("c", "172800")):
        environment = {**os.environ, "SOURCE_DATE_EPOCH": moment, "PYTHONHASHSEED": str(len(pages))}
        command = [sys.executable, ROOT / "tools/manpages.py", tmp_path / folder]
        subprocess.run(command, env=environment, check=True, cwd=tmp_path)
        pages.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert pages[0] == pages[1]
    assert pages[0].keys() == pages[2].keys() == PAGES.keys()
    assert b" 1970-01-02 " in pages[0]["edged.1"]
    assert b" 1970-01-03 " in pages[2]["edged.1"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (".so /etc/passwd", r"\&.so /etc/passwd"),
        (r"a\fB-b", r"a\efB\-b"),
        ("'quoted' `x` ~ ^", r"\(aqquoted\(aq \(gax\(ga \(ti \(ha"),
    ],
)
def test_plain_words_are_no_requests_and_no_escapes(words, shown):
    assert manpages.text(words) == shown


def test_no_line_of_a_page_is_an_unknown_request():
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".IP", ".BR", ".EX", ".EE", ".nh", ".ad"}
    for page in PAGES.values():
        requests = {line.split()[0] for line in page.splitlines() if line[:1] in (".", "'")}
        assert requests - {'.\\"'} <= known


def test_groff_has_nothing_to_say_against_any_page():
    assert shutil.which("groff"), "sudo apt-get install groff-base"
    for name, page in PAGES.items():
        command = ["groff", "-man", "-ww", "-b", "-Kutf8", "-Tutf8", "-z"]
        done = subprocess.run(command, input=page, capture_output=True, text=True, check=True)
        assert done.stderr == "", name


def test_a_wrong_call_is_told_how_it_goes(capsys):
    assert manpages.main([]) == 2
    assert capsys.readouterr().err == "usage: manpages.py FOLDER\n"
