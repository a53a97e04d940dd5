# SPDX-License-Identifier: Apache-2.0
"""Rewriting system calls: every site decoded again, on real libraries and on code made for the purpose."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iced_x86 import Decoder, Instruction, Mnemonic

from fakes.elf import PHDR, TinyElf
from kernlet.abi import layout
from kernlet.build.rewrite import RewriteResult, Site, SiteStatus, rewrite_elf, scan_syscalls
from kernlet.elf import ElfError, ElfFile

GATE = layout()["KL_GATE_SYSCALL_VA"]
SYSCALL = b"\x0f\x05"
GETUID = b"\xb8\x66\x00\x00\x00"  # mov eax, 102
MOV_EAX_EDX = b"\x89\xd0"
XOR_EDI = b"\x31\xff"
EXIT = b"\xb8\xe7\x00\x00\x00" + SYSCALL + b"\xf4"

LIBRARIES = {
    "/lib/x86_64-linux-gnu/libc.so.6": 500,
    "/lib64/ld-linux-x86-64.so.2": 40,
    "/lib/ld-musl-x86_64.so.1": 400,
    "/bin/busybox": 250,
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3": 0,
    "/usr/lib/x86_64-linux-gnu/libstdc++.so.6": 0,
}


def rewrite(code: bytes, **options: object) -> tuple[RewriteResult, TinyElf]:
    tiny = TinyElf(code, **options)  # type: ignore[arg-type]  # the caller's own fields
    return rewrite_elf(tiny.bytes(), gate_va=GATE), tiny


def decode(elf: ElfFile, address: int, count: int) -> list[Instruction]:
    raw = elf.read(address, 15 * count) or elf.read(address, 4 * count) or b""
    segment = next(s for s in elf.loads if s.vaddr <= address < s.end)
    at = segment.offset + address - segment.vaddr
    raw = elf.data[at : segment.offset + segment.filesz][: 15 * count]
    decoder = Decoder(64, raw, ip=address)
    return [decoder.decode() for _ in range(count)]


def meaning(instruction: Instruction) -> tuple[object, ...]:
    """What an instruction does, apart from where it stands and how it is encoded."""
    if instruction.is_ip_rel_memory_operand:
        return (instruction.mnemonic, instruction.ip_rel_memory_address, instruction.op0_register)
    if (
        instruction.op_count and instruction.is_jmp_short_or_near
    ) or instruction.is_jcc_short_or_near:
        return (instruction.mnemonic, instruction.near_branch_target)
    return (
        instruction.mnemonic,
        *(instruction.op_kind(i) for i in range(instruction.op_count)),
        str(instruction),
    )


def check_site(before: ElfFile, after: ElfFile, site: Site) -> None:
    """Follow a rewritten site: the jump, what moved, the way into the gate, and the way back."""
    jump = decode(after, site.start, 1)[0]
    assert jump.mnemonic == Mnemonic.JMP
    assert jump.len == 5
    assert jump.near_branch_target == site.trampoline
    originals = []
    at = site.start
    while at < max(site.end, site.address + 2):
        originals.append(decode(before, at, 1)[0])
        at = originals[-1].next_ip
    index = next(i for i, o in enumerate(originals) if o.ip == site.address)
    assert originals[index].mnemonic == Mnemonic.SYSCALL
    moved = decode(after, site.trampoline, index + 3)
    assert [meaning(i) for i in moved[:index]] == [meaning(i) for i in originals[:index]]
    lea, mov, jmp = moved[index:]
    assert (lea.mnemonic, mov.mnemonic, jmp.mnemonic) == (Mnemonic.LEA, Mnemonic.MOV, Mnemonic.JMP)
    assert str(lea).startswith("lea rcx,")
    assert str(mov) == f"mov r11,{GATE:X}h"
    assert str(jmp) == "jmp r11"
    back = lea.ip_rel_memory_address
    # Whatever the form, the two bytes before the return address are a system call: restarting it is "minus two".
    assert decode(after, back - 2, 1)[0].mnemonic == Mnemonic.SYSCALL
    if site.end == site.address:
        assert back == site.address + 2
        return
    assert back == jmp.next_ip + 2
    rest = [o for o in originals[index + 1 :] if o.ip < site.end]
    tail = decode(after, back, len(rest) + 1)
    assert [meaning(i) for i in tail[: len(rest)]] == [meaning(i) for i in rest]
    if not rest or rest[-1].mnemonic not in (Mnemonic.JMP, Mnemonic.RET):
        assert tail[-1].near_branch_target == site.end


def check(original: bytes, result: RewriteResult) -> None:
    """Check a whole rewritten file: nothing but the windows and the program headers differs."""
    before, after = ElfFile(original), ElfFile(result.data)
    changed = bytearray(result.data[: len(original)])
    for site in result.sites:
        if site.status is not SiteStatus.REWRITTEN:
            raw = after.read(site.address, 2)
            assert raw == SYSCALL
            continue
        check_site(before, after, site)
        segment = next(s for s in before.loads if s.executable and s.vaddr <= site.start < s.end)
        at = segment.offset + site.start - segment.vaddr
        size = max(site.end - site.start, 5)
        changed[at : at + size] = original[at : at + size]
    headers = before.header.phoff + (len(before.segments) + 1) * PHDR.size
    assert changed[headers:] == original[headers:]
    if result.rewritten:
        new = after.loads[-1]
        assert new.executable
        assert not new.flags & 2
        assert new.vaddr >= max(s.end for s in before.loads)
        assert [s for s in after.loads if s != new] == list(before.loads)


@pytest.mark.parametrize("path", LIBRARIES)
def test_every_site_of_a_library_decodes_again(path: str) -> None:
    if not Path(path).is_file():
        pytest.skip(f"{path} is not installed")
    data = Path(path).read_bytes()
    result = rewrite_elf(data, gate_va=GATE, name=path)
    check(data, result)
    assert result.rewritten >= LIBRARIES[path]
    assert result.share >= 0.99
    assert rewrite_elf(data, gate_va=GATE).data == result.data


@pytest.mark.parametrize("path", [p for p, count in LIBRARIES.items() if count])
def test_no_known_jump_ends_inside_of_a_window(path: str) -> None:
    if not Path(path).is_file() or shutil.which("objdump") is None:
        pytest.skip(f"{path} or objdump is not installed")
    result = rewrite_elf(Path(path).read_bytes(), gate_va=GATE)
    text = subprocess.run(["objdump", "-d", path], capture_output=True, text=True).stdout
    targets = {
        int(t, 16) for t in re.findall(r"\t(?:j\w+|call|loop\w*|xbegin) +([0-9a-f]+) ?", text)
    }
    inside = {
        address
        for site in result.sites
        if site.status is SiteStatus.REWRITTEN
        for address in range(site.start + 1, max(site.end, site.start + 5))
    }
    assert not inside & targets


@pytest.mark.parametrize("path", [p for p, count in LIBRARIES.items() if count])
def test_nothing_is_taken_for_a_system_call_that_objdump_reads_differently(path: str) -> None:
    if not Path(path).is_file() or shutil.which("objdump") is None:
        pytest.skip(f"{path} or objdump is not installed")
    result = rewrite_elf(Path(path).read_bytes(), gate_va=GATE)
    text = subprocess.run(["objdump", "-d", path], capture_output=True, text=True).stdout
    known = {int(a, 16) for a in re.findall(r"^ +([0-9a-f]+):\t0f 05 +\tsyscall", text, re.M)}
    assert {site.address for site in result.sites if site.status is SiteStatus.REWRITTEN} <= known


def test_the_usual_site_keeps_its_return_address() -> None:
    result, tiny = rewrite(GETUID + SYSCALL + EXIT)
    check(tiny.bytes(), result)
    first = result.sites[0]
    assert (first.start, first.end, first.address) == (
        tiny.text_va,
        tiny.text_va + 5,
        tiny.text_va + 5,
    )


def test_instructions_behind_move_when_those_before_are_too_short() -> None:
    result, tiny = rewrite(MOV_EAX_EDX + SYSCALL + b"\x48\x89\xc3" + EXIT)
    check(tiny.bytes(), result)
    assert [site.status for site in result.sites] == [SiteStatus.REWRITTEN] * 2


def test_a_site_that_is_jumped_to_starts_its_window() -> None:
    # jmp to the syscall, over mov eax: both ways in must work.
    code = b"\x89\xd0\xeb\x05" + GETUID + SYSCALL + b"\x48\x89\xc3\x90\x90" + EXIT
    result, tiny = rewrite(code)
    check(tiny.bytes(), result)
    site = result.sites[0]
    assert site.status is SiteStatus.REWRITTEN
    assert site.start == site.address


def test_a_jump_into_the_window_leaves_the_site() -> None:
    # The loop enters between mov and syscall as well as right behind the syscall.
    code = b"\x75\x07\x75\x05\x31\xc0\x90\x89\xd0" + SYSCALL + b"\x74\xfc\x75\xfa" + EXIT
    result, tiny = rewrite(code)
    check(tiny.bytes(), result)
    for site in result.sites:
        if site.status is SiteStatus.LEFT:
            assert site.reason


def test_live_flags_leave_the_site() -> None:
    code = b"\x85\xff" + GETUID + SYSCALL + b"\x74\x00" + EXIT
    result, _ = rewrite(code)
    assert result.sites[0].status is SiteStatus.LEFT
    assert "flags" in result.sites[0].reason
    dead = b"\x85\xff" + GETUID + SYSCALL + b"\x85\xc0\x74\x00" + EXIT
    assert rewrite(dead)[0].sites[0].status is SiteStatus.REWRITTEN


def test_the_return_from_signals_is_kept() -> None:
    code = EXIT + b"\x48\xc7\xc0\x0f\x00\x00\x00" + SYSCALL
    result, tiny = rewrite(code, entry_offset=len(EXIT))
    assert [s.status for s in result.sites if s.address > tiny.text_va + 5] == [SiteStatus.KEPT]


def test_data_is_not_rewritten() -> None:
    blob = b"\x12\x34" + GETUID + SYSCALL + b"\x99" * 8
    code = b"\xeb" + bytes([len(blob)]) + blob + EXIT
    result, tiny = rewrite(code)
    check(tiny.bytes(), result)
    assert result.sites[0].status is SiteStatus.UNREACHED
    assert result.rewritten == 1


def test_bytes_inside_of_an_instruction_are_no_site() -> None:
    code = b"\xb8\x0f\x05\x00\x00" + EXIT  # mov eax, 0x50f
    result, tiny = rewrite(code)
    assert [s.address - tiny.text_va for s in result.sites] == [10]


def test_rip_relative_operands_move_along() -> None:
    code = b"\x8b\x05\x10\x00\x00\x00" + SYSCALL + EXIT  # mov eax, [rip+16]
    result, tiny = rewrite(code)
    check(tiny.bytes(), result)
    assert result.rewritten == 2


def test_branches_behind_the_site_move_along() -> None:
    code = MOV_EAX_EDX + SYSCALL + b"\xeb\x02" + b"\xcc\xcc" + EXIT
    result, tiny = rewrite(code)
    check(tiny.bytes(), result)
    assert result.rewritten == 2


def test_two_sites_share_no_byte() -> None:
    code = (XOR_EDI + SYSCALL) * 3 + EXIT
    result, tiny = rewrite(code)
    check(tiny.bytes(), result)
    taken: set[int] = set()
    for site in result.sites:
        if site.status is SiteStatus.REWRITTEN:
            window = set(range(site.start, max(site.end, site.start + 5)))
            assert not taken & window
            taken |= window


def test_rewriting_twice_changes_nothing_more() -> None:
    result, _ = rewrite(GETUID + SYSCALL + EXIT)
    again = rewrite_elf(result.data, gate_va=GATE)
    assert again.data == result.data
    assert again.sites == ()


def test_a_file_without_system_calls_is_returned_as_it_is() -> None:
    tiny = TinyElf(b"\xc3").bytes()
    assert rewrite_elf(tiny, gate_va=GATE) == RewriteResult(tiny, ())


def test_the_redundant_header_gives_way() -> None:
    note = PHDR.pack(0x6474E553, 4, 0x300, 0x400300, 0, 0, 0, 8)
    result, tiny = rewrite(GETUID + SYSCALL + EXIT, extra=[note])
    before, after = ElfFile(tiny.bytes()), ElfFile(result.data)
    assert after.header.phoff == before.header.phoff
    assert len(after.segments) == len(before.segments)


def test_the_headers_move_when_there_is_no_room() -> None:
    result, tiny = rewrite(GETUID + SYSCALL + EXIT)
    after = ElfFile(result.data)
    assert after.header.phoff == after.loads[-1].offset
    assert len(after.segments) == len(ElfFile(tiny.bytes()).segments) + 1


def test_the_scan_finds_constants_and_says_what_it_does_not_know() -> None:
    tiny = TinyElf(GETUID + SYSCALL + MOV_EAX_EDX + SYSCALL + EXIT)
    found = scan_syscalls(tiny.bytes())
    assert found.numbers == {102, 231}
    assert found.unknown == (tiny.text_va + 9,)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_any_bytes_as_code_are_rewritten_or_left(code: bytes, pie: bool) -> None:
    tiny = TinyElf(code.replace(b"\x99", SYSCALL) + EXIT, pie=pie)
    result = rewrite_elf(tiny.bytes(), gate_va=GATE)
    check(tiny.bytes(), result)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_give_elf_errors_only(data: st.DataObject) -> None:
    original = TinyElf((GETUID + SYSCALL) * 4 + EXIT).bytes()
    damaged = bytearray(original)
    for at in data.draw(st.lists(st.integers(0, 300), min_size=1, max_size=6)):
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        result = rewrite_elf(bytes(damaged), gate_va=GATE)
    except ElfError:
        return
    assert len(result.data) >= len(original)


def test_a_far_trampoline_leaves_the_sites() -> None:
    far = struct.pack("<IIQQQQQQ", 1, 6, 0x3000, 0x400400000000, 0, 4096, 4096, 4096)
    tiny = TinyElf(GETUID + SYSCALL + EXIT, extra=[far])
    result = rewrite_elf(tiny.bytes(), gate_va=GATE)
    assert result.data == tiny.bytes()
    assert {site.status for site in result.sites} == {SiteStatus.LEFT}
