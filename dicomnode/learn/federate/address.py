"""Addresses as people write them."""

from __future__ import annotations


def host_and_port(address: str) -> tuple[str, int]:
    """Return them of HOST:PORT or [IPv6]:PORT; ValueError."""
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (bare and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{address!r} is not of the form HOST:PORT")
    if (":" in bare) != (bare != host):
        raise ValueError(f"{address!r} is not of the form HOST:PORT; an IPv6 address stands in brackets")
    return bare, int(port)
