# SPDX-License-Identifier: Apache-2.0
"""The Linux side of the tests: the same services as netstack-host, and clients for them, over the kernel's TCP.

``peer.py serve ADDRESS`` offers echo (7), sink (9), source (19) until its standard input ends. ``peer.py client ADDRESS
SERVICE ...`` uses them on netstack-host. Prints one line of JSON; exit status 0 when every connection was right.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable

Service = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BLOCK = 65536
PORTS = {"echo": 7, "sink": 9, "source": 19, "http": 80}
_BASE = bytes((i * 31 + (i >> 8) * 17) & 255 for i in range(BLOCK))
_SHIFT = [bytes((i + k) & 255 for i in range(256)) for k in range(256)]


def pattern(offset: int, size: int) -> bytes:
    """Return size bytes of the test stream from offset on; they do not reach beyond a block of 64 KiB."""
    start = offset % BLOCK
    return _BASE[start : start + size].translate(_SHIFT[(offset // BLOCK) & 255])


async def send_pattern(writer: asyncio.StreamWriter, size: int) -> int:
    """Send size bytes of the test stream; return their CRC."""
    crc = sent = 0
    while sent < size:
        data = pattern(sent, min(BLOCK - sent % BLOCK, size - sent))
        writer.write(data)
        crc = zlib.crc32(data, crc)
        sent += len(data)
        await writer.drain()
    return crc


async def check_pattern(reader: asyncio.StreamReader, size: int) -> None:
    """Read to the end of the stream; ValueError when it is not the test stream of that size."""
    got = 0
    while data := await reader.read(BLOCK - got % BLOCK):
        if data != pattern(got, len(data)):
            raise ValueError(f"wrong data at {got}")
        got += len(data)
    if got != size:
        raise ValueError(f"{got} bytes instead of {size}")


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(BLOCK):
        writer.write(data)
        await writer.drain()


async def _sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = crc = 0
    while data := await reader.read(BLOCK):
        size += len(data)
        crc = zlib.crc32(data, crc)
    writer.write(struct.pack("<QQ", size, crc))
    await writer.drain()


async def _source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    (size,) = struct.unpack("<Q", await reader.readexactly(8))
    await send_pattern(writer, size)


async def serve(address: str) -> None:
    """Offer the services until standard input ends."""

    def closing(service: Service) -> Service:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await service(reader, writer)
            writer.close()

        return run

    for name, service in (("echo", _echo), ("sink", _sink), ("source", _source)):
        await asyncio.start_server(closing(service), address, PORTS[name], backlog=4096)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def client_echo(address: str, size: int) -> None:
    """Send and check what comes back, both at once; close both directions one after the other."""
    reader, writer = await asyncio.open_connection(address, PORTS["echo"])

    async def send() -> None:
        await send_pattern(writer, size)
        writer.write_eof()

    await asyncio.gather(send(), check_pattern(reader, size))
    writer.close()


async def client_sink(address: str, size: int) -> None:
    """Send; the answer says what the other side got."""
    reader, writer = await asyncio.open_connection(address, PORTS["sink"])
    crc = await send_pattern(writer, size)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    if answer != struct.pack("<QQ", size, crc):
        raise ValueError("the other side received something else")


async def client_source(address: str, size: int) -> None:
    """Receive."""
    reader, writer = await asyncio.open_connection(address, PORTS["source"])
    writer.write(struct.pack("<Q", size))
    await check_pattern(reader, size)
    writer.close()


async def client_http(address: str, size: int) -> None:
    """Make size requests on one connection; the last one asks the server to close."""
    reader, writer = await asyncio.open_connection(address, PORTS["http"])
    for i in range(size):
        last = "Connection: close\r\n" if i == size - 1 else ""
        writer.write(f"GET / HTTP/1.1\r\n{last}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(612)
        if not head.startswith(b"HTTP/1.1 200") or body != b"x" * 612:
            raise ValueError("wrong response")
    if await reader.read():
        raise ValueError("the server did not close")
    writer.close()


async def client_reset(address: str, size: int) -> None:
    """Open, send size bytes of an echo, and reset."""
    _, writer = await asyncio.open_connection(address, PORTS["echo"])
    writer.write(pattern(0, size))
    sock = writer.get_extra_info("socket")
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: 0 s
    writer.close()


CLIENTS = {
    "echo": client_echo,
    "sink": client_sink,
    "source": client_source,
    "http": client_http,
    "reset": client_reset,
}


async def run_clients(address: str, service: str, size: int, count: int, parallel: int) -> int:
    """Run count connections, parallel at a time."""
    left = count
    failures: Counter[str] = Counter()
    begin = time.monotonic()

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            try:
                await asyncio.wait_for(CLIENTS[service](address, size), 120)
            except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
                failures[repr(error)] += 1

    await asyncio.gather(*(worker() for _ in range(parallel)))
    seconds = time.monotonic() - begin
    failed = sum(failures.values())
    result = {
        "connections": count,
        "failed": failed,
        "seconds": round(seconds, 3),
        "failures": failures,
    }
    print(json.dumps(result), flush=True)
    return 1 if failed else 0


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("serve", "client"))
    parser.add_argument("address")
    parser.add_argument("service", nargs="?", choices=sorted(CLIENTS), default="echo")
    parser.add_argument("--bytes", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=1)
    args = parser.parse_args()
    if args.role == "serve":
        asyncio.run(serve(args.address))
        return 0
    return asyncio.run(
        run_clients(args.address, args.service, args.bytes, args.connections, args.parallel)
    )


if __name__ == "__main__":
    sys.exit(main())
