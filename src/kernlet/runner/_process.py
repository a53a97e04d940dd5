# SPDX-License-Identifier: Apache-2.0
"""A started virtual machine and the small helpers beside it."""

from __future__ import annotations

import contextlib
import os
import signal

from kernlet.errors import KernletError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

OWN_FAILURE = 125
"""Exit status of kernlet's own failures, as docker has it."""


_CHATTER = ("to syslog", "Don't run as root", "Started in foreground")
"""Of what passt says on its standard error: lines that are no complaints."""
_SAME_END_SECONDS = 1.0


class StartError(KernletError):
    """The virtual machine, or a helper that it needs, did not start."""


class HelperError(KernletError):
    """A helper of a running virtual machine ended too early."""


def spawn(argv: Sequence[str], fds: Mapping[int, int], *, own_group: bool = False) -> int:
    """Start ``argv`` with ``fds`` (child's number -> ours) and nothing else open; return its pid.

    Signals that Python ignores get their defaults back. ``own_group`` keeps the terminal's signals
    away from it. Raises :class:`StartError`.
    """
    options: dict[str, Any] = {"setpgroup": 0} if own_group else {}
    # Two rounds: a source that is also another entry's destination must not be overwritten before
    # it is copied.
    actions: list[tuple[int, int, int]] = []
    copies = {}
    for source in set(fds.values()):
        copies[source] = os.dup(source)
    try:
        low = max(fds, default=0)
        for source, copy in list(copies.items()):
            if copy <= low:
                import fcntl

                copies[source] = fcntl.fcntl(copy, fcntl.F_DUPFD_CLOEXEC, low + 1)
                os.close(copy)
        actions += [(os.POSIX_SPAWN_DUP2, copies[ours], child) for child, ours in fds.items()]
        return os.posix_spawn(
            argv[0],
            list(argv),
            os.environ,
            file_actions=actions,
            setsigmask=[],
            **options,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        raise StartError(f"{argv[0]} does not start", cause=error.strerror) from None
    finally:
        for copy in copies.values():
            os.close(copy)


def find_program(name: str, extra: Sequence[str] = ()) -> str:
    """Return the path of the program ``name`` on PATH, or in ``extra`` folders.

    Empty when there is none.
    """
    for folder in [*os.environ.get("PATH", os.defpath).split(os.pathsep), *extra]:
        path = f"{folder}/{name}"
        if folder and os.access(path, os.X_OK) and not os.path.isdir(path):  # noqa: PTH112 - start-up time
            return path
    return ""


def tied_to_us(kill_with: str) -> list[str]:
    """Return the start of a command line that ends a program, by this signal, when we end.

    Whatever ends us, even SIGKILL: nobody else would end the program. Empty where setpriv(1) is
    missing.
    """
    path = find_program("setpriv", ("/usr/bin",))
    return [path, "--pdeathsig", kill_with, "--"] if path else []


def exit_status(wait_status: int) -> int:
    """Turn what waitpid(2) gives into a shell's exit status."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


class Helper:
    """A process beside the VM that ends by itself when the VM does (passt)."""

    def __init__(self, name: str, pid: int, error_fd: int) -> None:
        self.name = name
        self.pid = pid
        self.error_fd = error_fd
        self.errors = b""

    def complaint(self) -> str:
        """Return the last line of what the helper said on its standard error."""
        lines = self.errors.decode(errors="replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        lines = [line for line in lines if not any(text in line for text in _CHATTER)]
        return lines[-1] if lines else "no reason given"

    def ending(self) -> str:
        """Return why the helper, a child that has ended, did so; empty for an end in good order."""
        info = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if info is None or info.si_status == 0:
            return ""
        if info.si_code != os.CLD_EXITED:
            return f"{signal.Signals(info.si_status).name} ended it"
        with contextlib.suppress(OSError):
            self.errors += os.read(self.error_fd, 65536)
        return self.complaint()

    def stop(self) -> None:
        """End the helper now: the VM that it was for did not start."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.error_fd)

    def reap(self) -> None:
        """Collect the process; by force when it does not end by itself within half a second."""
        import time

        deadline = time.monotonic() + 0.5
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                break
            time.sleep(0.001)
        os.close(self.error_fd)


class VmProcess:
    """A running virtual machine, our child.

    ``relays`` says that what the guest writes passes through us: to :attr:`on_stdout`,
    :attr:`on_stderr` and :attr:`on_log`. Otherwise the VM has the descriptors of the run itself.
    ``killed``: after :meth:`wait`, whether a signal ended the VM's process, rather than the guest.
    ``sources`` are descriptors to drain while it runs, each with what to do with the bytes;
    :meth:`wait` closes them.
    """

    def __init__(self, pid: int, helper: Helper | None = None) -> None:
        self.pid = pid
        self.helper = helper
        self.sources: dict[int, Callable[[bytes], None]] = {}
        self.killed = False
        self.relays = False
        self.on_stdout: Callable[[bytes], None] = lambda _data: None
        self.on_stderr: Callable[[bytes], None] = lambda _data: None
        self.on_log: Callable[[bytes], None] = lambda _data: None
        self.before_exit: Callable[[int], int] = lambda status: status

    def signal(self, number: int) -> None:
        """Send a signal; a VM that is gone already is fine."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def abandon(self) -> None:
        """Make sure that the VM is gone, whatever happened to :meth:`wait`."""
        self.signal(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def wait(self) -> int:
        """Drain the sources until the VM has ended; return the exit status as a shell has it.

        Raises :class:`HelperError` when a helper failed; the VM is stopped then.
        """
        failure: HelperError | None = None
        if not self.sources and self.helper is None:
            return self.before_exit(self._reap())
        try:
            failure = self._drain()
            status = self._reap()
        finally:
            for fd in self.sources:
                os.close(fd)
            if self.helper is not None:
                self.helper.reap()
        if failure is not None:
            raise failure
        return self.before_exit(status)

    def _reap(self) -> int:
        wait_status = os.waitpid(self.pid, 0)[1]
        self.killed = os.WIFSIGNALED(wait_status)
        return exit_status(wait_status)

    def _drain(self) -> HelperError | None:
        import select

        poll = select.poll()
        vm_fd = os.pidfd_open(self.pid)
        helper = self.helper
        helper_fd = os.pidfd_open(helper.pid) if helper else -1
        sources = dict(self.sources)
        if helper:
            sources[helper.error_fd] = lambda data: setattr(helper, "errors", helper.errors + data)
            poll.register(helper_fd, select.POLLIN)
        poll.register(vm_fd, select.POLLIN)
        for fd in sources:
            os.set_blocking(fd, False)
            poll.register(fd, select.POLLIN)
        failure = None
        running = True
        try:
            while running:
                ready = [fd for fd, _ in poll.poll()]
                running = vm_fd not in ready
                for fd in [fd for fd in (ready if running else sources) if fd in sources]:
                    if not _read_all(fd, sources[fd]):
                        poll.unregister(fd)
                        del sources[fd]
                if helper and helper_fd in ready and running:
                    poll.unregister(helper_fd)
                    failure = self._helper_ended(helper, vm_fd)
        finally:
            os.close(vm_fd)
            if helper_fd >= 0:
                os.close(helper_fd)
        return failure

    def _helper_ended(self, helper: Helper, vm_fd: int) -> HelperError | None:
        import select

        cause = helper.ending()
        if not cause:
            # It ends in good order when the VM does, which may show a moment later.
            if select.select([vm_fd], [], [], _SAME_END_SECONDS)[0]:
                return None
            cause = "it ended while the guest ran"
        self.signal(signal.SIGTERM)
        return HelperError(
            f"{helper.name} failed, so the guest has no network",
            cause=cause,
            hint="'kernlet doctor' checks the network helpers; --net none runs without one",
        )


def _read_all(fd: int, consume: Callable[[bytes], None]) -> bool:
    """Hand over what can be read now; False at the end of the stream."""
    while True:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        consume(data)


def write_all(fd: int, data: bytes) -> bool:
    """Write everything, waiting where ``fd`` is slow; False when its reader has gone."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            import select

            select.select([], [fd], [])
        except BrokenPipeError:
            return False
        except OSError:
            return True
    return True
