# SPDX-License-Identifier: Apache-2.0
"""Which system calls a file makes, as far as a look at the instructions before each one tells."""

from __future__ import annotations

from iced_x86 import Instruction, Mnemonic, OpKind, Register

from kernlet.build.rewrite._code import Code, is_syscall

__all__ = ["syscall_number"]

_LOOK_BACK = 24
_RAX = frozenset((Register.AL, Register.AH, Register.AX, Register.EAX, Register.RAX))
_WHOLE_RAX = frozenset((Register.EAX, Register.RAX))
_IMMEDIATES = frozenset((OpKind.IMMEDIATE32, OpKind.IMMEDIATE32TO64, OpKind.IMMEDIATE64))
_NUMBER_MAX = 4096


def syscall_number(code: Code, site: int) -> int | None:
    """Return the constant in rax at the `syscall` at ``site``, looking back along its straight line of code.

    None if there is none, if a branch leads to somewhere between, or if the number is beyond any
    system call's.
    """
    at = site
    for _ in range(_LOOK_BACK):
        if at in code.targets:
            return None
        previous = code.before.get(at)
        if previous is None:
            return None
        instruction = code.instructions[previous]
        if is_syscall(instruction) or instruction.is_call_near or instruction.is_call_near_indirect:
            return None
        if _writes_rax(instruction):
            return _constant(instruction)
        at = previous
    return None


def _writes_rax(instruction: Instruction) -> bool:
    if not instruction.op_count:
        return _implicit(instruction)
    if instruction.mnemonic in (Mnemonic.CMP, Mnemonic.TEST, Mnemonic.PUSH):
        return False
    if instruction.op0_kind == OpKind.REGISTER and instruction.op0_register in _RAX:
        return True
    return _implicit(instruction)


def _implicit(instruction: Instruction) -> bool:
    """Whether the instruction changes rax without naming it first."""
    return instruction.mnemonic in _IMPLICIT or (
        instruction.mnemonic in (Mnemonic.XCHG, Mnemonic.XADD) and instruction.op1_register in _RAX
    )


_IMPLICIT = frozenset(
    (
        Mnemonic.MUL,
        Mnemonic.IMUL,
        Mnemonic.DIV,
        Mnemonic.IDIV,
        Mnemonic.CDQE,
        Mnemonic.CWDE,
        Mnemonic.CBW,
        Mnemonic.CPUID,
        Mnemonic.RDTSC,
        Mnemonic.RDTSCP,
        Mnemonic.XGETBV,
        Mnemonic.CMPXCHG,
        Mnemonic.CMPXCHG8B,
        Mnemonic.CMPXCHG16B,
        Mnemonic.LODSB,
        Mnemonic.LODSW,
        Mnemonic.LODSD,
        Mnemonic.LODSQ,
        Mnemonic.XLATB,
        Mnemonic.LAHF,
        Mnemonic.INT,
        Mnemonic.SYSENTER,
        Mnemonic.RDPMC,
        Mnemonic.RDMSR,
    )
)


def _constant(instruction: Instruction) -> int | None:
    if instruction.op0_register not in _WHOLE_RAX:
        return None
    if instruction.mnemonic == Mnemonic.MOV and instruction.op1_kind in _IMMEDIATES:
        value = instruction.immediate(1)
        return value if 0 <= value < _NUMBER_MAX else None
    if instruction.mnemonic in (Mnemonic.XOR, Mnemonic.SUB) and (
        instruction.op1_kind == OpKind.REGISTER
        and instruction.op1_register == instruction.op0_register
    ):
        return 0
    return None
