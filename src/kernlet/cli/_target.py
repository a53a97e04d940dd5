# SPDX-License-Identifier: Apache-2.0
"""What ``kernlet run`` was pointed at: an image, or something to build one from."""

from __future__ import annotations

import os
from typing import NamedTuple

from kernlet.errors import KernletError
from kernlet.image import ImageFormatError, Manifest, read_manifest

DEFAULT_MEMORY_BYTES = 64 << 20
_NETWORK_MODULE = "virtio-net"


class TargetError(KernletError):
    """The target cannot be run; ``exit_status`` is docker's: 126 cannot run, 127 does not exist."""

    def __init__(
        self, message: str, exit_status: int, *, cause: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, cause=cause, hint=hint)
        self.exit_status = exit_status


class Target(NamedTuple):
    """An image that is ready to boot.

    ``args_used``: the arguments of ``run`` went into the image, as the command of a folder.
    """

    image: str
    manifest: Manifest
    args_used: bool = False

    @property
    def memory_bytes(self) -> int:
        """Return how much memory the image asks for."""
        return self.manifest.memory_bytes or DEFAULT_MEMORY_BYTES

    @property
    def uses_network(self) -> bool:
        """Whether there is a network driver in the image."""
        return self.manifest.has_module(_NETWORK_MODULE)


def open_target(path: str, args: tuple[str, ...] = (), *, verbose: int = 0) -> Target:
    """Return the image at ``path``; a program, folder or kernlet.toml is built first.

    ``args`` are the command for a folder that does not say itself what to start.

    Raises :class:`TargetError`.
    """
    try:
        return Target(os.path.abspath(path), read_manifest(path))  # noqa: PTH100 - start-up time
    except FileNotFoundError:
        hint = "give the path of an image, a program or a folder"
        raise TargetError(f"{path} does not exist", 127, hint=hint) from None
    except IsADirectoryError:
        pass
    except OSError as error:
        raise TargetError(f"{path} cannot be read", 126, cause=error.strerror) from None
    except ImageFormatError as error:
        if path.endswith(".kernlet") or "is not a kernlet image" not in error.message:
            raise TargetError(error.message, 126, cause=error.cause, hint=error.hint) from None
    from ._build_cache import built_image

    is_root = os.path.isdir(path) and not os.path.exists(f"{path}/kernlet.toml")  # noqa: PTH110, PTH112
    image = built_image(path, args if is_root else (), verbose=verbose)
    return Target(image, read_manifest(image), is_root)
