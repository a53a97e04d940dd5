# SPDX-License-Identifier: Apache-2.0
"""Follows values through one function until nothing changes any more."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import islice

from iced_x86 import ConditionCode, FlowControl, Instruction, Mnemonic, OpKind

from kernlet.build.analysis._machine import IMMEDIATES, Machine, State, general_register
from kernlet.build.analysis._sweep import Sweep, falls_through
from kernlet.build.analysis._values import of

__all__ = ["FunctionFlow"]

_NEAR = frozenset((OpKind.NEAR_BRANCH64, OpKind.NEAR_BRANCH32, OpKind.NEAR_BRANCH16))
_INSTRUCTIONS_MAX = 60_000
_VISITS_MAX = 12
_READINGS_MAX = 4
_BRANCHES = (FlowControl.UNCONDITIONAL_BRANCH, FlowControl.CONDITIONAL_BRANCH)


@dataclass(slots=True)
class _Block:
    instructions: list[Instruction]
    successors: list[int]
    state: State | None = None
    visits: int = 0
    queued: bool = False


@dataclass(slots=True)
class FunctionFlow:
    """The states in a function at [low, high).

    ``entries`` are the addresses to which somebody else leads; ``wild`` those to which control comes with registers
    about which nothing is known (exception handlers, tables of addresses).
    """

    low: int
    high: int
    _blocks: dict[int, _Block] = field(default_factory=dict)
    _starts: list[int] = field(default_factory=list)
    _jumps_anywhere: bool = False

    @classmethod
    def of(
        cls,
        sweep: Sweep,
        machine: Machine,
        bounds: tuple[int, int],
        entries: set[int],
        wild: set[int],
    ) -> FunctionFlow:
        """Follow the values from ``entries`` and ``wild``; if there is a jump to who knows where, from everywhere."""
        flow = cls(*bounds)
        leaders = {a for a in entries | wild if sweep.is_instruction(a)}
        flow._find_blocks(sweep, leaders)
        work: list[int] = []
        for address in sorted(leaders):
            state = State.unknown() if address in wild else State.at_entry(address)
            flow._enter(address, state, work)
            if address in wild and address in entries:
                flow._enter(address, State.at_entry(address), work)
        flow._run(machine, work)
        if flow._jumps_anywhere:
            for address in flow._starts:
                if flow._blocks[address].state is None:
                    flow._enter(address, State.unknown(), work)
            flow._run(machine, work)
        return flow

    def state_at(self, machine: Machine, address: int) -> tuple[State, Instruction] | None:
        """Return the state right before the instruction at ``address``, and the instruction."""
        at = bisect_right(self._starts, address)
        # Where code reads in two ways, the block of another reading may start nearer.
        for start in reversed(self._starts[max(0, at - _READINGS_MAX) : at]):
            block = self._blocks[start]
            if block.state is None or all(i.ip != address for i in block.instructions):
                continue
            state = block.state.copy()
            for instruction in block.instructions:
                if instruction.ip == address:
                    return state, instruction
                machine.step(state, instruction)
        return None

    def _find_blocks(self, sweep: Sweep, leaders: set[int]) -> None:
        """Decode linearly what was seen as code, and cut it where something leads to."""
        instructions = {}
        for address in islice(sweep.instructions(self.low, self.high), _INSTRUCTIONS_MAX):
            instruction = sweep.decode(address)
            if instruction is not None:
                instructions[address] = instruction
        leaders = leaders & instructions.keys()
        tables = {a for a in self._table_entries(sweep, instructions) if a in instructions}
        leaders |= tables
        previous_end = self.low
        for address, instruction in instructions.items():
            if previous_end != address:
                leaders |= {address, previous_end}
            previous_end = instruction.next_ip
            if instruction.op_count and instruction.op0_kind in _NEAR:
                target = instruction.near_branch_target
                if instruction.flow_control in _BRANCHES:
                    if target in instructions:
                        leaders.add(target)
                    leaders.add(instruction.next_ip)
            if not falls_through(instruction) or not sweep.comes_back(instruction):
                leaders.add(instruction.next_ip)
        self._cut(sweep, instructions, leaders & instructions.keys(), sorted(tables))

    def _table_entries(self, sweep: Sweep, instructions: dict[int, Instruction]) -> set[int]:
        found: set[int] = set()
        if any(i.flow_control == FlowControl.INDIRECT_BRANCH for i in instructions.values()):
            for instruction in instructions.values():
                if instruction.is_ip_rel_memory_operand:
                    found.update(sweep.tables.get(instruction.ip_rel_memory_address, ()))
        return found

    def _goes_on(self, sweep: Sweep, block: _Block) -> bool:
        last = block.instructions[-1]
        return falls_through(last) and sweep.comes_back(last)

    def _cut(
        self,
        sweep: Sweep,
        instructions: dict[int, Instruction],
        leaders: set[int],
        tables: list[int],
    ) -> None:
        block: _Block | None = None
        for address in sorted(instructions):
            instruction = instructions[address]
            if block is None or address in leaders:
                if block is not None and self._goes_on(sweep, block):
                    following = block.instructions[-1].next_ip
                    if following in instructions:
                        block.successors.append(following)
                block = _Block([], [])
                self._blocks[address] = block
            block.instructions.append(instruction)
            flow = instruction.flow_control
            if flow in _BRANCHES and instruction.op0_kind in _NEAR:
                target = instruction.near_branch_target
                if target in instructions:
                    block.successors.append(target)
            elif flow == FlowControl.INDIRECT_BRANCH and not instruction.is_ip_rel_memory_operand:
                block.successors += tables
                self._jumps_anywhere |= not tables
        self._starts = sorted(self._blocks)

    def _enter(self, address: int, state: State, work: list[int]) -> None:
        block = self._blocks.get(address)
        if block is None:
            return
        if block.state is None:
            block.state = state.copy()
        elif not block.state.merge(state, widen=block.visits > _VISITS_MAX):
            return
        block.visits += 1
        if not block.queued:
            block.queued = True
            work.append(address)

    def _run(self, machine: Machine, work: list[int]) -> None:
        while work:
            block = self._blocks[work.pop()]
            block.queued = False
            assert block.state is not None
            state = block.state.copy()
            for instruction in block.instructions:
                machine.step(state, instruction)
            equal = _learns(block.instructions)
            for successor in block.successors:
                if equal is not None and successor == equal[0]:
                    known = state.copy()
                    known.registers[equal[1]] = of(equal[2])
                    self._enter(successor, known, work)
                else:
                    self._enter(successor, state, work)


def _learns(block: list[Instruction]) -> tuple[int, int, int] | None:
    """Return what a comparison at the end of a block says: where control goes if which register is which number."""
    if len(block) < 2:
        return None
    jump, compare = block[-1], block[-2]
    if jump.condition_code == ConditionCode.E:
        target, other = jump.near_branch_target, jump.next_ip
    elif jump.condition_code == ConditionCode.NE:
        target, other = jump.next_ip, jump.near_branch_target
    else:
        return None
    if jump.flow_control != FlowControl.CONDITIONAL_BRANCH or target == other:
        return None
    if compare.op0_kind != OpKind.REGISTER:
        return None
    if compare.mnemonic == Mnemonic.TEST and compare.op1_kind == OpKind.REGISTER:
        number = 0 if compare.op0_register == compare.op1_register else None
    elif compare.mnemonic == Mnemonic.CMP and compare.op1_kind in IMMEDIATES:
        number = compare.immediate(1)
    else:
        return None
    index = general_register(compare.op0_register)
    return None if index is None or number is None else (target, index, number)
