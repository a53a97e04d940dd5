# SPDX-License-Identifier: Apache-2.0
"""What a register or a stack slot may hold: a few constants, or something known only to whoever called.

A value is a set of atoms, or None: anything. An atom is a number (64 bits, unsigned) or one of

    ("reg", E, r)      what register r held when control came to address E
    ("arg", E, d)      what the stack held d bytes above the stack pointer at E
    ("sp", E, d)       the address d bytes above the stack pointer at E
    ("mem", atom, d)   what memory held d bytes behind where the atom points
    ("glob", a)        what the variable at address a holds
    ("import", k)      the address of the dynamic symbol with index k
    ("op", f, atom, n) f(atom, n) for the number n

Numbers of system calls and their operations are 32 bits wide, so atoms are not told apart from their lower halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = [
    "ANYTHING",
    "Atom",
    "Value",
    "apply",
    "constants",
    "join",
    "narrow",
    "of",
    "replace",
    "widen_low",
]

Atom = Any  # an int or one of the tuples above; a recursive type that mypy can't hold at --strict
Value = frozenset[Atom] | None
ANYTHING: Value = None

_ATOMS_MAX = 32
_DEPTH_MAX = 3
_MASK64 = (1 << 64) - 1
_MASK_BITS_MAX = 3

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << (b & 63),
    "shr": lambda a, b: a >> (b & 63),
    "mul": lambda a, b: a * b,
}


def of(*atoms: Atom) -> Value:
    """Return the value that is one of ``atoms``."""
    return frozenset(a & _MASK64 if isinstance(a, int) else a for a in atoms)


def join(a: Value, b: Value) -> Value:
    """Return the value that is ``a`` or ``b``."""
    if a is None or b is None:
        return None
    if a is b or b <= a:
        return a
    both = a | b
    return both if len(both) <= _ATOMS_MAX else None


def constants(value: Value) -> frozenset[int] | None:
    """Return the numbers that ``value`` can be; None if it can be anything else."""
    if value is None or not all(isinstance(atom, int) for atom in value):
        return None
    return value


def narrow(value: Value, size: int) -> Value:
    """Return the lower ``size`` bytes of ``value``, the rest zero."""
    if value is None or size == 8:
        return value
    mask = (1 << 8 * size) - 1
    found: set[Atom] = set()
    for atom in value:
        if isinstance(atom, int):
            found.add(atom & mask)
        elif size < 4 or atom[0] in ("sp", "import"):
            return None
        else:
            found.add(atom)
    return frozenset(found)


def widen_low(old: Value, new: Value, size: int) -> Value:
    """Return ``old`` with its lower ``size`` bytes replaced by ``new``."""
    low, high = constants(new), constants(old)
    if low is None or high is None:
        return None
    mask = (1 << 8 * size) - 1
    return _limited((h & ~mask) | (v & mask) for h in high for v in low)


def _limited(atoms: Iterable[Atom]) -> Value:
    found = frozenset(atoms)
    return found if len(found) <= _ATOMS_MAX else None


def apply(name: str, a: Value, b: Value, size: int) -> Value:
    """Return ``a`` <operation> ``b`` in ``size`` bytes."""
    if name in ("and", "or", "xor", "add", "mul") and _few(a) and not _few(b):
        a, b = b, a
    if a is None:
        return _masked(b) if name == "and" else None
    right = constants(b)
    if right is None:
        return None
    mask = (1 << 8 * size) - 1
    operation = _OPERATIONS[name]
    found: set[Atom] = set()
    for atom in a:
        for number in right:
            result = _apply_one(name, operation, atom, number, mask)
            if result is None:
                return None
            found.add(result)
    return frozenset(found) if len(found) <= _ATOMS_MAX else None


def _few(value: Value) -> bool:
    return constants(value) is not None


def _masked(b: Value) -> Value:
    """Return what any number becomes when all but a few bits are taken away."""
    masks = constants(b)
    if masks is None or len(masks) != 1:
        return None
    (mask,) = masks
    bits = [1 << bit for bit in range(64) if mask >> bit & 1]
    if len(bits) > _MASK_BITS_MAX:
        return None
    found = {0}
    for bit in bits:
        found |= {number | bit for number in found}
    return frozenset(found)


def _apply_one(
    name: str, operation: Callable[[int, int], int], atom: Atom, number: int, mask: int
) -> Atom | None:
    if isinstance(atom, int):
        return operation(atom, number) & mask
    signed = number - (1 << 64) if number >> 63 else number
    if atom[0] == "sp":
        if name == "add":
            return ("sp", atom[1], atom[2] + signed)
        return ("sp", atom[1], atom[2] - signed) if name == "sub" else None
    if atom[0] == "import" or name not in ("and", "or", "xor", "add", "sub"):
        return None
    depth = 0
    inner = atom
    while not isinstance(inner, int) and inner[0] in ("op", "mem"):
        inner = inner[2] if inner[0] == "op" else inner[1]
        depth += 1
    return ("op", name, atom, number) if depth < _DEPTH_MAX else None


def replace(value: Value, known: Callable[[Atom], Value]) -> Value:
    """Return ``value`` with every atom replaced by what ``known`` says of it."""
    if value is None:
        return None
    result: Value = frozenset()
    for atom in value:
        result = join(result, _replace_one(atom, known))
        if result is None:
            return None
    return result


def _replace_one(atom: Atom, known: Callable[[Atom], Value]) -> Value:
    if isinstance(atom, int):
        return frozenset((atom,))
    if atom[0] == "op":
        inner = replace(frozenset((atom[2],)), known)
        return apply(atom[1], inner, frozenset((atom[3],)), 4)
    return known(atom)
