# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fakes.monitor import install
from kernlet.runner import MonitorRunner, RunSpec, StartError, pick_runner
from kernlet.runner._process import spawn


@pytest.fixture(autouse=True)
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = install(tmp_path)
    monkeypatch.setenv("KERNLET_MONITOR", str(path))
    monkeypatch.setenv("KERNLET_CACHE_DIR", str(tmp_path / "cache"))
    return path


def run(*argv: str, **changes: Any) -> tuple[int, bytes, bytes, bytes]:
    """Run the fake guest with pipes; return status, standard output, error and log."""
    pipes = [os.pipe() for _ in range(3)]
    (out_r, out_w), (err_r, err_w), (log_r, log_w) = pipes
    null = os.open(os.devnull, os.O_RDONLY)
    spec = RunSpec(
        image="/image",
        memory_bytes=1 << 20,
        argv=("guest", *argv),
        stdin_fd=null,
        stdout_fd=out_w,
        stderr_fd=err_w,
        log_fd=log_w,
    )._replace(**changes)
    process = MonitorRunner().start(spec)
    for fd in (out_w, err_w, log_w, null):
        os.close(fd)
    status = process.wait()
    read = []
    for fd in (out_r, err_r, log_r):
        with os.fdopen(fd, "rb") as file:
            read.append(file.read())
    return status, read[0], read[1], read[2]


def test_streams_and_status_are_the_guests() -> None:
    assert run("echo", "o", "error", "e", "log", "l", "exit", "7") == (7, b"o\n", b"e\n", b"l\n")


def test_a_killed_monitor_gives_128_and_the_signal() -> None:
    assert run("kill", "9")[0] == 128 + signal.SIGKILL


def test_memory_and_settings_are_handed_over() -> None:
    _, out, _, _ = run("settings", settings=(("env", "A=b c"),), memory_bytes=5 << 20)
    assert out == b'{"settings": [["env", "A=b c"]], "memory": 5242880}'


def test_probe_is_kept_until_the_monitor_changes(monitor: Path) -> None:
    result = MonitorRunner().probe()
    assert result.usable
    assert result.tsc_khz == 2_000_000
    monitor.write_text("#!/bin/sh\nsleep 0.01\necho broken >&2\nexit 1\n")
    again = MonitorRunner().probe()
    assert not again.usable
    assert again.reason == "broken"
    assert again.remedy


def test_a_missing_monitor_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNLET_MONITOR", "/nowhere/kernlet-monitor")
    assert not MonitorRunner().probe().usable
    with pytest.raises(StartError, match="/nowhere/kernlet-monitor does not start"):
        MonitorRunner().start(RunSpec("/image", 1 << 20))


def test_the_monitor_is_picked_first() -> None:
    runner, result, rejected = pick_runner()
    assert runner.name == "monitor"
    assert result.accelerator.startswith("kvm")
    assert rejected == []


def test_descriptors_may_be_exchanged() -> None:
    read_fd, write_fd = os.pipe()
    # The child's 3 is our write end whatever its number here, and 1 too; nothing else is open.
    command = "echo one; echo three >&3; ls /proc/self/fd | wc -l >&3"
    pid = spawn(["/bin/sh", "-c", command], {1: write_fd, 3: write_fd, 2: 2})
    os.waitpid(pid, 0)
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as file:
        lines = file.read().split()
    assert lines[:2] == [b"one", b"three"]


def test_no_descriptor_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - symbolic links
    run("echo", "x")
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
