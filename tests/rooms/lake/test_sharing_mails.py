"""A phishing mail made fit for sharing, as people do it: who was attacked is hidden wherever it stands, the attacker's stays."""

import email
import email.policy
import json
from base64 import b64encode
from email.message import EmailMessage
from hashlib import sha256
from io import BytesIO

import pytest
from tests.engines.connect import outlook

from lianfang.commons.ledger.models import Record

pytestmark = pytest.mark.django_db(transaction=True)
BILL = b"%PDF-1.7 not a bill at all"
LINK = "http://login.harbour.example.evil.test/pay?u=li.na%40harbour.example&c="


def phishing():
    mail = EmailMessage()
    mail["Received"] = "from mx.lure.example (mx.lure.example [203.0.113.20]) by mail01.harbour.example (10.1.2.3) with ESMTP; Fri, 20 Nov 2026 08:00:01 +0000"
    mail["Received"] = "from mail01 (10.1.2.3) by exch-3.corp.harbour.example; Fri, 20 Nov 2026 08:00:02 +0000"
    mail["From"], mail["Reply-To"], mail["Return-Path"] = "Billing <billing@lure.example>", "collect@drop.example", "<bounce@lure.example>"
    mail["To"], mail["Cc"] = "李娜 <li.na@harbour.example>", "wang.fang@harbour.example"
    mail["Subject"], mail["Message-ID"] = "李娜，您的对账单 13812345678", "<1@lure.example>"
    mail["X-MS-Exchange-Organization-AuthSource"] = "exch-3.corp.harbour.example"
    mail.set_content(f"尊敬的李娜：\n请登录 {LINK}{b64encode(b'li.na@harbour.example').decode()}\n电话 13812345678，身份证 11010519491231002X，服务器 exch-3（10.1.2.3），来自 203.0.113.20。抄送 wang.fang。\n")
    mail.add_alternative('<p>尊敬的<b>李娜</b> <a href="http://evil.test/x?e=li.na@harbour.example">点击</a> 13812345678</p>', subtype="html")
    mail.add_attachment(BILL, maintype="application", subtype="pdf", filename="li.na-bill.pdf")
    inner = EmailMessage()
    inner["From"], inner["To"], inner["Subject"] = "first@evil.test", "wang.fang@harbour.example", "earlier"
    inner.set_content("hello wang.fang@harbour.example")
    mail.add_attachment(inner)
    return mail.as_bytes()


def file(content, name="phishing.eml"):
    made = BytesIO(content)
    made.name = name
    return made


def texts(content):
    """Everything a reader of the copy sees, header by header and part by part."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*(f"{name}: {value}" for part in message.walk() for name, value in part.items()), *(part.get_content() for part in parts)]), message


def copied(client, content=None, name="phishing.eml", **more):
    answer = client.post("/api/lake/mails/share", {"file": file(content or phishing(), name), **more})
    return answer, b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.covers("Q11")
def test_a_phishing_mail_is_shared_without_who_was_attacked_and_with_the_attacker(browser):
    client = browser("member")
    assert "Share a mail" in client.get("/lake/mail/").content.decode()
    content = phishing()
    answer = client.post("/lake/mail/", {"file": file(content), "do": "make"})
    copy = b"".join(answer.streaming_content)
    assert (answer.status_code, answer["Content-Disposition"], answer["Content-Type"]) == (200, 'attachment; filename="phishing-shared.eml"', "message/rfc822")
    seen, message = texts(copy)
    assert message.defects == [], "a valid mail again"
    for hidden in ("李娜", "li.na", "wang.fang", "mail01", "exch-3", "10.1.2.3", "13812345678", "11010519491231002X", b64encode(b"li.na@harbour.example").decode(), "harbour.example\n", "X-MS-Exchange", "@harbour"):
        assert hidden not in seen, hidden
    for kept in ("billing@lure.example", "collect@drop.example", "mx.lure.example", "203.0.113.20", "http://login.harbour.example.evil.test/pay?u=", "http://evil.test/x?e=", "<1@lure.example>", "first@evil.test", sha256(BILL).hexdigest()):
        assert kept in seen, kept
    assert BILL not in copy and b64encode(BILL) not in copy
    who = message["To"].addresses[0].addr_spec
    assert who.startswith("u_") and who.endswith(".invalid") and message.get_body(("plain",)).get_content().count(who.partition("@")[0]) >= 1, "the same person is still one"
    record = Record.objects.get(verb="lake.mail_shared")
    told = json.loads(record.detail)
    assert (told["sha256"], told["attachments"], told["attachments_kept"]) == (sha256(copy).hexdigest(), 1, [])
    assert "li.na" not in record.detail + record.label
    assert copied(client, content)[1] == copy, "the same stand-ins each time"


@pytest.mark.covers("Q11")
def test_before_and_after_stand_side_by_side_and_a_person_chooses(browser):
    client = browser("member")
    answer = client.post("/lake/mail/", {"file": file(phishing()), "do": "look"}, headers={"HX-Request": "true"})
    page = answer.content.decode()
    for words in ("Taken for your own:", "harbour.example", "李娜，您的对账单 13812345678", "138****5678", "li.na@harbour.example", sha256(BILL).hexdigest(), "keep as it is"):
        assert words in page, words
    assert Record.objects.filter(verb="lake.mail_shared").count() == 0, "a look is no sharing"
    _answer, copy = copied(client, ours="lure.example", words="对账单", drop="Message-ID", kinds="phone", keep=sha256(BILL).hexdigest())
    seen, message = texts(copy)
    assert "lure.example" not in seen and "对账单" not in seen and "11010519491231002X" in seen
    assert "1@" not in str(message["Message-ID"])
    assert any(part.get_content() == BILL for part in message.walk() if part.get_content_type() == "application/pdf"), "kept by choice"
    assert json.loads(Record.objects.get(verb="lake.mail_shared").detail)["attachments_kept"] == [sha256(BILL).hexdigest()]


def test_a_message_of_outlook_becomes_a_mail(browser):
    content = outlook.message({outlook.SUBJECT: "To Li Na", outlook.BODY: "see http://evil.test/x, li.na@harbour.example", outlook.ADDRESS: "a@evil.test", outlook.SENT_BY: "a@evil.test", outlook.HEADERS: "From: a@evil.test\r\nMessage-ID: <2@evil.test>\r\n"}, to=("li.na@harbour.example",), files=(("bill.pdf", "application/pdf", BILL),))
    answer, copy = copied(browser("member"), content, "case.msg")
    assert (answer.status_code, answer["Content-Disposition"]) == (200, 'attachment; filename="case-shared.eml"')
    seen, _message = texts(copy)
    assert "li.na" not in seen
    assert all(words in seen for words in ("http://evil.test/x", "<2@evil.test>", sha256(BILL).hexdigest()))


def test_what_is_no_mail_is_refused_and_who_may_not_export_gets_nothing(browser, users, client):
    member = browser("member")
    assert copied(member, b"PK\x03\x04 no mail")[0].status_code == 422
    assert copied(member, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 broken", "x.msg")[0].status_code == 422
    assert member.post("/api/lake/mails/share", {}).status_code == 422
    assert copied(browser(None))[0].status_code == 401
