# SPDX-License-Identifier: Apache-2.0
"""The same program and the same files on each kind of host, behind one protocol."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kernlet.build.sources import EntryKind, RootfsPlan
from kernlet.runner import monitor_path

from . import _machine

GUEST_ADDRESS = "10.77.0.2"
GUEST_MAC = "52:54:00:77:00:02"
TAP = "klbench0"


@dataclass
class Running:
    """A started server. ``started`` is ``time.perf_counter`` just before its process was made."""

    address: str
    started: float
    process: subprocess.Popen[bytes]
    cleanup: list[list[str]] = field(default_factory=list)
    extra_pids: list[int] = field(default_factory=list)

    def resident_bytes(self) -> int:
        """Return the memory of all its processes, shared pages counted in proportion."""
        return _machine.resident_bytes(_machine.tree(self.process.pid) + self.extra_pids)

    def stop(self) -> None:
        """End it, however stuck it is."""
        for command in self.cleanup:
            subprocess.run(command, capture_output=True, timeout=60, check=False)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Server(Protocol):
    """One way to run the program."""

    name: str

    def start(self) -> Running:
        """Start it; the caller waits for its first response."""


def _spawn(command: list[str], log: Path) -> tuple[float, subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    return started, process


def unpack(plan: RootfsPlan, root: Path) -> None:
    """Write the plan's files below ``root``."""
    root.mkdir(parents=True, exist_ok=True)
    for entry in plan.entries:
        path = root / entry.path.lstrip("/")
        if entry.kind is EntryKind.DIRECTORY:
            path.mkdir(exist_ok=True)
            path.chmod(entry.mode)
        elif entry.kind is EntryKind.SYMLINK:
            path.symlink_to(entry.target or "")
        else:
            path.write_bytes(entry.read())
            path.chmod(entry.mode)


@dataclass
class Native:
    """A process of the host's, chrooted into the same files."""

    root: Path
    argv: list[str]
    name: str = "native"

    def start(self) -> Running:
        """Start it on loopback."""
        command = ["chroot", str(self.root), *self.argv]
        started, process = _spawn(command, self.root.parent / "native.log")
        return Running("127.0.0.1", started, process)


@dataclass
class Monitor:
    """A kernlet on its own monitor, on a tap."""

    image: Path
    memory_bytes: int
    name: str = "kernlet"

    def start(self) -> Running:
        """Start the monitor alone: what a supervisor would do."""
        command = [monitor_path(), "--image", str(self.image), "--memory", str(self.memory_bytes)]
        command += [
            "--net",
            f"tap:{TAP},mac={GUEST_MAC}",
            "--cmdline",
            f"net0=ip:{GUEST_ADDRESS}/24",
        ]
        started, process = _spawn(command, self.image.parent / "monitor.log")
        return Running(GUEST_ADDRESS, started, process)


QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-nodefaults", "-no-user-config"]
QEMU += ["-display", "none", "-no-reboot"]


def _qemu_net(device: str) -> list[str]:
    return [
        "-netdev",
        f"tap,id=n0,ifname={TAP},script=no,downscript=no",
        "-device",
        f"{device},netdev=n0,mac={GUEST_MAC}",
    ]


@dataclass
class Qemu:
    """The same image under QEMU's emulation, on a tap."""

    image: Path
    memory_mib: int
    tsc_khz: int
    name: str = "kernlet, QEMU TCG"

    def start(self) -> Running:
        """Start QEMU as the runner does."""
        machine = "microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,acpi=off"
        command = [*QEMU, "-M", f"{machine},auto-kernel-cmdline=off", "-m", str(self.memory_mib)]
        command += ["-global", "virtio-mmio.force-legacy=false", "-kernel", str(self.image)]
        command += [
            "-append",
            f"tsc_khz={self.tsc_khz} wall_ns={time.time_ns()} net0=ip:{GUEST_ADDRESS}/24",
        ]
        command += ["-serial", "stdio", "-device", "isa-debug-exit,iobase=0x501,iosize=4"]
        command += _qemu_net("virtio-net-device")
        started, process = _spawn(command, self.image.parent / "qemu.log")
        return Running(GUEST_ADDRESS, started, process)


@dataclass
class LinuxVm:
    """A Debian cloud kernel with the same files in its initramfs, under QEMU's emulation."""

    kernel: Path
    initramfs: Path
    memory_mib: int
    name: str = "Linux VM, QEMU TCG"

    def start(self) -> Running:
        """Start QEMU on the machine type that boots Linux fastest."""
        command = [*QEMU, "-M", "microvm,rtc=on,isa-serial=on", "-m", str(self.memory_mib)]
        command += ["-kernel", str(self.kernel), "-initrd", str(self.initramfs)]
        command += ["-append", "console=ttyS0 quiet reboot=t panic=-1", "-serial", "stdio"]
        command += _qemu_net("virtio-net-device")
        started, process = _spawn(command, self.initramfs.parent / "linux.log")
        return Running(GUEST_ADDRESS, started, process)


@dataclass
class Container:
    """A Docker container with the same files, on Docker's bridge."""

    image: str
    argv: list[str]
    host: str
    log: Path
    name: str = "Docker"

    def start(self) -> Running:
        """Run it in the foreground; its address is found by asking Docker until it has one."""
        name = f"klbench-{os.getpid()}"
        docker = ["docker", "-H", self.host]
        command = [*docker, "run", "--rm", "--name", name, self.image, *self.argv]
        started, process = _spawn(command, self.log)
        running = Running("", started, process, [[*docker, "kill", name]])
        form = "{{.NetworkSettings.IPAddress}} {{.State.Pid}}"
        deadline = time.perf_counter() + 30
        while time.perf_counter() < deadline and process.poll() is None:
            done = subprocess.run(
                [*docker, "inspect", "-f", form, name], capture_output=True, text=True, check=False
            )
            words = done.stdout.split()
            if done.returncode == 0 and len(words) == 2 and words[1] != "0":
                running.address = words[0]
                running.extra_pids = _machine.tree(int(words[1]))
                return running
        running.stop()
        raise RuntimeError(f"the container did not start; see {self.log}")
