# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.harness import ROOT, start


@pytest.fixture
def status() -> Iterator[dict[str, str]]:
    vm = start("spin")
    time.sleep(0.1)
    text = Path(f"/proc/{vm.pid}/status").read_text()
    yield dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    vm.kill()
    vm.wait()


def test_no_capability_is_left(status: dict[str, str]) -> None:
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0


def test_calls_are_filtered_and_privileges_final(status: dict[str, str]) -> None:
    assert status["Seccomp"].strip() == "2"
    assert status["NoNewPrivs"].strip() == "1"


def test_every_thread_is_filtered() -> None:
    vm = start("spin")
    time.sleep(0.1)
    tasks = list(Path(f"/proc/{vm.pid}/task").iterdir())
    modes = [re.search(r"Seccomp:\t(\d)", (task / "status").read_text()) for task in tasks]
    vm.kill()
    vm.wait()
    # the processor's, the I/O thread, and what KVM itself may have added
    assert len(tasks) >= 2
    assert {mode.group(1) for mode in modes if mode} == {"2"}


def test_limits_are_low() -> None:
    vm = start("spin")
    time.sleep(0.1)
    text = Path(f"/proc/{vm.pid}/limits").read_text()
    vm.kill()
    vm.wait()
    for name, limit in (("core file size", "0"), ("open files", "256"), ("processes", "0")):
        assert re.search(rf"Max {name} +{limit} +{limit} ", text)


def test_no_sandbox_means_none() -> None:
    vm = start("spin", "--no-sandbox")
    time.sleep(0.1)
    text = Path(f"/proc/{vm.pid}/status").read_text()
    vm.kill()
    vm.wait()
    assert "Seccomp:\t0" in text


def test_each_allowed_call_has_its_reason() -> None:
    source = (ROOT / "monitor" / "sandbox.c").read_text()
    rules = re.findall(r"^\t\{SYS_.*", source, re.MULTILINE)
    assert len(rules) > 20
    assert all(re.search(r"/\* \S.* \*/$", rule) for rule in rules)
    for call in ("open", "mmap", "mprotect", "execve", "clone", "socket", "connect", "ptrace"):
        assert not re.search(rf"SYS_{call}\w*,", source)


@pytest.mark.parametrize(
    "call",
    [
        'open("/etc/passwd", O_RDONLY)',
        "syscall(SYS_tgkill, parent, parent, 0)",
    ],
    ids=["open", "signal to another process"],
)
def test_forbidden_call_kills_the_monitor(tmp_path: Path, call: str) -> None:
    """Built as the monitor is, a thread that does so after the sandbox is entered dies."""
    program = tmp_path / "forbidden"
    (tmp_path / "main.c").write_text(
        '#include "sandbox.h"\n#include <fcntl.h>\n#include <pthread.h>\n'
        "#include <sys/syscall.h>\n#include <unistd.h>\n"
        "int main(void)\n{\n\tint parent = getppid();\n\tif (kl_sandbox_enter(0))\n\t\treturn 1;\n"
        "\tif (pthread_kill(pthread_self(), 0))\n\t\treturn 5;\n"
        '\tif (write(1, "in\\n", 3) < 0)\n\t\treturn 2;\n'
        f"\treturn {call} < 0 ? 3 : 4;\n}}\n"
    )
    monitor = ROOT / "monitor"
    sources = [
        str(tmp_path / "main.c"),
        *(str(monitor / name) for name in ("sandbox.c", "error.c")),
    ]
    command = ["gcc", "-D_GNU_SOURCE", f"-I{monitor}", "-o", str(program), *sources]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, check=False, timeout=10)
    assert (done.returncode, done.stdout) == (-31, b"in\n")  # SIGSYS
