# SPDX-License-Identifier: Apache-2.0
"""The root of kernlet's tree of errors.

Every error that a user can meet derives from :class:`KernletError`: what went wrong in one line, optionally the cause
behind it, and a next step. Packages define their own leaves; their names end in ``Error``.
"""

from __future__ import annotations

__all__ = ["KernletError"]


class KernletError(Exception):
    """Something that the user can understand and act on.

    ``message`` says what failed, in one line without a full stop; ``cause`` why (for instance the operating system's
    own words); ``hint`` what to do next, as an imperative.
    """

    def __init__(self, message: str, *, cause: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        """Return one line: what failed, why, and the next step."""
        text = self.message
        if self.cause:
            text += f": {self.cause}"
        if self.hint:
            text += f"; {self.hint}"
        return text
