# SPDX-License-Identifier: Apache-2.0
"""The errors of the build as a whole; its steps have their own."""

from __future__ import annotations

from kernlet.errors import KernletError

__all__ = ["BuildError"]


class BuildError(KernletError):
    """An image can't be built from what was asked for."""
