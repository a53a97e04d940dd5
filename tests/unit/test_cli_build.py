# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fakes import image
from kernlet.build.sources import RootfsPlan, load_source
from kernlet.cli import _build_cache, inspect, main
from kernlet.cli._target import TargetError
from kernlet.image import Manifest, ModuleUse


@pytest.fixture(name="program")
def make_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERNLET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERNLET_STATE_DIR", str(tmp_path / "state"))
    source = tmp_path / "p.c"
    source.write_text("int main(void) { return 0; }\n")
    program = tmp_path / "program"
    subprocess.run(["cc", "-static", "-o", str(program), str(source)], check=True, timeout=60)
    return program


@pytest.fixture(name="builds")
def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the builder by one that writes an image's headers; return what it was asked for."""
    done: list[str] = []

    def build_plan(plan: RootfsPlan, output: Path, **_options: Any) -> None:
        done.append(plan.name)
        image.write(output)

    monkeypatch.setattr(_build_cache, "build_plan", build_plan)
    return done


def test_the_same_program_is_built_once(program: Path, builds: list[str]) -> None:
    first = _build_cache.built_image(str(program), verbose=0)
    assert _build_cache.built_image(str(program), verbose=0) == first
    assert builds == ["program"]


def test_a_changed_program_is_built_anew(program: Path, builds: list[str]) -> None:
    first = _build_cache.built_image(str(program), verbose=0)
    info = program.stat()
    program.write_bytes(program.read_bytes() + b"\0")
    os.utime(program, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert _build_cache.built_image(str(program), verbose=0) != first
    assert len(builds) == 2


def test_the_key_covers_how_the_program_starts(program: Path) -> None:
    plan = load_source(program)
    keys = {
        _build_cache.plan_key(one)
        for one in (
            plan,
            replace(plan, cmd=("x",)),
            replace(plan, env={**plan.env, "A": "b"}),
            replace(plan, cwd="/tmp"),
            replace(plan, user="1:1"),
            replace(plan, memory=1 << 24),
            replace(plan, entries=plan.entries[:-1]),
        )
    }
    assert len(keys) == 7
    assert _build_cache.plan_key(load_source(program)) in keys


def test_the_cache_does_not_grow_without_end(
    program: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_build_cache, "_KEPT", 2)
    for number in range(4):
        program.write_bytes(program.read_bytes() + b"\0")
        newest = _build_cache.built_image(str(program), verbose=0)
        os.utime(newest, (number, number))
    assert len(builds) == 4
    assert len(list(Path(newest).parent.iterdir())) == 2


@pytest.mark.parametrize("content", [b"no program\n", b"\x7fELF\x01\x01" + bytes(60)])
def test_what_cannot_be_run_is_126(program: Path, content: bytes) -> None:
    program.write_bytes(content)
    with pytest.raises(TargetError) as caught:
        _build_cache.built_image(str(program), verbose=0)
    assert caught.value.exit_status == 126
    assert caught.value.hint


def test_inspect_shows_an_image(tmp_path: Path) -> None:
    manifest = Manifest(
        1, "web", ("/bin/web", "a b"), env=(("A", "b"),), modules=(ModuleUse("tcp", "sockets"),)
    )
    path = image.write(tmp_path / "web.kernlet", manifest)
    shown = CliRunner().invoke(inspect.command, [str(path)]).output
    assert '/bin/web "a b"' in shown
    assert "tcp     sockets" in shown
    value = json.loads(CliRunner().invoke(inspect.command, [str(path), "--json"]).output)
    assert value["entrypoint"] == ["/bin/web", "a b"]
    assert value["size_bytes"] == path.stat().st_size


def test_nothing_is_left_when_a_build_fails(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(program.parent)
    before = sorted(program.parent.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["build", str(program), "-o", "missing/x.kernlet"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("kernlet: ")
    assert sorted(program.parent.iterdir()) == before


def test_an_output_that_is_no_file_stays_as_it_is(
    program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(SystemExit) as ended:
        main(["build", str(program), "-o", str(fifo)])
    assert ended.value.code == 1
    assert (
        capsys.readouterr().err == f"kernlet: {fifo} is not a regular file; name a file with -o\n"
    )
    assert fifo.is_fifo()
