# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import image, monitor
from kernlet.cli._options import FLAGS, RunOptions, parse
from kernlet.image import Manifest, ManifestPort


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERNLET_MONITOR", str(monitor.install(tmp_path)))
    for name in ("CACHE", "STATE", "RUNTIME"):
        monkeypatch.setenv(f"KERNLET_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    image.write(tmp_path / "i.kernlet")
    return tmp_path


def kernlet(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kernlet.cli", *argv],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=options.pop("stdin", subprocess.DEVNULL),
        **options,
    )


def instances() -> list[dict[str, Any]]:
    listed = json.loads(kernlet("ps", "-a", "--json").stdout)
    assert isinstance(listed, list)
    return listed


def test_streams_and_status_are_the_programs() -> None:
    done = kernlet("run", "i.kernlet", "--", "echo", "out", "error", "err", "log", "l", "exit", "9")
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")
    assert instances() == []


def test_standard_input_reaches_the_program() -> None:
    data = os.urandom(300_000)
    command = [sys.executable, "-m", "kernlet.cli", "run", "i.kernlet", "cat"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=30, check=False)
    assert done.stdout == data


def test_environment_memory_and_arguments_are_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "x=y")
    flags = ("-e", "A=b c", "-eFROM_HERE", "-e", "NOT_SET_ANYWHERE", "-m", "8M", "-w", "/srv")
    done = kernlet("run", *flags, "--hostname=box", "i.kernlet", "settings")
    assert json.loads(done.stdout) == {
        "settings": [
            ["hostname", "box"],
            ["env", "A=b c"],
            ["env", "FROM_HERE=x=y"],
            ["cwd", "/srv"],
        ],
        "memory": 8 << 20,
    }


def test_verbose_says_what_is_used_and_shows_the_log() -> None:
    done = kernlet("run", "-v", "i.kernlet", "log", "from the library OS")
    assert "kernlet: monitor (kvm" in done.stderr
    assert "from the library OS\n" in done.stderr


def test_a_signal_in_the_guest_is_the_status() -> None:
    done = kernlet("run", "i.kernlet", "kill", "11")
    assert done.returncode == 139
    assert done.stderr.startswith("kernlet: SIGSEGV ended the virtual machine; ")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupting_stops_the_guest_and_leaves_nothing(number: int, status: int) -> None:
    command = [sys.executable, "-m", "kernlet.cli", "run", "i.kernlet", "echo", "up", "sleep", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        vm = instances()[0]["pid"]
        process.send_signal(number)
        assert process.wait(10) == status
    assert instances() == []
    assert not Path(f"/proc/{vm}").exists()
    assert list(Path("runtime").iterdir()) == []


def test_a_detached_run_from_start_to_removal() -> None:
    done = kernlet(
        "run", "-d", "--name", "web", "i.kernlet", "echo", "hi", "error", "e", "sleep", "60"
    )
    assert done.returncode == 0
    identifier = done.stdout.strip()
    (listed,) = instances()
    assert (listed["id"], listed["name"], listed["status"]) == (identifier, "web", "running")
    assert kernlet("ps").stdout.splitlines()[1].split()[:3] == [identifier, "web", "i.kernlet"]
    assert kernlet("ps", "-q").stdout == f"{identifier}\n"
    assert kernlet("run", "--name", "web", "i.kernlet").stderr == (
        "kernlet: the name 'web' is taken; choose another, or remove it: kernlet rm web\n"
    )
    assert kernlet("rm", "web").returncode == 1
    assert kernlet("stop", "web").stdout == "web\n"
    logs = kernlet("logs", "web")
    assert (logs.stdout, logs.stderr) == ("hi\n", "e\n")
    assert instances()[0]["exit_status"] == 143
    assert "exited (143)" in kernlet("ps", "-a").stdout
    assert kernlet("rm", identifier[:6]).returncode == 0
    assert instances() == []


def test_following_a_log_ends_with_the_guest() -> None:
    kernlet("run", "-d", "--name", "n", "i.kernlet", "echo", "a", "sleep", "0.5", "echo", "b")
    assert kernlet("logs", "-f", "n").stdout == "a\nb\n"
    assert kernlet("logs", "--tail", "1", "n").stdout == "b\n"
    stamped = kernlet("logs", "-t", "n").stdout.splitlines()
    assert stamped[0].endswith("Z a")
    entries = [json.loads(line) for line in kernlet("logs", "--json", "n").stdout.splitlines()]
    assert [entry["text"] for entry in entries] == ["a\n", "b\n"]


def test_a_detached_run_does_not_hold_the_callers_pipes() -> None:
    before = time.monotonic()
    assert kernlet("run", "-d", "--rm", "i.kernlet", "sleep", "3").returncode == 0
    assert time.monotonic() - before < 2.5


def test_a_detached_start_that_the_monitor_refuses_is_an_error() -> None:
    done = kernlet("run", "-d", "i.kernlet", "refuse")
    assert done.returncode == 125
    assert done.stderr == ("kernlet: kernlet-monitor: image: no room for it; give more memory\n")
    assert instances() == []


def test_a_missing_target_is_127() -> None:
    done = kernlet("run", "nothing.kernlet")
    assert done.returncode == 127
    assert done.stderr == (
        "kernlet: nothing.kernlet does not exist; "
        "give the path of an image, a program or a folder\n"
    )


def test_a_truncated_image_is_126(machine: Path) -> None:
    whole = (machine / "i.kernlet").read_bytes()
    (machine / "cut.kernlet").write_bytes(whole[:5000])
    done = kernlet("run", "cut.kernlet")
    assert done.returncode == 126
    assert done.stderr.startswith("kernlet: cut.kernlet is truncated; ")


def test_what_is_no_image_is_126(machine: Path) -> None:
    (machine / "text.kernlet").write_text("hello\n")
    done = kernlet("run", "text.kernlet")
    assert done.returncode == 126
    assert "is not a kernlet image; make one with 'kernlet build'" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-m", "10k"], "10k is too little memory; give at least"),
        (["-m", "lots"], "'lots' is not a size"),
        (["-p", "80"], "is not a port to publish"),
        (["-p", "8080:80"], "i.kernlet has no network in it"),
        (["--net", "user"], "i.kernlet has no network in it"),
        (["--runner", "xen"], "no runner is called 'xen'"),
        (["--name", "a/b"], "'a/b' cannot be a name"),
        (["-e", "=x"], "is not a variable"),
        (["--bogus"], "No such option"),
        (["-m"], "requires an argument"),
    ],
)
def test_mistakes_are_one_clear_line(flags: list[str], message: str) -> None:
    done = kernlet("run", "i.kernlet", *flags)
    assert done.returncode == 125
    assert done.stderr.startswith("kernlet: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert instances() == []


def test_a_port_in_use_is_found_before_the_boot(machine: Path) -> None:
    image.write(machine / "net.kernlet", network=True)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = kernlet("run", "-p", f"{port}:80", "net.kernlet", "echo", "booted")
    assert (done.returncode, done.stdout) == (125, "")
    assert f"port {port}/tcp of 127.0.0.1 is in use" in done.stderr
    assert instances() == []


def test_ports_of_the_image_are_published(machine: Path) -> None:
    manifest = Manifest(1, "g", ("/g",), ports=(ManifestPort(80, "tcp", 18080), ManifestPort(81)))
    image.write(machine / "p.kernlet", manifest)
    assert "has no network in it" in kernlet("run", "p.kernlet").stderr


def test_nothing_works_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNLET_MONITOR", "/nowhere")
    monkeypatch.setenv("KERNLET_QEMU", "/nowhere")
    done = kernlet("run", "i.kernlet")
    assert done.returncode == 125
    assert done.stderr.startswith("kernlet: nothing here can run a virtual machine: monitor: ")
    doctor = kernlet("doctor", "--json")
    assert doctor.returncode == 1
    assert json.loads(doctor.stdout)["usable"] is False


words = st.text(alphabet="ab=", min_size=1, max_size=4)


@given(st.lists(st.tuples(st.sampled_from(FLAGS), words), max_size=5), st.lists(words, max_size=3))
def test_click_and_the_fast_reader_agree(given: list[Any], args: list[str]) -> None:
    from kernlet.cli import run

    argv = []
    for flag, value in given:
        argv.append(flag.names[-1])
        if flag.kind in ("value", "many"):
            argv.append(value)
    argv += ["image", "--", *args]
    context = run.command.make_context("run", list(argv))
    assert parse(argv) == RunOptions(**context.params)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--help"],
        ["-x", "i"],
        ["i", "-p"],
        ["-dv", "i"],
        ["--rm=1", "i"],
        ["-d"],
        ["--nam", "i"],
    ],
)
def test_what_needs_an_explanation_is_left_to_click(argv: list[str]) -> None:
    assert parse(argv) is None


def test_short_flags_may_be_glued() -> None:
    assert parse(["-p8080:80", "--name=x", "i", "-m8M"]) == RunOptions(
        "i", publish=("8080:80",), name="x", memory="8M"
    )


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m kernlet.cli {command}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_nothing_else(closed: str) -> None:
    assert shell(f"run i.kernlet -- cat exit 9 {closed}").returncode == 9
    done = shell(f"ps {closed}")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_standard_error_leaves_the_status() -> None:
    assert shell("run nothing-here 2>/dev/full").returncode == 127
    assert shell("stop nothing-here 2>/dev/full").returncode == 1


def test_a_full_standard_output_is_one_clear_line() -> None:
    done = shell("ps >/dev/full")
    assert done.returncode == 1
    assert done.stderr == "kernlet: No space left on device; free some space\n"


@pytest.mark.parametrize(
    ("line", "status", "shown"),
    [
        ("kernlet-monitor: the processor stopped: why; next", 125, True),
        ("kernlet: error: can't start /app/x: damaged", 126, True),
        ("kernlet: error: can't start /app/x: no such file", 127, True),
        ("kernlet: info: nothing of interest", 125, False),
        ("kernlet-monitor: a notice", 1, False),
    ],
)
def test_what_ended_a_vm_below_its_program_is_told(line: str, status: int, shown: bool) -> None:
    done = kernlet("run", "i.kernlet", "--", "log", line, "exit", str(status))
    assert (done.returncode, done.stderr) == (status, f"{line}\n" if shown else "")


@pytest.mark.parametrize("size", ["100G", "99999999T", "9" * 5000])
def test_absurd_memory_is_one_clear_line(size: str) -> None:
    done = kernlet("run", "-m", size, "i.kernlet")
    assert done.returncode == 125
    assert done.stderr.startswith("kernlet: ")
    assert done.stderr.count("\n") == 1
    assert instances() == []


def test_a_fifo_is_refused_at_once(machine: Path) -> None:
    os.mkfifo(machine / "fifo")
    done = kernlet("run", "fifo")
    assert done.returncode == 126
    assert "fifo is not a regular file" in done.stderr


def test_a_port_published_twice_is_refused(machine: Path) -> None:
    image.write(machine / "net.kernlet", network=True)
    done = kernlet("run", "-p", "18099:80", "-p", "18099:81", "net.kernlet", "echo", "booted")
    assert (done.returncode, done.stdout) == (125, "")
    assert "published twice" in done.stderr
