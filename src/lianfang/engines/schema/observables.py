"""Observables: what kind of thing a text names, and the one way to write it.

Kinds: ``ipv4 ipv6 cidr domain url md5 sha1 sha256 email``. In: text from lists, reports and logs, also defanged
(``hxxp://1.2.3[.]4``). Out: ``(kind, canonical form)``, so that equal things are equal texts.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit, urlunsplit

from lianfang.kernel.errors import Invalid

KINDS: tuple[str, ...] = ("ipv4", "ipv6", "cidr", "domain", "url", "md5", "sha1", "sha256", "email")

PRIVATE = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"))
"""Networks that lead nowhere outside: RFC 1918, 6598, 3927, 4193, 4291."""
_MACHINE = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_LONGEST = 4096
_HEX = re.compile(r"[0-9a-fA-F]+")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LAST_LABEL = re.compile(r"(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})")
_LOCAL = re.compile(r"[^\s@<>(),;:\\\"\[\]]{1,64}")
_HASHES = {32: "md5", 40: "sha1", 64: "sha256"}
_PORTS = {"http": 80, "https": 443, "ftp": 21}
_SCHEME = re.compile(r"^(h(?:tt|xx|XX|\*\*|tx)ps?|fxp|ftp|s?ftp)(?:\[:\]|:|\[:)(?://|\[//\]|//\])", re.IGNORECASE)
_SCHEMES = {"hxxp": "http", "hxxps": "https", "h**p": "http", "h**ps": "https", "htxp": "http", "htxps": "https", "fxp": "ftp"}
_DOT = re.compile(r"\s?(?:\[\.\]|\(\.\)|\{\.\}|\[\.|\.\]|\\\.|\[dot\]|\(dot\)|\{dot\}|\[点\])\s?", re.IGNORECASE)
_AT = re.compile(r"\s?(?:\[@\]|\(@\)|\[at\]|\(at\))\s?", re.IGNORECASE)
_COLON = re.compile(r"\[:\]")


def refang(text: str) -> str:
    """Undo the usual ways of making an observable harmless to click.

    >>> refang("hxxps[://]bad[.]example(dot)com/x"), refang("1.2.3[.]4")
    ('https://bad.example.com/x', '1.2.3.4')
    """
    text = text.strip().strip("<>\"'“”‘’,;").replace("[://]", "://").replace("。", ".")
    if found := _SCHEME.match(text):
        scheme = found[1].lower()
        text = f"{_SCHEMES.get(scheme, scheme)}://{text[found.end() :]}"
    return _COLON.sub(":", _AT.sub("@", _DOT.sub(".", text)))


def ip(text: str) -> str | None:
    """The canonical form of one address, IPv4 inside IPv6 as IPv4; ``None`` when it is none.

    >>> ip("::ffff:192.0.2.1"), ip("2001:DB8::0:1"), ip("fe80::1%eth0"), ip("1.2.3"), ip("-")
    ('192.0.2.1', '2001:db8::1', 'fe80::1', None, None)
    """
    if len(text) > 64 or not ("." in text or ":" in text):
        return None
    try:
        address = ipaddress.ip_address(text.strip("[] ").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


@lru_cache(maxsize=65_536)
def is_inside(text: str) -> bool:
    """Whether an address is one of a private network or of this machine.

    >>> [is_inside(text) for text in ("10.1.2.3", "::1", "203.0.113.9", "fd00::7", "host")]
    [True, True, False, True, False]
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address.version == network.version and address in network for network in (*PRIVATE, *_MACHINE))


def cidr(text: str) -> str | None:
    """A network in canonical form, host bits cleared; ``None`` when it is none.

    >>> cidr("192.0.2.77/24"), cidr("2001:DB8::/32"), cidr("192.0.2.1")
    ('192.0.2.0/24', '2001:db8::/32', None)
    """
    if "/" not in text or len(text) > 64:
        return None
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        return None


def domain(text: str) -> str | None:
    """A domain name in lower-case ASCII (IDNA) without the last dot; ``None`` when it cannot be one.

    >>> domain("Example.COM."), domain("中文.中国"), domain("localhost"), domain("1.2.3.4"), domain("a..b.com")
    ('example.com', 'xn--fiq228c.xn--fiqs8s', None, None, None)
    """
    name = text.strip().rstrip(".").lower()
    if not 3 < len(name) < 254 or "." not in name:
        return None
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            return None
    labels = name.split(".")
    return name if len(name) < 254 and all(map(_LABEL.fullmatch, labels)) and _LAST_LABEL.fullmatch(labels[-1]) else None


def digest(text: str) -> str | None:
    """MD5, SHA-1 or SHA-256 in lower-case hexadecimal; ``None`` when it is none.

    >>> digest("D41D8CD98F00B204E9800998ECF8427E")
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    text = text.strip()
    return text.lower() if len(text) in _HASHES and _HEX.fullmatch(text) else None


def url(text: str) -> str | None:
    """Scheme and host in lower case, default port and fragment gone, path as it is; ``None`` when it is no URL with a host.

    >>> url("HTTP://Example.com:80"), url("https://example.com/A?b#c"), url("http://[2001:DB8::1]/"), url("//x")
    ('http://example.com/', 'https://example.com/A?b', 'http://[2001:db8::1]/', None)
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname and (ip(parts.hostname) or domain(parts.hostname) or _plain_host(parts.hostname))
    if not host or parts.scheme not in ("http", "https", "ftp", "sftp") or any(ord(letter) <= 32 for letter in text.strip()):
        return None
    place = f"[{host}]" if ":" in host else host
    place = place if port is None or port == _PORTS.get(parts.scheme) else f"{place}:{port}"
    user = parts.netloc.rpartition("@")[0]
    return urlunsplit(SplitResult(parts.scheme, f"{user}@{place}" if user else place, parts.path or "/", parts.query, ""))


def _plain_host(host: str) -> str | None:
    """A host without a dot, as inside a company."""
    return host if host.isascii() and _LABEL.fullmatch(host) else None


def host_of(text: str) -> str | None:
    """The host that a URL names, canonical; ``None`` when it is no URL.

    >>> host_of("https://Example.com/a"), host_of("nonsense")
    ('example.com', None)
    """
    whole = url(text)
    return urlsplit(whole).hostname if whole else None


def email(text: str) -> str | None:
    """An address with its domain in canonical form; ``None`` when it is none.

    >>> email("Zhang.San@Example.COM")
    'Zhang.San@example.com'
    """
    local, at, place = text.strip().rpartition("@")
    name = domain(place) if at and _LOCAL.fullmatch(local) else None
    return f"{local}@{name}" if name else None


def _address(text: str, version: str) -> str | None:
    found = ip(text)
    return found if found and (":" in found) == (version == "ipv6") else None


def _hash(text: str, kind: str) -> str | None:
    found = digest(text)
    return found if found and _HASHES[len(found)] == kind else None


def _as(kind: str, text: str) -> str | None:
    if kind in ("ipv4", "ipv6"):
        return _address(text, kind)
    if kind in ("md5", "sha1", "sha256"):
        return _hash(text, kind)
    return {"cidr": cidr, "domain": domain, "url": url, "email": email}[kind](text)


def observe(text: str) -> tuple[str, str] | None:
    """Text, perhaps defanged → ``(kind, canonical form)``; ``None`` when it is nothing we know.

    A network of one address is that address; a bare host with a path is taken for a URL only when it names a scheme.

    >>> observe("hxxp://Bad[.]example/x"), observe("192.0.2.1/32"), observe("E3B0C442")
    (('url', 'http://bad.example/x'), ('ipv4', '192.0.2.1'), None)
    """
    if len(text) > _LONGEST:
        return None
    plain = refang(text)
    network = cidr(plain)
    if network and network.endswith(("/32", "/128")[":" in network]):
        plain, network = network.rpartition("/")[0], None
    if network:
        return "cidr", network
    for kind in ("ipv4", "ipv6", "md5", "sha1", "sha256", "url", "email", "domain"):
        if (form := _as(kind, plain)) is not None:
            return kind, form
    return None


@lru_cache(maxsize=4096)
def kind_of(text: str) -> str | None:
    """The kind of an observable, or ``None``.

    >>> [kind_of(text) for text in ("1.2.3[.]4", "2001:db8::1", "10.0.0.0/8", "a[at]b[.]cn", "hello")]
    ['ipv4', 'ipv6', 'cidr', 'email', None]
    """
    found = observe(text)
    return found[0] if found else None


def canonical(kind: str, text: str) -> str:
    """The one way to write it; raises ``Invalid`` when the text is not of this kind.

    >>> canonical("domain", "Bad[.]Example")
    'bad.example'
    """
    form = _as(kind, refang(text)) if kind in KINDS and len(text) <= _LONGEST else None
    if form is None:
        raise Invalid(f"“{text[:80]}” is not of the kind {kind}", todo=f"Kinds are {', '.join(KINDS)}.", details={"kind": kind})
    return form
