# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.monitor import install
from kernlet.manager import (
    DetachedStartError,
    Instance,
    InstanceError,
    LogWriter,
    Manager,
    NameTakenError,
    NoSuchInstanceError,
    StateError,
    read_log,
    run_detached,
)
from kernlet.manager._names import is_name, make_name
from kernlet.runner import MonitorRunner, RunSpec


@pytest.fixture(name="manager")
def make_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setenv("KERNLET_MONITOR", str(install(tmp_path)))
    monkeypatch.setenv("KERNLET_CACHE_DIR", str(tmp_path / "cache"))
    with Manager(str(tmp_path / "state"), str(tmp_path / "run")) as manager:
        yield manager
        for instance in manager.list():
            manager.remove(instance, force=True)


def create(manager: Manager, name: str = "", *, remove: bool = False) -> Instance:
    return manager.create(
        "/image", ["guest"], name=name, detached=True, auto_remove=remove, memory_bytes=1 << 20
    )


def detach(manager: Manager, *argv: str, name: str = "", remove: bool = False) -> Instance:
    instance = create(manager, name, remove=remove)
    spec = RunSpec("/image", 1 << 20, argv=("guest", *argv))
    control = manager.control_path(instance)
    run_detached(manager, instance, MonitorRunner(), "kvm", spec._replace(control_path=control))
    return instance


def wait_for_end(manager: Manager, instance: Instance) -> Instance:
    deadline = time.monotonic() + 10
    while (now := manager.get(instance.id)).live:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return now


def test_names_are_unique_and_generated_when_not_given(manager: Manager) -> None:
    first = create(manager, "web")
    with pytest.raises(NameTakenError, match="'web' is taken"):
        create(manager, "web")
    names = {create(manager).name for _ in range(20)}
    assert len(names) == 20
    assert manager.get("web").id == first.id


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "ü", "x" * 64, "_"])
def test_odd_names_are_refused(manager: Manager, name: str) -> None:
    assert not is_name(name)
    if name:
        with pytest.raises(InstanceError, match="cannot be a name"):
            create(manager, name)


def test_generated_names_are_names() -> None:
    assert all(is_name(make_name()) for _ in range(50))


def test_an_instance_is_found_by_the_start_of_its_id(manager: Manager) -> None:
    instance = create(manager)
    assert manager.get(instance.id[:8]).name == instance.name
    for text in ("nobody", "", "%", "_"):
        with pytest.raises(NoSuchInstanceError, match="no kernlet is called"):
            manager.get(text)


def test_a_detached_run_keeps_output_and_exit_status(manager: Manager) -> None:
    instance = detach(manager, "echo", "out", "error", "err", "log", "kernel", "exit", "3")
    ended = wait_for_end(manager, instance)
    assert (ended.status, ended.exit_status) == ("exited", 3)
    entries = list(read_log(manager.instance_dir(instance)))
    texts = {entry["stream"]: entry["text"] for entry in entries}
    assert texts == {"stdout": "out\n", "stderr": "err\n", "kernel": "kernel\n"}
    assert list(Path(manager.sockets).iterdir()) == []


def test_stop_ends_it_and_records_the_signal(manager: Manager) -> None:
    instance = manager.get(detach(manager, "sleep", "60", name="long").id)
    assert instance.status == "running"
    assert instance.runner == "monitor"
    with pytest.raises(InstanceError, match="long is running; stop it first"):
        manager.remove(instance)
    manager.stop(instance)
    assert manager.get("long").exit_status == 128 + signal.SIGTERM
    manager.stop(manager.get("long"))
    manager.remove(manager.get("long"))
    assert manager.list() == []
    assert not Path(manager.instance_dir(instance)).exists()


def test_it_removes_itself_when_asked_to(manager: Manager) -> None:
    instance = detach(manager, "exit", "0", remove=True)
    deadline = time.monotonic() + 10
    while manager.list():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not Path(manager.instance_dir(instance)).exists()


def test_a_runner_that_fails_leaves_nothing(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNLET_MONITOR", "/nowhere")
    with pytest.raises(DetachedStartError, match="/nowhere does not start"):
        detach(manager, "exit", "0", remove=True)
    assert manager.list() == []


def test_a_killed_keeper_and_vm_are_noticed(manager: Manager) -> None:
    instance = manager.get(detach(manager, "sleep", "60", name="gone").id)
    os.kill(instance.keeper_pid, signal.SIGKILL)
    time.sleep(0.05)
    assert manager.get("gone").status == "running"
    os.kill(instance.pid, signal.SIGKILL)
    time.sleep(0.05)
    dead = manager.get("gone")
    assert (dead.status, dead.exit_status) == ("dead", None)
    assert list(Path(manager.sockets).iterdir()) == []
    assert create(manager, "other").name == "other"


def test_stop_works_without_the_keeper(manager: Manager) -> None:
    instance = manager.get(detach(manager, "sleep", "60").id)
    os.kill(instance.keeper_pid, signal.SIGKILL)
    time.sleep(0.05)
    manager.stop(instance)
    assert manager.get(instance.id).exit_status == 128 + signal.SIGTERM


def test_a_restart_of_the_machine_is_noticed(manager: Manager) -> None:
    instance = create(manager)
    manager._store.update(instance.id, boot_id="another boot", status="running", pid=1)
    assert manager.get(instance.id).status == "dead"


def test_a_reused_pid_is_not_taken_for_the_vm(manager: Manager) -> None:
    instance = create(manager)
    manager._store.update(instance.id, status="running", pid=os.getpid(), pid_start=1, keeper_pid=0)
    assert manager.get(instance.id).status == "dead"


def test_the_name_of_a_dead_foreground_run_is_free_again(manager: Manager) -> None:
    first = manager.create("/image", ["guest"], name="web")
    manager._store.update(first.id, keeper_pid=0)
    assert manager.create("/image", ["guest"], name="web").id != first.id


def test_a_state_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="KERNLET_STATE_DIR"):
        Manager(str(tmp_path / "file" / "state"), str(tmp_path))


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    with Manager(str(tmp_path), str(tmp_path)) as manager:
        manager._store._db.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="another version"):
        Manager(str(tmp_path), str(tmp_path))


CREATE_MANY = """
import sys
from kernlet.manager import Manager
with Manager(sys.argv[1], sys.argv[1]) as manager:
    for _ in range(10):
        manager.create("/image", ["guest"], auto_remove=False)
        manager.list()
"""


def test_many_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE_MANY, str(tmp_path)]
    workers = [subprocess.Popen(command) for _ in range(4)]
    assert [worker.wait(30) for worker in workers] == [0, 0, 0, 0]
    with Manager(str(tmp_path), str(tmp_path)) as manager:
        found = manager.list()
    assert len(found) == 40
    assert {instance.status for instance in found} == {"dead"}


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=60))))
def test_logs_are_exact(chunks: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = LogWriter(folder)
        for stream, data in chunks:
            log.add(stream, data)
        log.close()
        for stream in ("stdout", "stderr"):
            written = b"".join(data for to, data in chunks if to == stream)
            entries = read_log(folder, streams=(stream,))
            text = "".join(entry["text"] for entry in entries)
            assert text.encode("utf-8", "surrogateescape") == written


def test_a_log_is_followed_through_its_rotation(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path), max_bytes=2000)
    state = {"rounds": 0}

    def follow() -> bool:
        state["rounds"] += 1
        if state["rounds"] <= 30:
            log.add("stdout", f"line {state['rounds']}\n".encode())
        return state["rounds"] <= 31

    lines = [entry["text"] for entry in read_log(str(tmp_path), follow)]
    assert lines == [f"line {n}\n" for n in range(1, 31)]
    assert (tmp_path / "log.jsonl.1").exists()
    log.close()


def test_the_tail_counts_lines_of_the_wanted_streams(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path))
    for number in range(5):
        log.add("stdout", f"{number}\n".encode())
        log.add("kernel", b"noise\n")
    log.close()
    lines = [e["text"] for e in read_log(str(tmp_path), tail=2, streams=("stdout",))]
    assert lines == ["3\n", "4\n"]


def test_zombies_count_as_ended(manager: Manager) -> None:
    from kernlet.manager._instance import start_time

    child = subprocess.Popen(["/bin/true"])
    time.sleep(0.1)
    assert start_time(child.pid) == 0
    child.wait()
    assert start_time(os.getpid()) > 0
    assert start_time(-1) == 0
    assert manager.list() == []
