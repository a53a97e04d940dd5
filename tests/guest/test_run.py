# SPDX-License-Identifier: Apache-2.0
"""The command line on real guests: statuses, signals, streams, memory, clean-up."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]
Image = Callable[[str], Path]
LIMIT = {"monitor": 20, "qemu": 40}

pytestmark = pytest.mark.timeout(300)

STATUS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>
static void on_term(int number)
{
	(void)number;
	_exit(write(1, "bye\n", 4) == 4 ? 7 : 1);
}
__attribute__((noinline)) static int deeper(volatile int *p) { return *p + 1; }
int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "exit"))
		return atoi(argv[2]);
	if (!strcmp(what, "abort"))
		abort();
	if (!strcmp(what, "segv"))
		return deeper((volatile int *)8);
	if (!strcmp(what, "env"))
		return printf("%s %s", getenv("A") ? getenv("A") : "-", getcwd((char[99]){0}, 99)) < 0;
	if (!strcmp(what, "bytes"))
		for (int i = 0; i < 300000; i++)
			putchar(i * 7 & 255);
	if (!strcmp(what, "both")) {
		fputs("to out\n", stdout);
		fputs("to err\n", stderr);
	}
	if (!strcmp(what, "cat")) {
		char buffer[4096];
		ssize_t count;
		while ((count = read(0, buffer, sizeof buffer)) > 0)
			if (write(1, buffer, count) != count)
				return 1;
	}
	for (int i = 0; !strcmp(what, "chat") || !strcmp(what, "careless"); i++) {
		if (!strcmp(what, "careless"))
			signal(SIGPIPE, SIG_IGN);
		printf("line %d\n", i);
		fflush(stdout);
		usleep(10000);
		if (i == 200)
			return 7;
	}
	if (!strcmp(what, "graceful"))
		signal(SIGTERM, on_term);
	if (!strcmp(what, "stubborn"))
		signal(SIGTERM, SIG_IGN);
	if (!strcmp(what, "graceful") || !strcmp(what, "stubborn")) {
		puts("up");
		fflush(stdout);
		sleep(60);
	}
	if (!strcmp(what, "sleep")) {
		puts("up");
		fflush(stdout);
		sleep(atoi(argv[2]));
	}
	if (!strcmp(what, "eat"))
		for (size_t i = 0; i < (size_t)atoi(argv[2]) << 20; i += 4096) {
			char *p = malloc(4096);
			if (!p)
				return 42;
			memset(p, 1, 4096);
		}
	return 0;
}
"""


@pytest.fixture(scope="session")
def status_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image of a program that does as its arguments say."""
    folder = tmp_path_factory.mktemp("status")
    source = folder / "status.c"
    source.write_text(STATUS)
    program = folder / "status"
    command = ["cc", "-O1", "-g", "-w", "-o", str(program), str(source)]
    subprocess.run(command, check=True, timeout=60)
    image = folder / "status.kernlet"
    build = [sys.executable, "-m", "kernlet.cli", "build", str(program), "-o", str(image), "-q"]
    subprocess.run(build, check=True, timeout=240)
    return image


@pytest.fixture
def status(status_image: Path, runner: str, cli: Cli) -> Cli:
    """Return a function that runs the program with arguments."""

    def run(*args: str, flags: tuple[str, ...] = (), **options: Any) -> Any:
        command = ("run", "--runner", runner, *flags, str(status_image), "--", *args)
        return cli(*command, timeout=LIMIT[runner], **options)

    return run


@pytest.mark.parametrize("number", [0, 1, 7, 255])
def test_the_exit_status_is_the_programs(number: int, status: Cli) -> None:
    assert status("exit", str(number)).returncode == number


def test_a_crash_is_reported_with_its_place(status: Cli) -> None:
    done = status("segv")
    assert done.returncode == 128 + signal.SIGSEGV
    assert "kernlet-crash:" in done.stderr
    assert "deeper" in done.stderr


def test_abort_gives_its_signal(status: Cli) -> None:
    assert status("abort").returncode == 128 + signal.SIGABRT


def test_output_is_exact_to_the_byte(status_image: Path, runner: str) -> None:
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, str(status_image)]
    done = subprocess.run(
        [*command, "--", "bytes"], capture_output=True, timeout=LIMIT[runner], check=True
    )
    assert done.stdout == bytes(i * 7 & 255 for i in range(300_000))


def test_the_two_streams_stay_apart(status: Cli) -> None:
    done = status("both")
    assert (done.stdout, done.stderr) == ("to out\n", "to err\n")


def test_environment_and_directory(status: Cli) -> None:
    assert status("env", flags=("-e", "A=b c%", "-w", "/tmp")).stdout == "b c% /tmp"


def test_standard_input_reaches_the_program_until_its_end(status: Cli) -> None:
    assert status("cat", stdin=b"some text\n" * 5000).stdout == "some text\n" * 5000


def test_ctrl_c_stops_the_guest_and_leaves_nothing(
    status_image: Path, runner: str, cli: Cli
) -> None:
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, str(status_image)]
    with subprocess.Popen([*command, "--", "sleep", "60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        (instance,) = json.loads(cli("ps", "--json").stdout)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert json.loads(cli("ps", "-a", "--json").stdout) == []
    assert not Path(f"/proc/{instance['pid']}").exists()


def test_a_reader_that_goes_ends_the_program(status_image: Path, runner: str, cli: Cli) -> None:
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, str(status_image)]
    with subprocess.Popen(
        [*command, "--", "chat"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line 0\n"
        process.stdout.close()
        assert (process.wait(LIMIT[runner]), process.stderr.read()) == (141, b"")
    assert json.loads(cli("ps", "-a", "--json").stdout) == []


def test_a_program_that_ignores_sigpipe_goes_on(status_image: Path, runner: str) -> None:
    if runner == "qemu":
        pytest.skip("QEMU ends in place of the program: no way to pass a signal on yet")
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, str(status_image)]
    with subprocess.Popen([*command, "--", "careless"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"line 0\n"
        process.stdout.close()
        assert process.wait(LIMIT[runner]) == 7


@pytest.mark.parametrize("flags", [(), ("-d",)])
def test_killing_who_looks_after_it_ends_the_guest(
    status_image: Path, runner: str, cli: Cli, flags: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, *flags]
    command += ["--name", "orphan", str(status_image), "--", "sleep", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        record = json.loads(cli("inspect", "--json", "orphan").stdout)
        os.kill(record["keeper_pid"], signal.SIGKILL)
    try:
        deadline = time.monotonic() + 10
        while Path(f"/proc/{record['pid']}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        listed = json.loads(cli("ps", "-a", "--json").stdout)
        assert [one["status"] for one in listed] == (["dead"] if flags else [])
    finally:
        cli("rm", "-f", "orphan")


def test_stop_lets_the_program_end_by_itself(status_image: Path, runner: str) -> None:
    if runner == "qemu":
        pytest.skip("QEMU ends at a signal: no way to pass one on to the guest's program yet")
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, str(status_image)]
    with subprocess.Popen([*command, "--", "graceful"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"bye\n"
        assert process.wait(10) == 7


def test_a_second_request_stops_a_program_that_does_not_listen(
    status_image: Path, runner: str
) -> None:
    if runner == "qemu":
        pytest.skip("QEMU ends at the first signal")
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, str(status_image)]
    with subprocess.Popen([*command, "--", "stubborn"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 143


def test_ctrl_c_on_a_terminal_stops_the_guest(status_image: Path, runner: str) -> None:
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, str(status_image)]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*command, "--", "sleep", "60"])
    try:
        shown = b""
        while b"up" not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, b"\x03")
        with contextlib.suppress(OSError):  # the terminal is gone when its last process is
            while data := os.read(terminal, 1024):
                shown += data
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
        assert b"kernlet:" not in shown
    finally:
        os.close(terminal)


def test_a_detached_run_keeps_status_and_output(status_image: Path, runner: str, cli: Cli) -> None:
    done = cli("run", "-d", "--runner", runner, str(status_image), "--", "both")
    assert done.returncode == 0, done.stderr
    identifier = done.stdout.strip()
    try:
        deadline = time.monotonic() + LIMIT[runner]
        while (record := json.loads(cli("inspect", "--json", identifier).stdout))["status"] in (
            "starting",
            "running",
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert record["exit_status"] == 0
        logs = cli("logs", identifier)
        assert (logs.stdout, logs.stderr) == ("to out\n", "to err\n")
    finally:
        cli("rm", "-f", identifier)


def test_a_program_that_wants_too_much_memory_ends_cleanly(status: Cli) -> None:
    done = status("eat", "64", flags=("-m", "16M"))
    assert done.returncode in (42, 128 + signal.SIGKILL)
    assert "give it more with -m" in done.stderr or done.returncode == 42
    assert status("eat", "8", flags=("-m", "32M")).returncode == 0


def test_too_little_memory_to_boot_is_one_clear_line(status: Cli) -> None:
    done = status("exit", "0", flags=("-m", "1M"))
    if done.returncode != 0:  # a small library OS may well do with it
        assert done.returncode in (125, 137)
        assert "memory" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_program_is_built_and_run_in_one_step(
    tmp_path: Path, runner: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNLET_CACHE_DIR", str(tmp_path / "cache"))
    done = cli("run", "--runner", runner, "/bin/echo", "--", "a", "b", timeout=240)
    assert (done.returncode, done.stdout) == (0, "a b\n"), done.stderr
    (built,) = (tmp_path / "cache" / "images").glob("*.kernlet")
    before = built.stat().st_ino
    again = cli("run", "--runner", runner, "/bin/echo", "--", "c", timeout=LIMIT[runner])
    assert again.stdout == "c\n"
    assert built.stat().st_ino == before
