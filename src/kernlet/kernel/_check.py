# SPDX-License-Identifier: Apache-2.0
"""Compares what the manifests say with what the objects do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ._compile import CompiledObject
from ._errors import ModuleCheckError
from ._manifest import Module
from ._select import Selection

__all__ = ["check_modules"]

# The compiler calls these without being asked (GCC manual, "Standards", freestanding).
_COMPILER_CALLS = frozenset(
    {"memcpy", "memmove", "memset", "memcmp", "__stack_chk_fail", "__stack_chk_guard"}
)
# Part of the compiler, in libgcc: 128-bit division and the like.
_LIBGCC = frozenset(
    {
        "__udivti3",
        "__umodti3",
        "__divti3",
        "__modti3",
        "__udivmodti4",
        "__divmodti4",
        "__popcountdi2",
        "__multi3",
    }
)
# What the linker script defines.
_LINKER = frozenset(
    {
        "kl_text_start",
        "kl_text_end",
        "kl_exit_start",
        "kl_exit_end",
        "kl_rodata_start",
        "kl_rodata_end",
        "kl_extable_start",
        "kl_extable_end",
        "__start_kl_extable",
        "__stop_kl_extable",
        "kl_data_start",
        "kl_data_end",
        "kl_bss_start",
        "kl_bss_end",
        "kl_image_end",
        "_GLOBAL_OFFSET_TABLE_",
    }
)


class _Exports:
    """Who defines, and who may be asked for, each symbol of an image."""

    def __init__(
        self, selection: Selection, by_owner: Mapping[str, Sequence[CompiledObject]]
    ) -> None:
        self.defined = {
            owner: frozenset().union(*(item.symbols.defined for item in objects))
            for owner, objects in by_owner.items()
        }
        self.owner_of = {
            symbol: owner for owner, symbols in self.defined.items() for symbol in symbols
        }
        # What a program may call, other modules may: the function of a system call needs no word in exports.
        self.exports = {
            module.name: frozenset(module.exports).union(call.function for call in module.syscalls)
            for module in selection.modules
        }
        self.everyone = (
            self.defined.get("arch", frozenset())
            | self.defined.get("generated", frozenset())
            | _LINKER
            | _LIBGCC
        )


def check_modules(
    selection: Selection,
    objects: Sequence[CompiledObject],
    everything: Mapping[str, Module],
) -> None:
    """Raise ModuleCheckError, with every difference in its text, when a manifest and the module's objects disagree.

    Checked: start-up functions, system calls and exports are defined; each symbol that a module uses comes from the
    architecture's code, from generated code, or is exported by a module whose capability it requires (a weak reference
    needs the export only); no symbol has two owners. ``everything`` is the whole tree, to say who exports a symbol that
    is not in the image.
    """
    by_owner: dict[str, list[CompiledObject]] = {}
    for item in objects:
        by_owner.setdefault(item.unit.owner, []).append(item)
    exports = _Exports(selection, by_owner)
    problems = _defined_twice(by_owner)
    for module in selection.modules:
        problems += _missing_definitions(module, exports)
        problems += _foreign_symbols(
            module, by_owner.get(module.name, []), selection, exports, everything
        )
    problems += _arch_symbols(by_owner.get("arch", []), exports, everything)
    if problems:
        text = problems[0] if len(problems) == 1 else "\n  " + "\n  ".join(problems)
        raise ModuleCheckError("the modules are not what their manifests say", cause=text)


def _defined_twice(by_owner: Mapping[str, Sequence[CompiledObject]]) -> list[str]:
    owners: dict[str, str] = {}
    problems = []
    for owner, objects in by_owner.items():
        for item in objects:
            for symbol in sorted(item.symbols.defined):
                where = f"{owner} ({item.unit.source.name})"
                if symbol in owners:
                    problems.append(
                        f"{symbol} is defined twice: in {owners[symbol]} and in {where}"
                    )
                owners[symbol] = where
    return problems


def _missing_definitions(module: Module, exports: _Exports) -> list[str]:
    defined = exports.defined.get(module.name, frozenset())
    problems = [
        f"{module.name}: exports {symbol}, which it does not define"
        for symbol in module.exports
        if symbol not in defined
    ]
    problems += [
        f"{module.name}: system call {call.name}: {call.function}() is not defined"
        for call in module.syscalls
        if call.function not in defined
    ]
    problems += [
        f"{module.name}: start-up function {init.fn}() is not defined"
        for init in module.init
        if init.fn not in defined
    ]
    return problems


def _foreign_symbols(
    module: Module,
    objects: Iterable[CompiledObject],
    selection: Selection,
    exports: _Exports,
    everything: Mapping[str, Module],
) -> list[str]:
    own = exports.defined.get(module.name, frozenset())
    required = {
        selection.providers[cap].name for cap in module.requires if cap in selection.providers
    }
    allowed = exports.everyone.union(*(exports.exports[name] for name in required))
    problems = []
    for item in objects:
        where = f"{module.name}: {item.unit.source.name} uses"
        for symbol in sorted(item.symbols.undefined - own - allowed):
            owner = exports.owner_of.get(symbol)
            if symbol in _COMPILER_CALLS and owner is not None:
                continue
            problems.append(f"{where} {symbol}, {_who_has(symbol, owner, everything)}")
        for symbol in sorted(item.symbols.weak - own - exports.everyone):
            owner = exports.owner_of.get(symbol)
            if owner is not None and symbol not in exports.exports[owner]:
                problems.append(f"{where} {symbol}, {_who_has(symbol, owner, everything)}")
    return problems


def _who_has(symbol: str, owner: str | None, everything: Mapping[str, Module]) -> str:
    exporters = sorted(module.name for module in everything.values() if symbol in module.exports)
    if exporters:
        first = everything[exporters[0]]
        capability = first.provides[0] if first.provides else first.name
        return f'exported by {", ".join(exporters)}: add "{capability}" to its requires'
    if owner is not None:
        return f"defined in {owner} but not in its exports"
    return "which no module exports"


def _arch_symbols(
    objects: Iterable[CompiledObject], exports: _Exports, everything: Mapping[str, Module]
) -> list[str]:
    """Check the architecture's code: it is in every image and may call whatever any module exports."""
    allowed = exports.everyone.union(_COMPILER_CALLS, *exports.exports.values())
    return [
        f"arch: {item.unit.source.name} uses {symbol}, "
        + _who_has(symbol, exports.owner_of.get(symbol), everything)
        for item in objects
        for symbol in sorted(item.symbols.undefined - allowed)
    ]
