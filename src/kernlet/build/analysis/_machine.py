# SPDX-License-Identifier: Apache-2.0
"""What one instruction does to what is known of registers and the stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from iced_x86 import (
    ConditionCode,
    FlowControl,
    Instruction,
    InstructionInfoFactory,
    MemorySizeExt,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
    RegisterExt,
)

from kernlet.build.analysis import _values as v
from kernlet.build.analysis._values import Value
from kernlet.build.analysis._view import ElfView

__all__ = [
    "ARGUMENTS",
    "CALL_RETURN",
    "IMMEDIATES",
    "RAX",
    "RSP",
    "Machine",
    "State",
    "general_register",
]

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
ARGUMENTS = (RDI, RSI, RDX, RCX, 8, 9)
CALL_RETURN = 8
"""Bytes that a call pushes."""

_CLOBBERED = (RAX, RCX, RDX, RSI, RDI, 8, 9, 10, 11)
_SYSCALL_CLOBBERED = (RAX, RCX, 11)
_ORDER = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{n}" for n in range(8, 16)))
_WRITES = (OpAccess.WRITE, OpAccess.READ_WRITE, OpAccess.COND_WRITE, OpAccess.READ_COND_WRITE)
IMMEDIATES = frozenset(
    (
        OpKind.IMMEDIATE8,
        OpKind.IMMEDIATE16,
        OpKind.IMMEDIATE32,
        OpKind.IMMEDIATE64,
        OpKind.IMMEDIATE8TO16,
        OpKind.IMMEDIATE8TO32,
        OpKind.IMMEDIATE8TO64,
        OpKind.IMMEDIATE32TO64,
    )
)
_WRITTEN_MAX = 256
_EVERYTHING = (0, 0)
_FAR = 1 << 40


def _registers() -> dict[int, tuple[int, int, bool]]:
    """Map every name of a general register to its index, its size in bytes, and whether it is a high half (AH...)."""
    index = {getattr(Register, name): at for at, name in enumerate(_ORDER)}
    high = {Register.AH, Register.CH, Register.DH, Register.BH}
    found: dict[int, tuple[int, int, bool]] = {}
    facts: Any = RegisterExt
    for name in dir(Register):
        register: Any = getattr(Register, name)
        if type(register) is not int or not facts.is_gpr(register):
            continue
        full = facts.full_register(register)
        found[register] = (index[full], facts.size(register), register in high)
    return found


_GENERAL = _registers()


def general_register(register: int) -> int | None:
    """Return the index of a general register of 4 or 8 bytes, None for all others."""
    found = _GENERAL.get(register)
    return found[0] if found is not None and found[1] >= 4 else None


_BINARY = {
    Mnemonic.ADD: "add",
    Mnemonic.SUB: "sub",
    Mnemonic.AND: "and",
    Mnemonic.OR: "or",
    Mnemonic.XOR: "xor",
    Mnemonic.SHL: "shl",
    Mnemonic.SHR: "shr",
}
_LOOPS = frozenset((Mnemonic.LOOP, Mnemonic.LOOPE, Mnemonic.LOOPNE))
_READ_ONLY = frozenset((Mnemonic.CMP, Mnemonic.TEST, Mnemonic.NOP, Mnemonic.ENDBR64))


_FORGOTTEN: tuple[Value, int] = (v.ANYTHING, 8)


@dataclass(slots=True)
class State:
    """What is known at one place: 16 registers; stack slots by (base, offset) with their sizes.

    ``leaked`` is the lowest offset on the stack of which somebody else may know the address, by base. ``written`` are
    the places behind pointers from elsewhere that were written to: atom and offset.
    """

    registers: list[Value]
    stack: dict[tuple[int, int], tuple[Value, int]] = field(default_factory=dict)
    leaked: dict[int, int] = field(default_factory=dict)
    written: set[tuple[v.Atom, int]] = field(default_factory=set)

    @classmethod
    def at_entry(cls, entry: int) -> State:
        """Return the state when control comes to ``entry`` from a caller that is looked at later."""
        registers = [v.of(("reg", entry, index)) for index in range(16)]
        registers[RSP] = v.of(("sp", entry, 0))
        return cls(registers)

    @classmethod
    def unknown(cls) -> State:
        """Return the state about which nothing is known."""
        return cls([v.ANYTHING] * 16)

    def copy(self) -> State:
        """Return a copy to be changed."""
        return State(list(self.registers), dict(self.stack), dict(self.leaked), set(self.written))

    def merge(self, other: State, *, widen: bool) -> bool:
        """Take in that control may also come here with ``other``; tell whether that changed anything.

        ``widen``: give up on what differs, so that the merging comes to an end.
        """
        changed = False
        for index, (mine, theirs) in enumerate(zip(self.registers, other.registers, strict=True)):
            if mine is not None and mine is not theirs:
                joined = v.join(mine, theirs)
                if joined != mine:
                    self.registers[index] = None if widen else joined
                    changed = True
        changed |= self._merge_stack(other, widen=widen)
        for base, low in other.leaked.items():
            if low < self.leaked.get(base, 1 << 62):
                self.leaked[base] = -_FAR if widen else low
                changed = True
        if not other.written <= self.written:
            self.written |= other.written
            changed = True
        return changed

    def _merge_stack(self, other: State, *, widen: bool) -> bool:
        changed = False
        for key in self.stack.keys() | other.stack.keys():
            mine, theirs = self.stack.get(key), other.stack.get(key)
            if mine in (theirs, _FORGOTTEN):
                continue
            joined = _FORGOTTEN
            if mine is not None and theirs is not None and mine[1] == theirs[1]:
                value = v.join(mine[0], theirs[0])
                if value == mine[0]:
                    continue
                joined = _FORGOTTEN if value is None or widen else (value, mine[1])
            if joined == _FORGOTTEN and key[1] < 0:
                changed |= self.stack.pop(key, None) is not None
            elif joined != mine:
                self.stack[key] = joined
                changed = True
        return changed

    def load_stack(self, base: int, offset: int, size: int) -> Value:
        """Return what a stack slot holds; what lies above the entry's stack pointer is the caller's argument."""
        found = self.stack.get((base, offset))
        if found is not None:
            return v.narrow(found[0], size) if size <= found[1] else None
        if offset >= self.leaked.get(base, 1 << 62) or any(
            (base, near) in self.stack for near in range(offset - 7, offset + size)
        ):
            return None
        if offset >= CALL_RETURN and size >= 4:
            return v.of(("arg", base, offset))
        return None

    def store_stack(self, base: int, offset: int, value: Value, size: int) -> None:
        """Write a stack slot."""
        for near in range(offset - 7, offset + size):
            found = self.stack.get((base, near))
            if found is not None and near + found[1] > offset:
                self._forget(base, near)
        if value is not None and size in (1, 2, 4, 8):
            self.stack[base, offset] = (value, size)
            return
        for near in range(offset, offset + size, 8):
            self._forget(base, near)

    def _forget(self, base: int, offset: int) -> None:
        """Forget a slot; what may have been an argument of the caller stays known as changed."""
        if offset < 0:
            self.stack.pop((base, offset), None)
        else:
            self.stack[base, offset] = _FORGOTTEN

    def forget_leaked(self) -> None:
        """Take in that somebody wrote through a pointer that isn't known."""
        for key in list(self.stack):
            if key[1] >= self.leaked.get(key[0], 1 << 62):
                self._forget(*key)


class Machine:
    """Executes instructions on states. ``view`` tells constants in memory."""

    def __init__(self, view: ElfView) -> None:
        self._view = view
        self._info = InstructionInfoFactory()
        self._special: dict[int, Callable[[State, Instruction], None]] = {
            Mnemonic.MOV: self._mov,
            Mnemonic.MOVZX: self._movzx,
            Mnemonic.MOVSX: self._movsx,
            Mnemonic.MOVSXD: self._movsx,
            Mnemonic.LEA: self._lea,
            Mnemonic.PUSH: self._push,
            Mnemonic.POP: self._pop,
            Mnemonic.LEAVE: self._leave,
            Mnemonic.CDQE: self._nothing,
            Mnemonic.NOT: self._not,
            Mnemonic.NEG: self._neg,
            Mnemonic.SBB: self._sbb,
            Mnemonic.XCHG: self._xchg,
            Mnemonic.SYSCALL: self._syscall,
            Mnemonic.CALL: self._call,
        }

    def step(self, state: State, instruction: Instruction) -> None:
        """Change ``state`` as ``instruction`` does."""
        mnemonic = instruction.mnemonic
        special = self._special.get(mnemonic)
        if special is not None:
            special(state, instruction)
        elif mnemonic in _BINARY and instruction.op_count == 2:
            self._binary(state, instruction, _BINARY[mnemonic])
        elif mnemonic in _READ_ONLY:
            return
        elif instruction.flow_control == FlowControl.CONDITIONAL_BRANCH:
            if mnemonic in _LOOPS:
                state.registers[RCX] = None
        elif instruction.condition_code != ConditionCode.NONE and instruction.op_count == 2:
            self._conditional_move(state, instruction)
        elif instruction.condition_code != ConditionCode.NONE and instruction.op_count == 1:
            self._set_on_condition(state, instruction)
        else:
            self._anything(state, instruction)

    def operand(self, state: State, instruction: Instruction, index: int) -> Value:
        """Return what operand ``index`` (0 or 1) holds."""
        kind = instruction.op_kind(index)
        if kind == OpKind.REGISTER:
            return _read(state, instruction.op_register(index))
        if kind in IMMEDIATES:
            return v.of(instruction.immediate(index))
        if kind == OpKind.MEMORY:
            return self._load(state, instruction)
        return None

    def callee(self, state: State, instruction: Instruction) -> Value:
        """Return the address that an indirect call or jump goes to."""
        return self.operand(state, instruction, 0)

    # --- memory ---

    def address(self, state: State, instruction: Instruction) -> Value:
        """Return the address that the memory operand names."""
        if instruction.segment_prefix in (Register.FS, Register.GS):
            return None
        displacement = instruction.memory_displacement
        if instruction.is_ip_rel_memory_operand:
            return v.of(displacement)
        base, index = instruction.memory_base, instruction.memory_index
        total = v.of(displacement)
        if base != Register.NONE:
            total = _add(_read(state, base), total)
        if index != Register.NONE:
            scaled = v.apply("mul", _read(state, index), v.of(instruction.memory_index_scale), 8)
            total = _add(total, scaled)
        return total

    def _load(self, state: State, instruction: Instruction) -> Value:
        size = MemorySizeExt.size(instruction.memory_size)
        address = self.address(state, instruction)
        return None if address is None else self.load(state, address, size)

    def load(self, state: State, address: Value, size: int) -> Value:
        """Return what ``size`` bytes at ``address`` hold."""
        if address is None:
            return None
        result: Value = frozenset()
        for atom in address:
            result = v.join(result, self._load_one(state, atom, size))
            if result is None:
                return None
        return result

    def _load_one(self, state: State, atom: v.Atom, size: int) -> Value:
        if isinstance(atom, int):
            return self._load_global(atom, size)
        if atom[0] == "sp":
            return state.load_stack(atom[1], atom[2], size)
        if size < 4:
            return None
        atom, offset = _split(atom)
        written = state.written
        if atom[0] == "import" or _EVERYTHING in written:
            return None
        if written and any((atom, offset + n) in written for n in range(-7, size)):
            return None
        return v.of(("mem", atom, offset))

    def _load_global(self, address: int, size: int) -> Value:
        view = self._view
        if address in view.imports and size == 8:
            symbol, addend = view.imports[address]
            return v.of(("import", symbol)) if addend == 0 else None
        region = view.region_at(address)
        if region is not None and not region.writable:
            raw = region.data[address - region.start :][:size]
            return v.of(int.from_bytes(raw, "little")) if len(raw) == size else None
        return v.of(("glob", address)) if size in (4, 8) else None

    def _store(self, state: State, instruction: Instruction, value: Value) -> None:
        address = self.address(state, instruction)
        size = MemorySizeExt.size(instruction.memory_size)
        atoms = v.ANYTHING if address is None else address
        if atoms is not None and len(atoms) == 1:
            (atom,) = atoms
            if not isinstance(atom, int) and atom[0] == "sp":
                state.store_stack(atom[1], atom[2], value, size)
                return
            if isinstance(atom, int):
                return
        state.forget_leaked()
        for atom in atoms or ():
            if isinstance(atom, int):
                continue
            if atom[0] == "sp":
                state.store_stack(atom[1], atom[2], None, size)
            elif len(state.written) < _WRITTEN_MAX:
                base, offset = _split(atom)
                state.written.update((base, offset + n) for n in range(0, max(size, 1), 8))
            else:
                state.written.add(_EVERYTHING)

    def _write(self, state: State, instruction: Instruction, value: Value) -> None:
        """Write operand 0."""
        if instruction.op0_kind == OpKind.REGISTER:
            _write_register(state, instruction.op0_register, value, instruction.ip)
        elif instruction.op0_kind == OpKind.MEMORY:
            self._store(state, instruction, value)

    # --- instructions ---

    def _mov(self, state: State, instruction: Instruction) -> None:
        value = self.operand(state, instruction, 1)
        if instruction.op0_kind == OpKind.REGISTER:
            _leak(state, value, instruction.op0_register)
        else:
            _leak(state, value, Register.NONE)
            value = v.narrow(value, max(MemorySizeExt.size(instruction.memory_size), 1))
        self._write(state, instruction, value)

    def _movzx(self, state: State, instruction: Instruction) -> None:
        self._write(state, instruction, self.operand(state, instruction, 1))

    def _movsx(self, state: State, instruction: Instruction) -> None:
        value = self.operand(state, instruction, 1)
        if instruction.op1_kind == OpKind.REGISTER:
            size = RegisterExt.size(instruction.op1_register)
        else:
            size = MemorySizeExt.size(instruction.memory_size)
        known = v.constants(value)
        if known is not None:
            sign = 1 << (8 * size - 1)
            value = v.of(*((number ^ sign) - sign for number in known))
        elif size < 4:
            value = None
        self._write(state, instruction, value)

    def _lea(self, state: State, instruction: Instruction) -> None:
        value = self.address(state, instruction)
        _leak(state, value, instruction.op0_register)
        self._write(state, instruction, value)

    def _push(self, state: State, instruction: Instruction) -> None:
        value = self.operand(state, instruction, 0)
        _leak(state, value, Register.NONE)
        pointer = v.apply("sub", state.registers[RSP], v.of(8), 8)
        state.registers[RSP] = pointer
        for atom in pointer or ():
            if not isinstance(atom, int) and atom[0] == "sp":
                state.store_stack(atom[1], atom[2], value if len(pointer or ()) == 1 else None, 8)

    def _pop(self, state: State, instruction: Instruction) -> None:
        pointer = state.registers[RSP]
        value = self.load(state, pointer, 8)
        state.registers[RSP] = v.apply("add", pointer, v.of(8), 8)
        self._write(state, instruction, value)

    def _leave(self, state: State, instruction: Instruction) -> None:
        del instruction
        pointer = state.registers[RBP]
        state.registers[RBP] = self.load(state, pointer, 8)
        state.registers[RSP] = v.apply("add", pointer, v.of(8), 8)

    def _nothing(self, state: State, instruction: Instruction) -> None:
        """Sign-extending the lower half: see the top of kernlet.build.analysis._values."""

    def _not(self, state: State, instruction: Instruction) -> None:
        self._unary(state, instruction, lambda number: ~number)

    def _neg(self, state: State, instruction: Instruction) -> None:
        self._unary(state, instruction, lambda number: -number)

    def _unary(
        self, state: State, instruction: Instruction, operation: Callable[[int], int]
    ) -> None:
        known = v.constants(self.operand(state, instruction, 0))
        value = None if known is None else v.of(*(operation(number) for number in known))
        self._write(state, instruction, value)

    def _sbb(self, state: State, instruction: Instruction) -> None:
        same = (
            instruction.op0_kind == OpKind.REGISTER
            and instruction.op1_kind == OpKind.REGISTER
            and instruction.op0_register == instruction.op1_register
        )
        self._write(state, instruction, v.of(0, -1) if same else None)

    def _xchg(self, state: State, instruction: Instruction) -> None:
        first, second = (self.operand(state, instruction, n) for n in (0, 1))
        self._write(state, instruction, second)
        if instruction.op1_kind == OpKind.REGISTER:
            _write_register(state, instruction.op1_register, first, instruction.ip)

    def _binary(self, state: State, instruction: Instruction, name: str) -> None:
        if (
            name in ("xor", "sub")
            and instruction.op0_kind == OpKind.REGISTER
            and instruction.op1_kind == OpKind.REGISTER
            and instruction.op0_register == instruction.op1_register
        ):
            self._write(state, instruction, v.of(0))
            return
        if instruction.op0_kind == OpKind.REGISTER:
            size = RegisterExt.size(instruction.op0_register)
        else:
            size = max(MemorySizeExt.size(instruction.memory_size), 1)
        first, second = (self.operand(state, instruction, n) for n in (0, 1))
        self._write(state, instruction, v.apply(name, first, second, size))

    def _conditional_move(self, state: State, instruction: Instruction) -> None:
        old, new = (self.operand(state, instruction, n) for n in (0, 1))
        _leak(state, new, instruction.op0_register)
        self._write(state, instruction, v.join(old, new))

    def _set_on_condition(self, state: State, instruction: Instruction) -> None:
        self._write(state, instruction, v.of(0, 1))

    def _syscall(self, state: State, instruction: Instruction) -> None:
        del instruction
        for index in _SYSCALL_CLOBBERED:
            state.registers[index] = None
        state.forget_leaked()

    def _call(self, state: State, instruction: Instruction) -> None:
        """Return from a function that follows the psABI: some registers survive, and so does the stack pointer."""
        del instruction
        for index in _CLOBBERED:
            state.registers[index] = None
        state.forget_leaked()

    def _anything(self, state: State, instruction: Instruction) -> None:
        info = self._info.info(instruction)
        for used in info.used_registers():
            if used.access in _WRITES and used.register in _GENERAL:
                state.registers[_GENERAL[used.register][0]] = None
        for memory in info.used_memory():
            if memory.access in _WRITES:
                self._store_unknown(state, instruction)
                return

    def _store_unknown(self, state: State, instruction: Instruction) -> None:
        has_memory = any(
            instruction.op_kind(n) == OpKind.MEMORY for n in range(instruction.op_count)
        )
        if has_memory:
            self._store(state, instruction, None)
        else:
            state.forget_leaked()


def _split(atom: v.Atom) -> tuple[v.Atom, int]:
    """Split a pointer into where it points from and the distance."""
    if not isinstance(atom, int) and atom[0] == "op" and atom[1] in ("add", "sub"):
        signed = atom[3] - (1 << 64) if atom[3] >> 63 else atom[3]
        return atom[2], signed if atom[1] == "add" else -signed
    return atom, 0


def _read(state: State, register: int) -> Value:
    found = _GENERAL.get(register)
    if found is None:
        return None
    index, size, high = found
    value = state.registers[index]
    if high:
        value = v.apply("shr", value, v.of(8), 8)
    return v.narrow(value, size)


def _write_register(state: State, register: int, value: Value, at: int) -> None:
    found = _GENERAL.get(register)
    if found is None:
        return
    index, size, high = found
    if high:
        value = None
    elif size == 4:
        value = v.narrow(value, 4)
    elif size < 4:
        value = v.widen_low(state.registers[index], value, size)
    if index == RSP and value is None:
        # An aligned frame, or room of variable size: offsets are counted from here.
        value = v.of(("sp", at, 0))
    state.registers[index] = value


def _add(a: Value, b: Value) -> Value:
    return v.apply("add", a, b, 8) if v.constants(b) is not None else v.apply("add", b, a, 8)


def _leak(state: State, value: Value, register: int) -> None:
    """Take in that the address of something on the stack is in a register that is not for the stack, or in memory."""
    found = _GENERAL.get(register)
    if value is None or (found is not None and found[0] in (RSP, RBP)):
        return
    for atom in value:
        if not isinstance(atom, int) and atom[0] == "sp":
            state.leaked[atom[1]] = min(atom[2], state.leaked.get(atom[1], atom[2]))
