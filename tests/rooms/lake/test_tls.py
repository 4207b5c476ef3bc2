"""Syslog over TLS: the node's certificate, senders that must show one, and senders that only want to waste places."""

import re
import socket
import ssl
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.patience import free_port, wait_for
from tests.rooms.lake.conftest import doors

from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.adapters.syslog import certificates, listeners

LINE = b"<38>Nov 20 08:00:00 app-01 sshd[812]: Failed password for root from 203.0.113.77 port 4022%d ssh2"


def certified(folder, name, *, by=None):
    """A key and a certificate of a name, signed by an authority (its key and certificate) or by itself."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, issuer = by or (key, None)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer.subject if issuer else subject, public_key=key.public_key(), serial_number=x509.random_serial_number(), not_valid_before=now - timedelta(days=1), not_valid_after=now + timedelta(days=1))
    made = builder.add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True).sign(signer, hashes.SHA256())
    (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / f"{name}.crt").write_bytes(made.public_bytes(Encoding.PEM))
    return key, made


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A small authority, and a sender's certificate that it signed."""
    folder = tmp_path_factory.mktemp("authority")
    certified(folder, "sender", by=certified(folder, "ca"))
    return folder


@contextmanager
def connected(port, trusted, *, certificate=None):
    context = ssl.create_default_context(cafile=str(trusted))
    if certificate:
        context.load_cert_chain(*certificate)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain, server_hostname="localhost") as secured:
        yield secured


def opened(port):
    def is_open():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            return False
        return True

    wait_for(is_open)


@pytest.mark.django_db(transaction=True)
def test_octet_counted_messages_come_in_over_tls_under_the_nodes_own_certificate(home, viewers, client, users):
    port = free_port()
    actions.create_source("fw-tls", kind="syslog_tls", host="127.0.0.1", port=port, actor=viewers.member)
    with doors():
        opened(port)
        assert (home / "keys/syslog.key").stat().st_mode & 0o777 == 0o600
        with connected(port, home / "keys/syslog.crt") as sender:
            assert sender.version() == "TLSv1.3"
            for n in range(5):
                message = LINE % n + b"\nand a second line"
                sender.sendall(b"%d %s" % (len(message), message))
        time.sleep(0.5)
    actions.drain()
    row = models.Source.objects.get()
    assert (row.events, row.rejects, row.trouble) == (5, 0, "")
    client.force_login(users.member, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"/lake/source/{row.pk}/").content.decode()
    assert certificates.standing(home / "keys")[1] in page
    assert "StreamDriverPermittedPeers" in page


@pytest.mark.django_db(transaction=True)
def test_a_certificate_that_is_set_is_shown_and_half_a_setting_is_said(home, viewers, authority, monkeypatch):
    port = free_port()
    monkeypatch.setenv("LIANFANG_TLS_CERTIFICATE", str(authority / "ca.crt"))
    actions.create_source("fw-tls", kind="syslog_tls", host="127.0.0.1", port=port, actor=viewers.member)
    with doors():
        wait_for(lambda: "LIANFANG_TLS_KEY" in models.Source.objects.get().trouble)
        monkeypatch.setenv("LIANFANG_TLS_KEY", str(authority / "ca.key"))
        opened(port)
        shown = ssl.get_server_certificate(("127.0.0.1", port))
        assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", (authority / "ca.crt").read_text())
    assert not (home / "keys/syslog.crt").exists()
    assert models.Source.objects.get().trouble == ""


@pytest.mark.django_db(transaction=True)
def test_only_senders_with_a_certificate_of_the_authority_are_heard(home, viewers, authority):
    port = free_port()
    actions.create_source("fw-tls", kind="syslog_tls", host="127.0.0.1", port=port, authority=(authority / "ca.crt").read_text(), actor=viewers.member)
    with doors():
        opened(port)
        with connected(port, home / "keys/syslog.crt") as sender, pytest.raises(ssl.SSLError, match="certificate required"):
            sender.recv(1)  # TLS 1.3: the refusal is the first answer
        with connected(port, home / "keys/syslog.crt", certificate=(authority / "sender.crt", authority / "sender.key")) as sender:
            sender.sendall(LINE % 2 + b"\n")
        time.sleep(0.5)
    actions.drain()
    assert models.Source.objects.get().events == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_no_certificate_is_refused_in_the_form(viewers):
    with pytest.raises(Invalid, match="no certificates"):
        actions.create_source("fw-tls", kind="syslog_tls", port=6514, authority="-----BEGIN NONSENSE-----", actor=viewers.member)


def test_a_handshake_that_drips_or_never_comes_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(listeners, "HANDSHAKE", 0.6)
    door = listeners.Tls("127.0.0.1", 0, lambda frames, faults: None, certificates.context(tmp_path))
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", door.port)) as silent, socket.create_connection(("127.0.0.1", door.port)) as dripping:
        silent.settimeout(5)
        for byte in b"\x16\x03\x01\x02\x00" + bytes(40):  # a client hello, a byte at a time
            try:
                dripping.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.1)
        assert silent.recv(1) == b""
    assert time.monotonic() - started < 5
    door.close()


def test_senders_that_hold_every_place_are_put_out_for_new_ones(monkeypatch):
    monkeypatch.setattr(listeners, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(listeners, "QUIET", 0.3)
    got = []
    door = listeners.Tcp("127.0.0.1", 0, lambda frames, faults: got.extend(frames))
    held = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(3)]
    held[0].sendall(b"<1>begun")
    time.sleep(0.2)
    with socket.create_connection(("127.0.0.1", door.port)) as sender:
        sender.sendall(b"<1>new\n")
        wait_for(lambda: b"<1>new" in got)
    for one in held:
        one.close()
    door.close()


def test_a_message_that_never_ends_is_cut(monkeypatch):
    monkeypatch.setattr(listeners, "WHOLE_WITHIN", 0.4)
    got = []
    door = listeners.Tcp("127.0.0.1", 0, lambda frames, faults: got.extend(frames))
    with socket.create_connection(("127.0.0.1", door.port)) as sender:
        sender.settimeout(5)
        started = time.monotonic()
        try:
            while time.monotonic() - started < 5 and not got:
                sender.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            pass
    wait_for(lambda: got)
    assert time.monotonic() - started < 4
    door.close()
