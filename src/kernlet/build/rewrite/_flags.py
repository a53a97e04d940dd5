# SPDX-License-Identifier: Apache-2.0
"""Whether the arithmetic flags are read behind a point before they are written.

The `syscall` instruction preserves them, a call into the library OS doesn't. Calls, returns and
indirect jumps end the search: no calling convention, and no compiler, carries flags across them.
"""

from __future__ import annotations

from iced_x86 import FlowControl, Mnemonic, RflagsBits

from kernlet.build.rewrite._code import Code, is_syscall

__all__ = ["flags_live_after"]

_ARITHMETIC = (
    RflagsBits.OF | RflagsBits.SF | RflagsBits.ZF | RflagsBits.AF | RflagsBits.CF | RflagsBits.PF
)
_STEPS_MAX = 4000
_ENDS = frozenset(
    (
        FlowControl.CALL,
        FlowControl.INDIRECT_CALL,
        FlowControl.RETURN,
        FlowControl.INDIRECT_BRANCH,
        FlowControl.INTERRUPT,
        FlowControl.EXCEPTION,
    )
)


def flags_live_after(code: Code, address: int) -> bool:
    """Whether code that starts at ``address`` may read a flag that it did not write.

    True if unsure.
    """
    work = [(address, int(_ARITHMETIC))]
    seen: dict[int, int] = {}
    steps = 0
    while work:
        at, live = work.pop()
        while live & ~seen.get(at, 0):
            steps += 1
            instruction = code.decode(at)
            if instruction is None or steps > _STEPS_MAX:
                return True
            seen[at] = seen.get(at, 0) | live
            if is_syscall(instruction):
                at = instruction.next_ip  # keeps them, if it is left
                continue
            if instruction.rflags_read & live:
                return True
            live &= ~instruction.rflags_modified
            flow = instruction.flow_control
            if not live or flow in _ENDS or instruction.mnemonic == Mnemonic.HLT:
                break
            if flow == FlowControl.UNCONDITIONAL_BRANCH:
                at = instruction.near_branch_target
                continue
            if flow == FlowControl.CONDITIONAL_BRANCH:
                work.append((instruction.near_branch_target, live))
            at = instruction.next_ip
    return False
