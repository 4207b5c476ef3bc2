"""Chinese first, English complete: a person signs in, walks through their menu in Chinese, switches, and walks again."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.conf import settings
from django.core.management import call_command
from django.urls import reverse
from django.utils import translation
from django.utils.translation import trans_real

if "people" not in settings.ROOMS:
    pytest.skip("signing in needs people", allow_module_level=True)

from lianfang.commons.frame import pages
from lianfang.commons.jobs import declare
from lianfang.commons.people import actions

CHINESE = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
LETTERS = re.compile(r"[A-Za-z]{2}")
HEADS = {"h1", "h2", "h3", "th", "legend", "label", "button", "summary", "title"}
"""Tags whose text is ours, never data."""
SAID = ("placeholder", "aria-label", "title", "alt")
"""Attributes that are read to a person."""
NODE, FOUNDER = "Sector centre", "管理员"
NAMES = {NODE, FOUNDER, "English", "STIX 2.1", "SQL", "OCSF", "Sigma", "HTTP", "TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED", "MD5", "SHA-1", "SHA-256", "SHA-512", "TLP", "ATT&CK", "EN", "Ctrl K", "Esc", "CSV", "Parquet", "JSON", "NumPy (npz)", "ONNX", "safetensors", "UUID", "IP", "URL", "STIX", "TAXII", "TLP", "MITRE ATT&CK", "API", "CVSS", "CNVD XML", "root", "https://"}
"""Words that are the same in both languages; ``root`` is an account in the sample stream."""
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
OURS = {"who", "bar-text", "tongue", "rail-foot"}
"""Classes around what is data (the person, the organisation, the node) or names the other language."""


class Chrome(HTMLParser):
    """The words of a page that do not come from its rows: ``said`` lists (where, text), ``links`` the menu's addresses."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[tuple[str, set[str]]] = []
        self.said: list[tuple[str, str]] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        classes = set((given.get("class") or "").split())
        if tag == "form" and "switch-form" in classes:
            classes.add("tongue")
        if tag not in VOID:
            self.open.append((tag, classes))
        if tag == "a" and self._within("rail") and "entry" in classes:
            self.links.append(given["href"])
        if tag != "time" and not self._data(tag) and not self._exempt(classes):
            self.said += [(f"{tag}@{name}", given[name]) for name in SAID if given.get(name)]

    def handle_endtag(self, tag):
        while self.open and tag in {name for name, _classes in self.open}:
            if self.open.pop()[0] == tag:
                break

    def handle_data(self, data):
        text = " ".join(data.split())
        tags = {tag for tag, _classes in self.open}
        if not text or tags & {"script", "style", "code", "pre", "time"} or self._exempt(set()):
            return
        self.texts.append(text)
        if (tags & HEADS or self._within("rail") or self._within("lead") or self._within("empty") or self._within("btn")) and not self._data(""):
            self.said.append((self.open[-1][0], text))

    def _within(self, name):
        return any(name in classes or (tag == "nav" and name in classes) for tag, classes in self.open)

    def _exempt(self, classes):
        return bool(OURS & classes.union(*(others for _tag, others in self.open)))

    def _data(self, tag):
        """Whether this stands in a cell, or in a choice, of rows."""
        return tag in ("option", "textarea") or any(name in ("td", "option", "textarea") for name, _classes in self.open)


@pytest.fixture
def inside(db, client, settings):
    """The founder, signed in with the one-time password and a new one chosen, through the product's own forms."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    call_command("createcachetable", verbosity=0)
    password, chosen = actions.found(NODE), "Sunny-Harbour-42"
    client.post(reverse("account_login"), {"login": "admin", "password": password})
    client.post(reverse("account_change_password"), {"oldpassword": password, "password1": chosen, "password2": chosen})
    return client


def walk(client, first="/"):
    """Every page of the menu, by the addresses that the menu itself gives; then every other page that needs no argument."""
    landing = client.get(first, follow=True)
    menu = Chrome(landing.content.decode()).links
    answers = {address: client.get(address) for address in dict.fromkeys(menu)}
    assert {answer.status_code for answer in answers.values()} == {200}
    answers |= {address: client.get(address) for page in pages.registered() if (address := page.url()) and address not in answers and not page.name.endswith("_export")}
    return {address: Chrome(answer.content.decode()) for address, answer in answers.items() if not answer.streaming and "</html>" in answer.content.decode()}


@pytest.mark.covers("P05")
def test_the_menu_is_chinese_and_by_its_own_switch_english(inside):
    walked = walk(inside)
    assert set(walked) >= {page.url() for page in pages.registered() if page.nav and page.nav.section != "account"}
    ours = {said for said, told in trans_real.translation("zh-hans")._catalog.items() if isinstance(said, str) and LETTERS.search(said) and told != said}
    english = [(address, where, text) for address, page in walked.items() for where, text in page.said if LETTERS.search(text) and not CHINESE.search(text) and text not in NAMES]
    assert not english, "\n".join(map(str, english))
    untranslated = [(address, text) for address, page in walked.items() for text in page.texts if text in ours and text not in NAMES]
    assert not untranslated, "\n".join(map(str, untranslated))

    here = next(iter(walked))
    answer = inside.post(reverse("set_language"), {"language": "en", "next": here})
    assert answer["Location"] == here
    chinese = [(address, where, text) for address, page in walk(inside, here).items() for where, text in page.said if CHINESE.search(text) and text not in NAMES]
    assert not chinese, "\n".join(map(str, chinese))


@pytest.mark.skipif("respond" not in settings.ROOMS, reason="the bell is of respond")
def test_every_page_of_the_menu_hears_the_bell(inside):
    addresses = [page.url() for page in pages.registered() if page.nav]
    assert len(addresses) > 20
    deaf = [address for address in addresses if inside.get(address).content.decode().count(f'hx-get="{reverse("respond:bell")}?after=') != 1]
    assert not deaf


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_job_and_every_delivery_has_a_name_that_a_person_reads(language):
    declare.discover()
    with translation.override(language):
        assert [name for name in (*declare.jobs(), *declare._listeners) if translation.gettext(name) == name and name.split(".")[0] in settings.ROOMS] == []
