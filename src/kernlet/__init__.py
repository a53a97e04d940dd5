# SPDX-License-Identifier: Apache-2.0
"""kernlet: an ordinary Linux program as a unikernel, one small file that boots in milliseconds."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
