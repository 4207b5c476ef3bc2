"""Files beside an alert: taken by what they are, within limits, checked for viruses; what is refused is kept apart and says why."""

import io
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from lianfang.commons.frame.models import Attachment
from lianfang.commons.ledger.models import Record
from lianfang.rooms.respond import actions, models

PDF = b"%PDF-1.7\nreport"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("LIANFANG_VIRUS_CHECK", "LIANFANG_ATTACHMENT_MB", "LIANFANG_ATTACHMENT_TYPES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def alert(raised, viewers):
    """An alert of the harbour that the member has taken."""
    (row,) = raised((0, "r1", "web-02"))
    actions.acknowledge(row.pk, actor=viewers.member)
    row.refresh_from_db()
    return row


@pytest.fixture
def put(alert, client_of):
    """``put("member", name, content)``: attach through the page; gives the page of the alert afterwards."""

    def attach(who, name, content, *, row=alert):
        client = client_of(who)
        client.cookies["django_language"] = "en"
        here = f"/respond/alerts/{row.pk}/"
        answer = client.post(f"/frame/attach/respond/alert/{row.pk}/", {"files": [SimpleUploadedFile(name, content)], "next": here})
        return client.get(here).content.decode() if answer.status_code == 302 else answer

    return attach


def taken(client, row):
    answer = client.get(f"/frame/attachments/{row.pk}/")
    return answer, b"".join(answer) if answer.status_code == 200 else b""


@pytest.mark.covers("P03")
def test_a_file_is_put_beside_an_alert_and_taken_again_by_who_may_see_it(alert, put, client_of, home):
    page = put("member", "../../evil/../report 对账.pdf", PDF)
    assert "report 对账.pdf is attached." in page
    assert "not checked for viruses" in page
    row = Attachment.objects.get()
    assert (row.name, row.kind, row.size, row.refused) == ("report 对账.pdf", "pdf", len(PDF), False)
    (path,) = [one for one in (home / "attachments").rglob("*") if one.is_file()]
    assert path.name == row.digest
    assert path.stat().st_mode & 0o777 == 0o600
    answer, content = taken(client_of("colleague"), row)
    assert content == PDF, "the unit above"
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"].startswith("attachment;")
    assert (answer["X-Content-Type-Options"], "sandbox" in answer["Content-Security-Policy"]) == ("nosniff", True)
    assert client_of("outsider").get(f"/frame/attachments/{row.pk}/").status_code == 404
    assert put("outsider", "x.pdf", PDF).status_code == 404
    assert [record.verb for record in Record.objects.filter(verb__startswith="frame.att").order_by("pk")] == ["frame.attached", "frame.attachment_taken"]
    put("member", "the same again.pdf", PDF)
    assert Attachment.objects.count() == 1


@pytest.mark.covers("P03")
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("invoice.pdf", b"MZ\x90\x00 a program", "a kind that is not taken: program"),
        ("photo.png", b"<svg onload=alert(1)>", "a kind that is not taken: html"),
        ("notes.txt", b"#!/bin/sh\nrm -rf /", "a kind that is not taken: script"),
        ("big.pdf", PDF + bytes(1 << 20), "It has more than 1 MB."),
    ],
)
def test_what_a_file_is_stands_in_its_bytes_and_limits_are_the_operators(alert, put, client_of, monkeypatch, name, content, reason):
    monkeypatch.setenv("LIANFANG_ATTACHMENT_MB", "1")
    page = put("member", name, content)
    assert reason in page
    row = Attachment.objects.get()
    assert row.refused
    assert client_of("member").get(f"/frame/attachments/{row.pk}/").status_code == 404, "what was refused is not given out"
    assert Record.objects.filter(verb="frame.attachment_refused").count() == 1


def test_kinds_that_are_taken_are_a_setting(alert, put, monkeypatch):
    monkeypatch.setenv("LIANFANG_ATTACHMENT_TYPES", "text, png")
    assert "a kind that is not taken: pdf" in put("member", "a.pdf", PDF)
    assert "a.txt is attached." in put("member", "a.txt", "日志".encode())


class Clamd(threading.Thread):
    """A server that speaks INSTREAM and finds EICAR."""

    def __init__(self):
        super().__init__(daemon=True)
        self.door = socket.create_server(("127.0.0.1", 0))
        self.where = f"clamd:127.0.0.1:{self.door.getsockname()[1]}"

    def run(self):
        while True:
            try:
                line, _ = self.door.accept()
            except OSError:
                return
            with line, line.makefile("rb") as read:
                assert read.read(10) == b"zINSTREAM\0"
                content = io.BytesIO()
                while size := struct.unpack("!I", read.read(4))[0]:
                    content.write(read.read(size))
                line.sendall(b"stream: Eicar-Test-Signature FOUND\0" if EICAR in content.getvalue() else b"stream: OK\0")


@pytest.fixture
def clamd(monkeypatch):
    server = Clamd()
    server.start()
    monkeypatch.setenv("LIANFANG_VIRUS_CHECK", server.where)
    yield server
    server.door.close()


@pytest.mark.covers("P03")
def test_a_virus_is_refused_and_lies_apart(alert, put, clamd, home, client_of):
    assert "checked by clamd" in put("member", "clean.pdf", PDF)
    page = put("member", "letter.pdf", PDF + EICAR)
    assert "The virus check found: Eicar-Test-Signature." in page
    bad = Attachment.objects.get(refused=True)
    assert [one.name for one in (home / "attachments/refused").iterdir()] == [bad.digest], "kept apart, with its reason"
    assert client_of("member").get(f"/frame/attachments/{bad.pk}/").status_code == 404


@pytest.mark.covers("P03")
def test_the_check_may_be_a_program_of_the_operator(alert, put, monkeypatch, tmp_path):
    scanner = tmp_path / "scan.py"
    scanner.write_text("import sys; bad = b'EICAR' in open(sys.argv[1], 'rb').read(); print('Eicar FOUND' if bad else 'OK'); sys.exit(1 if bad else 0)")
    monkeypatch.setenv("LIANFANG_VIRUS_CHECK", f"command:{sys.executable} {scanner}")
    assert "clean.pdf is attached." in put("member", "clean.pdf", PDF)
    assert "The virus check found: Eicar FOUND." in put("member", "bad.pdf", PDF + EICAR)


@pytest.mark.parametrize("setting", ["clamd:127.0.0.1:1", "command:/nowhere/at/all", "nonsense", "clamd:/nowhere.sock", f"command:{sys.executable} -c raise(SystemExit(7))"])
def test_a_check_that_cannot_be_made_lets_nothing_in(alert, put, monkeypatch, home, setting):
    monkeypatch.setenv("LIANFANG_VIRUS_CHECK", setting)
    assert "could not be checked for viruses" in put("member", "a.pdf", PDF)
    assert not Attachment.objects.exists()
    assert not [one for one in (home / "attachments").rglob("*") if one.is_file()]


def test_an_alert_that_nobody_took_is_taken_first(raised, put, client_of):
    row = next(one for one in raised((0, "r2", "web-03")) if one.rule_uid == "r2")
    assert "Acknowledge the alert first" in put("member", "a.pdf", PDF, row=row)
    assert not Attachment.objects.exists()


def test_files_go_with_the_source_whose_alerts_they_lie_at(alert, put, home):
    put("member", "a.pdf", PDF)
    actions.forget_source("edge")
    assert not models.Alert.objects.exists()
    assert not Attachment.objects.exists()
    assert not [one for one in Path(home / "attachments").rglob("*") if one.is_file()]
