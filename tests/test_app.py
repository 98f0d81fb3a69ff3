"""The door of the daemon, where it says why it cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged import app
from edged.ports import StoreError
from edged.site import load_site

SITE = """\
chargers:
  left: {profile: phoenix-charx-sec, tcp: "127.0.0.1:1"}
stations:
  - id: DEPOT-7
    csms: {url: "ws://127.0.0.1:1"}
    evses: [{charger: left}]
"""


def test_a_state_directory_that_cannot_be_made_is_told_with_its_remedy(tmp_path: Path) -> None:
    config = tmp_path / "edged.yaml"
    config.write_text(SITE)
    with pytest.raises(StoreError, match=r"cannot keep state in .*edged.yaml .*: name another directory with --state"):
        app.run(load_site(config), config, tmp_path / "control.sock")
