# SPDX-License-Identifier: Apache-2.0
"""Selection of modules: from what is wanted to a set in which each required capability has exactly one provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ._errors import SelectionError
from ._manifest import STAGES, Init, Module

__all__ = ["InitCall", "Selection", "init_order", "select_modules"]


# The architecture's code is in every image; a module may say that it needs it.
_ARCH = "arch"


@dataclass(frozen=True)
class Selection:
    """The modules of one image, by name. ``reasons``: why each is in, by name; ``providers``: by capability."""

    modules: tuple[Module, ...]
    reasons: Mapping[str, str]
    providers: Mapping[str, Module]


@dataclass(frozen=True)
class InitCall:
    """One entry of the start-up table."""

    module: str
    stage: str
    fn: str


def select_modules(
    modules: Mapping[str, Module],
    wanted: Iterable[str] | None = None,
    *,
    extra: Iterable[str] = (),
    without: Iterable[str] = (),
    why: Mapping[str, str] | None = None,
) -> Selection:
    """Return the closure of ``wanted`` over the capabilities that modules require.

    ``wanted`` None means every module that is not optional; ``extra`` come on top. ``without`` names modules to leave
    out; one of them that something else requires is an error. ``why`` gives reasons for those ``wanted``.
    Raises SelectionError, which lists the candidates.
    """
    left_out = _known(modules, without)
    if wanted is None:
        roots = {name: "part of every image" for name, m in modules.items() if not m.optional}
    else:
        roots = {name: (why or {}).get(name, "asked for") for name in _known(modules, wanted)}
    for name in _known(modules, extra):
        roots.setdefault(name, "asked for")
    reasons = {name: reason for name, reason in roots.items() if name not in left_out}
    providers: dict[str, Module] = {}
    for name in sorted(reasons):
        _provide(providers, modules[name])
    queue = sorted(reasons)
    while queue:
        module = modules[queue.pop(0)]
        for capability in module.requires:
            if capability in providers or capability == _ARCH:
                continue
            provider = _choose(modules, capability, module.name, left_out)
            _provide(providers, provider)
            reasons[provider.name] = f"{module.name} requires {capability}"
            queue.append(provider.name)
    chosen = tuple(modules[name] for name in sorted(reasons))
    return Selection(chosen, dict(sorted(reasons.items())), dict(sorted(providers.items())))


def _known(modules: Mapping[str, Module], names: Iterable[str]) -> list[str]:
    names = list(names)
    for name in names:
        if name not in modules:
            raise SelectionError(
                f"no module named {name!r}", hint=f"there are {', '.join(sorted(modules))}"
            )
    return names


def _provide(providers: dict[str, Module], module: Module) -> None:
    for capability in module.provides:
        other = providers.setdefault(capability, module)
        if other is not module:
            raise SelectionError(
                f"two modules of the image provide {capability!r}: {other.name} and {module.name}",
                hint="leave one of them out",
            )


def _choose(
    modules: Mapping[str, Module], capability: str, needed_by: str, left_out: Sequence[str]
) -> Module:
    all_of_them = [m for m in modules.values() if capability in m.provides]
    candidates = [m for m in all_of_them if m.name not in left_out]
    if len(candidates) > 1:
        usual = [m for m in candidates if not m.optional]
        candidates = usual if len(usual) == 1 else candidates
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(sorted(m.name for m in candidates))
        raise SelectionError(
            f"{needed_by} requires {capability!r}, which several modules provide: {names}",
            hint="ask for one of them by name",
        )
    if all_of_them:
        names = ", ".join(sorted(m.name for m in all_of_them))
        raise SelectionError(
            f"{needed_by} requires {capability!r}, but {names} is left out", hint="keep it"
        )
    raise SelectionError(
        f"{needed_by} requires {capability!r}, which no module provides",
        hint="correct 'requires', or add a module that provides it",
    )


def init_order(selection: Selection) -> tuple[InitCall, ...]:
    """Return the start-up calls: by stage, and within one stage what a module needs comes before it.

    Where modules require each other, ``after`` in the manifest replaces ``requires`` as the order; what remains of a
    cycle is taken in the order of names.
    """
    calls: list[InitCall] = []
    for stage in STAGES:
        here: dict[str, list[Init]] = {}
        for module in selection.modules:
            for init in module.init:
                if init.stage == stage:
                    here.setdefault(module.name, []).append(init)
        for name in _ordered(selection):
            calls += [InitCall(name, stage, init.fn) for init in here.get(name, [])]
    return tuple(calls)


def _ordered(selection: Selection) -> list[str]:
    """Return all names, each after those that it needs (transitively, also through modules without a start-up call)."""
    by_name = {module.name: module for module in selection.modules}
    done: dict[str, bool] = {}
    order: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        done[name] = False
        module = by_name[name]
        after = [init.after for init in module.init if init.after is not None]
        needs = {cap for caps in after for cap in caps} if after else set(module.requires)
        for provider in sorted(
            {selection.providers[cap].name for cap in needs if cap in selection.providers}
        ):
            visit(provider)
        order.append(name)

    for name in sorted(by_name):
        visit(name)
    return order
