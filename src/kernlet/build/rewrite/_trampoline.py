# SPDX-License-Identifier: Apache-2.0
"""The code that a rewritten site jumps to.

    [instructions from before the syscall]
    lea rcx, [rip + back]        rcx: where the library OS returns to, as after `syscall`
    movabs r11, gate
    jmp r11                      the kernel clobbers r11, too
    [syscall                     never reached: makes "return address - 2" a system call, for
    restarting it back: instructions from behind the syscall jmp to what follows them]

The part in brackets is missing where `back` is in the original code. No stack is used: the
caller's red zone is live.
"""

from __future__ import annotations

import struct

from iced_x86 import BlockEncoder, FlowControl, Instruction

from kernlet.build.rewrite._code import SYSCALL, Code
from kernlet.build.rewrite._window import JUMP_BYTES, STOPS, Window

__all__ = ["encode_jump", "encode_trampoline"]

_LEA_RCX_RIP = b"\x48\x8d\x0d"
_MOVABS_R11 = b"\x49\xbb"
_JMP_R11 = b"\x41\xff\xe3"
_GATE_BYTES = len(_LEA_RCX_RIP) + 4 + len(_MOVABS_R11) + 8 + len(_JMP_R11)
FILLING = b"\xcc"


def encode_jump(start: int, target: int) -> bytes:
    """Encode `jmp rel32` at ``start``; raises ValueError if ``target`` is more than 2 GiB away."""
    distance = target - (start + JUMP_BYTES)
    if not -(1 << 31) <= distance < 1 << 31:
        raise ValueError("jump beyond 2 GiB")
    return b"\xe9" + struct.pack("<i", distance)


def encode_trampoline(code: Code, window: Window, address: int, gate_va: int) -> bytes:
    """Encode the trampoline of ``window`` at ``address``.

    Raises ValueError if something doesn't encode.
    """
    out = bytearray()
    for instruction in window.before:
        out += _move(code, instruction, address + len(out))
    lea_end = address + len(out) + len(_LEA_RCX_RIP) + 4
    back = address + len(out) + _GATE_BYTES + len(SYSCALL)
    if window.keeps_syscall:
        back = window.site + len(SYSCALL)
    distance = back - lea_end
    if not -(1 << 31) <= distance < 1 << 31:
        raise ValueError("return address beyond 2 GiB")
    out += _LEA_RCX_RIP + struct.pack("<i", distance)
    out += _MOVABS_R11 + struct.pack("<Q", gate_va) + _JMP_R11
    if window.keeps_syscall:
        return bytes(out)
    out += SYSCALL
    for instruction in window.after:
        out += _move(code, instruction, address + len(out))
    if not window.after or window.after[-1].flow_control not in STOPS:
        out += encode_jump(address + len(out), window.end)
    return bytes(out)


def _move(code: Code, instruction: Instruction, address: int) -> bytes:
    """Encode ``instruction`` anew at ``address``; byte for byte where nothing in it is relative."""
    if instruction.flow_control in (FlowControl.NEXT, FlowControl.RETURN) and (
        not instruction.is_ip_rel_memory_operand
    ):
        return code.slice(instruction.ip, instruction.next_ip)
    encoder = BlockEncoder(64)
    encoder.add(instruction)
    return bytes(encoder.encode(address))
