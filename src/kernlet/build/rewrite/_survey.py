# SPDX-License-Identifier: Apache-2.0
"""Where the system calls of a file are."""

from __future__ import annotations

from dataclasses import dataclass

from kernlet.build.rewrite._code import Code, is_syscall
from kernlet.build.rewrite._explore import Explorer, Layout
from kernlet.build.rewrite._scan import syscall_number
from kernlet.elf import ElfFile

__all__ = ["Survey", "SyscallScan", "scan_syscalls", "survey_elf"]


@dataclass(slots=True)
class Survey:
    """What the search for system calls found, in address order.

    ``reached`` are `syscall` instructions for sure; ``unreached`` places read as one, but may be data or dead code.
    """

    explorer: Explorer
    reached: list[int]
    unreached: list[int]


@dataclass(frozen=True, slots=True)
class SyscallScan:
    """Numbers of system calls that are constants right before a `syscall`; addresses of those that are not."""

    numbers: frozenset[int]
    unknown: tuple[int, ...]


def survey_elf(elf: ElfFile) -> Survey:
    """Find every `syscall` in ``elf``."""
    code = Code.of(elf)
    candidates = code.candidates()
    explorer = Explorer(elf, code, Layout.of(elf, code) if candidates else Layout())
    explorer.explore_around(candidates)
    reached, unreached = [], []
    for address in candidates:
        instruction = code.instructions.get(address)
        if instruction is None or not is_syscall(instruction):
            if not code.marked(address):
                unreached.append(address)
        elif address in code.unsure and syscall_number(code, address) is None:
            unreached.append(address)
        else:
            reached.append(address)
    return Survey(explorer, reached, unreached)


def scan_syscalls(data: bytes, name: str = "file") -> SyscallScan:
    """Return which system calls the ELF file ``data`` makes, as far as the code right before each one tells.

    Give it the original, not a rewritten file. Raises ElfError.
    """
    survey = survey_elf(ElfFile(data, name))
    numbers: set[int] = set()
    unknown: list[int] = []
    for site in survey.reached:
        number = syscall_number(survey.explorer.code, site)
        if number is None:
            unknown.append(site)
        else:
            numbers.add(number)
    return SyscallScan(frozenset(numbers), tuple(unknown))
