# SPDX-License-Identifier: Apache-2.0
"""What programs really do (strace) is among what the analysis says: the examples, programs of the distribution."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from kernlet.build.analysis import IMPLIED, Analysis, analyse_program
from kernlet.build.cache import ContentCache

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20
_CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)")
_STARTED = re.compile(r'^(?:\[pid +\d+\] |\d+ +)?execve(?:at)?\("([^"]+)"')
_PID = re.compile(r"^(\d+) +")

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

# Arguments that make each do some real work on a small folder of files.
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("ls", "-laR", "."),
    ("cat", "text", "numbers"),
    ("cp", "-a", "folder", "copy"),
    ("mv", "text", "text2"),
    ("rm", "-rf", "folder"),
    ("mkdir", "-p", "a/b/c"),
    ("touch", "-d", "2020-01-01", "new"),
    ("chmod", "-R", "700", "folder"),
    ("ln", "-s", "text", "link"),
    ("dd", "if=text", "of=copy", "bs=512"),
    ("df", "."),
    ("du", "-a", "."),
    ("stat", "text"),
    ("wc", "text", "numbers"),
    ("sort", "-n", "numbers"),
    ("uniq", "-c", "numbers"),
    ("head", "-n", "3", "text"),
    ("tail", "-n", "3", "text"),
    ("cut", "-c1-5", "text"),
    ("tr", "a-z", "A-Z"),
    ("sha256sum", "text"),
    ("date", "-R"),
    ("uname", "-a"),
    ("id",),
    ("env",),
    ("nproc",),
    ("sleep", "0.01"),
    ("timeout", "5", "true"),
    ("seq", "100"),
    ("split", "-l", "10", "text"),
    ("sync", "text"),
    ("realpath", "folder"),
    ("who",),
    ("grep", "-rn", "the", "."),
    ("sed", "-i", "s/the/THE/", "text"),
    ("awk", "{ n += length($0) } END { print n }", "text"),
    ("tar", "czf", "out.tar.gz", "folder"),
    ("gzip", "-k", "text"),
    ("xz", "-k", "-T2", "text"),
    ("bzip2", "-k", "text"),
    ("find", ".", "-type", "f", "-newer", "numbers", "-ls"),
    ("xargs", "-P2", "-n1", "echo"),
    ("diff", "-u", "text", "numbers"),
    ("cmp", "text", "numbers"),
    ("file", "text"),
    ("bash", "-c", "for i in 1 2 3; do echo $i | cat; done; ls > out; wait; read x < text; echo $x; kill -0 $$"),
    ("dash", "-c", "for i in 1 2 3; do echo $i | cat; done; ls > out & wait; read x < text; echo $x"),
    ("make", "-f", "Makefile", "-j2"),
    ("git", "init", "-q", "repository"),
    ("openssl", "speed", "-seconds", "1", "-bytes", "16", "md5"),
    ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "k", "-out", "c"),
    ("curl", "-s", "http://127.0.0.1:9/"),
    ("wget", "-q", "-t1", "http://localhost:9/"),
    ("getent", "hosts", "localhost"),
    ("getent", "passwd", "root"),
    ("perl", "-e", "use Socket; use POSIX; socket(S, PF_INET, SOCK_STREAM, 0); print gmtime(), `echo x`;"),
    ("objdump", "-h", "/bin/true"),
    ("gcc", "--version"),
    ("ps", "aux"),
    ("ip", "addr"),
    ("ss", "-ltn"),
    ("mount",),
    ("gdb", "--version"),
    ("ssh", "-V"),
    ("nginx", "-t"),
    ("redis-server", "--version"),
)  # fmt: skip


@pytest.fixture(scope="session")
def cache() -> ContentCache:
    return ContentCache("analysis")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "folder"
    inside.mkdir()
    (inside / "file").write_text("in a folder\n")
    (tmp_path / "text").write_text("the quick brown fox jumps over the lazy dog\n" * 200)
    (tmp_path / "numbers").write_text("".join(f"{n * 7 % 13}\n" for n in range(100)))
    (tmp_path / "Makefile").write_text("all: one two\none two:\n\t@echo $@\n")
    return tmp_path


def observed(command: Sequence[str], folder: Path) -> dict[str, set[str]]:
    """Run a command under strace; return the system calls of each program that ran, by path, after its start."""
    log = folder.parent / f"{folder.name}.strace"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", str(log), *command],
        cwd=folder,
        input=b"one\ntwo\n",
        capture_output=True,
        timeout=SECONDS * 3,
        check=False,
    )
    return by_program(log.read_text(errors="replace").splitlines())


def by_program(lines: Iterable[str]) -> dict[str, set[str]]:
    programs: dict[str, str] = {}
    starting: dict[str, str] = {}
    parents: list[str] = []
    found: dict[str, set[str]] = {}
    for line in lines:
        match = _PID.match(line)
        pid = match[1] if match else "0"
        if pid not in programs:
            # A child starts as what its parent is; the one that ran last is the parent in all these cases.
            programs[pid] = programs[parents[-1]] if parents else ""
        parents.append(pid)
        started = _STARTED.match(line)
        call = _CALL.match(line)
        if started is not None:
            if programs[pid]:
                found.setdefault(programs[pid], set()).add("execve")
            starting[pid] = started[1]
            if line.rstrip().endswith("= 0"):
                programs[pid] = starting.pop(pid)
        elif "execve resumed" in line:
            if line.rstrip().endswith("= 0") and pid in starting:
                programs[pid] = starting.pop(pid)
        elif call is not None:
            found.setdefault(programs[pid], set()).add(call[1])
    return found


def analysed(program: str, cache: ContentCache, extra: Sequence[str] = ()) -> Analysis:
    return analyse_program(str(Path(program).resolve()), extra=extra, cache=cache)


def check(
    command: Sequence[str], folder: Path, cache: ContentCache, extra: Sequence[str] = ()
) -> Analysis:
    path = shutil.which(
        command[0], path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    )
    if path is None:
        pytest.skip(f"{command[0]} is not installed")
    if Path(path).read_bytes()[:4] != b"\x7fELF":
        pytest.skip(f"{command[0]} is a script")
    real = observed([path, *command[1:]], folder)
    assert real[path], "strace saw nothing"
    analysis = analysed(path, cache, extra)
    assert real[path] - analysis.names - IMPLIED.keys() == set()
    return analysis


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:30])
def test_a_run_is_within_the_analysis(
    command: Sequence[str], folder: Path, cache: ContentCache
) -> None:
    check(command, folder, cache)
