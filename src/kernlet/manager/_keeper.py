# SPDX-License-Identifier: Apache-2.0
"""Detached runs: a forked process keeps the virtual machine, its log and its exit status."""

from __future__ import annotations

import os
import signal
from functools import partial

from kernlet.errors import KernletError

from ._logs import LogWriter
from ._manager import OWN_FAILURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from kernlet.runner import Runner, RunSpec, VmProcess

    from ._instance import Instance
    from ._manager import Manager


class DetachedStartError(KernletError):
    """The virtual machine of a detached run did not start."""


def run_detached(
    manager: Manager, instance: Instance, runner: Runner, accelerator: str, spec: RunSpec
) -> int:
    """Start the VM under a process of its own; return the VM's pid once it runs.

    ``spec``'s descriptors are replaced: nothing to read, and the log of the instance for output.
    Raises :class:`DetachedStartError` with nothing left behind.
    """
    report_r, report_w = os.pipe()
    manager.close()
    pid = os.fork()
    if pid == 0:
        _child(manager, instance, runner, accelerator, spec, [report_w])
    os.close(report_w)
    manager.reopen()
    with os.fdopen(report_r, "rb") as report:
        answer = report.read().decode("utf-8", "replace")
    os.waitpid(pid, 0)
    kind, _, text = answer.partition(" ")
    if kind == "pid":
        return int(text)
    manager.discard(instance)
    raise DetachedStartError(text or "the keeper process ended without a word")


def _child(
    manager: Manager,
    instance: Instance,
    runner: Runner,
    accelerator: str,
    spec: RunSpec,
    report: list[int],
) -> None:
    """Leave the terminal and the caller's process group; never returns."""
    status = 1
    try:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        # The caller may wait for the end of pipes that it gave us.
        os.closerange(3, report[0])
        os.closerange(report[0] + 1, os.sysconf("SC_OPEN_MAX"))
        os.chdir("/")
        manager.reopen()
        manager.keep(instance)
        status = _keep(manager, instance, runner, accelerator, spec, report)
    except BaseException as error:
        if not _report(report, f"error {error}"):
            manager.ended(instance, OWN_FAILURE, str(error))
    finally:
        os._exit(status)


def _keep(
    manager: Manager,
    instance: Instance,
    runner: Runner,
    accelerator: str,
    spec: RunSpec,
    report: list[int],
) -> int:
    log = LogWriter(manager.instance_dir(instance))
    pipes = {stream: os.pipe() for stream in ("stdout", "stderr", "kernel")}
    spec = spec._replace(
        stdin_fd=0,
        stdout_fd=pipes["stdout"][1],
        stderr_fd=pipes["stderr"][1],
        log_fd=pipes["kernel"][1],
    )
    process = runner.start(spec)
    for _, write_fd in pipes.values():
        os.close(write_fd)
    if process.relays:
        process.on_stdout = partial(log.add, "stdout")
        process.on_stderr = partial(log.add, "stderr")
        process.on_log = partial(log.add, "kernel")
        for read_fd, _ in pipes.values():
            os.close(read_fd)
        pipes.clear()
    for stream, (read_fd, _) in pipes.items():
        process.sources[read_fd] = partial(log.add, stream)

    try:
        _heed_signals(process)
        manager.started(instance, process.pid, runner.name, accelerator)
    except BaseException:
        process.abandon()
        raise
    _report(report, f"pid {process.pid}")
    try:
        status = process.wait()
        error = ""
    except KernletError as failure:
        status, error = OWN_FAILURE, str(failure)
        log.add("kernel", f"{error}\n".encode())
    log.close()
    manager.ended(instance, status, error)
    return 0


def _heed_signals(process: VmProcess) -> None:
    def forward(number: int, _frame: FrameType | None) -> None:
        process.signal(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _report(report: list[int], text: str) -> bool:
    """Tell the caller how the start went, once; False when it was told already or has gone."""
    if not report:
        return False
    fd = report.pop()
    try:
        os.write(fd, text.encode("utf-8", "replace"))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
