# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import select
import shlex
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

from monitor.harness import MONITOR, Done, build_guest, command, run, start


def test_exit_status_and_log_are_the_guests() -> None:
    done = run("hello")
    assert (done.status, done.log, done.stdout) == (42, "hello\n", b"")


def test_log_goes_to_log_fd() -> None:
    read, write = os.pipe()
    arguments = command("hello", "--log-fd", str(write))
    done = subprocess.run(arguments, pass_fds=[write], capture_output=True, timeout=20, check=False)
    os.close(write)
    assert (done.returncode, done.stderr, os.read(read, 100)) == (42, b"", b"hello\n")
    os.close(read)


def test_probe_says_yes_in_json() -> None:
    done = subprocess.run([MONITOR, "--probe"], capture_output=True, timeout=20, check=True)
    answer = json.loads(done.stdout)
    assert answer["usable"] is True
    assert answer["tsc_khz"] > 100_000


def test_exceptions_ticks_and_waits() -> None:
    start_ns = time.time_ns()
    done = run("ticks")
    assert done.status == 0, done.log
    assert done.numbers("breakpoints") == [1]
    # 205 ms at 100 Hz; fewer where the host has no time for us
    assert 5 <= done.numbers("ticks")[0] <= 21
    assert done.numbers("ticks in library text") == [0]
    assert done.numbers("restarts") == [2]
    long_us, short_us, none_us = done.numbers("waited us")
    assert long_us >= 50_000
    assert 100 <= short_us < 50_000
    assert none_us < 50_000
    assert start_ns <= done.numbers("wall ns")[0] <= time.time_ns()
    assert "syscall returned" in done.log


def test_wait_ends_when_its_time_is_over() -> None:
    begun = time.monotonic()
    assert run("script", cmdline="t bebc200 t bebc200 x 9").status == 9
    assert time.monotonic() - begun >= 0.4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("guest", ["cat", "ticks"])
def test_signal_stops_the_vm(number: signal.Signals, guest: str) -> None:
    options = [] if guest == "cat" else ["--cmdline", ""]
    vm = start(guest, *options, stdin=subprocess.PIPE)
    time.sleep(0.1)
    vm.send_signal(number)
    assert vm.wait(5) == 128 + number
    assert vm.stdin is not None
    vm.stdin.close()


def test_vm_ends_with_its_parent() -> None:
    script = f"{shlex.join(command('spin'))} --parent $$ & echo $!; sleep 60"
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        monitor = int(parent.stdout.readline())
        ended = os.pidfd_open(monitor)
        assert not select.select([ended], [], [], 0.3)[0]
        parent.kill()
        assert select.select([ended], [], [], 5)[0]
        os.close(ended)


def test_parent_must_be_the_parent() -> None:
    done = run("hello", "--parent", "1")
    assert done.status == 125
    assert "--parent 1: not our parent; " in done.log


def test_idle_guest_costs_no_time() -> None:
    vm = start("cat", stdin=subprocess.PIPE)
    time.sleep(0.1)
    before = Path(f"/proc/{vm.pid}/stat").read_text().rpartition(")")[2].split()
    time.sleep(0.5)
    after = Path(f"/proc/{vm.pid}/stat").read_text().rpartition(")")[2].split()
    vm.kill()
    vm.wait()
    assert vm.stdin is not None
    vm.stdin.close()
    # user and system time, in clock ticks of 10 ms
    assert int(after[11]) + int(after[12]) - int(before[11]) - int(before[12]) <= 1


def test_windows_show_devices_or_nothing() -> None:
    done = run("script", cmdline="r 4 1000 r 4 2000 r 4 3000 r 4 4000 r 4 1008 r 4 3008")
    virt = int.from_bytes(b"virt", "little")
    assert done.numbers("read") == [virt, virt, virt, 0, 3, 4]


OPTIONS = [
    ([], "--image: missing"),
    (["--image", "x"], "--memory: missing"),
    (["--image", "/nowhere", "--memory", "8M"], "/nowhere: No such file"),
    (["--image", "/etc", "--memory", "8M"], "/etc: not a kernlet"),
    (["--image", "/dev/null", "--memory", "8M"], "/dev/null: not a kernlet"),
    (["--image", "/bin/sh", "--memory", "8M"], "/bin/sh: not a kernlet: an ordinary program"),
    (["--image", "/etc/passwd", "--memory", "8M"], "/etc/passwd: not a kernlet: not an ELF file"),
    (["--memory", "8Q"], "--memory 8Q: not a size"),
    (["--memory", "-1"], "--memory -1: not a size"),
    (["--memory", "99999999999999999999"], "not a size"),
    (["--memory", "18446744073709551615G"], "not a size"),
    (["--bogus"], "--bogus: no such option"),
    (["--image"], "--image: needs a value"),
    (["rest"], "too many arguments"),
    (["--net", "bogus:x"], "--net bogus:x: no such kind"),
    (["--net", "tap:"], "name empty"),
    (["--net", "tap:averyveryverylongname"], "too long"),
    (["--net", "tap:x,mac=zz"], "not a unicast MAC"),
    (["--net", "tap:x,mac=01:00:00:00:00:00"], "not a unicast MAC"),
    (["--net", "passt-fd:x"], "not a file descriptor"),
    (["--log-fd", "77"], "--log-fd 77: not open"),
]


@pytest.mark.parametrize(("arguments", "text"), OPTIONS)
def test_bad_option_gets_one_clear_line(arguments: list[str], text: str) -> None:
    done = subprocess.run([MONITOR, *arguments], capture_output=True, timeout=20, check=False)
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, len(lines)) == (125, 1)
    assert lines[0].startswith("kernlet-monitor: ")
    assert text in lines[0]
    assert "; " in lines[0]


def test_too_much_memory_is_refused() -> None:
    done = run("hello", memory=1 << 40)
    assert done.status == 125
    assert "--memory" in done.log


def test_too_long_command_line_is_refused() -> None:
    done = run("hello", cmdline="x" * 0xB000)
    assert done.status == 125
    assert "command line" in done.log


# Offsets in the ELF header and in a program header.
E_TYPE, E_MACHINE, E_ENTRY, E_PHOFF, E_PHENTSIZE, E_PHNUM = 16, 18, 24, 32, 54, 56
P_FLAGS, P_OFFSET, P_VADDR, P_PADDR, P_FILESZ, P_MEMSZ = 4, 8, 16, 24, 32, 40
PH0 = 64
FULL = 0xFFFFFFFFFFFFFFFF

# (what, offset, format, value)
DAMAGE = [
    ("class", 4, "B", 1),
    ("type", E_TYPE, "<H", 3),
    ("machine", E_MACHINE, "<H", 40),
    ("entry in data", E_ENTRY, "<Q", 0x100000107000),
    ("entry outside", E_ENTRY, "<Q", 0),
    ("header table beyond the end", E_PHOFF, "<Q", FULL - 63),
    ("header table far away", E_PHOFF, "<Q", 1 << 40),
    ("header size", E_PHENTSIZE, "<H", 55),
    ("no headers", E_PHNUM, "<H", 0),
    ("too many headers", E_PHNUM, "<H", 0xFFFF),
    ("segment writable and executable", PH0 + P_FLAGS, "<I", 7),
    ("file offset overflow", PH0 + P_OFFSET, "<Q", FULL - 0xFFF),
    ("file offset unaligned", PH0 + P_OFFSET, "<Q", 0x1001),
    ("file size beyond the end", PH0 + P_FILESZ, "<Q", 1 << 40),
    ("file size overflow", PH0 + P_FILESZ, "<Q", FULL),
    ("file larger than memory", PH0 + P_MEMSZ, "<Q", 1),
    ("memory size overflow", PH0 + P_MEMSZ, "<Q", FULL),
    ("memory beyond the limit", PH0 + P_MEMSZ, "<Q", 1 << 32),
    ("below the image", PH0 + P_PADDR, "<Q", 0x1000),
    ("physical address unaligned", PH0 + P_PADDR, "<Q", 0x100800),
    ("physical address overflow", PH0 + P_PADDR, "<Q", FULL - 0xFFF),
    ("virtual address elsewhere", PH0 + P_VADDR, "<Q", 0x400000),
    ("segments overlap", PH0 + 56 + P_PADDR, "<Q", 0x101000),
    ("stub in the direct map", PH0 + P_VADDR, "<Q", 0x200000100000),
    ("image header's magic", 0x2100, "<Q", 0),
    ("image header's version", 0x2108, "<I", 99),
    ("text outside the image", 0x2118, "<Q", FULL),
    ("exit outside the text", 0x2128, "<Q", 0x1000),
]


@pytest.mark.parametrize(
    ("offset", "kind", "value"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE]
)
def test_damaged_image_is_refused(offset: int, kind: str, value: int, tmp_path: Path) -> None:
    data = bytearray(build_guest("hello").read_bytes())
    struct.pack_into(kind, data, offset, value)
    assert_refused(data, tmp_path)


def note_offset(data: bytearray) -> int:
    return data.index(b"kernlet\0") - 12


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, FULL), (4, 0x7FFFFFFF), (4, 4), (8, 2), (20, 99), (28, 0x1000), (36, 1 << 30)],
)
def test_damaged_note_is_refused(offset: int, value: int, tmp_path: Path) -> None:
    data = bytearray(build_guest("hello").read_bytes())
    struct.pack_into("<I", data, note_offset(data) + offset, value & 0xFFFFFFFF)
    assert_refused(data, tmp_path)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 200, 0x1000, 0x2100, 0x6000])
def test_truncated_image_is_refused(size: int, tmp_path: Path) -> None:
    assert_refused(build_guest("hello").read_bytes()[:size], tmp_path)


def assert_refused(data: bytes | bytearray, folder: Path) -> None:
    path = folder / "damaged"
    path.write_bytes(data)
    done: Done = run(path)
    assert done.status == 125
    assert "not a kernlet" in done.log
    assert len(done.log.splitlines()) == 1


def test_image_that_shrinks_while_it_runs_ends_the_vm_with_a_reason(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(build_guest("script").read_bytes())
    # waits 0.3 s, and then touches a page that it had no reason to touch before
    script = ["--cmdline", "t 11e1a300 j 100000101800"]
    vm = subprocess.Popen(command(image, *script), stderr=subprocess.PIPE)
    time.sleep(0.1)
    os.truncate(image, 0x1000)
    _, log = vm.communicate(timeout=10)
    assert vm.returncode == 125
    assert b"kernlet-monitor: " in log
