"""A suspicious mail becomes indicators: proposed from what it holds, and watched for once a person has said which."""

import json
from base64 import b64encode
from email.message import EmailMessage
from hashlib import sha256
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile
from zlib import compress

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from tests.engines.connect import outlook

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.rooms.intel import models

pytestmark = pytest.mark.django_db(transaction=True)
BILL = b"%PDF-1.7 not a bill at all"


def phishing() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Reply-To"], mail["Subject"] = "Billing <billing@lure.example>", "li@harbour.example", "collect@drop.example", "对账单"
    mail["Date"], mail["Message-ID"] = "Fri, 20 Nov 2026 08:00:00 +0000", "<1@lure.example>"
    mail["Received"] = "from mx (mx.lure.example [203.0.113.20]) by mail.harbour.example; Fri, 20 Nov 2026 08:00:01 +0000"
    mail["Received"] = "from inner ([10.0.0.4]) by relay; Fri, 20 Nov 2026 08:00:02 +0000"
    mail.set_content("See http://login.lure.example/pay?id=7 at once.")
    mail.add_attachment(BILL, maintype="application", subtype="pdf", filename="bill.pdf")
    return mail.as_bytes()


@pytest.fixture
def browser(client_of):
    client = client_of("member")
    client.cookies["django_language"] = "en"
    return client


def uploaded(browser, name="phishing.eml", content=None):
    answer = browser.post("/intel/import/", {"file": SimpleUploadedFile(name, content or phishing()), "form": "auto", "source": "mail desk", "tlp": "amber", "confidence": 70, "days": 30})
    assert answer.status_code == 302, answer.content
    return answer.url


def test_a_mail_proposes_its_sender_links_and_attachments_and_a_person_says_which(browser, client_of):
    url = uploaded(browser)
    browser.cookies["django_language"] = "zh-hans"
    page = browser.get(url).content.decode()
    assert "发件人（对账单）" in page and "附件：bill.pdf（对账单）" in page, "where a value stood is said in the reader's language"
    browser.cookies["django_language"] = "en"
    page = browser.get(url).content.decode()
    for words in ("billing@lure.example", "collect@drop.example", "http://login.lure.example/pay?id=7", sha256(BILL).hexdigest(), "attachment: bill.pdf", "203.0.113.20", "The address is private"):
        assert words in page, words
    assert models.Indicator.objects.count() == 0, "nothing is watched for before somebody said so"
    ticked = [line.split('value="')[1].split('"')[0] for line in page.split('name="only" ')[1:] if "checked" in line.split(">")[0]]
    assert browser.post(url, {"do": "start"}, follow=True).content.decode().count("No value was chosen") == 1
    assert browser.post(url, {"do": "start", "only": ticked}).status_code == 302
    jobs.work(once=True)
    found = {row.value: row for row in models.Indicator.objects.all()}
    assert set(found) == {"billing@lure.example", "collect@drop.example", "http://login.lure.example/pay?id=7", sha256(BILL).hexdigest()}
    assert found[sha256(BILL).hexdigest()].note == "attachment: bill.pdf (对账单)"
    assert {row.source for row in found.values()} == {"mail desk"}
    assert "mail desk" in browser.get(f"/intel/lookup/?q={sha256(BILL).hexdigest()}").content.decode()
    assert Record.objects.filter(verb="intel.imported").count() == 1
    assert client_of("outsider").get(url).status_code == 404


def test_a_mail_of_outlook_is_read_too(browser):
    headers = "From: Billing <billing@lure.example>\r\nReply-To: collect@drop.example\r\nReceived: from mx (mx.lure.example [203.0.113.20]) by mail.harbour.example\r\n"
    said = {outlook.SUBJECT: "对账单", outlook.BODY: "See http://login.lure.example/pay?id=7 at once.", outlook.HEADERS: headers}
    url = uploaded(browser, "phishing.msg", outlook.message(said, to=("li@harbour.example",), files=(("bill.pdf", "application/pdf", BILL),)))
    page = browser.get(url).content.decode()
    for words in ("billing@lure.example", "collect@drop.example", "http://login.lure.example/pay?id=7", sha256(BILL).hexdigest(), "attachment: bill.pdf", "203.0.113.20"):
        assert words in page, words


def test_a_program_that_sends_a_mail_proposes_it_and_a_person_still_decides(browser):
    answer = browser.post("/api/intel/import?source=gateway&name=caught.eml", data=phishing(), content_type="message/rfc822")
    assert answer.status_code in (200, 202), answer.content
    assert json.loads(answer.content)["stage"] == "draft"
    assert models.Indicator.objects.count() == 0
    row = models.Intake.objects.get()
    assert "billing@lure.example" in browser.get(f"/intel/imports/{row.pk}/").content.decode()
    assert browser.post(f"/intel/imports/{row.pk}/", {"do": "discard"}).status_code == 302
    assert models.Indicator.objects.count() == models.Intake.objects.count() == 0


def carrying() -> bytes:
    """A mail whose links hide in its attachments: in a page, in base64 in that page, in an archive, a document, a PDF, and in a mail that is forwarded."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@lure.example", "li@harbour.example", "see attached"
    mail.set_content("Open the attachments.")
    page = b'<form action="http://form.evil.example/in"><script>location=atob("' + b64encode(b"http://hidden.evil.example/x") + b'")</script>'
    mail.add_attachment(page, maintype="application", subtype="octet-stream", filename="voice.html")
    inner = packed({"list.txt": b"then http://zip.evil.example/p", "run.exe": b"MZ not a program"})
    mail.add_attachment(packed({"deep.zip": inner}), maintype="application", subtype="zip", filename="docs.zip")
    rels = b'<Relationship Id="r1" Target="http://doc.evil.example/t.dotm" TargetMode="External"/><Relationship Id="r2" Target="http://schemas.openxmlformats.org/x"/>'
    mail.add_attachment(packed({"[Content_Types].xml": b"<Types/>", "word/_rels/document.xml.rels": rels, "word/document.xml": b"<w:t>http://text.evil.example/w</w:t>"}), maintype="application", subtype="octet-stream", filename="bill.docx")
    mail.add_attachment(b"%PDF-1.7 /URI (http://pdf.evil.example/a) stream\n" + compress(b"/URI (http://stream.evil.example/b)") + b"endstream", maintype="application", subtype="pdf", filename="bill.pdf")
    forwarded = EmailMessage()
    forwarded["From"], forwarded["Subject"] = "first@evil.example", "earlier"
    forwarded.set_content("http://nested.evil.example/n")
    mail.add_attachment(forwarded)
    return mail.as_bytes()


def packed(files):
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def test_what_hides_inside_attachments_is_proposed_with_its_place(browser):
    page = browser.get(uploaded(browser, "carrying.eml", carrying())).content.decode()
    for words in ("http://form.evil.example/in", "http://hidden.evil.example/x", "http://zip.evil.example/p", "http://doc.evil.example/t.dotm", "http://text.evil.example/w", "http://pdf.evil.example/a", "http://stream.evil.example/b", "first@evil.example", "http://nested.evil.example/n"):
        assert words in page, words
    assert sha256(b"MZ not a program").hexdigest() in page
    assert "docs.zip › deep.zip › run.exe" in page, "where it stands is said"
    assert "schemas.openxmlformats.org" not in page
    browser.cookies["django_language"] = "zh-hans"
    assert "附件内：voice.html" in browser.get(f"/intel/imports/{models.Intake.objects.get().pk}/").content.decode()


def test_an_archive_that_would_grow_without_end_gives_nothing_and_harms_nothing(browser):
    bomb = EmailMessage()
    bomb["From"], bomb["To"], bomb["Subject"] = "a@lure.example", "li@harbour.example", "x"
    bomb.set_content("x")
    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(9 << 20))
    bomb.add_attachment(made.getvalue(), maintype="application", subtype="zip", filename="bomb.zip")
    bomb.add_attachment(b"PK\x03\x04 broken", maintype="application", subtype="zip", filename="broken.zip")
    page = browser.get(uploaded(browser, "bomb.eml", bomb.as_bytes())).content.decode()
    assert sha256(made.getvalue()).hexdigest() in page
    assert "bomb.zip › zeros" not in page
