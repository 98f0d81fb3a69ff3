"""How the command line speaks: commands that whoever reads them can paste."""

from __future__ import annotations

import pytest

from edged.cli import output
from edged.cli.doctor import report
from edged.cli.doctor.finding import Finding, Level

SENTENCE = (
    "run sudo edged setup, then: sudo systemctl start edged && printf x | sudo tee /a; or use sudo, or run it with sudo"
)
BARE = "run edged setup, then: systemctl start edged && printf x | tee /a; or use sudo, or run it with sudo"


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch):
    def be(uid: int, sudo_user: str | None) -> None:
        monkeypatch.setattr(output.os, "geteuid", lambda: uid)
        monkeypatch.delenv("SUDO_USER", raising=False)
        if sudo_user is not None:
            monkeypatch.setenv("SUDO_USER", sudo_user)

    return be


@pytest.mark.parametrize(
    ("uid", "sudo_user", "told"),
    [(0, None, BARE), (0, "pi", SENTENCE), (1000, None, SENTENCE), (1000, "pi", SENTENCE), (0, "", BARE)],
)
def test_commands_are_told_with_sudo_only_to_whom_it_serves(somebody, capsys, uid, sudo_user, told):
    somebody(uid, sudo_user)
    assert output.typed(SENTENCE) == told
    output.complain(SENTENCE)
    assert capsys.readouterr().err == f"edged: {told}\n"


def test_a_word_that_only_ends_or_begins_like_it_stays(somebody):
    somebody(0, None)
    assert output.typed("a pseudo terminal, sudoers, my sudo") == "a pseudo terminal, sudoers, my sudo"


def test_the_doctors_commands_are_told_so_too(somebody):
    somebody(0, None)
    finding = Finding(
        part="disk", subject="x", level=Level.FAILED, sentence="try sudo true", command="sudo a && sudo b"
    )
    assert "           > a && b" in report.lines([finding])
    assert report.document([finding])["findings"][0]["command"] == "a && b"
    assert "try true" in next(line for line in report.lines([finding]) if "x:" in line)
