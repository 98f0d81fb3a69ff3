"""That the benchmarks run and judge rightly; how good the figures are is nobody's failure here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.process import percentile
from benchmarks.report import Row, figure, table

ROOT = Path(__file__).resolve().parents[2]


def row(
    *,
    value: float = 3.0,
    baseline: float = 2.0,
    limit: float | None = None,
    least: float | None = None,
    of: bool = False,
) -> Row:
    return Row(
        name="a figure",
        value=value,
        unit="ms",
        baseline="something bare",
        baseline_value=baseline,
        how="by hand",
        limit=limit,
        least=least,
        relative=of,
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100
    )


def test_the_start_of_the_real_daemon_is_measured_beside_its_baseline() -> None:
    done = run("--quick", "--json", "--only", "start")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["machine"]["cpus"] >= 1
    assert [each["name"] for each in told["rows"]] == ["start to READY=1", "start to BootNotification"]
    for each in told["rows"]:
        assert 0 < each["baseline_value"] < each["value"]
        assert each["ratio"] == pytest.approx(each["value"] / each["baseline_value"])


def test_a_benchmark_that_does_not_exist_is_refused_with_the_names_that_do() -> None:
    done = run("--only", "everything")
    assert done.returncode == 2
    assert "round-trip" in done.stderr


@pytest.mark.parametrize(
    ("one", "met"),
    [
        (row(limit=3.0), True),
        (row(limit=2.9), False),
        (row(least=3.0), True),
        (row(least=3.1), False),
        (row(limit=1.5, of=True), True),
        (row(limit=1.4, of=True), False),
        (row(limit=1.4, of=True, baseline=0.0), None),
        (row(), None),
    ],
)
def test_a_target_is_judged_by_the_value_or_where_it_says_so_by_the_ratio(one: Row, met: bool | None) -> None:
    assert one.met is met


def test_the_table_names_the_baseline_and_says_once_how_neighbours_were_measured() -> None:
    shown = table([row(limit=1.0), row(limit=4.0)])
    assert shown.count("something bare") == 2
    assert shown.count("by hand") == 1
    assert shown.index("NO") < shown.index("yes")


def test_figures_keep_three_digits() -> None:
    assert [figure(value) for value in (0.0, 0.01234, 1.234, 12.34, 1234.5)] == ["0", "0.012", "1.23", "12.34", "1,234"]


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 3.0
    assert percentile([4.0, 1.0], 0.99) == 4.0


def test_the_way_of_a_transaction_event_is_measured_beside_both_baselines() -> None:
    done = run("--quick", "--json", "--only", "transaction-event")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 4
    assert all(each["value"] > 0 and each["baseline_value"] > 0 for each in rows)
