# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.harness import Control, run, start

BOOT_INFO_PA, BASE_VA, DIRECT_VA = 0x1000, 0x100000000000, 0x200000000000
MAGIC = b"kernlet1"


class Vm:
    def __init__(self, folder: Path, guest: str) -> None:
        self.path = folder / "control"
        options = ["--control", str(self.path)]
        self.process = start(guest, *options, stdin=subprocess.PIPE)
        self.control = Control(self.path)

    def end(self) -> int:
        self.control.close()
        self.process.terminate()
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(5)


@pytest.fixture(params=["cat", "spin"])
def vm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vm]:
    """A guest that waits in the monitor, and one that never leaves its processor."""
    machine = Vm(tmp_path, request.param)
    yield machine
    machine.end()


def test_status_and_version(vm: Vm) -> None:
    status = vm.control("status")
    assert status["ok"] is True
    assert status["state"] == "running"
    assert 0 < status["uptime_ns"] < 60e9
    assert status["memory_bytes"] >= 8 << 20
    assert 0 < status["resident_bytes"] < 64 << 20
    assert vm.control("version")["abi"] == 1


def test_pause_stops_the_processor_and_resume_starts_it(vm: Vm) -> None:
    assert vm.control("pause") == {"ok": True}
    assert vm.control("status")["state"] == "paused"
    first, second = (vm.control("registers") for _ in range(2))
    assert first == second
    assert vm.control("pause") == {"ok": True}
    assert vm.control("resume") == {"ok": True}
    assert vm.control("status")["state"] == "running"
    assert vm.control("resume") == {"ok": True}


def test_registers_show_cpl_3_and_the_tables(vm: Vm) -> None:
    registers = vm.control("registers")
    assert registers["cs"] == "0x33"
    assert registers["cr3"] == "0x10000"
    assert BASE_VA <= int(registers["rip"], 16) < BASE_VA + (16 << 20)


def test_memory_by_physical_and_virtual_address(vm: Vm) -> None:
    for key, base in (("pa", 0), ("va", BASE_VA), ("va", DIRECT_VA)):
        answer = vm.control("memory", **{key: base + BOOT_INFO_PA, "len": 8})
        assert bytes.fromhex(answer["bytes"]) == MAGIC
    across = vm.control("memory", va=DIRECT_VA + 0xFFC, len=4096)
    assert bytes.fromhex(across["bytes"])[4:12] == MAGIC
    assert len(across["bytes"]) == 8192


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"pa": 0},
        {"len": 8},
        {"pa": 0, "len": 0},
        {"pa": 0, "len": 4097},
        {"pa": (1 << 64) - 4, "len": 8},
        {"pa": 1 << 40, "len": 8},
        {"va": 0, "len": 8},
        {"va": (1 << 64) - 1, "len": 8},
        {"va": 0x7FFFFFFFF000, "len": 8},
    ],
)
def test_memory_that_is_not_there(vm: Vm, arguments: dict[str, int]) -> None:
    answer = vm.control("memory", **arguments)
    assert answer["ok"] is False
    assert answer["error"]


def test_stats_count_devices(vm: Vm) -> None:
    stats = vm.control("stats")
    assert [device["name"] for device in stats["devices"]] == ["console", "console-stderr", "rng"]
    assert len(stats["guest"]) == 31


def test_stop_ends_the_vm_and_removes_the_socket(tmp_path: Path) -> None:
    for guest in ("cat", "spin"):
        vm = Vm(tmp_path, guest)
        if guest == "spin":
            vm.control("pause")
        assert vm.control("stop") == {"ok": True}
        assert vm.process.wait(5) == 143
        assert not vm.path.exists()
        vm.end()


def test_a_question_after_stop_does_not_hurry_it(tmp_path: Path) -> None:
    """Only "stop" asks to stop: a second request ends the VM at once."""
    vm = Vm(tmp_path, "patient")
    assert vm.control("stop") == {"ok": True}
    time.sleep(0.5)
    assert vm.control("status")["ok"]
    time.sleep(0.2)
    assert vm.process.poll() is None
    vm.end()


def test_signal_removes_the_socket(tmp_path: Path) -> None:
    vm = Vm(tmp_path, "cat")
    assert vm.end() == 143
    assert not vm.path.exists()


def test_socket_is_for_its_owner_only(vm: Vm) -> None:
    assert vm.path.stat().st_mode & 0o777 == 0o600


def test_stale_socket_is_replaced_but_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "control"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    assert run("hello", "--control", str(path)).status == 42
    assert not path.exists()
    path.write_text("precious")
    done = run("hello", "--control", str(path))
    assert done.status == 125
    assert path.read_text() == "precious"
    assert "another path" in done.log
    long = run("hello", "--control", "/" + "x" * 200)
    assert long.status == 125


BAD_LINES = [
    b"",
    b"{",
    b"{}",
    b"[]",
    b"null",
    b'"cmd"',
    b"{cmd: 1}",
    b'{"cmd"}',
    b'{"cmd":}',
    b'{"cmd": "status",}',
    b'{"cmd": "status"} x',
    b'{"cmd": "status"}{"cmd": "status"}',
    b'{"cmd": "status", "cmd": "status"}',
    b'{"cmd": "sta\\u0000tus"}',
    b'{"cmd": "\\q"}',
    b'{"cmd": "\\u12"}',
    b'{"cmd": "st\xc3\xa4tus"}',
    b'{"cmd": "' + b"x" * 100 + b'"}',
    b'{"cmd": "memory", "pa": -1, "len": 1}',
    b'{"cmd": "memory", "pa": 01, "len": 1}',
    b'{"cmd": "memory", "pa": 1e3, "len": 1}',
    b'{"cmd": "memory", "pa": 99999999999999999999, "len": 1}',
    b'{"cmd": 5}',
    b'{"cmd": "unknown"}',
    b'{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"cmd":"status"}',
    b"\0\0\0\0",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_line_gets_an_error_and_the_next_one_works(tmp_path: Path, line: bytes) -> None:
    vm = Vm(tmp_path, "cat")
    vm.control.send(line + b"\n")
    answer = vm.control.receive()
    assert answer["ok"] is False
    assert isinstance(answer["error"], str)
    assert vm.control("version")["ok"] is True
    vm.end()


def test_endless_line_and_random_bytes_only_end_the_connection(tmp_path: Path) -> None:
    vm = Vm(tmp_path, "cat")
    source = random.Random(0)
    for data in (b"x" * 100_000, source.randbytes(100_000)):
        client = Control(vm.path)
        try:
            client.send(data)
            while True:
                client.receive()
        except (OSError, ValueError):
            pass
        client.close()
    assert vm.control("status")["ok"] is True
    vm.end()


def test_escapes_and_spaces_are_understood(tmp_path: Path) -> None:
    vm = Vm(tmp_path, "cat")
    vm.control.send(b' { "\\u0063md" :\t"ver\\u0073ion" } \r\n')
    assert vm.control.receive()["ok"] is True
    vm.end()


def test_more_clients_than_places_are_turned_away(tmp_path: Path) -> None:
    vm = Vm(tmp_path, "cat")
    others = [Control(vm.path) for _ in range(8)]
    served = 0
    for client in others:
        with contextlib.suppress(ConnectionError):
            served += client("version")["ok"]
    assert served == 3
    for client in others:
        client.close()
    time.sleep(0.05)
    again = Control(vm.path)
    assert again("version")["ok"] is True
    again.close()
    vm.end()
