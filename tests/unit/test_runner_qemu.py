# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fakes import image
from kernlet.runner import (
    Network,
    QemuRunner,
    RunnerError,
    RunSpec,
    StartError,
    parse_network,
    parse_port,
    pick_runner,
    qemu_path,
)
from kernlet.runner._qemu import qemu_command
from kernlet.runner._tsc import measure

FAKE = """#!/bin/sh
[ "$1" = --version ] && { echo "QEMU emulator version 8.1.2 (fake)"; exit 0; }
case "$*" in
*act=log*) i=0; while [ $i -lt 3000 ]; do echo "line $i" >&4; i=$((i+1)); done
   echo err >&3; echo out >&6; printf 'kernlet-exit: 42\\r\\n' >&4;;
*act=cut*) printf 'kernlet-exit: 7' >&4;;
*act=silent*) echo "qemu-system-x86_64: cannot set up guest memory: Cannot allocate" >&2; exit 1;;
*act=sleep*) trap 'echo "qemu-system-x86_64: terminating on signal 15 from pid 1 (x)" >&2; exit 0' TERM
   sleep 20 & wait;;
esac
"""


@pytest.fixture(autouse=True)
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "qemu"
    path.write_text(FAKE)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("KERNLET_QEMU", str(path))
    monkeypatch.setenv("KERNLET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERNLET_MONITOR", "/nowhere")
    image.write(tmp_path / "i.kernlet")
    return path


def start(folder: Path, act: str, **changes: Any) -> Any:
    spec = RunSpec(str(folder / "i.kernlet"), 1 << 20, settings=(("env", f"act={act}"),))
    return QemuRunner().start(spec._replace(**changes))


def test_log_and_streams_are_relayed_and_the_status_is_the_logs_last_line(tmp_path: Path) -> None:
    out = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    err = os.open(tmp_path / "err", os.O_RDWR | os.O_CREAT)
    log = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    process = start(tmp_path, "log", stdout_fd=out, stderr_fd=err, log_fd=log)
    assert process.wait() == 42
    for fd in (out, err, log):
        os.close(fd)
    assert (tmp_path / "out").read_text() == "out\n"
    assert (tmp_path / "err").read_text() == "err\n"
    assert (tmp_path / "log").read_text() == "".join(f"line {i}\n" for i in range(3000))


def test_a_status_without_its_line_break_counts(tmp_path: Path) -> None:
    assert start(tmp_path, "cut").wait() == 7


def test_qemus_own_failure_is_told_with_its_words(tmp_path: Path) -> None:
    process = start(tmp_path, "silent")
    with pytest.raises(StartError, match="cannot set up guest memory: Cannot allocate"):
        process.wait()


def test_a_stopped_qemu_gives_128_and_the_signal(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep")
    threading.Timer(0.3, process.signal, (signal.SIGTERM,)).start()
    before = time.monotonic()
    assert process.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - before < 10


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - symbolic links
    start(tmp_path, "cut").wait()
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_memory_covers_the_image(tmp_path: Path) -> None:
    spec = RunSpec(str(tmp_path / "i.kernlet"), 8 << 20)
    command = qemu_command("qemu", "tcg", spec, "", by_fd=False)
    assert command[command.index("-m") + 1] == "10M"  # ends at 0x102000
    assert "-netdev" not in command


def test_published_ports_without_passt(tmp_path: Path) -> None:
    ports = (parse_port("8080:80"), parse_port("0.0.0.0:53:53/udp"))
    network = parse_network("user", ports)
    spec = RunSpec(str(tmp_path / "i.kernlet"), 8 << 20, network=network)
    command = qemu_command("qemu", "tcg", spec, "", by_fd=False)
    backend = command[command.index("-netdev") + 1]
    assert backend.startswith("user,id=n0,ipv6=off,net=10.0.2.0/24,host=10.0.2.2")
    assert "hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80" in backend
    assert "hostfwd=udp:0.0.0.0:53-10.0.2.15:53" in backend


def test_tap(tmp_path: Path) -> None:
    spec = RunSpec(str(tmp_path / "i.kernlet"), 8 << 20, network=Network("tap", "kl0"))
    command = qemu_command("qemu", "tcg", spec, "", by_fd=False)
    assert "tap,id=n0,ifname=kl0,script=no,downscript=no" in command


def test_qemu_is_picked_where_the_monitor_does_not_work() -> None:
    runner, result, rejected = pick_runner()
    assert (runner.name, result.accelerator) == ("qemu", "tcg")
    assert rejected[0].startswith("monitor: ")


def test_an_old_qemu_is_refused(qemu: Path) -> None:
    qemu.write_text("#!/bin/sh\necho QEMU emulator version 6.2.0\n")
    with pytest.raises(RunnerError, match=r"QEMU 6.2 is too old; .*install QEMU 7.2"):
        pick_runner("qemu")


def test_a_runner_that_does_not_exist_is_named() -> None:
    with pytest.raises(RunnerError, match="no runner is called 'xen'; use one of: monitor, qemu"):
        pick_runner("xen")


def test_a_missing_qemu_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernlet.runner._qemu.qemu_path", lambda: "")
    assert QemuRunner().probe().remedy == "apt-get install qemu-system-x86"
    assert qemu_path()


def test_the_counters_frequency_is_plausible() -> None:
    first, second = measure(), measure()
    assert 100_000 < first < 10_000_000
    assert abs(first - second) < first // 100
