"""Starting again."""

from __future__ import annotations

from edged.domain.effects import RestartScope
from edged.system.host import EXIT_RESTART, SystemHost


def test_the_service_restarts_by_leaving_with_the_status_that_the_unit_knows(tmp_path):
    left: list[int] = []
    SystemHost(left.append, runtime_dir=tmp_path).restart(RestartScope.SERVICE)
    assert left == [EXIT_RESTART] == [75]
    assert list(tmp_path.iterdir()) == []


def test_the_computer_restarts_by_a_request_in_the_runtime_directory(tmp_path):
    left: list[int] = []
    SystemHost(left.append, runtime_dir=tmp_path).restart(RestartScope.HOST)
    assert (tmp_path / "reboot-request").is_file()
    assert left == [75]


def test_a_request_that_lies_there_already_is_no_mistake(tmp_path):
    (tmp_path / "reboot-request").touch()
    left: list[int] = []
    SystemHost(left.append, runtime_dir=tmp_path).restart(RestartScope.HOST)
    assert left == [75]


def test_a_request_never_follows_a_link(tmp_path, caplog):
    (tmp_path / "reboot-request").symlink_to(tmp_path / "elsewhere")
    left: list[int] = []
    SystemHost(left.append, runtime_dir=tmp_path).restart(RestartScope.HOST)
    assert not (tmp_path / "elsewhere").exists()
    assert left == [75]
    assert "only the service restarts" in caplog.text


def test_outside_of_systemd_only_the_service_restarts(caplog):
    left: list[int] = []
    SystemHost(left.append, runtime_dir=None).restart(RestartScope.HOST)
    assert left == [75]
    assert "cannot restart the computer" in caplog.text
