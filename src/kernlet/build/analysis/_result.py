# SPDX-License-Identifier: Apache-2.0
"""What an analysis says, for people, for the selection of modules, and as JSON."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["IMPLIED", "Analysis", "CallUse", "FileUse", "Operations", "Step", "UnknownCall", "to_json"]

IMPLIED = {
    "restart_syscall": "the kernel makes a call go on with it after a signal",
    "clock_gettime": "the vDSO falls back on it",
    "gettimeofday": "the vDSO falls back on it",
    "time": "the vDSO falls back on it",
    "getcpu": "the vDSO falls back on it",
    "clock_getres": "the vDSO falls back on it",
}
"""System calls that no program contains and any program may make all the same."""


class Step(NamedTuple):
    """One step on the way to a system call: a function (or 0x... where no symbol says) of a file.

    ``how`` is what leads from the step before to this one: "is started", "calls", "refers to", ...
    """

    file: str
    function: str
    address: int
    how: str

    def __str__(self) -> str:
        return f"{posixpath.basename(self.file)}: {self.function or f'{self.address:#x}'}"


class Operations(NamedTuple):
    """Which operations of a system call are used. ``argument`` is 1 for the first; ``names`` None: can't be told.

    ``steps`` tells for each name who asks for it.
    """

    argument: int
    names: tuple[str, ...] | None
    steps: tuple[Step, ...] = ()


class CallUse(NamedTuple):
    """A system call that can happen. ``chain`` is a shortest way to it, ``places`` how many instructions make it."""

    name: str
    number: int
    chain: tuple[Step, ...]
    places: int
    operations: tuple[Operations, ...] = ()


class UnknownCall(NamedTuple):
    """A place where it can't be told which system call is made. ``what`` says why, in words."""

    what: str
    chain: tuple[Step, ...]


class FileUse(NamedTuple):
    """A file that was looked at: its role, how many pieces of code it has and how many can run."""

    path: str
    role: str
    pieces: int
    reached: int


class Analysis(NamedTuple):
    """All that can happen once ``program`` runs. ``paths``: names of files that code refers to, and from where.

    ``libraries`` are names of shared libraries that code refers to, whether they are there or not.
    """

    program: str
    calls: tuple[CallUse, ...]
    unknown: tuple[UnknownCall, ...]
    files: tuple[FileUse, ...]
    paths: tuple[tuple[str, Step], ...] = ()
    libraries: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names of all system calls in ``calls``."""
        return frozenset(call.name for call in self.calls)

    def call(self, name: str) -> CallUse | None:
        """Return what is known of the system call ``name``; None if it can't happen."""
        return next((call for call in self.calls if call.name == name), None)

    def operations(self, name: str, argument: int) -> frozenset[str] | None:
        """Return the operations of ``name``; None if they can't be told, empty if there are none."""
        call = self.call(name)
        if call is None:
            return frozenset()
        for operations in call.operations:
            if operations.argument == argument:
                return None if operations.names is None else frozenset(operations.names)
        return None


def to_json(analysis: Analysis) -> dict[str, Any]:
    """Return ``analysis`` as tables for JSON."""
    return {
        "program": analysis.program,
        "syscalls": [_call(call) for call in analysis.calls],
        "unknown": [
            {"what": item.what, "chain": [step._asdict() for step in item.chain]}
            for item in analysis.unknown
        ],
        "files": [file._asdict() for file in analysis.files],
        "paths": [{"path": path, **step._asdict()} for path, step in analysis.paths],
        "libraries": list(analysis.libraries),
    }


def _call(call: CallUse) -> dict[str, Any]:
    return {
        "name": call.name,
        "number": call.number,
        "places": call.places,
        "chain": [step._asdict() for step in call.chain],
        "operations": [
            {
                "argument": item.argument,
                "names": None if item.names is None else list(item.names),
                "steps": [step._asdict() for step in item.steps],
            }
            for item in call.operations
        ],
    }


def from_json(table: Mapping[str, Any]) -> Analysis:
    """Return what to_json() was given. KeyError or TypeError if it isn't that."""
    return Analysis(
        program=str(table["program"]),
        calls=tuple(
            CallUse(
                str(call["name"]),
                int(call["number"]),
                _steps(call["chain"]),
                int(call["places"]),
                tuple(
                    Operations(
                        int(item["argument"]),
                        None if item["names"] is None else tuple(map(str, item["names"])),
                        _steps(item["steps"]),
                    )
                    for item in call["operations"]
                ),
            )
            for call in table["syscalls"]
        ),
        unknown=tuple(
            UnknownCall(str(item["what"]), _steps(item["chain"])) for item in table["unknown"]
        ),
        files=tuple(
            FileUse(str(f["path"]), str(f["role"]), int(f["pieces"]), int(f["reached"]))
            for f in table["files"]
        ),
        paths=tuple((str(item["path"]), _step(item)) for item in table["paths"]),
        libraries=tuple(map(str, table["libraries"])),
    )


def _step(item: Mapping[str, Any]) -> Step:
    return Step(str(item["file"]), str(item["function"]), int(item["address"]), str(item["how"]))


def _steps(items: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(_step(item) for item in items)


def merge(program: str, parts: Sequence[Analysis]) -> Analysis:
    """Return what can happen when any of several programs may run; the first one's ways are preferred."""
    if len(parts) == 1:
        return parts[0]
    calls: dict[str, CallUse] = {}
    for part in parts:
        for call in part.calls:
            known = calls.get(call.name)
            calls[call.name] = call if known is None else _merge_calls(known, call)
    return Analysis(
        program,
        tuple(sorted(calls.values(), key=lambda call: call.number)),
        tuple(dict.fromkeys(item for part in parts for item in part.unknown)),
        tuple({file.path: file for part in parts for file in part.files}.values()),
        tuple(
            sorted({path: step for part in reversed(parts) for path, step in part.paths}.items())
        ),
    )


def _merge_calls(a: CallUse, b: CallUse) -> CallUse:
    operations = []
    for first, second in zip(a.operations, b.operations, strict=True):
        if first.names is None or second.names is None:
            operations.append(Operations(first.argument, None))
            continue
        steps = dict(zip(second.names, second.steps, strict=True))
        steps |= dict(zip(first.names, first.steps, strict=True))
        names = tuple(sorted(steps))
        operations.append(Operations(first.argument, names, tuple(steps[n] for n in names)))
    return a._replace(places=a.places + b.places, operations=tuple(operations))
