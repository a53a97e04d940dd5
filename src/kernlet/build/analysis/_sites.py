# SPDX-License-Identifier: Apache-2.0
"""What each system call of a file is, as far as the file itself tells.

A number (or an operation) that a function gets from its callers is looked for at every direct call of it, and so on
upwards; what other files have to say is left *open*, as a formula over the registers at the function's entry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

from iced_x86 import FlowControl, Instruction, Mnemonic, OpKind

from kernlet.build.analysis import _values as v
from kernlet.build.analysis._flow import FunctionFlow
from kernlet.build.analysis._graph import Graph
from kernlet.build.analysis._machine import ARGUMENTS, CALL_RETURN, RAX, RSP, Machine, State
from kernlet.build.analysis._operations import IMPORTS, SYSCALL_ARGUMENTS
from kernlet.build.analysis._values import Value

__all__ = ["SYSCALL", "Found", "Open", "Resolver"]

SYSCALL = -1
"""The kind of a `syscall` instruction; other kinds are indices of imported symbols."""

_SYSCALL_REGISTERS = (RAX, 7, 6, 2, 10)
_IMPORT_REGISTERS = ARGUMENTS[:5]
_BY_JUMP, _BY_CALL, _BY_RUNNING_ON = range(3)
_VIA_MAX = 8
_STEPS_MAX = 20_000

Values = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A call whose values are known: number and four arguments of a system call, five arguments of an import.

    It happens when the code at ``holder`` runs; ``site`` is the instruction that makes it, ``via`` the calls between
    the two, outermost first. A value None can be anything, an empty one is for the callers to say.
    """

    kind: int
    site: int
    holder: int
    via: tuple[int, ...]
    values: tuple[frozenset[int] | None, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """A call whose values depend on who calls ``entry`` from elsewhere."""

    kind: int
    site: int
    entry: int
    via: tuple[int, ...]
    values: Values


@dataclass(frozen=True, slots=True)
class _Call:
    kind: int
    site: int
    holder: int
    via: tuple[int, ...]
    values: Values

    def known(self, values: tuple[frozenset[int] | None, ...]) -> Found:
        return Found(self.kind, self.site, self.holder, self.via, values)


@dataclass(slots=True)
class Resolver:
    """Finds the values of all calls of interest in one file. ``escaped``: imports whose address is taken, by place."""

    graph: Graph
    found: list[Found] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)
    escaped: list[tuple[int, int]] = field(default_factory=list)
    _machine: Machine = field(init=False)
    _flows: dict[tuple[int, int], FunctionFlow] = field(default_factory=dict)
    _transfers: dict[int, list[tuple[int, int]]] = field(init=False)
    _outside: set[int] = field(default_factory=set)
    _wild: set[int] = field(default_factory=set)
    _targets: list[int] = field(default_factory=list)
    _sorted_wild: list[int] = field(default_factory=list)
    _seen: set[tuple[int, int, int, Values]] = field(default_factory=set)
    _steps: int = 0
    interest: frozenset[str] = frozenset(IMPORTS)

    def __post_init__(self) -> None:
        self._machine = Machine(self.graph.view)
        self._transfers = defaultdict(list)
        for at, target in self.graph.sweep.calls:
            self._transfers[target].append((at, _BY_CALL))
        for at, target in self.graph.sweep.jumps:
            low, high = self.graph.function_range(at)
            if not low <= target < high:
                self._transfers[target].append((at, _BY_JUMP))
        for before, start in self.graph.run_into.items():
            self._transfers[start].append((before, _BY_RUNNING_ON))
        view, sweep = self.graph.view, self.graph.sweep
        self._outside = {view.elf.entry, *view.initialisers, *view.resolvers}
        self._outside |= {s.value for s in view.symbols if s.defined and not s.tls}
        taken = {r.target for r in sweep.references if r.taken} | set(view.pointers.values())
        self._outside |= {address for address in taken if view.in_code(address)}
        self._wild = {
            address for address in taken if self.graph.function_range(address)[0] != address
        }
        self._wild |= {pad for frame in view.frames for pad in frame.landing_pads}

        self._targets = sorted(self._transfers)
        self._sorted_wild = sorted(self._wild)

    def run(self) -> None:
        """Look at every system call and every call of an import of interest."""
        for site in self.graph.sweep.sites:
            at = self._state(site)
            values = _registers(at[0], _SYSCALL_REGISTERS) if at else (v.ANYTHING,) * 5
            self._expand(_Call(SYSCALL, site, site, (), values))
        self._run_imports()

    def _run_imports(self) -> None:
        view = self.graph.view
        slots = {
            place: symbol
            for place, (symbol, addend) in view.imports.items()
            if addend == 0 and view.symbols[symbol].name in self.interest
        }
        if not slots:
            return
        for reference in self.graph.sweep.references:
            symbol = slots.get(reference.target)
            if symbol is None:
                continue
            instruction = self.graph.sweep.decode(reference.at)
            if instruction is not None and _is_transfer(instruction):
                self._import_call(symbol, reference.at)
            elif not self._called_later(symbol, reference.at):
                self.escaped.append((reference.at, symbol))

    def _import_call(self, symbol: int, place: int) -> None:
        at = self._state(place)
        values = _registers(at[0], _IMPORT_REGISTERS) if at else (v.ANYTHING,) * 5
        self._expand(_Call(symbol, place, place, (), values))

    def _called_later(self, symbol: int, place: int) -> bool:
        """Handle the calls through a register of what was loaded at ``place``; tell whether there are any."""
        flow = self._flow(place)
        wanted = v.of(("import", symbol))
        places = []
        for address in self.graph.sweep.instructions(flow.low, flow.high):
            instruction = self.graph.sweep.decode(address)
            if (
                instruction is None
                or not _is_transfer(instruction)
                or (instruction.is_ip_rel_memory_operand)
            ):
                continue
            at = flow.state_at(self._machine, address)
            if at is not None and self._machine.callee(*at) == wanted:
                places.append(address)
        for address in places:
            self._import_call(symbol, address)
        return bool(places)

    # --- states ---

    def _flow(self, address: int) -> FunctionFlow:
        bounds = self.graph.function_range(address)
        flow = self._flows.get(bounds)
        if flow is None:
            low, high = bounds
            entries = {low, *_within(self._targets, low, high)}
            wild = set(_within(self._sorted_wild, low, high))
            flow = FunctionFlow.of(self.graph.sweep, self._machine, bounds, entries, wild)
            self._flows[bounds] = flow
        return flow

    def _state(self, address: int) -> tuple[State, Instruction] | None:
        return self._flow(address).state_at(self._machine, address)

    # --- following values upwards ---

    def _expand(self, first: _Call) -> None:
        work = [first]
        while work:
            self._steps += 1
            call = work.pop()
            if self._steps > _STEPS_MAX:
                self.found.append(call.known((None,) * 5))
                continue
            call = _Call(call.kind, call.site, call.holder, call.via, self._relevant(call))
            key = (call.kind, call.site, call.holder, call.values)
            if key in self._seen:
                continue
            self._seen.add(key)
            work += self._split(call)

    def _relevant(self, call: _Call) -> Values:
        """Return the values with those dropped that nobody asks for."""
        needed: set[int] = {0}
        if call.kind != SYSCALL:
            name = self.graph.view.symbols[call.kind].name
            if name != "syscall":
                needed = set(IMPORTS.get(name, range(5)))
                return tuple(x if n in needed else None for n, x in enumerate(call.values))
        numbers = call.values[0] or frozenset()
        wanted = {0}
        for number in numbers:
            wanted.update(
                SYSCALL_ARGUMENTS.get(number, ()) if isinstance(number, int) else range(5)
            )
        return tuple(x if n in wanted else None for n, x in enumerate(call.values))

    def _split(self, call: _Call) -> list[_Call]:
        """Report what is known of ``call``, and return the calls that the function's callers make of it."""
        entries = {e for value in call.values if value for atom in value for e in _entries(atom)}
        if any(_has_global(atom) for value in call.values for atom in value or ()):
            return self._through_globals(call)
        known = tuple(_numbers(value) for value in call.values)
        by_number = call.kind == SYSCALL or self._is_syscall_function(call.kind)
        if known[0] != frozenset() or not by_number:
            self.found.append(call.known(known))
        return [following for entry in sorted(entries) for following in self._callers(call, entry)]

    def _is_syscall_function(self, kind: int) -> bool:
        return self.graph.view.symbols[kind].name == "syscall"

    def _callers(self, call: _Call, entry: int) -> list[_Call]:
        """Return what ``call`` is for each direct caller of ``entry``."""
        values = tuple(_of_entry(value, entry) for value in call.values)
        transfers = self._transfers.get(entry, ())
        if entry in self._outside:
            self.open.append(Open(call.kind, call.site, entry, call.via, values))
        if len(call.via) >= _VIA_MAX:
            self.found.append(call.known(_unknown_of(values)))
            return []
        found = []
        for place, how in transfers:
            at = self._state(place)
            if at is None:
                # Nothing known leads to the caller either.
                continue
            if how == _BY_RUNNING_ON:
                self._machine.step(*at)
            above = tuple(self._substitute(value, at[0], how == _BY_CALL) for value in values)
            found.append(_Call(call.kind, call.site, place, (place, *call.via), above))
        return found

    def _substitute(self, value: Value, state: State, is_call: bool) -> Value:
        pushed = CALL_RETURN if is_call else 0

        def at_stack(offset: int) -> Value:
            return v.apply("add", state.registers[RSP], v.of(offset - pushed), 8)

        def known(atom: v.Atom, size: int = 4) -> Value:
            kind = atom[0]
            if kind == "reg":
                return state.registers[int(atom[2])]
            if kind == "arg":
                return self._machine.load(state, at_stack(atom[2]), 8)
            if kind == "sp":
                return at_stack(atom[2])
            if kind == "mem":
                base = v.replace(v.of(atom[1]), lambda inner: known(inner, 8))
                place = v.apply("add", base, v.of(atom[2]), 8) if atom[2] else base
                return self._machine.load(state, place, size)
            return None

        return v.replace(value, known)

    def _through_globals(self, call: _Call) -> list[_Call]:
        """Replace variables in the number by what the file stores in them."""
        values = list(call.values)
        places: set[int] = set()
        for index, value in enumerate(values):
            globals_here = {a for atom in value or () for a in _globals(atom)}
            if index == 0:
                places = globals_here
            elif globals_here:
                values[index] = None
        if not places:
            return [_Call(call.kind, call.site, call.holder, call.via, tuple(values))]
        number = values[0]
        assert number is not None
        found = []
        rest = frozenset(atom for atom in number if not _has_global(atom))
        if rest:
            values[0] = rest
            found.append(_Call(call.kind, call.site, call.holder, call.via, tuple(values)))
        stores = self._stores(places)
        if stores is None or len(places) > 1 or len(call.via) >= _VIA_MAX:
            self.found.append(call.known((None,) * 5))
            return found
        moving = frozenset(atom for atom in number if _has_global(atom))
        for place, state, stored in stores:
            replaced = self._replace_global(moving, stored, state)
            if replaced != frozenset():
                via = (place, *call.via)
                found.append(
                    _Call(call.kind, call.site, place, via, (replaced, None, None, None, None))
                )
        return found

    def _replace_global(self, value: Value, stored: Value, state: State) -> Value:
        def known(atom: v.Atom, size: int = 4) -> Value:
            if atom[0] == "glob":
                return stored
            if atom[0] == "mem":
                base = v.replace(v.of(atom[1]), lambda inner: known(inner, 8))
                if base == v.of(0):
                    return frozenset()  # nobody reads through a null pointer
                place = v.apply("add", base, v.of(atom[2]), 8) if atom[2] else base
                return self._machine.load(state, place, size)
            return None

        return v.replace(value, known)

    def _stores(self, places: set[int]) -> list[tuple[int, State, Value]] | None:
        """Return each store to a variable with the state there; None if somebody may store through a pointer."""
        sweep = self.graph.sweep
        found: list[tuple[int, State, Value]] = []
        for reference in sweep.references:
            if reference.target not in places:
                continue
            if reference.taken:
                return None
            at = self._state(reference.at)
            if at is None:
                return None
            state, instruction = at
            if instruction.op0_kind != OpKind.MEMORY or instruction.mnemonic in _READS:
                continue
            if instruction.mnemonic != Mnemonic.MOV:
                return None
            found.append((reference.at, state, self._machine.operand(state, instruction, 1)))
        return found


def _within(places: list[int], low: int, high: int) -> list[int]:
    return places[bisect_left(places, low) : bisect_left(places, high)]


_READS = frozenset((Mnemonic.CMP, Mnemonic.TEST, Mnemonic.PUSH))


def _is_transfer(instruction: Instruction) -> bool:
    return instruction.flow_control in (FlowControl.INDIRECT_CALL, FlowControl.INDIRECT_BRANCH)


def _registers(state: State, wanted: tuple[int, ...]) -> Values:
    return tuple(state.registers[index] for index in wanted)


def _entries(atom: v.Atom) -> set[int]:
    """Return the entries whose callers know ``atom``."""
    if isinstance(atom, int):
        return set()
    if atom[0] in ("reg", "arg", "sp"):
        return {atom[1]}
    if atom[0] in ("op", "mem"):
        return _entries(atom[2] if atom[0] == "op" else atom[1])
    return set()


def _globals(atom: v.Atom) -> set[int]:
    if isinstance(atom, int):
        return set()
    if atom[0] == "glob":
        return {atom[1]}
    if atom[0] in ("op", "mem"):
        return _globals(atom[2] if atom[0] == "op" else atom[1])
    return set()


def _has_global(atom: v.Atom) -> bool:
    return bool(_globals(atom))


def _numbers(value: Value) -> frozenset[int] | None:
    """Return the numbers in ``value``, without what callers know; None if it can be anything."""
    if value is None:
        return None
    for atom in value:
        if not isinstance(atom, int) and not _entries(atom):
            return None
    return frozenset(atom & 0xFFFFFFFF for atom in value if isinstance(atom, int))


def _of_entry(value: Value, entry: int) -> Value:
    """Return the part of ``value`` that callers of ``entry`` know; numbers were reported already."""
    if value is None:
        return None
    part = frozenset(a for a in value if not isinstance(a, int) and entry in _entries(a))
    return part or frozenset(a for a in value if isinstance(a, int))


def _unknown_of(values: Values) -> tuple[frozenset[int] | None, ...]:
    return tuple(
        None if value is None or any(not isinstance(a, int) for a in value) else value
        for value in values
    )
