# SPDX-License-Identifier: Apache-2.0
"""An image's manifest in the form that ``--json`` shows."""

from __future__ import annotations

import json
import os
from pathlib import Path

from kernlet.image import manifest_to_json, read_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def image_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the manifest of the image at ``path``, its place and its size.

    Raises ImageFormatError or OSError.
    """
    manifest = json.loads(manifest_to_json(read_manifest(path)))
    place = Path(path).absolute()
    return {"image": str(place), "size_bytes": place.stat().st_size, **manifest}
