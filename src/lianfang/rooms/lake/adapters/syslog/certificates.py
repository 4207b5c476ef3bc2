"""The certificate with which the node's syslog port shows itself, and whom it lets in.

In: two files named by ``LIANFANG_TLS_CERTIFICATE`` and ``LIANFANG_TLS_KEY`` (PEM); without them a certificate that signs
itself, made once in ``keys/`` of the node's home. Out: a context for the listener.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import ssl
from hashlib import sha256
from pathlib import Path

from lianfang.engines.envelope import self_signed
from lianfang.kernel.errors import Invalid, Missing

DAYS = 3650


def context(keys: Path, *, authority: str = "") -> ssl.SSLContext:
    """What the listener speaks TLS with: 1.2 or newer. ``authority`` (PEM): senders must show a certificate that it signed."""
    certificate, key = files(keys)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION
    made.num_tickets = 0  # a sender never reads: closing with our tickets unread would reset the connection, and lose what it sent last
    try:
        made.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Invalid("The node's certificate for syslog cannot be used", why=f"{certificate.name}, {key.name}: {error}", todo="Mend LIANFANG_TLS_CERTIFICATE and LIANFANG_TLS_KEY.") from error
    if authority:
        made.load_verify_locations(cadata=authority)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def checked(authority: str) -> None:
    """Raise ``Invalid`` for what holds no certificates in PEM."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        raise Invalid("These are no certificates", why=str(error), todo="Paste them in PEM, beginning with -----BEGIN CERTIFICATE-----.", details={"authority": ["PEM"]}) from error


def files(keys: Path) -> tuple[Path, Path]:
    """Certificate and key, made now when the node has neither settings nor made them before."""
    said = [os.environ.get(name, "") for name in ("LIANFANG_TLS_CERTIFICATE", "LIANFANG_TLS_KEY")]
    if any(said):
        if not all(said):
            raise Invalid("Half a certificate is no certificate", why="Of LIANFANG_TLS_CERTIFICATE and LIANFANG_TLS_KEY one is set.", todo="Set both, or neither.")
        return Path(said[0]), Path(said[1])
    made = keys / "syslog.crt", keys / "syslog.key"
    if not all(path.exists() for path in made):
        _make(keys, *made)
    return made


def standing(keys: Path) -> tuple[Path, str]:
    """The certificate's file, and its SHA-256 fingerprint for senders who pin it (RFC 5425 §4.2.2). Raises ``Missing`` while there is none."""
    path = Path(os.environ.get("LIANFANG_TLS_CERTIFICATE") or keys / "syslog.crt")
    try:
        der = ssl.PEM_cert_to_DER_cert(_first(path.read_text("ascii")))
    except (OSError, ValueError) as error:
        raise Missing("There is no certificate yet", why=str(error), todo="It is made when the ingest process opens the port.") from error
    return path, ":".join(f"{byte:02X}" for byte in sha256(der).digest())


def _first(text: str) -> str:
    found = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
    return found.group() if found else ""


def _make(keys: Path, certificate: Path, key: Path) -> None:
    """One process makes them; others wait and find them. The key is there before the certificate that tells of it."""
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (keys / "syslog.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if certificate.exists() and key.exists():
            return
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:60]
        shown, secret = self_signed([host, "localhost"], ["127.0.0.1"], days=DAYS)
        for path, text, mode in ((key, secret, 0o600), (certificate, shown, 0o644)):
            draft = path.with_name(f"{path.name}.draft")
            with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "wb") as file:
                file.write(text)
            draft.rename(path)
