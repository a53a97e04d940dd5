# SPDX-License-Identifier: Apache-2.0
"""Builds images: ``kernlet.build(source, output)``, and what it is made of.

The package itself can be called, since its name and the function's are the same: ``kernlet.build(...)`` means
``kernlet.build.build(...)``, whether or not some other code has imported the package before.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._errors import BuildError
    from ._pipeline import BuildProgress, BuildResult, build, build_plan

__all__ = ["BuildError", "BuildProgress", "BuildResult", "build", "build_plan"]


def __getattr__(name: str) -> object:
    """Import the pipeline when it is first asked for: subpackages are used without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "BuildError":
        from . import _errors

        return _errors.BuildError
    from . import _pipeline

    return getattr(_pipeline, name)


class _CallablePackage(ModuleType):
    def __call__(self, *args: object, **options: object) -> object:
        """Call ``build()``."""
        return self.build(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
