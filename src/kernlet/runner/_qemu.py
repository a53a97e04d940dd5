# SPDX-License-Identifier: Apache-2.0
"""Running an image with QEMU's microvm machine: emulated, or on hardware KVM."""

from __future__ import annotations

import os
import signal
import time

from kernlet.image import read_image

from . import _cache, _cmdline
from ._base import ProbeResult
from ._monitor import MonitorRunner, hardware_virtualisation
from ._passt import passt_path, start_passt
from ._process import StartError, VmProcess, find_program, spawn, tied_to_us, write_all
from ._tsc import tsc_khz

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._process import Helper
    from ._spec import Network, RunSpec

_PROGRAM = "qemu-system-x86_64"
_ERR_FD, _LOG_FD, _NET_FD, _OUT_FD = 3, 4, 5, 6
_EXIT_MARK = b"kernlet-exit: "
_MACHINE = (
    "microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,"
    "auto-kernel-cmdline=off,acpi=off"
)


def qemu_path() -> str:
    """Return where QEMU is; empty when it is missing."""
    return os.environ.get("KERNLET_QEMU") or find_program(_PROGRAM, ("/usr/bin",))


class QemuRunner:
    """QEMU 7.2 or newer; TCG unless KVM stands on hardware."""

    name = "qemu"

    def probe(self) -> ProbeResult:
        """Look at QEMU's version and at what accelerates it."""
        path = qemu_path()
        if not path:
            return ProbeResult(
                False, f"{_PROGRAM} is not installed", "apt-get install qemu-system-x86"
            )
        key = _cache.stamp(path, "/dev/kvm")
        known = _cache.load("probe-qemu", key)
        if known is not None:
            return ProbeResult(**known)
        result = _run_probe(path)
        _cache.store("probe-qemu", key, result._asdict())
        return result

    def start(self, spec: RunSpec) -> VmProcess:
        """Start QEMU.

        Standard input is the guest's own; what it writes is relayed while it runs.
        """
        path = qemu_path()
        if not path:
            raise StartError(f"{_PROGRAM} is not installed", hint="apt-get install qemu-system-x86")
        accelerator = self.probe().accelerator or "tcg"
        settings = [*spec.settings, ("wall_ns", str(time.time_ns()))]
        khz = tsc_khz()
        if khz:
            settings.append(("tsc_khz", str(khz)))
        if spec.network.mode != "none":
            settings.append(("net0", spec.network.setting()))
        text = _cmdline.join(settings, spec.argv)
        helper, net_fd = _passt(spec.network)
        pipes = {fd: os.pipe() for fd in (_OUT_FD, _ERR_FD, _LOG_FD, 1)}
        fds = {fd: write_fd for fd, (_, write_fd) in pipes.items()}
        fds[0], fds[2] = spec.stdin_fd, fds[1]
        if net_fd >= 0:
            fds[_NET_FD] = net_fd
        try:
            command = qemu_command(path, accelerator, spec, text, by_fd=net_fd >= 0)
            process = VmProcess(spawn([*tied_to_us("KILL"), *command], fds), helper)
        except BaseException:
            for read_fd, _ in pipes.values():
                os.close(read_fd)
            if helper is not None:
                helper.stop()
            raise
        finally:
            for _, write_fd in pipes.values():
                os.close(write_fd)
            if net_fd >= 0:
                os.close(net_fd)
        _follow(process, spec, {fd: read_fd for fd, (read_fd, _) in pipes.items()})
        return process


def _passt(network: Network) -> tuple[Helper | None, int]:
    if network.mode == "user" and passt_path():
        return start_passt(network)
    return None, -1


def qemu_command(
    path: str, accelerator: str, spec: RunSpec, text: str, *, by_fd: bool
) -> list[str]:
    """Return QEMU's command line.

    ``by_fd``: the network is a socket at descriptor 5 instead of QEMU's own.
    """
    memory = -(-(read_image(spec.image).end_pa + spec.memory_bytes) // (1 << 20))
    command = [
        path,
        *("-M", _MACHINE, "-accel", accelerator, "-cpu", "host" if accelerator == "kvm" else "max"),
        *("-m", f"{memory}M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-global", "virtio-mmio.force-legacy=false", "-kernel", spec.image, "-append", text),
        *("-add-fd", f"fd={_ERR_FD},set=1", "-add-fd", f"fd={_LOG_FD},set=2"),
        *("-add-fd", f"fd={_OUT_FD},set=3", "-chardev", "stdio,id=in"),
        *("-chardev", "file,id=out,path=/dev/fdset/3,append=on"),
        *("-chardev", "file,id=err,path=/dev/fdset/1,append=on"),
        *("-chardev", "file,id=log,path=/dev/fdset/2,append=on", "-serial", "chardev:log"),
        *("-device", "isa-debug-exit,iobase=0x501,iosize=1"),
        # Numbered ports, not virtconsole: only they tell of the input's end, and drop no output.
        *("-device", "virtio-serial-device,max_ports=4,id=s0"),
        *("-device", "virtserialport,bus=s0.0,nr=1,chardev=in"),
        *("-device", "virtserialport,bus=s0.0,nr=2,chardev=out"),
        *("-device", "virtserialport,bus=s0.0,nr=3,chardev=err"),
        *("-device", "virtio-rng-device"),
    ]
    backend = _netdev(spec.network, by_fd=by_fd)
    if backend:
        command += [
            "-netdev",
            backend,
            "-device",
            f"virtio-net-device,netdev=n0,mac={spec.network.mac}",
        ]
    return command


def _netdev(network: Network, *, by_fd: bool) -> str:
    if network.mode == "none":
        return ""
    if network.mode == "tap":
        return f"tap,id=n0,ifname={network.interface},script=no,downscript=no"
    if by_fd:
        return f"stream,id=n0,addr.type=fd,addr.str={_NET_FD}"
    address, _, bits = network.address.partition("/")
    net = ".".join(address.split(".")[:3]) + f".0/{bits}"
    options = [
        f"user,id=n0,ipv6=off,net={net},host={network.gateway}",
        f"dns={network.nameserver},dhcpstart={address}",
    ]
    for port in network.ports:
        host = f"{port.protocol}:{port.host_ip}:{port.host_port}"
        options.append(f"hostfwd={host}-{address}:{port.guest_port}")
    return ",".join(options)


def _follow(process: VmProcess, spec: RunSpec, pipes: dict[int, int]) -> None:
    """Relay what the guest writes; find its exit status in the log's last line.

    QEMU opens its files through descriptor sets, which a terminal (opened for both directions)
    does not fit; so even standard output goes through a pipe.
    """
    log = bytearray()
    complaints = bytearray()
    blocking = {fd: os.get_blocking(fd) for fd in {spec.stdin_fd} if fd < 3}
    result: list[int] = []
    unread: list[int] = []

    def take_log(data: bytes) -> None:
        log.extend(data)
        while (end := log.find(b"\n")) >= 0:
            line = bytes(log[:end]).rstrip(b"\r")
            del log[: end + 1]
            number = line[len(_EXIT_MARK) :]
            if line.startswith(_EXIT_MARK) and number.isdigit():
                result[:] = [int(number) & 0xFF]
            else:
                process.on_log(line + b"\n")

    def keep(data: bytes) -> None:
        write_all(spec.log_fd, data)

    def give(fd: int, data: bytes) -> None:
        # QEMU cannot hand the guest a signal, so SIGPIPE's default action is taken for it.
        if not write_all(fd, data) and not unread:
            unread.append(fd)
            process.signal(signal.SIGKILL)

    def finish(status: int) -> int:
        # QEMU leaves the descriptors that it was given non-blocking; others share them.
        for fd, was in blocking.items():
            os.set_blocking(fd, was)
        if log:
            take_log(b"\n")
        if result:
            return result[0]
        if unread:
            process.killed = False  # by us, in place of the guest
            return 128 + signal.SIGPIPE
        if status >= 128:
            return status
        lines = [line for line in complaints.decode(errors="replace").splitlines() if line.strip()]
        if status == 0 and any("terminating on signal" in line for line in lines):
            return 128 + int(lines[-1].partition("terminating on signal ")[2].split(" ")[0])
        cause = (
            lines[-1].partition(f"{_PROGRAM}: ")[2] or lines[-1] if lines else "QEMU gave no reason"
        )
        raise StartError(
            f"QEMU ended ({status}) without the guest's exit status",
            cause=cause,
            hint="'kernlet doctor' checks the machine; -m gives the guest more memory",
        )

    process.relays = True
    process.on_stdout = lambda data: give(spec.stdout_fd, data)
    process.on_stderr = lambda data: give(spec.stderr_fd, data)
    process.on_log = keep
    process.sources[pipes[_OUT_FD]] = lambda data: process.on_stdout(data)
    process.sources[pipes[_ERR_FD]] = lambda data: process.on_stderr(data)
    process.sources[pipes[_LOG_FD]] = take_log
    process.sources[pipes[1]] = lambda data: complaints.extend(data)
    process.before_exit = finish


def _run_probe(path: str) -> ProbeResult:
    import re
    import subprocess

    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, timeout=10, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return ProbeResult(
            False, f"{path} does not start: {error}", "apt-get install qemu-system-x86"
        )
    found = re.search(r"version (\d+)\.(\d+)[\d.]*", done.stdout)
    if done.returncode != 0 or found is None:
        return ProbeResult(
            False, f"{path} does not start", "apt-get install --reinstall qemu-system-x86"
        )
    version = (int(found[1]), int(found[2]))
    if version < (7, 2):
        return ProbeResult(
            False, f"QEMU {found[1]}.{found[2]} is too old", "install QEMU 7.2 or newer"
        )
    text = f"QEMU {found[1]}.{found[2]}"
    if hardware_virtualisation() and MonitorRunner().probe().usable:
        return ProbeResult(True, f"{text} on KVM", "", "kvm")
    return ProbeResult(
        True, f"{text}, emulating: KVM here has no hardware virtualisation", "", "tcg"
    )


__all__ = ["QemuRunner", "qemu_command", "qemu_path"]
