# SPDX-License-Identifier: Apache-2.0
"""One instance's record, and processes that stay the same through pid reuse."""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIVE = ("starting", "running")
"""States of an instance that has, or soon will have, a virtual machine."""


class Instance(NamedTuple):
    """One run of an image. Times are nanoseconds of CLOCK_REALTIME, 0 when not reached.

    ``status`` is ``starting``, ``running``, ``exited`` (``exit_status`` is known) or ``dead`` (the
    machine restarted, or whoever watched it was killed). The keeper is the kernlet process that
    waits for the VM; a pid is only meaningful together with its start time and the boot.
    """

    id: str
    name: str
    image: str
    command: str
    runner: str
    accelerator: str
    status: str
    pid: int
    pid_start: int
    keeper_pid: int
    keeper_start: int
    boot_id: str
    ports: str
    network: str
    memory_bytes: int
    created_ns: int
    started_ns: int
    ended_ns: int
    exit_status: int | None
    detached: int
    auto_remove: int
    error: str

    @property
    def live(self) -> bool:
        """Whether it is starting or running."""
        return self.status in LIVE

    def public(self) -> dict[str, Any]:
        """Return what ``--json`` shows."""
        import json

        hidden = ("pid_start", "keeper_start", "boot_id")
        shown = {key: value for key, value in self._asdict().items() if key not in hidden}
        shown["command"] = json.loads(self.command)
        shown["ports"] = self.ports.split() if self.ports else []
        shown["detached"] = bool(self.detached)
        shown["auto_remove"] = bool(self.auto_remove)
        return shown


def start_time(pid: int) -> int:
    """Return when the process started, in clock ticks since boot; 0 when there is none (proc(5)).

    A zombie counts as ended.
    """
    if pid <= 0:
        return 0
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - start-up time
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def is_alive(pid: int, started: int) -> bool:
    """Whether the process is still the one that was recorded."""
    return pid > 0 and started > 0 and start_time(pid) == started
