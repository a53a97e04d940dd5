# SPDX-License-Identifier: Apache-2.0
"""Reading of manifests, selection, order of start-up, reference pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernlet.kernel import (
    Init,
    ManifestError,
    Module,
    SelectionError,
    SourceTree,
    Syscall,
    init_order,
    load_module,
    load_modules,
    modules_page,
    select_modules,
    syscalls_page,
)

GOOD = 'name = "m"\nsummary = "s"\n'


def write(folder: Path, text: str) -> Path:
    module = folder / "m"
    module.mkdir()
    (module / "module.toml").write_text(text)
    return module


def module(
    name: str,
    requires: str = "",
    *,
    provides: str | None = None,
    init: Init | None = None,
    optional: bool = False,
) -> Module:
    return Module(
        name=name,
        summary="",
        path=Path(name),
        provides=tuple((name if provides is None else provides).split()),
        requires=tuple(requires.split()),
        init=(init,) if init else (),
        optional=optional,
    )


def as_tree(*modules: Module) -> dict[str, Module]:
    return {item.name: item for item in modules}


def test_reads_everything(kernel_tree: SourceTree) -> None:
    beta = load_modules(kernel_tree.lib)["beta"]
    assert beta.provides == ("beta", "storage")
    assert beta.init == (Init("core", "kl_beta_init"),)
    assert beta.syscalls == (Syscall("read"), Syscall("fcntl", ("F_GETFD",)))
    assert not beta.optional


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not valid TOML"),
        ('summary = "s"\n', "'name' is missing"),
        ('name = "n"\nsummary = "s"\n', "the folder is 'm'"),
        (GOOD + "colour = 1\n", "unknown key 'colour'"),
        (GOOD + 'requires = "a"\n', "'requires' must be a list"),
        (GOOD + 'requires = ["A b"]\n', "ill-formed name: 'A b'"),
        (GOOD + 'requires = ["a", "a"]\n', "names a twice"),
        (GOOD + 'provides = ["a"]\nrequires = ["a"]\n', "provides and requires a"),
        (GOOD + 'init = { stage = "soon", fn = "f" }\n', "unknown stage 'soon'"),
        (GOOD + 'init = { stage = "core", fn = "f", x = 1 }\n', "init: unknown key 'x'"),
        (GOOD + "[[syscall]]\n", "syscall: 'name' is missing"),
        (GOOD + 'optimize = "looks"\n', "unknown goal 'looks'"),
        (GOOD + "optional = 1\n", "'optional' must be true or false"),
        (GOOD + "config = { lower = 1 }\n", "ill-formed constant 'lower'"),
        (GOOD + '[[fuzz]]\nname = "X-1"\n', "ill-formed name 'X-1'"),
    ],
)
def test_bad_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        load_module(write(tmp_path, text))


def test_missing_files_are_listed(tmp_path: Path) -> None:
    text = GOOD + 'sources = ["a.c"]\n[[test]]\nname = "x"\nsources = ["t.c"]\nwith = ["a.c"]\n'
    found = load_module(write(tmp_path, text))
    assert found.missing_files() == ["a.c"]
    assert found.missing_files(tests=True) == ["a.c", "t.c", "a.c"]
    (found.path / "a.c").touch()
    assert found.missing_files() == []


def test_default_leaves_optional_modules_out(kernel_tree: SourceTree) -> None:
    selection = select_modules(load_modules(kernel_tree.lib))
    assert [item.name for item in selection.modules] == ["alpha", "beta"]


def test_closure_gives_reasons() -> None:
    tree = as_tree(module("a", "b"), module("b", "c"), module("c"), module("d"))
    selection = select_modules(tree, ["a"])
    assert selection.reasons == {"a": "asked for", "b": "a requires b", "c": "b requires c"}


def test_two_providers_in_one_image_are_refused() -> None:
    tree = as_tree(module("x", provides="cap"), module("y", provides="cap"))
    with pytest.raises(SelectionError, match="two modules of the image provide 'cap': x and y"):
        select_modules(tree)


def test_choice_between_providers_lists_candidates() -> None:
    tree = as_tree(module("a", "cap"), module("x", provides="cap"), module("y", provides="cap"))
    with pytest.raises(SelectionError, match="several modules provide: x, y"):
        select_modules(tree, ["a"])
    assert [item.name for item in select_modules(tree, ["a", "y"]).modules] == ["a", "y"]


def test_usual_provider_is_preferred() -> None:
    tree = as_tree(
        module("a", "cap"), module("x", provides="cap"), module("y", provides="cap", optional=True)
    )
    assert [item.name for item in select_modules(tree, ["a"]).modules] == ["a", "x"]
    assert [item.name for item in select_modules(tree, ["a"], without=["x"]).modules] == ["a", "y"]


def test_missing_provider_is_refused() -> None:
    with pytest.raises(SelectionError, match="a requires 'cap', which no module provides"):
        select_modules(as_tree(module("a", "cap")))
    with pytest.raises(SelectionError, match="but b is left out"):
        select_modules(as_tree(module("a", "b"), module("b")), without=["b"])


def test_extra_modules_come_on_top() -> None:
    tree = as_tree(module("a"), module("b", optional=True))
    assert select_modules(tree, extra=["b"]).reasons == {
        "a": "part of every image",
        "b": "asked for",
    }


def test_architecture_is_always_there() -> None:
    assert [item.name for item in select_modules(as_tree(module("a", "arch"))).modules] == ["a"]


def test_unknown_module_is_refused() -> None:
    with pytest.raises(SelectionError, match="no module named 'z'"):
        select_modules(as_tree(module("a")), ["z"])


def test_start_up_follows_stages_then_requirements() -> None:
    tree = as_tree(
        module("a", "between", init=Init("core", "fa")),
        module("between", "z"),
        module("z", init=Init("core", "fz")),
        module("first", "a", init=Init("early", "ff")),
    )
    assert [call.fn for call in init_order(select_modules(tree))] == ["ff", "fz", "fa"]


def test_after_breaks_a_cycle() -> None:
    tree = as_tree(
        module("a", "b", init=Init("core", "fa", after=())),
        module("b", "a", init=Init("core", "fb", after=("a",))),
    )
    assert [call.fn for call in init_order(select_modules(tree))] == ["fa", "fb"]
    tree = as_tree(
        module("a", "b", init=Init("core", "fa", after=("b",))),
        module("b", "a", init=Init("core", "fb", after=())),
    )
    assert [call.fn for call in init_order(select_modules(tree))] == ["fb", "fa"]


@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=10))
def test_every_requirement_starts_first_without_cycles(needs: list[set[int]]) -> None:
    tree = as_tree(
        *(
            module(
                f"m{i}",
                " ".join(f"m{j}" for j in sorted(below) if j < i),
                init=Init("core", f"f{i}"),
            )
            for i, below in enumerate(needs)
        )
    )
    order = [call.module for call in init_order(select_modules(tree))]
    assert sorted(order) == sorted(tree)
    for name in order:
        for requirement in tree[name].requires:
            assert order.index(requirement) < order.index(name)


def test_reference_pages_list_modules_and_calls(kernel_tree: SourceTree) -> None:
    modules = load_modules(kernel_tree.lib)
    assert "| `gamma` (optional) | Storage of another kind | `storage` | `alpha` |" in modules_page(
        modules
    )
    page = syscalls_page(modules, {"read": 0, "write": 1, "fcntl": 72})
    assert (
        "| 72 | [fcntl](https://man7.org/linux/man-pages/man2/fcntl.2.html) | `beta` | `F_GETFD` |"
        in page
    )
    assert page.endswith("`write`\n")
