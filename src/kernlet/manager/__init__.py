# SPDX-License-Identifier: Apache-2.0
"""Instances: names, state, logs, detached runs."""

from __future__ import annotations

from ._instance import Instance
from ._keeper import DetachedStartError, run_detached
from ._logs import STREAMS, LogWriter, read_log
from ._manager import InstanceError, Manager, NoSuchInstanceError
from ._store import NameTakenError, StateError

__all__ = [
    "STREAMS",
    "DetachedStartError",
    "Instance",
    "InstanceError",
    "LogWriter",
    "Manager",
    "NameTakenError",
    "NoSuchInstanceError",
    "StateError",
    "read_log",
    "run_detached",
]
