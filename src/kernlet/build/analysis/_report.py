# SPDX-License-Identifier: Apache-2.0
"""From what can run to what an analysis says: names, operations, and the shortest way to each system call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernlet.build.analysis._link import Linked, Place, SystemCall, Unknown
from kernlet.build.analysis._operations import OPERATIONS, Operation, operation_name
from kernlet.build.analysis._result import (
    Analysis,
    CallUse,
    FileUse,
    Operations,
    Step,
    UnknownCall,
)

__all__ = ["report"]

_WHAT = {
    "number": "the number of a system call can't be told",
    "legacy": "a 32-bit system call (int 0x80 or sysenter)",
}
_UNKNOWN_MAX = 64


def report(linked: Linked, numbers: Mapping[str, int]) -> Analysis:
    """Describe ``linked``; ``numbers`` are Linux's system calls by name."""
    return _Reporter(linked, {number: name for name, number in numbers.items()}).report()


class _Reporter:
    def __init__(self, linked: Linked, names: Mapping[int, str]) -> None:
        self._linked = linked
        self._names = names
        self._depths: dict[tuple[int, int], int] = {}

    def report(self) -> Analysis:
        linked = self._linked
        by_number: dict[int, list[SystemCall]] = {}
        unknown = list(linked.unknown)
        for call in linked.calls:
            for number in call.numbers or ():
                if number in self._names:
                    by_number.setdefault(number, []).append(call)
        unknown.sort(key=lambda item: (self._depth(item.holder), item.site))
        return Analysis(
            program=linked.files[0].path,
            calls=tuple(self._call(number, by_number[number]) for number in sorted(by_number)),
            unknown=tuple(self._unknown(item) for item in unknown[:_UNKNOWN_MAX]),
            files=self._files(),
            paths=tuple(
                (text, self._step(node, linked.reached[node].how))
                for text, node in sorted(linked.strings.items())
                if text.startswith("/") and node in linked.reached
            ),
            libraries=tuple(sorted(text for text in linked.strings if ".so" in text)),
        )

    def _files(self) -> tuple[FileUse, ...]:
        counts = [0] * len(self._linked.files)
        for index, _ in self._linked.reached:
            counts[index] += 1
        return tuple(
            FileUse(file.path, file.role, len(file.summary.nodes), counts[index])
            for index, file in enumerate(self._linked.files)
            if index in self._linked.loaded
        )

    def _call(self, number: int, calls: Sequence[SystemCall]) -> CallUse:
        shortest = min(calls, key=lambda c: (self._depth(c.holder) + len(c.via), c.site))
        return CallUse(
            self._names[number],
            number,
            self._chain(shortest.holder, (*shortest.via, shortest.site)),
            len({call.site for call in calls}),
            tuple(
                self._operations(operation, calls)
                for operation in OPERATIONS
                if operation.number == number
            ),
        )

    def _operations(self, operation: Operation, calls: Sequence[SystemCall]) -> Operations:
        found: dict[str, SystemCall] = {}
        for call in sorted(calls, key=lambda c: (self._depth(c.holder) + len(c.via), c.site)):
            values = call.arguments[operation.argument - 1]
            if values is None:
                return Operations(operation.argument, None, (self._step(call.holder, "calls"),))
            for value in values:
                found.setdefault(operation_name(operation, value), call)
        names = tuple(sorted(found))
        steps = tuple(self._step(found[name].holder, "calls") for name in names)
        return Operations(operation.argument, names, steps)

    def _unknown(self, item: Unknown) -> UnknownCall:
        return UnknownCall(_WHAT[item.what], self._chain(item.holder, (item.site,)))

    def _depth(self, node: tuple[int, int]) -> int:
        """Return how many steps it takes from the start to ``node``."""
        way = []
        here: tuple[int, int] | None = node
        while here is not None and here not in self._depths:
            way.append(here)
            reached = self._linked.reached.get(here)
            here = reached.before if reached is not None else None
        depth = self._depths[here] if here is not None else 0
        for step in reversed(way):
            depth += 1
            self._depths[step] = depth
        return depth

    def _chain(self, node: tuple[int, int], places: Sequence[Place]) -> tuple[Step, ...]:
        steps: list[Step] = []
        here: tuple[int, int] | None = node
        while here is not None:
            reached = self._linked.reached[here]
            steps.insert(0, self._step(here, reached.how))
            here = reached.before
        for place in places[:-1]:
            steps.append(self._at(place, "calls from"))
        if places:
            steps.append(self._at(places[-1], "makes the system call at"))
        return tuple(steps)

    def _step(self, node: tuple[int, int], how: str) -> Step:
        summary = self._linked.files[node[0]].summary
        return Step(
            self._linked.files[node[0]].path, summary.names[node[1]], summary.starts[node[1]], how
        )

    def _at(self, place: Place, how: str) -> Step:
        """Return the step of an instruction: the function around it, and the instruction's own address."""
        from bisect import bisect_right

        summary = self._linked.files[place.file].summary
        at = bisect_right(summary.starts, place.address) - 1
        name = summary.names[at] if at >= 0 else ""
        return Step(self._linked.files[place.file].path, name, place.address, how)
