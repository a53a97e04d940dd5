# SPDX-License-Identifier: Apache-2.0
"""Rewritten programs and libraries run on Linux and do what the originals do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fakes.gate import GATE, make_launcher, run, through_gate, write_program, write_rewritten
from kernlet.build.dependencies import find_dependencies
from kernlet.build.rewrite import rewrite_elf


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_launcher(tmp_path_factory.mktemp("launcher"))


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with rewritten libraries of the programs below, the loader and libc among them."""
    folder = tmp_path_factory.mktemp("libraries")
    for program in PROGRAMS:
        if Path(program).is_file():
            found = find_dependencies(program)
            write_rewritten(folder, "/lib64/ld-linux-x86-64.so.2")
            for library in found.libraries:
                write_rewritten(folder, library.path)
    return folder


BUSYBOX = [
    ["ls", "-la", "/etc/apt"],
    ["sha256sum", "/bin/busybox"],
    ["awk", "BEGIN { for (i = 0; i < 5; i++) print i * i }"],
    [
        "sh",
        "-c",
        "echo a; (echo b; exit 4); echo $?; trap 'echo t' USR1; kill -USR1 $$; x=$(echo c); echo $x",
    ],
    ["find", "/etc/apt", "-type", "f"],
    ["dd", "if=/dev/zero", "of=/dev/null", "bs=4096", "count=64"],
    ["sh", "-c", "kill -SEGV $$"],
]


@pytest.mark.parametrize("args", BUSYBOX, ids=[" ".join(args)[:24] for args in BUSYBOX])
def test_static_glibc_program(launcher: Path, tmp_path: Path, args: list[str]) -> None:
    if not Path("/bin/busybox").is_file():
        pytest.skip("busybox-static is not installed")
    program = write_rewritten(tmp_path, "/bin/busybox")
    outcome, entries = through_gate(launcher, [program, *args])
    assert outcome[:2] == run(["/bin/busybox", *args])[:2]
    assert entries > 0


THREADS_SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;
static void *work(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&lock);
		total += (long)arg;
		pthread_mutex_unlock(&lock);
	}
	return arg;
}
static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}
static void on_alarm(int number) { (void)number; }
int main(void)
{
	pthread_t threads[4];
	char text[16] = "";
	int pipes[2], status;
	void *result;

	for (long i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("total %ld\n", total);
	pthread_create(&threads[0], NULL, sleeper, NULL);
	usleep(20000);
	pthread_cancel(threads[0]);
	pthread_join(threads[0], &result);
	printf("cancelled %d\n", result == PTHREAD_CANCELED);
	signal(SIGALRM, on_alarm);
	siginterrupt(SIGALRM, 1);
	alarm(1);
	printf("pause %d %d\n", pause(), errno == EINTR);
	if (pipe(pipes) != 0)
		return 1;
	fflush(stdout);
	if (fork() == 0) {
		if (write(pipes[1], "from child", 10) != 10)
			_exit(1);
		_exit(7);
	}
	if (read(pipes[0], text, 10) != 10)
		return 1;
	wait(&status);
	printf("%s %d\n", text, WEXITSTATUS(status));
	return 3;
}
"""


COMPILERS = {
    "musl": ["musl-gcc", "-static"],
    "musl-stripped": ["musl-gcc", "-static", "-s"],
    "glibc": ["gcc", "-static", "-pthread"],
    "static-pie": ["gcc", "-static-pie", "-pthread"],
}


@pytest.mark.parametrize("kind", COMPILERS)
def test_threads_signals_and_processes(launcher: Path, tmp_path: Path, kind: str) -> None:
    compiler = COMPILERS[kind]
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    source, program = tmp_path / "a.c", tmp_path / "program"
    source.write_text(THREADS_SOURCE)
    subprocess.run([*compiler, "-O2", "-o", program, source], check=True)
    rewritten = write_program(
        tmp_path / "rewritten", rewrite_elf(program.read_bytes(), gate_va=GATE).data
    )
    outcome, entries = through_gate(launcher, [rewritten])
    assert outcome == run([program])
    assert outcome[0] == 3
    assert entries > 20


GO_SOURCE = """package main
import ("fmt"; "net"; "os"; "sync"; "time")
func main() {
	var wait sync.WaitGroup
	numbers := make(chan int, 10)
	for i := 0; i < 50; i++ {
		wait.Add(1)
		go func(i int) { defer wait.Done(); time.Sleep(time.Millisecond); numbers <- i }(i)
	}
	go func() { wait.Wait(); close(numbers) }()
	sum := 0
	for v := range numbers { sum += v }
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil { fmt.Println(err); os.Exit(1) }
	go func() { c, _ := server.Accept(); c.Write([]byte("hi")); c.Close() }()
	client, _ := net.Dial("tcp", server.Addr().String())
	text := make([]byte, 10)
	n, _ := client.Read(text)
	fmt.Println(sum, string(text[:n]))
}
"""


@pytest.mark.parametrize("flags", [[], ["-ldflags", "-s -w"]], ids=["symbols", "stripped"])
def test_static_go_program(launcher: Path, tmp_path: Path, flags: list[str]) -> None:
    places = [shutil.which("go"), *map(str, sorted(Path("/usr/lib").glob("go-*/bin/go")))]
    compiler = next((place for place in places if place), None)
    if compiler is None:
        pytest.skip("Go is not installed")
    (tmp_path / "main.go").write_text(GO_SOURCE)
    program = tmp_path / "program"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GOCACHE": str(tmp_path / "cache")}
    command = [compiler, "build", "-p", "1", *flags, "-o", str(program), "main.go"]
    off = {"CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": ""}
    subprocess.run(command, cwd=tmp_path, env=env | off, check=True, capture_output=True)
    result = rewrite_elf(program.read_bytes(), gate_va=GATE)
    assert result.share >= 0.99
    outcome, entries = through_gate(launcher, [write_program(tmp_path / "rewritten", result.data)])
    assert outcome == (0, b"1225 hi\n", b"")
    assert entries > 100


SCRIPT = """
import os, signal, socket, threading, time
def work():
    for _ in range(200): os.getppid()
threads = [threading.Thread(target=work) for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
pid = os.fork()
if pid == 0: os._exit(7)
print(os.waitpid(pid, 0)[1])
signal.signal(signal.SIGALRM, lambda *a: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.05)
time.sleep(0.2)
a, b = socket.socketpair()
a.sendall(b"x" * 1000)
print(len(b.recv(5000)))
print(sum(os.stat(p).st_size for p in ("/etc/passwd", "/etc/group")))
"""
PROGRAMS = {
    "/bin/ls": ["-la", "/etc/apt"],
    "/bin/cat": ["/etc/passwd"],
    "/bin/bash": ["-c", "echo $((6 * 7)); exit 5"],
    "/usr/bin/python3": ["-c", SCRIPT],
    "/usr/sbin/nginx": ["-v"],
    "/usr/bin/redis-server": ["--version"],
    "/usr/bin/openssl": ["version"],
    "/usr/bin/sort": ["/etc/passwd"],
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("loader", [True, False], ids=["rewritten-loader", "own-loader"])
def test_rewritten_libraries(launcher: Path, libraries: Path, program: str, loader: bool) -> None:
    if not Path(program).is_file():
        pytest.skip(f"{program} is not installed")
    command: list[str | Path] = [program, *PROGRAMS[program]]
    if loader:
        path = libraries / "ld-linux-x86-64.so.2"
        outcome, entries = through_gate(
            launcher, [path, "--argv0", program, "--library-path", libraries, *command]
        )
    else:
        outcome, entries = through_gate(launcher, command, LD_LIBRARY_PATH=str(libraries))
    assert outcome == run(command)
    assert entries > 0


def test_rewritten_nginx_checks_its_configuration(
    launcher: Path, libraries: Path, tmp_path: Path
) -> None:
    if not Path("/usr/sbin/nginx").is_file():
        pytest.skip("nginx is not installed")
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off; }}\n"
    )
    command: list[str | Path] = ["/usr/sbin/nginx", "-t", "-p", tmp_path, "-c", configuration]
    outcome, entries = through_gate(launcher, command, LD_LIBRARY_PATH=str(libraries))
    assert outcome[0] == 0
    assert b"test is successful" in outcome[2]
    assert entries > 50
