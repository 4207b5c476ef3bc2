"""Which hosts the node may speak to when a person names one: public ones, and the private networks that its settings allow; and how it speaks to them.

In: an address. Out: the same with the number that was checked in place of the name, so that what was checked is what is connected to; a client
that follows no redirect and knows no proxy.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx

from lianfang.kernel.errors import Conflict, Invalid


def web_parts(address: str, *, what: str, like: str, own: str, plain: bool = True) -> SplitResult:
    """The parts of an HTTP address. Raises ``Invalid``: ``what`` it is not, an address ``like`` it should be, where user and password go
    instead (``own``). ``plain``: whether parameters may follow."""
    parts = parted(address, what)
    if parts.scheme not in ("http", "https") or not parts.hostname or (not plain and (parts.query or parts.fragment)):
        raise wrong(what, f"Write it like {like}.")
    if parts.username or parts.password:
        raise wrong("User and password do not belong in the address", own)
    return parts


def parted(address: str, what: str) -> SplitResult:
    """The parts of any address, its port among them a number; raises ``Invalid``."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  (raises for what is no port)
    except ValueError as error:
        raise wrong(what, str(error)) from error
    return parts


def wrong(what: str, todo: str, *, name: str = "address") -> Invalid:
    """What is wrong with a setting, beside its field."""
    return Invalid(what, todo=todo, details={name: [todo]})


def client(authority: str, *, patience: float, **headers: str) -> httpx.Client:
    """A client for one address: certificates of ``authority`` (PEM; "": the system's), ``patience`` in seconds."""
    verify: Any = ssl.create_default_context(cadata=authority) if authority else True
    return httpx.Client(timeout=patience, trust_env=False, follow_redirects=False, verify=verify, headers={"User-Agent": "Lianfang", **headers})


@contextmanager
def asking(host: str) -> Iterator[None]:
    """What goes wrong on the way is a ``Conflict`` that may be over the next time."""
    try:
        yield
    except httpx.HTTPError as error:
        raise Conflict(f"{host} does not answer: {str(error) or type(error).__name__}", todo="Check address and network; it is tried again.", retry=True) from error


def checked_address(url: str) -> tuple[str, dict[str, Any], str]:
    """The address with the checked number for the host's name, what TLS has to know of the name, and the header Host."""
    parts = urlsplit(url)
    name, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = [ipaddress.ip_address(item[4][0]) for item in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    except (OSError, ValueError) as error:
        raise Conflict(f"There is no host {name}", why=str(error), todo="Check the address; it is tried again.", retry=True) from error
    for address in found:
        if not allowed(address):
            raise Conflict(f"{name} lies in a private network", why=f"{address} may not be asked from this node.", todo="Have LIANFANG_POLL_NETWORKS extended on the node, for example 10.0.0.0/8.")
    number = f"[{found[0]}]" if found[0].version == 6 else str(found[0])
    return urlunsplit(parts._replace(netloc=f"{number}:{port}")), ({"sni_hostname": name} if parts.scheme == "https" else {}), parts.netloc


def allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Public addresses are; others where the node's settings say so."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    if address.is_global and not address.is_multicast:
        return True
    for text in os.environ.get("LIANFANG_POLL_NETWORKS", "").split(","):
        with suppress(ValueError):
            if address in ipaddress.ip_network(text.strip()):
                return True
    return False


def is_home(host: str) -> bool:
    """Whether it is this machine."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
