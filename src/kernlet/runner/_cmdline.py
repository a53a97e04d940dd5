# SPDX-License-Identifier: Apache-2.0
"""The guest's command line: one line of text, each token percent-encoded.

Tokens are separated by single spaces. Before a token ``--`` they are ``key=value`` settings;
after it comes the argument vector. Bytes up to 0x20, ``%`` and bytes from 0x7f up are written as
``%XX``.
"""

from __future__ import annotations

from kernlet.errors import KernletError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_BYTES = 0xB000 - 1
"""Longest text that fits KL_CMDLINE_BYTES (abi/kl_layout.h) with its terminating zero."""


class CommandLineError(KernletError):
    """The guest's command line cannot be written as asked for."""


def encode(token: str) -> str:
    """Return ``token`` in the encoded form.

    Undecodable bytes of the host (surrogates) keep their value.
    """
    out = []
    for byte in token.encode("utf-8", "surrogateescape"):
        if byte <= 0x20 or byte >= 0x7F or byte == 0x25:
            out.append(f"%{byte:02X}")
        else:
            out.append(chr(byte))
    return "".join(out)


def decode(token: str) -> str:
    """Undo :func:`encode`. A ``%`` without two hexadecimal digits behind it stands for itself."""
    raw = token.encode("utf-8", "surrogateescape")
    out = bytearray()
    at = 0
    while at < len(raw):
        digits = raw[at + 1 : at + 3]
        if (
            raw[at] == 0x25
            and len(digits) == 2
            and all(d in b"0123456789abcdefABCDEF" for d in digits)
        ):
            out.append(int(digits, 16))
            at += 3
        else:
            out.append(raw[at])
            at += 1
    return out.decode("utf-8", "surrogateescape")


def join(settings: Iterable[tuple[str, str]], argv: Sequence[str] = ()) -> str:
    """Compose the whole line; an empty ``argv`` keeps the image's own.

    Raises :class:`CommandLineError`.
    """
    tokens = [encode(f"{key}={value}") for key, value in settings]
    if argv:
        tokens.append("--")
        tokens += [encode(argument) for argument in argv]
    if any("%00" in token for token in tokens):
        raise CommandLineError(
            "an argument or environment variable contains a zero byte", hint="remove the byte"
        )
    text = " ".join(tokens)
    if len(text) > MAX_BYTES:
        raise CommandLineError(
            f"arguments and environment take {len(text)} bytes, the guest's limit is {MAX_BYTES}",
            hint="pass less, or put it into a file of the image",
        )
    return text


def split(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Undo :func:`join`: the settings and the argument vector."""
    tokens = text.split(" ") if text else []
    at = tokens.index("--") if "--" in tokens else len(tokens)
    settings = []
    for token in tokens[:at]:
        key, _, value = decode(token).partition("=")
        settings.append((key, value))
    return settings, [decode(token) for token in tokens[at + 1 :]]
