# SPDX-License-Identifier: Apache-2.0
"""The web example as a kernlet: curl and wrk ask it from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.web_checks import CHECKS, check_slow_client

ROOT = Path(__file__).resolve().parents[2]
IMAGE_BYTES_MAX = 674_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def web_image(image: Callable[[str], Path]) -> Path:
    return image("web")


def test_image_is_small(web_image: Path) -> None:
    assert web_image.stat().st_size <= IMAGE_BYTES_MAX


@pytest.fixture(scope="module")
def server(web_image: Path, runner: str, service: Any) -> Iterator[Any]:
    with service(web_image, runner, 80) as web:
        web.talk(b"GET / HTTP/1.0\r\n\r\n", lambda _: False)
        yield web


def test_greeting(server: Any) -> None:
    assert (ROOT / "examples" / "web" / "expected.txt").read_text() in server.console()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_kernlet(check: Callable[[int], None], server: Any) -> None:
    check(server.port)
    assert server.record()["status"] == "running", server.console()


@pytest.mark.slow
def test_slow_client(server: Any) -> None:
    check_slow_client(server.port)
