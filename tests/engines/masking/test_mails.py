"""Copies of mails: whoever was attacked is nowhere in them, however the mail writes it; hostile ones are refused with words."""

import email
import email.policy
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lianfang.engines.masking import Ours, Wish, desensitised
from lianfang.kernel.errors import Invalid

NAMES = st.text("abcdefghijklmnoprstuvwxy", min_size=6, max_size=12).map(lambda name: f"q{name}")


def secret(domain):
    return domain.encode().ljust(32, b"\0")


def seen(content):
    message = email.message_from_bytes(content, policy=email.policy.default)
    texts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*(f"{name}: {value}" for part in message.walk() for name, value in part.items()), *texts])


@given(NAMES, NAMES.map(lambda name: f"z{name[1:]}"))
def test_a_recipient_is_hidden_in_every_spelling_and_the_link_keeps_its_host(own, place):
    address, host = f"{own}@{place}.example", f"{place}.example.lure.test"
    body = f"{address} {quote(address, safe='')} {b64encode(address.encode()).decode()} {own.upper()} http://{host}/x?m={quote(address, safe='')} mx.{place}.example"
    mail = f"From: a@lure.test\r\nTo: <{address}>\r\nSubject: {own}\r\nX-Note: {address}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n".encode()
    told = seen(desensitised(mail, Wish(), secret).content)
    assert own not in told.lower()
    assert b64encode(address.encode()).decode() not in told
    assert f"http://{host}/x?m=" in told
    assert f"mx.{place}.example " not in told
    assert "a@lure.test" in told


@given(st.binary(max_size=600))
@example(b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n")
@example(b"To: =?utf-8?b?!!!?= <a@b.example>\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe")
@example(b"Subject: x\r\nContent-Type: message/rfc822\r\n\r\nnothing")
def test_whatever_comes_becomes_a_mail_or_is_refused_with_words(content):
    for mail in (content, b"From: a@b.example\r\nTo: c@d.example\r\n" + content):
        try:
            assert email.message_from_bytes(desensitised(mail, Wish(), secret).content) is not None
        except Invalid as fault:
            assert fault.todo


@pytest.mark.parametrize(("text", "kept"), [("203.0.113.9 8.8.8.8 2001:db8::1", True), ("10.0.0.9", False), ("172.16.4.4", False), ("fd00::7", False)])
def test_only_addresses_of_our_own_networks_get_stand_ins_and_these_stay_private(text, kept):
    told = Ours([], secret).text(text)
    assert (told == text) is kept
    assert kept or told.startswith(("10.", "fd"))


def test_a_hundred_parts_in_each_other_are_refused():
    mail = b"From: a@b.example\r\n" + b"".join(f'Content-Type: multipart/mixed; boundary="{n}"\r\n\r\n--{n}\r\n'.encode() for n in range(100))
    with pytest.raises(Invalid, match="taken apart"):
        desensitised(mail, Wish(), secret)
