# SPDX-License-Identifier: Apache-2.0
"""From what a program can do to what the library OS of its image holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kernlet.build._errors import BuildError
from kernlet.build.analysis import IMPLIED, Analysis, CallUse, Step, analyse_plan
from kernlet.build.sources import EntryKind, RootfsPlan
from kernlet.kernel import Module, read_syscall_numbers

__all__ = ["Choice", "Failure", "Specialisation", "choose", "failures", "read_trace", "specialise"]

_TRACED = re.compile(
    r"^(?:\[pid +\d+\] |\d+ +)?(?:[\d:.]+ +)?(?:<\.\.\. )?([a-z][a-z0-9_]*)(?:\(| resumed|\s*$)"
)
_TEXT_MAX = 1 << 20

Progress = Callable[[str, int, int], None]
_SOCKET_CALLS = (("socket", 1, 2), ("socketpair", 1, 2))


@dataclass(frozen=True)
class Choice:
    """What to put in: ``modules`` with the reason for each, and the system calls that the table may hold."""

    modules: Mapping[str, str]
    syscalls: frozenset[str]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Failure:
    """A system call that the program can make and the library OS lacks; ``operation`` is "" for the whole call."""

    syscall: str
    operation: str
    function: str

    def __str__(self) -> str:
        return f"{self.syscall}({self.operation})" if self.operation else self.syscall


@dataclass(frozen=True)
class Specialisation:
    """What was found about a program; ``choice`` None: everything stays in, ``why_not`` says why."""

    analysis: Analysis | None
    choice: Choice | None
    failures: tuple[Failure, ...] = ()
    why_not: str = ""

    def ways(self) -> list[tuple[str, str]]:
        """Return for each system call the way to it, in one line."""
        calls = self.analysis.calls if self.analysis is not None else ()
        return [(call.name, " > ".join(str(step) for step in call.chain)) for call in calls]

    def warnings(self) -> list[str]:
        """Return what the user should know, a line each."""
        found = []
        if self.why_not:
            found.append(f"the library OS is in as a whole: {self.why_not}")
        if self.failures:
            names = ", ".join(map(str, self.failures[:8]))
            more = len(self.failures) - 8
            found.append(
                f"system calls that would fail if they are made: {names}"
                + (f" and {more} more" if more > 0 else "")
            )
        return found


def specialise(
    plan: RootfsPlan,
    modules: Mapping[str, Module],
    *,
    trace: Path | None = None,
    progress: Progress | None = None,
) -> Specialisation:
    """Analyse ``plan`` and choose; with ``trace``, only what that file says a run used. Raises a KernletError."""
    provided = {call.name for module in modules.values() for call in module.syscalls}
    analysis = analyse_plan(
        plan, starts_others=bool({"execve", "execveat"} & provided), progress=progress
    )
    if analysis is None:
        return Specialisation(None, None, why_not=f"{plan.name} starts no ELF program")
    if trace is not None:
        analysis = _narrowed(analysis, read_trace(trace))
    choice = choose(analysis, modules, _mentioned(plan))
    why_not = ""
    if choice is None:
        item = analysis.unknown[0]
        why_not = f"{item.what} ({' > '.join(str(step) for step in item.chain[-3:])})"
    return Specialisation(analysis, choice, tuple(failures(analysis, modules)), why_not)


def read_trace(path: Path) -> frozenset[str]:
    """Return the system calls that a file names: JSON (a list of names), strace's output, or a name a line."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BuildError(
            f"can't read the trace {path}", cause=error.strerror, hint="check the path"
        ) from error
    if text.lstrip().startswith("["):
        try:
            names = json.loads(text)
        except ValueError:
            names = None
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return frozenset(names)
    found = {match[1] for match in map(_TRACED.match, text.splitlines()) if match}
    if not found:
        raise BuildError(f"{path} names no system call", hint="give the output of strace -f -o FILE")
    return frozenset(found)


def _narrowed(analysis: Analysis, names: frozenset[str]) -> Analysis:
    """Return ``analysis`` without what a recorded run did not do; what is unknown is taken to be what was recorded."""
    calls = {call.name: call for call in analysis.calls if call.name in names}
    for name, number in read_syscall_numbers().items():
        if name in names and name not in calls:
            calls[name] = CallUse(name, number, (Step("recorded run", name, 0, "made"),), 0)
    return analysis._replace(
        calls=tuple(sorted(calls.values(), key=lambda call: call.number)), unknown=()
    )


def _mentioned(plan: RootfsPlan) -> str:
    """Return the arguments, the environment and the small text files of an image: they may name files, too."""
    texts = [*plan.argv, *plan.env.values()]
    for entry in plan.entries:
        if entry.kind is EntryKind.FILE:
            data = entry.read()
            if len(data) <= _TEXT_MAX and b"\0" not in data:
                texts.append(data.decode("utf-8", "replace"))
    return "\n".join(texts)


def choose(analysis: Analysis, modules: Mapping[str, Module], texts: str = "") -> Choice | None:
    """Return what ``analysis`` asks for; None while something in it is unknown: then anything may be needed.

    A module is in if it provides a system call that can happen, or if its ``when`` fits; one without either is part of
    every image (start-up, devices, the root file system). What those require comes along later. ``texts`` may name files
    as well as code may.
    """
    if analysis.unknown:
        return None
    used = analysis.names | IMPLIED.keys()
    chosen: dict[str, str] = {}
    left: dict[str, str] = {}
    for name, module in modules.items():
        if module.optional:
            continue
        reason = _reason(module, analysis, texts)
        if reason is not None:
            chosen[name] = reason
        elif module.when:
            left[name] = f"nothing that can run uses {_conditions(module)}"
        else:
            left[name] = "none of its system calls can happen"
    return Choice(chosen, frozenset(used), left)


def _reason(module: Module, analysis: Analysis, texts: str) -> str | None:
    for call in module.syscalls:
        use = analysis.call(call.name)
        if use is not None:
            function = next((s for s in reversed(use.chain) if s.function), use.chain[0])
            return f"{call.name}, which {function} makes"
    if module.syscalls and not module.when:
        return None
    if not module.when:
        return "part of every image"
    return _fits(module, analysis, texts)


def _fits(module: Module, analysis: Analysis, texts: str) -> str | None:
    """Return why the condition of ``module`` holds, None if it doesn't."""
    if "path" in module.when:
        for path, step in analysis.paths:
            if path.startswith(module.when["path"]):
                return f"{path}, which {step} names"
        for begin in module.when["path"]:
            if f"{begin}/" in texts:
                return f"{begin}, which an argument or a file of the image names"
        return None
    for name, family_at, type_at in _SOCKET_CALLS:
        if analysis.call(name) is None:
            continue
        families = analysis.operations(name, family_at)
        types = analysis.operations(name, type_at)
        family_fits = families is None or families & set(module.when.get("socket", ()))
        wanted = module.when.get("type")
        type_fits = wanted is None or types is None or types & set(wanted)
        if family_fits and type_fits:
            which = "any family" if families is None else ", ".join(sorted(families))
            return f"{name}() with {which}"
    return None


def _conditions(module: Module) -> str:
    return " ".join(word for words in module.when.values() for word in words)


def failures(analysis: Analysis, modules: Mapping[str, Module]) -> list[Failure]:
    """Return the calls, and operations of calls, that can happen and that the library OS does not have."""
    provided = {call.name: call for module in modules.values() for call in module.syscalls}
    found = []
    for use in analysis.calls:
        function = str(next((s for s in reversed(use.chain) if s.function), use.chain[0]))
        call = provided.get(use.name)
        if call is None:
            if use.name not in IMPLIED:
                found.append(Failure(use.name, "", function))
            continue
        for item in use.operations:
            # Only where the manifest lists operations by the very names that the analysis uses for this argument.
            if item.names is None or not set(call.ops) & set(item.names):
                continue
            for name, step in zip(item.names, item.steps, strict=True):
                if name not in call.ops:
                    found.append(Failure(use.name, name, str(step)))
    return found
