"""What is written to people is whole, escaped, and cannot reach into the node."""

import pytest

from lianfang.engines.documents import render_html, render_mail, render_text
from lianfang.kernel.errors import Invalid, Refused


def test_a_mail_has_three_parts_from_one_context():
    mail = render_mail(subject="{{ level }}: {{ title }}", text="{{ title }} on {{ host }}", html="<p>{{ title }}</p>", context={"level": "高", "title": "a < b", "host": "web-1"})
    assert (mail.subject, mail.text, mail.html) == ("高: a < b", "a < b on web-1", "<p>a &lt; b</p>")


def test_a_log_field_adds_no_header():
    assert render_mail(subject="{{ title }}", text="", html="", context={"title": "x\r\nBcc: other@example.org"}).subject == "x Bcc: other@example.org"


def test_a_missing_value_is_an_error_with_words():
    with pytest.raises(Invalid, match="host"):
        render_text("{{ host }}", {})


def test_a_broken_template_names_its_line():
    with pytest.raises(Invalid, match="Line 2"):
        render_html("first\n{% if %}", {})


@pytest.mark.parametrize("attack", ["{{ ''.__class__.__mro__ }}", "{{ values.append(1) }}", "{{ self.__init__.__globals__ }}", "{% for x in range(999999999) %}{% endfor %}"])
def test_a_template_cannot_reach_into_the_node(attack):
    with pytest.raises((Refused, Invalid, OverflowError)):
        render_text(attack, {"values": [0]})


@pytest.mark.parametrize("template", ["{{ 1 // count }}", "{{ title + count }}", "{{ '%d' % title }}"])
def test_a_value_of_the_wrong_kind_is_an_error_with_words(template):
    with pytest.raises(Invalid, match="carried out"):
        render_text(template, {"title": "x", "count": 0})
