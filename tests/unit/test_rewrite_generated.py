# SPDX-License-Identifier: Apache-2.0
"""Generated code does the same rewritten: jumps into windows, red zone, RIP-relative operands, flags, data."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iced_x86 import BlockEncoder, Code, Instruction, MemoryOperand, Register

from fakes.elf import TinyElf
from fakes.gate import GATE, make_launcher, run, through_gate, write_program
from kernlet.build.rewrite import SiteStatus, rewrite_elf

# Generated code. Registers that it uses; rcx and r11 belong to the system call, rsp to the red zone.
REGISTERS = [Register.RBX, Register.RSI, Register.RDI, Register.RDX, Register.RBP]
REGISTERS += [
    Register.R8,
    Register.R9,
    Register.R10,
    Register.R12,
    Register.R13,
    Register.R14,
    Register.R15,
]
Item = tuple[str, object]
RED_ZONE = 128
CODE_VA = TinyElf(b"\xc3").text_va
STEP = 64
SYSCALL_NUMBERS = [102, 104, 107, 108, 1000]  # getuid and its like, and one that does not exist
DUMP_OFFSET = 0x400


def blob(content: bytes) -> list[Instruction]:
    pieces = [content[i : i + 16] for i in range(0, len(content), 16)]
    return [Instruction.create_declare_byte(piece) for piece in pieces]


@st.composite
def filler(draw: st.DrawFn, data_va: int) -> Instruction:
    """One instruction without a system call and without a jump."""
    a, b = draw(st.sampled_from(REGISTERS)), draw(st.sampled_from([*REGISTERS, Register.RAX]))
    slot = MemoryOperand(Register.RSP, displ=-8 * draw(st.integers(1, 16)))
    datum = MemoryOperand(Register.RIP, displ=data_va + 8 * draw(st.integers(0, 31)), displ_size=8)
    return draw(
        st.sampled_from(
            [
                Instruction.create_reg_reg(Code.MOV_R64_RM64, a, b),
                Instruction.create_reg_reg(Code.ADD_R64_RM64, a, b),
                Instruction.create_reg_reg(Code.XOR_R64_RM64, a, b),
                Instruction.create_reg_reg(Code.CMP_R64_RM64, a, b),
                Instruction.create_reg(Code.INC_RM64, a),
                Instruction.create_reg_i32(Code.MOV_RM64_IMM32, a, draw(st.integers(0, 1000))),
                Instruction.create_reg_i32(Code.ADD_RM64_IMM8, a, draw(st.integers(0, 100))),
                Instruction.create_mem_reg(Code.MOV_RM64_R64, slot, b),
                Instruction.create_reg_mem(Code.MOV_R64_RM64, a, slot),
                Instruction.create_reg_mem(Code.MOV_R64_RM64, a, datum),
                Instruction.create_mem_reg(Code.MOV_RM64_R64, datum, b),
                Instruction.create_reg_mem(Code.LEA_R64_M, a, datum),
                Instruction.create_reg(Code.SETE_RM8, Register.BL),
                Instruction.create(Code.NOPD),
            ]
        )
    )


@st.composite
def programs(draw: st.DrawFn) -> list[Item]:
    """Items: ("plain", instruction), ("number", n), ("syscall", None), ("jump", (code, steps)), ("island", bytes)."""
    data_va = DATA_VA
    items: list[Item] = []
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(
            st.sampled_from(["plain", "plain", "call", "call", "call", "jump", "island", "flags"])
        )
        if kind == "plain":
            items.append(("plain", draw(filler(data_va))))
        elif kind == "call":
            items.append(("number", draw(st.sampled_from(SYSCALL_NUMBERS))))
            for _ in range(draw(st.integers(0, 2))):
                items.append(("plain", draw(filler(data_va))))
            items.append(("syscall", None))
        elif kind == "flags":
            # A comparison on one side of a call and a look at its outcome on the other.
            same = draw(st.sampled_from(REGISTERS))
            items.append(("plain", Instruction.create_reg_reg(Code.CMP_R64_RM64, same, same)))
            items.append(("number", 1000))
            items.append(("syscall", None))
            items.append(("plain", Instruction.create_reg(Code.SETE_RM8, Register.BL)))
        elif kind == "jump":
            code = draw(
                st.sampled_from(
                    [Code.JE_REL32_64, Code.JNE_REL32_64, Code.JA_REL32_64, Code.JMP_REL32_64]
                )
            )
            items.append(("jump", (code, draw(st.integers(1, 6)))))
        else:
            items.append(
                (
                    "island",
                    draw(
                        st.sampled_from([b"\x0f\x05", b"\xb8\x66\0\0\0\x0f\x05", b"\xe9\1\2\3\4"])
                    ),
                )
            )
    return items


DATA_VA = TinyElf(b"\xc3").data_va


def assemble(items: list[Item]) -> bytes:
    """Lay out the items; every item has a made-up address so that jumps can name it."""
    out: list[Instruction] = []

    def add(instruction: Instruction, index: int, part: int) -> None:
        instruction = instruction.copy()
        instruction.ip = CODE_VA + index * STEP + part
        out.append(instruction)

    for register, value in zip(REGISTERS, range(3, 100, 7), strict=False):
        add(Instruction.create_reg_i32(Code.MOV_RM64_IMM32, register, value), -2, len(out))
    add(Instruction.create_reg_i32(Code.MOV_RM64_IMM32, Register.RAX, 102), -2, len(out))
    for index, (kind, what) in enumerate(items):
        if kind == "plain":
            assert isinstance(what, Instruction)
            add(what, index, 0)
        elif kind == "number":
            assert isinstance(what, int)
            add(Instruction.create_reg_i32(Code.MOV_R32_IMM32, Register.EAX, what), index, 0)
        elif kind == "syscall":
            add(Instruction.create(Code.SYSCALL), index, 0)
        elif kind == "jump":
            assert isinstance(what, tuple)
            target = CODE_VA + min(index + what[1], len(items)) * STEP
            add(Instruction.create_branch(what[0], target), index, 0)
        else:
            assert isinstance(what, bytes)
            add(
                Instruction.create_branch(Code.JMP_REL32_64, CODE_VA + (index + 1) * STEP), index, 0
            )
            for number, piece in enumerate(blob(what)):
                add(piece, index, 1 + number)
    end = len(items)
    for number, instruction in enumerate(dump()):
        add(instruction, end, number)
    encoder = BlockEncoder(64)
    encoder.add_many(out)
    return bytes(encoder.encode(CODE_VA))


def dump() -> list[Instruction]:
    """Write registers, red zone and data to standard output, and exit; none of it changes what it shows."""

    def absolute(offset: int) -> MemoryOperand:
        return MemoryOperand(Register.RIP, displ=DATA_VA + DUMP_OFFSET + offset, displ_size=8)

    out = []
    for index, register in enumerate([Register.RAX, *REGISTERS]):
        out.append(Instruction.create_mem_reg(Code.MOV_RM64_R64, absolute(8 * index), register))
    for index in range(RED_ZONE // 8):
        slot = MemoryOperand(Register.RSP, displ=-8 * (index + 1))
        out.append(Instruction.create_reg_mem(Code.MOV_R64_RM64, Register.RAX, slot))
        out.append(
            Instruction.create_mem_reg(Code.MOV_RM64_R64, absolute(0x80 + 8 * index), Register.RAX)
        )
    for register, value in ((Register.EAX, 1), (Register.EDI, 1), (Register.EDX, 0x800)):
        out.append(Instruction.create_reg_i32(Code.MOV_R32_IMM32, register, value))
    start = MemoryOperand(Register.RIP, displ=DATA_VA, displ_size=8)
    out.append(Instruction.create_reg_mem(Code.LEA_R64_M, Register.RSI, start))
    out.append(Instruction.create(Code.SYSCALL))
    for register, value in ((Register.EDI, 0), (Register.EAX, 231)):
        out.append(Instruction.create_reg_i32(Code.MOV_R32_IMM32, register, value))
    return [*out, Instruction.create(Code.SYSCALL), Instruction.create(Code.HLT)]


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_launcher(tmp_path_factory.mktemp("launcher"))


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(programs())
def test_generated_code_does_the_same(launcher: Path, items: list[Item]) -> None:
    tiny = TinyElf(assemble(items), data=bytes(range(256)))
    assert tiny.data_va == DATA_VA
    result = rewrite_elf(tiny.bytes(), gate_va=GATE)
    wanted = run([write_program(launcher.with_name("original"), tiny.bytes())])
    assert wanted[0] == 0
    outcome, entries = through_gate(
        launcher, [write_program(launcher.with_name("rewritten"), result.data)]
    )
    assert outcome == wanted
    # The last two, which print and exit, have nothing to stop them from being rewritten.
    assert [site.status for site in result.sites[-2:]] == [SiteStatus.REWRITTEN] * 2
    assert entries >= 2
