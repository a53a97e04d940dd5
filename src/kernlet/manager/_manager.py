# SPDX-License-Identifier: Apache-2.0
"""Instances from their creation to their removal."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from kernlet._paths import runtime_dir, state_dir
from kernlet.errors import KernletError

from ._instance import Instance, is_alive, start_time
from ._names import is_name, make_name
from ._store import NameTakenError, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_STEP_SECONDS = 0.01
_KEEPER_SECONDS = 2.0
OWN_FAILURE = 125
"""Exit status of an instance whose virtual machine did not start."""


class NoSuchInstanceError(KernletError):
    """No instance has that name or id."""


class InstanceError(KernletError):
    """What was asked for does not fit the instance's state."""


class Manager:
    """All instances of this user (for root: of the machine). A context manager."""

    def __init__(self, folder: str = "", sockets: str = "") -> None:
        self.folder = folder or state_dir()
        self.sockets = sockets or runtime_dir()
        self._store = Store(self.folder)

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; needed before fork(2), which SQLite's locks do not survive."""
        self._store.close()

    def reopen(self) -> None:
        """Open the database again."""
        self._store = Store(self.folder)

    def create(
        self,
        image: str,
        command: Sequence[str],
        *,
        name: str = "",
        ports: str = "",
        network: str = "none",
        memory_bytes: int = 0,
        detached: bool = False,
        auto_remove: bool = True,
    ) -> Instance:
        """Claim a name and record a new instance that this process looks after.

        Raises :class:`NameTakenError` and, for a name of the wrong form, :class:`InstanceError`.
        """
        import json

        if name and not is_name(name):
            raise InstanceError(f"{name!r} cannot be a name", hint="use letters, digits, _ . -")
        instance = Instance(
            id=os.urandom(6).hex(),
            name=name or make_name(),
            image=image,
            command=json.dumps(list(command)),
            runner="",
            accelerator="",
            status="starting",
            pid=0,
            pid_start=0,
            keeper_pid=os.getpid(),
            keeper_start=start_time(os.getpid()),
            boot_id=_boot_id(),
            ports=ports,
            network=network,
            memory_bytes=memory_bytes,
            created_ns=time.time_ns(),
            started_ns=0,
            ended_ns=0,
            exit_status=None,
            detached=int(detached),
            auto_remove=int(auto_remove),
            error="",
        )
        tries = 0
        while True:
            try:
                self._store.insert(instance)
                break
            except NameTakenError:
                tries += 1
                if not name and tries < 100:
                    instance = instance._replace(name=make_name())
                    continue
                # Its holder may have died without saying so.
                if name and tries == 1 and self._clean_up(name):
                    continue
                raise
        if detached:
            os.makedirs(self.instance_dir(instance), mode=0o700, exist_ok=True)  # noqa: PTH103
        return instance

    def _clean_up(self, name: str) -> bool:
        self.list()
        return not self._store.find(name)

    def instance_dir(self, instance: Instance) -> str:
        """Return the folder of an instance's log."""
        return f"{self.folder}/instances/{instance.id}"

    def control_path(self, instance: Instance) -> str:
        """Return the path of an instance's control socket; its folder is made."""
        os.makedirs(self.sockets, mode=0o700, exist_ok=True)  # noqa: PTH103 - start-up time
        return f"{self.sockets}/{instance.id}.sock"

    def keep(self, instance: Instance) -> None:
        """Record that the calling process looks after the instance from now on."""
        pid = os.getpid()
        self._store.update(instance.id, keeper_pid=pid, keeper_start=start_time(pid))

    def started(self, instance: Instance, pid: int, runner: str, accelerator: str) -> None:
        """Record the virtual machine's process."""
        self._store.update(
            instance.id,
            status="running",
            pid=pid,
            pid_start=start_time(pid),
            runner=runner,
            accelerator=accelerator,
            started_ns=time.time_ns(),
        )

    def ended(self, instance: Instance, exit_status: int, error: str = "") -> None:
        """Record the end and clean up; an instance that removes itself is gone afterwards."""
        self._remove_socket(instance)
        if instance.auto_remove:
            self._forget(instance)
            return
        if error:
            self._store.update(instance.id, error=error)
        self._store.end(instance.id, "exited", exit_status, time.time_ns())

    def discard(self, instance: Instance) -> None:
        """Forget an instance whose virtual machine did not start."""
        self._remove_socket(instance)
        self._forget(instance)

    def list(self) -> list[Instance]:
        """Return every instance, the oldest first; those whose processes are gone are marked."""
        boot = _boot_id()
        found = []
        for instance in self._store.all():
            checked = self._check(instance, boot)
            if checked is not None:
                found.append(checked)
        return found

    def get(self, text: str) -> Instance:
        """Return the instance of that name, id or start of an id.

        Raises :class:`NoSuchInstanceError`.
        """
        boot = _boot_id()
        matches = [found for one in self._store.find(text) if (found := self._check(one, boot))]
        if len(matches) > 1:
            raise NoSuchInstanceError(f"several ids start with {text!r}", hint="give more of it")
        if not matches:
            raise NoSuchInstanceError(f"no kernlet is called {text!r}", hint="see 'kernlet ps -a'")
        return matches[0]

    def _check(self, instance: Instance, boot: str) -> Instance | None:
        """Return the instance as it really is; None when it is gone."""
        if not instance.live:
            return instance
        if instance.boot_id == boot:
            if is_alive(instance.pid, instance.pid_start):
                return instance
            if is_alive(instance.keeper_pid, instance.keeper_start):
                return instance
        return self._bury(instance, "dead", None)

    def _bury(self, instance: Instance, status: str, exit_status: int | None) -> Instance | None:
        self._remove_socket(instance)
        if instance.auto_remove:
            self._forget(instance)
            return None
        self._store.end(instance.id, status, exit_status, time.time_ns())
        found = self._store.find(instance.id)
        return found[0] if found else None

    def stop(self, instance: Instance, timeout_seconds: float = 10.0) -> None:
        """End the virtual machine: SIGTERM, after ``timeout_seconds`` SIGKILL; wait for its end.

        One that has ended is left as it is.
        """
        if not instance.live:
            return
        pid, started = instance.pid, instance.pid_start
        if not pid:
            pid, started = instance.keeper_pid, instance.keeper_start
        if pid == os.getpid():  # ours and not started yet: there is nothing to end
            self._bury(instance, "exited", OWN_FAILURE)
            return
        used = signal.SIGTERM
        _send(pid, started, used)
        if not _wait_gone(pid, started, timeout_seconds):
            used = signal.SIGKILL
            _send(pid, started, used)
            _wait_gone(pid, started, _KEEPER_SECONDS)
        deadline = time.monotonic() + _KEEPER_SECONDS
        while is_alive(instance.keeper_pid, instance.keeper_start):
            current = self._store.find(instance.id)
            if not current or not current[0].live or time.monotonic() > deadline:
                break
            time.sleep(_STEP_SECONDS)
        current = self._store.find(instance.id)
        if current and current[0].live:
            self._bury(instance, "exited", 128 + used)

    def remove(self, instance: Instance, *, force: bool = False) -> None:
        """Forget the instance and its log. Raises :class:`InstanceError` when it still runs."""
        if instance.live:
            if not force:
                hint = f"stop it first (kernlet stop {instance.name}) or use --force"
                raise InstanceError(f"{instance.name} is running", hint=hint)
            self.stop(instance, 0.5)
        self.discard(instance)

    def _forget(self, instance: Instance) -> None:
        folder = self.instance_dir(instance)
        if os.path.isdir(folder):  # noqa: PTH112 - start-up time
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
        self._store.delete(instance.id)

    def _remove_socket(self, instance: Instance) -> None:
        with contextlib.suppress(OSError):
            os.unlink(f"{self.sockets}/{instance.id}.sock")  # noqa: PTH108 - start-up time


def _send(pid: int, started: int, number: int) -> None:
    if is_alive(pid, started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait_gone(pid: int, started: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid, started):
        if time.monotonic() > deadline:
            return False
        time.sleep(_STEP_SECONDS)
    return True


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""
