# SPDX-License-Identifier: Apache-2.0
"""Choosing which whole instructions around a `syscall` make room for a five-byte jump."""

from __future__ import annotations

from dataclasses import dataclass

from iced_x86 import FlowControl, Instruction, Mnemonic

from kernlet.build.rewrite._code import Code, is_syscall

__all__ = ["JUMP_BYTES", "STOPS", "Window", "choose_window"]

JUMP_BYTES = 5

STOPS = frozenset((FlowControl.UNCONDITIONAL_BRANCH, FlowControl.RETURN))
# No calls: they would return into the trampoline, where no unwinder knows its way.
_MOVABLE_FLOW = STOPS | {FlowControl.NEXT, FlowControl.CONDITIONAL_BRANCH}


@dataclass(frozen=True, slots=True)
class Window:
    """Instructions that move: ``before`` and ``after`` the `syscall` at ``site``.

    [start, end) is what the jump and its filling replace. The site itself lies in it, or directly
    at its end: then the `syscall` stays where it is, reached only by whoever jumps to it.
    """

    site: int
    start: int
    end: int
    before: tuple[Instruction, ...]
    after: tuple[Instruction, ...]

    @property
    def keeps_syscall(self) -> bool:
        """Whether the `syscall` stays in its place, so that the trampoline returns right behind it."""
        return self.end == self.site


def choose_window(code: Code, site: int, protected: set[int]) -> Window | str:
    """Return the best window for the `syscall` at ``site``, or the reason why there is none.

    Best is one that ends before the `syscall`: the return address is then the one that unwinders,
    debuggers and signal handlers expect. If something jumps to the `syscall` itself, starting
    there serves both ways in.
    """
    before = _before(code, site, protected)
    after = _after(code, site, protected)
    ahead = None
    for count in range(1, len(before) + 1):
        start = before[-count].ip
        if site - start >= JUMP_BYTES:
            ahead = Window(site, start, site, tuple(before[-count:]), ())
            break
    if ahead is not None and site not in protected:
        return ahead
    mixed = _mixed(code, site, before, after, protected)
    if mixed is not None:
        return mixed
    if ahead is not None:
        return ahead
    return "no room for a jump: something jumps between the instructions around it"


def _mixed(
    code: Code,
    site: int,
    before: list[Instruction],
    after: list[Instruction],
    protected: set[int],
) -> Window | None:
    """Return the smallest window that holds the `syscall` itself, with as little before it as possible."""
    for count_before in range(len(before) + 1):
        if count_before and site in protected:
            return None
        start = before[-count_before].ip if count_before else site
        for count_after in range(len(after) + 1):
            end = after[count_after - 1].next_ip if count_after else site + 2
            if end - start >= JUMP_BYTES:
                moved = tuple(before[len(before) - count_before :])
                return Window(site, start, end, moved, tuple(after[:count_after]))
    end = after[-1].next_ip if after else site + 2
    end += _padding(code, end, protected)
    start = before[0].ip if before and site not in protected else site
    if end - start >= JUMP_BYTES and (not after or after[-1].flow_control in STOPS):
        moved = tuple(before) if start != site else ()
        return Window(site, start, start + JUMP_BYTES, moved, tuple(after))
    return None


def _padding(code: Code, at: int, protected: set[int]) -> int:
    """Count bytes of filling (int3, nop) that no flow reaches."""
    count = 0
    while count < JUMP_BYTES:
        here = at + count
        instruction = None if code.marked(here) else code.decode(here)
        if instruction is None or instruction.mnemonic not in (Mnemonic.NOP, Mnemonic.INT3):
            break
        if any(a in protected for a in range(here, instruction.next_ip)):
            break
        count += instruction.len
    return count


def _movable(code: Code, instruction: Instruction, protected: set[int]) -> bool:
    """Whether nothing enters ``instruction`` in its middle and nothing about it depends on its place."""
    return (
        not is_syscall(instruction)
        and instruction.ip not in code.conflicts
        and not any(a in protected for a in range(instruction.ip + 1, instruction.next_ip))
    )


def _before(code: Code, site: int, protected: set[int]) -> list[Instruction]:
    """Return, in order, the instructions that always run right before ``site``, as many as are needed."""
    found: list[Instruction] = []
    at = site
    while site - at < JUMP_BYTES and (at == site or at not in protected):
        previous = code.before.get(at)
        if previous is None:
            break
        instruction = code.instructions[previous]
        if instruction.flow_control != FlowControl.NEXT:
            break
        if not _movable(code, instruction, protected):
            break
        found.insert(0, instruction)
        at = previous
    return found


def _after(code: Code, site: int, protected: set[int]) -> list[Instruction]:
    """Return the instructions behind ``site`` that nothing but it leads to, as many as are needed."""
    found: list[Instruction] = []
    at = site + 2
    while at - site < JUMP_BYTES and at not in protected:
        instruction = code.instructions.get(at)
        if instruction is None or not _movable(code, instruction, protected):
            break
        if instruction.flow_control not in _MOVABLE_FLOW:
            break
        found.append(instruction)
        at = instruction.next_ip
        if instruction.flow_control in STOPS:
            break
    return found
