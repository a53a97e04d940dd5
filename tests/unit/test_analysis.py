# SPDX-License-Identifier: Apache-2.0
"""The analysis on small programs made for the purpose: what it must find, and what it must not claim to know."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kernlet.build._errors import BuildError
from kernlet.build._specialise import choose, failures, read_trace
from kernlet.build.analysis import Analysis, analyse_plan, analyse_program
from kernlet.build.cache import ContentCache
from kernlet.build.sources import EntryKind, RootfsEntry, RootfsPlan
from kernlet.kernel import default_tree, load_modules

START = """
.globl _start
_start:
    {body}
    mov $60, %eax
    syscall
    hlt
"""


def analysis_of(tmp_path: Path, body: str, more: str = "") -> Analysis:
    source, program = tmp_path / "a.s", tmp_path / "a"
    source.write_text(f".text\n{START.format(body=body)}\n{more}\n")
    command = ["gcc", "-nostdlib", "-static-pie", "-o", str(program), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return analyse_program(str(program), cache=ContentCache("analysis", tmp_path / "cache"))


def test_a_number_right_before_the_call_is_found(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "mov $39, %eax; syscall")
    assert analysis.names == {"getpid", "exit"}
    assert not analysis.unknown


def test_a_number_is_followed_through_registers_and_the_stack(tmp_path: Path) -> None:
    body = "sub $24, %rsp; movq $39, 8(%rsp); mov 8(%rsp), %rbx; mov %ebx, %eax; syscall"
    assert "getpid" in analysis_of(tmp_path, body).names


def test_both_sides_of_a_branch_count(tmp_path: Path) -> None:
    body = "mov $39, %eax; test %rdi, %rdi; je 1f; mov $102, %eax\n1: syscall"
    assert {"getpid", "getuid"} <= analysis_of(tmp_path, body).names


def test_a_number_is_followed_to_the_callers(tmp_path: Path) -> None:
    body = "mov $39, %edi; call wrapper; mov $102, %edi; call wrapper"
    analysis = analysis_of(tmp_path, body, "wrapper: mov %edi, %eax; syscall; ret")
    assert analysis.names == {"getpid", "getuid", "exit"}
    assert not analysis.unknown


def test_a_number_from_memory_is_unknown(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "mov (%rsi), %eax; syscall")
    assert len(analysis.unknown) == 1
    assert analysis.unknown[0].chain[-1].how == "makes the system call at"


def test_a_number_changed_by_a_call_is_unknown(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "mov $39, %eax; call other; syscall", "other: ret")
    assert analysis.unknown


def test_what_nothing_leads_to_does_not_count(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "nop", "unused: mov $39, %eax; syscall; ret")
    assert analysis.names == {"exit"}


def test_a_function_whose_address_is_taken_counts(tmp_path: Path) -> None:
    analysis = analysis_of(
        tmp_path, "lea taken(%rip), %rax; call *%rax", "taken: mov $39, %eax; syscall; ret"
    )
    assert "getpid" in analysis.names


def test_a_function_in_data_that_code_refers_to_counts(tmp_path: Path) -> None:
    more = "used: mov $39, %eax; syscall; ret\n.data\n.balign 32\ntable: .quad used, used"
    analysis = analysis_of(tmp_path, "lea table(%rip), %rax; call *8(%rax)", more)
    assert "getpid" in analysis.names


def test_a_wrapper_whose_address_is_taken_is_unknown(tmp_path: Path) -> None:
    analysis = analysis_of(
        tmp_path, "lea taken(%rip), %rax; call *%rax", "taken: mov %edi, %eax; syscall; ret"
    )
    assert analysis.unknown


def test_an_old_system_call_is_unknown(tmp_path: Path) -> None:
    assert analysis_of(tmp_path, "mov $20, %eax; int $0x80").unknown


def test_the_family_of_a_socket_is_found(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "mov $1, %edi; mov $1, %esi; mov $41, %eax; syscall")
    assert analysis.operations("socket", 1) == frozenset({"AF_UNIX"})
    assert analysis.operations("socket", 2) == frozenset({"SOCK_STREAM"})


def test_a_family_that_is_not_known_is_none(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "mov (%rsp), %edi; mov $41, %eax; syscall")
    assert analysis.operations("socket", 1) is None


def test_a_second_look_says_the_same(tmp_path: Path) -> None:
    first = analysis_of(tmp_path, "mov $39, %eax; syscall")
    again = analyse_program(str(tmp_path / "a"), cache=ContentCache("analysis", tmp_path / "cache"))
    assert again == first


def test_sockets_of_one_family_leave_the_network_out(tmp_path: Path) -> None:
    modules = load_modules(default_tree().lib)
    analysis = analysis_of(tmp_path, "mov $1, %edi; mov $1, %esi; mov $41, %eax; syscall")
    choice = choose(analysis, modules)
    assert choice is not None
    assert "unix" in choice.modules
    assert {"tcp", "udp", "virtio-net"} <= choice.left_out.keys()


def test_an_unknown_family_keeps_the_network(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "mov (%rsp), %edi; mov $41, %eax; syscall")
    choice = choose(analysis, load_modules(default_tree().lib))
    assert choice is not None
    assert {"unix", "tcp", "udp", "virtio-net"} <= choice.modules.keys()


def test_nothing_is_left_out_while_something_is_unknown(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "mov (%rsi), %eax; syscall")
    assert choose(analysis, load_modules(default_tree().lib)) is None


def test_a_call_that_no_module_has_is_said(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, "mov $169, %eax; syscall")
    found = failures(analysis, load_modules(default_tree().lib))
    assert [item.syscall for item in found] == ["reboot"]


@pytest.mark.parametrize(
    "text",
    ['["read", "write"]', "read\nwrite\n", '12 read(3, "x", 1) = 1\n12 write(1, "x", 1) = 1\n'],
)
def test_a_trace_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "trace").write_text(text)
    assert read_trace(tmp_path / "trace") == {"read", "write"}


def test_a_trace_without_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("12345\n")
    with pytest.raises(BuildError, match="names no system call"):
        read_trace(tmp_path / "trace")


def test_a_library_that_is_not_in_the_image_makes_all_unknown() -> None:
    entries = (
        RootfsEntry("/", EntryKind.DIRECTORY, 0o755),
        RootfsEntry("/true", EntryKind.FILE, 0o755, source=Path("/bin/true")),
    )
    analysis = analyse_plan(RootfsPlan("true", entries, ("/true",)))
    assert analysis is not None
    assert any("libc.so.6 is not in the image" in item.what for item in analysis.unknown)
