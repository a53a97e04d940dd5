# SPDX-License-Identifier: Apache-2.0
"""Choosing the best runner that works on this machine, and saying why."""

from __future__ import annotations

from ._base import RunnerError
from ._monitor import MonitorRunner
from ._qemu import QemuRunner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._base import ProbeResult, Runner


def all_runners() -> list[Runner]:
    """Return every runner, the best first."""
    return [MonitorRunner(), QemuRunner()]


def pick_runner(name: str = "") -> tuple[Runner, ProbeResult, list[str]]:
    """Return the runner ``name``, or the best that works.

    With it come its probe's result and why the runners before it do not work.

    Raises :class:`RunnerError` when there is none.
    """
    rejected: list[str] = []
    remedy = ""
    for runner in all_runners():
        if name and runner.name != name:
            continue
        result = runner.probe()
        if result.usable:
            return runner, result, rejected
        rejected.append(f"{runner.name}: {result.reason}")
        remedy = remedy or result.remedy
    if not rejected:
        names = ", ".join(runner.name for runner in all_runners())
        raise RunnerError(f"no runner is called {name!r}", hint=f"use one of: {names}")
    raise RunnerError(
        f"the runner {name} does not work here"
        if name
        else "nothing here can run a virtual machine",
        cause="; ".join(rejected),
        hint=f"{remedy} ('kernlet doctor' lists every check)" if remedy else "see 'kernlet doctor'",
    )
