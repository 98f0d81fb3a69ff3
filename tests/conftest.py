"""What every test leaves as it found it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes import mqtt_contract

OURS = ("", "edged", "edged.wire")
os.environ["SUDO_USER"] = "installer"  # what is printed to be typed is the same whoever runs the tests


# How fast an example is depends on what else the machine does.
settings.register_profile("edged", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edged")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may take longest begins first, the rest as it was shuffled: no run ends with all waiting for one worker."""

    def patience_s(item: pytest.Item) -> float:
        mark = item.get_closest_marker("timeout")
        return float(mark.args[0]) if mark is not None else 0.0

    items.sort(key=patience_s, reverse=True)


@pytest.fixture(autouse=True)
def _log_levels_and_outputs_are_put_back() -> Iterator[None]:
    """Commands that run in this process set up the log for the whole process: the next test must not see that."""
    loggers = [logging.getLogger(name or None) for name in OURS]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        for added in [handler for handler in logger.handlers if handler not in handlers]:
            if not type(added).__module__.startswith("_pytest"):
                logger.removeHandler(added)


# --- whatever is published, by any test, is as docs/mqtt/asyncapi.yaml says

NOTES = "EDGED_TEST_PUBLISHED"
_PUBLISHED = Path(__file__).parent / "published"

mqtt_contract.watch_connections()


@pytest.fixture(scope="session")
def _notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where daemons in other processes note down what they publish: see `published/sitecustomize.py`."""
    folder = tmp_path_factory.mktemp("published")
    before = {name: os.environ.get(name) for name in (NOTES, "PYTHONPATH")}
    os.environ[NOTES] = str(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_PUBLISHED), before["PYTHONPATH"])))
    yield folder
    _judge(folder)  # of a daemon that outlived the last test
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def _what_is_published_is_as_the_contract_says(_notes: Path) -> Iterator[None]:
    yield
    _judge(_notes)


def _judge(folder: Path) -> None:
    for note in sorted(folder.iterdir()):
        with note.open() as lines:
            mqtt_contract.WITNESS.saw_notes(lines)
        note.unlink()
    wrong = mqtt_contract.WITNESS.taken()
    if wrong:
        pytest.fail(f"published against the contract ({len(wrong)} messages): " + "\n".join(wrong[:5]), pytrace=False)
