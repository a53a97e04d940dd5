# SPDX-License-Identifier: Apache-2.0
"""Images built by ``kernlet run PROGRAM``, kept by content.

The key covers every file that goes into the image, how the program starts, and kernlet itself, so
that a changed library or a newer kernlet builds anew and everything else is found again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import kernlet
from kernlet._paths import cache_dir
from kernlet.build import build_plan
from kernlet.build.sources import RootfsPlan, load_source
from kernlet.errors import KernletError
from kernlet.kernel import default_tree

from ._progress import show_progress
from ._target import TargetError

_KEPT = 32


def built_image(path: str, command: tuple[str, ...] = (), *, verbose: int) -> str:
    """Return the path of an image of the program, folder or kernlet.toml ``path``.

    ``command`` is what to start in a folder without a kernlet.toml.
    Raises :class:`TargetError` when nothing can be built from it, another KernletError when the
    build fails.
    """
    try:
        plan = load_source(path, list(command) or None)
    except KernletError as error:
        raise TargetError(error.message, 126, cause=error.cause, hint=error.hint) from error
    folder = Path(cache_dir()) / "images"
    image = folder / f"{plan.name}-{plan_key(plan)[:24]}.kernlet"
    with contextlib.suppress(FileNotFoundError):
        os.utime(image)
        return str(image)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KernletError(
            f"{folder} cannot be made", cause=error.strerror, hint="set KERNLET_CACHE_DIR"
        ) from error
    with show_progress(quiet=not verbose) as progress:
        build_plan(plan, image, progress=progress)
    _prune(folder)
    return str(image)


def plan_key(plan: RootfsPlan) -> str:
    """Return a hash of all that the image of ``plan`` is made of."""
    digest = hashlib.sha256()

    def add(*parts: object) -> None:
        digest.update("\0".join(map(repr, parts)).encode("utf-8", "backslashreplace") + b"\n")

    add(kernlet.__version__, plan.name, plan.entrypoint, plan.cmd, sorted(plan.env.items()))
    add(plan.cwd, plan.user, plan.memory, plan.ports, plan.modules, plan.programs)
    for entry in plan.entries:
        add(entry.path, entry.kind.value, entry.mode, entry.uid, entry.gid, entry.target)
        if entry.source is not None or entry.data is not None:
            digest.update(hashlib.sha256(entry.read()).digest())
    tree = default_tree()
    package = Path(kernlet.__file__).parent
    for root in (tree.root / "kernel", tree.root / "abi", *map(package.joinpath, _BUILDERS)):
        for file in sorted(root.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                info = file.stat()
                add(str(file), info.st_size, info.st_mtime_ns)
    return digest.hexdigest()


_BUILDERS = ("build", "elf", "image", "kernel")


def _prune(folder: Path) -> None:
    """Remove the images that were not used for longest; running ones keep their mapped file."""
    with contextlib.suppress(OSError):
        images = sorted(folder.glob("*.kernlet"), key=lambda file: -file.stat().st_mtime)
        for image in images[_KEPT:]:
            image.unlink(missing_ok=True)
