# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess

import pytest

from monitor import harness


@pytest.fixture(scope="session", autouse=True)
def _monitor() -> None:
    harness.build_monitor()
    done = subprocess.run(
        [str(harness.MONITOR), "--probe"], capture_output=True, check=False, timeout=20
    )
    if done.returncode:
        pytest.skip(f"KVM does not run kernlets here: {json.loads(done.stdout)['reason']}")
