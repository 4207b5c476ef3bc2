"""A TLS certificate that signs itself (RFC 5280, ECDSA on P-256), for a node that was given none.

In: names and addresses under which it is reached. Out: certificate and key as PEM.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lianfang.kernel import clock


def self_signed(names: Sequence[str], addresses: Sequence[str] = (), *, days: int) -> tuple[bytes, bytes]:
    """Certificate and private key (PKCS #8, not encrypted), both PEM. The first name is the subject's; it begins a day ago, for clocks that lag.

    >>> certificate, key = self_signed(["node.example"], ["127.0.0.1"], days=10)
    >>> certificate.splitlines()[0], key.splitlines()[0]
    (b'-----BEGIN CERTIFICATE-----', b'-----BEGIN PRIVATE KEY-----')
    """
    key, now = ec.generate_private_key(ec.SECP256R1()), clock.now()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    alternatives = [*map(x509.DNSName, names), *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses)]
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return built.public_bytes(serialization.Encoding.PEM), secret
