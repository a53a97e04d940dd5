# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several unit tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kernlet.kernel import SourceTree, default_tree

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def kernel_tree(tmp_path: Path) -> SourceTree:
    """A small tree of its own: the real layout, script and headers, four modules of a few lines."""
    root = tmp_path / "tree"
    real = default_tree()
    shutil.copytree(FIXTURES / "kernel_tree", root)
    shutil.copytree(real.root / "abi", root / "abi")
    shutil.copytree(real.root / "kernel" / "include", root / "kernel" / "include")
    shutil.copy(real.linker_script, root / "kernel" / "kernel.ld")
    return SourceTree(root)


@pytest.fixture
def kernel_cache(tmp_path: Path) -> Path:
    """An empty cache of objects."""
    return tmp_path / "cache"
