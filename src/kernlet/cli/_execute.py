# SPDX-License-Identifier: Apache-2.0
"""What ``kernlet run`` does. Imports only what a run needs: it is part of every guest's boot time."""

from __future__ import annotations

import os
import signal
import sys

from kernlet.errors import KernletError
from kernlet.manager import Manager
from kernlet.runner import (
    Network,
    PortForward,
    RunSpec,
    check_ports,
    parse_network,
    parse_port,
    parse_size,
    passt_path,
    pick_runner,
)

from . import OWN_FAILURE, complain
from ._target import open_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from kernlet.manager import Instance
    from kernlet.runner import ProbeResult, Runner, VmProcess

    from ._options import RunOptions
    from ._target import Target

LEAST_MEMORY = 1 << 20
MOST_MEMORY = 3 << 30
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_START_CHECK_SECONDS = 0.05
_READY_SECONDS = 2.0
_CANNOT_START = b"kernlet: error: can't start"
_NOT_THE_PROGRAMS = {OWN_FAILURE: b"kernlet-monitor: ", 126: _CANNOT_START, 127: _CANNOT_START}
"""Statuses that may come from below the program: the lines of the log that say why."""


class RunError(KernletError):
    """A run cannot be started as asked for."""


def execute(options: RunOptions) -> int:
    """Run the target; return the exit status for the shell."""
    target = open_target(options.target, options.args, verbose=options.verbose)
    memory = parse_size(options.memory) if options.memory else target.memory_bytes
    if memory < LEAST_MEMORY:
        raise RunError(f"{options.memory} is too little memory", hint="give at least 1M (-m)")
    if memory > MOST_MEMORY:
        given = options.memory or f"{memory >> 20}M"
        raise RunError(f"{given} is too much memory", hint="give at most 3G (-m)")
    runner, probe, rejected = pick_runner(options.runner)
    network = _network(options, target, runner.name)
    check_ports(network.ports)
    if options.verbose:
        _explain(runner, probe, rejected, network)
    manifest = target.manifest
    argv = manifest.entrypoint + options.args if options.args and not target.args_used else ()
    with Manager() as manager:
        instance = manager.create(
            target.image,
            argv or manifest.argv,
            name=options.name,
            ports=" ".join(str(port) for port in network.ports),
            network=network.mode,
            memory_bytes=memory,
            detached=options.detach,
            auto_remove=options.rm or not options.detach,
        )
        try:
            control = manager.control_path(instance) if runner.name == "monitor" else ""
            settings = tuple(_settings(options, instance.name))
        except BaseException:
            manager.discard(instance)
            raise
        if network.mode == "user":
            network = network._replace(mac=_mac(instance.id))
        spec = RunSpec(target.image, memory, settings, argv, network, control)
        if options.detach:
            return _detached(manager, instance, runner, probe, spec)
        return _foreground(manager, instance, runner, probe, spec, verbose=options.verbose)


def _network(options: RunOptions, target: Target, runner: str) -> Network:
    ports = tuple(parse_port(text) for text in options.publish)
    if not ports and not options.net:
        wanted = (port for port in target.manifest.ports if port.host)
        ports = tuple(PortForward("127.0.0.1", p.host, p.guest, p.protocol) for p in wanted)
    if options.net:
        network = parse_network(options.net, ports)
    elif ports or target.uses_network:
        network = parse_network("user", ports)
    else:
        return Network()
    if network.mode != "none" and not target.uses_network:
        raise RunError(
            f"{options.target} has no network in it",
            cause="its program uses no Internet sockets",
            hint="leave out -p and --net, or build with the module virtio-net",
        )
    if network.mode == "user" and runner == "monitor" and not passt_path():
        if ports or options.net:
            raise RunError(
                "publishing ports needs passt, which is not installed",
                hint="apt-get install passt, or use --runner qemu",
            )
        return Network()
    return network


def _settings(options: RunOptions, name: str) -> list[tuple[str, str]]:
    settings = [("hostname", options.hostname or name.replace("_", "-"))]
    for pair in options.env:
        key, equals, value = pair.partition("=")
        if not key:
            raise RunError(f"{pair!r} is not a variable", hint="write -e NAME=VALUE")
        if equals:
            settings.append(("env", pair))
        elif key in os.environ:
            value = os.environ[key]
            settings.append(("env", f"{key}={value}"))
    if options.workdir:
        settings.append(("cwd", options.workdir))
    if options.verbose:
        settings.append(("log", "info" if options.verbose == 1 else "debug"))
    return settings


def _mac(instance_id: str) -> str:
    """Return a locally administered address that differs between instances."""
    return ":".join(("52", "54", "00", instance_id[0:2], instance_id[2:4], instance_id[4:6]))


def _explain(runner: Runner, probe: ProbeResult, rejected: list[str], network: Network) -> None:
    for line in rejected:
        sys.stderr.write(f"kernlet: not used: {line}\n")
    sys.stderr.write(f"kernlet: {runner.name} ({probe.accelerator}): {probe.reason}\n")
    sys.stderr.write(f"kernlet: network: {network.mode} {network.setting()}\n")
    sys.stderr.flush()


def _detached(
    manager: Manager, instance: Instance, runner: Runner, probe: ProbeResult, spec: RunSpec
) -> int:
    from kernlet.manager import run_detached

    sys.stdout.flush()
    sys.stderr.flush()
    pid = run_detached(manager, instance, runner, probe.accelerator, spec)
    if _ended_at_once(pid, spec.control_path):
        _check_start(manager, instance)
    sys.stdout.write(f"{instance.id}\n")
    return 0


def _ended_at_once(pid: int, control_path: str) -> bool:
    """Whether the VM ended before its guest began: the start's failure, not the program's.

    The monitor makes its control socket when all is prepared; QEMU gives no such sign.
    """
    import select
    import time

    try:
        vm_fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    deadline = time.monotonic() + (_READY_SECONDS if control_path else _START_CHECK_SECONDS)
    ended = False
    while not ended and time.monotonic() < deadline:
        if control_path and os.path.exists(control_path):  # noqa: PTH110 - start-up time
            break
        ended = bool(select.select([vm_fd], [], [], 0.002)[0])
    os.close(vm_fd)
    return ended


def _check_start(manager: Manager, instance: Instance) -> None:
    import time

    from kernlet.manager import NoSuchInstanceError, read_log

    deadline = time.monotonic() + 2
    try:
        while (now := manager.get(instance.id)).live and time.monotonic() < deadline:
            time.sleep(0.005)
    except NoSuchInstanceError:  # it removed itself
        return
    if now.exit_status != OWN_FAILURE:
        return
    lines = [entry["text"].strip() for entry in read_log(manager.instance_dir(now))]
    manager.remove(now)
    raise RunError(now.error or (lines[-1] if lines else "the virtual machine did not start"))


def _foreground(
    manager: Manager,
    instance: Instance,
    runner: Runner,
    probe: ProbeResult,
    spec: RunSpec,
    *,
    verbose: int,
) -> int:
    log_fd = 2 if verbose else os.memfd_create("kernlet-log", os.MFD_CLOEXEC)
    process: VmProcess | None = None
    received: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if process is not None:
            process.signal(number)

    # A signal that our caller ignores (nohup, a script's background job) stays ignored.
    heeded = [number for number in _FORWARDED if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in heeded}
    sys.stderr.flush()
    status = OWN_FAILURE
    try:
        process = runner.start(spec._replace(log_fd=log_fd))
        if received:
            process.signal(received[0])
        manager.started(instance, process.pid, runner.name, probe.accelerator)
        status = process.wait()
    except BaseException:
        if process is not None:
            process.abandon()
        raise
    finally:
        manager.ended(instance, status)
        for number, handler in before.items():
            signal.signal(number, handler)
    if process.killed and not received:
        complain(
            f"kernlet: {signal.Signals(status - 128).name} ended the virtual machine; "
            "look for who sent it: you, or the system for want of memory (dmesg)"
        )
    if status in _NOT_THE_PROGRAMS and not verbose:
        _show_lines(log_fd, _NOT_THE_PROGRAMS[status])
    if status >= 128 and not received and not process.killed:
        if not verbose:
            _show_crash(log_fd, spec.image)
        if status == 128 + signal.SIGKILL:
            complain(
                f"kernlet: the program was killed, most likely for want of memory: it had "
                f"{spec.memory_bytes >> 10} KiB; give it more with -m"
            )
    return status


def _log_end(log_fd: int) -> bytes:
    size = os.fstat(log_fd).st_size
    return os.pread(log_fd, min(size, 1 << 20), max(0, size - (1 << 20)))


def _show_lines(log_fd: int, start: bytes) -> None:
    for line in _log_end(log_fd).splitlines():
        if line.startswith(start):
            complain(line.decode("utf-8", "replace"))


def _show_crash(log_fd: int, image: str) -> None:
    text = _log_end(log_fd)
    if b"kernlet-crash:" in text or b"kernlet: panic:" in text:
        from ._crash import report

        complain(report(text.decode("utf-8", "replace"), image).rstrip("\n"))
