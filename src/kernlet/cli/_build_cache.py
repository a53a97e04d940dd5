# SPDX-License-Identifier: Apache-2.0
"""Images built by ``kernlet run PROGRAM``, kept by content."""

from __future__ import annotations


def built_image(path: str, *, verbose: int) -> str:
    """Return the path of an image of the program or folder ``path``."""
    raise NotImplementedError((path, verbose))
