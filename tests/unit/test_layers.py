# SPDX-License-Identifier: Apache-2.0
"""The package's layers: a lower one never imports a higher one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "kernlet"
# From the top to the bottom; what stands in one row may not import each other.
LAYERS = (
    ("cli",),
    ("sdk",),
    ("manager",),
    ("runner",),
    ("observe",),
    ("build",),
    ("image",),
    ("kernel",),
    ("elf",),
    ("abi",),
    ("errors", "_paths"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    """Return the layer of a file; the package's own __init__ is the SDK."""
    first = path.relative_to(PACKAGE).parts[0]
    return "sdk" if first == "__init__.py" else first.removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    """Return the layers that a file imports, also inside of functions; not what only the type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= from_names(path, node)
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == "kernlet":
            found.add(parts[1] if len(parts) > 1 and parts[1] in LEVEL else "sdk")
    return found


def from_names(path: Path, node: ast.ImportFrom) -> set[str]:
    base = node.module or ""
    if node.level:
        package = ["kernlet", *path.relative_to(PACKAGE).parent.parts]
        base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
    if base == "kernlet":
        # "from kernlet import build" means the package of that name, __version__ the SDK's constant.
        return {f"kernlet.{alias.name}" for alias in node.names if alias.name != "__version__"}
    return {base}


def test_every_folder_has_a_layer() -> None:
    assert {layer_of(path) for path in FILES} <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_go_down_only(path: Path) -> None:
    own = layer_of(path)
    higher = {name for name in imported_layers(path) if name != own and LEVEL[name] <= LEVEL[own]}
    assert not higher, f"{own} must not import {', '.join(sorted(higher))}"


def test_upward_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "kernel").mkdir()
    path = tmp_path / "kernel" / "x.py"
    path.write_text("def f():\n    from ..image import y\n    import kernlet.cli.z\n")
    assert imported_layers(path) == {"image", "cli"}
