# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import random
import subprocess
import threading
import time

import pytest

from monitor.harness import command, run


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 100_000, 1_000_000])
def test_input_comes_out_unchanged(size: int) -> None:
    data = random.Random(size).randbytes(size)
    done = run("cat", stdin=data)
    assert (done.status, done.stdout) == (7, data)
    assert done.numbers("bytes") == [size]


def test_stderr_is_a_console_of_its_own() -> None:
    done = run("cat", stdin=b"x")
    assert done.log.splitlines()[-1] == "end"
    assert done.stdout == b"x"


def test_input_from_a_file_and_from_dev_null(tmp_path: object) -> None:
    with open("/etc/services", "rb") as file:  # noqa: PTH123
        done = subprocess.run(
            command("cat"), stdin=file, capture_output=True, timeout=20, check=False
        )
        file.seek(0)
        assert done.stdout == file.read()
    del tmp_path
    assert run("cat").status == 7


def test_random_bytes_differ_from_run_to_run() -> None:
    first, second = (run("cat").numbers("random value")[0] for _ in range(2))
    assert run("cat").numbers("random bytes") == [16]
    assert first != second


def test_slow_reader_gets_everything() -> None:
    data = random.Random(1).randbytes(300_000)
    vm = subprocess.Popen(
        command("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert vm.stdin is not None
    assert vm.stdout is not None
    stdin = vm.stdin

    def feed() -> None:
        stdin.write(data)
        stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    time.sleep(0.3)  # the pipe is full by now
    got = b""
    while chunk := os.read(vm.stdout.fileno(), 3000):
        got += chunk
        if len(got) < 50_000:
            time.sleep(0.005)
    feeder.join()
    vm.stdout.close()
    assert (vm.wait(5), got) == (7, data)


def test_vm_ends_though_nobody_reads_its_output() -> None:
    vm = subprocess.Popen(
        command("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert vm.stdin is not None
    assert vm.stdout is not None
    vm.stdout.close()
    vm.stdin.write(b"x" * 10_000)
    vm.stdin.close()
    assert vm.wait(5) == 7


def test_signal_ends_a_vm_whose_output_is_stuck() -> None:
    vm = subprocess.Popen(
        command("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert vm.stdin is not None
    assert vm.stdout is not None
    vm.stdin.write(b"x" * 65536)
    vm.stdin.write(b"x" * 20_000)
    vm.stdin.close()
    time.sleep(0.2)
    assert vm.poll() is None
    vm.terminate()
    assert vm.wait(5) == 143
    vm.stdout.close()
