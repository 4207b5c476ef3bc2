"""A researcher found a hole and has no account: they report it, keep a link, and read what becomes of it; inside somebody triages it."""

import json
import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rooms.kept import database

from lianfang.commons.frame.models import Attachment
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import models as people_models
from lianfang.kernel import clock
from lianfang.kernel.pace import Pace
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.intel import actions, models
from lianfang.rooms.intel.actions import submitting
from lianfang.rooms.intel.pages import door

pytestmark = pytest.mark.django_db(transaction=True)
CONTACT = "wei@research.example, 138 0000 0000"
FOUND = {
    "about": "vulnerability", "title": "SQL injection in the order search", "affected": "https://shop.harbour.example", "description": "The parameter q reaches the database. The shop at shop.harbour.example answers; the attacker uses https://panel.bad.example/gate too.",
    "steps": "1. Open the search\n2. Send q=' OR 1=1", "indicators": "hxxp://drop[.]bad[.]example/x\n198.51.100.77", "claimed": "4", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "contact": CONTACT, "credit": "Wei of Research", "website": "",
}  # fmt: skip
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture(autouse=True)
def fresh_pace(monkeypatch):
    monkeypatch.setattr(door, "PACE", Pace())


@pytest.fixture
def keeper(client_of):
    """An intelligence officer of the harbour, who triages."""
    client = client_of("member")
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def centre(keeper):
    """The harbour's response centre, set up and switched on in its pages."""
    answer = keeper.post("/intel/centres/add/", {"name": "Harbour SRC", "slug": "harbour", "open": "on", "rules": "In scope: *.harbour.example\nNo floods, please.", "answer_days": "3", "mend_days": "30", "thanks": "on"})
    assert answer.status_code == 302, answer.content.decode()
    return models.Centre.objects.get()


def stranger(address="203.0.113.50"):
    client = Client(enforce_csrf_checks=True, REMOTE_ADDR=address)
    client.cookies["django_language"] = "en"
    return client


def filled(client, path, **more):
    """A form of a page as a browser would send it: what is hidden in it, and what a person wrote."""
    page = client.get(path).content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    return {**hidden, **more}


def submitted(client=None, *, path="/intel/submit/harbour/", waited=timedelta(minutes=4), **more):
    """Report it; ``waited`` is how long the form was filled in."""
    client = client or stranger()
    now = clock.now()
    with clock.frozen(now - waited):
        data = filled(client, path, **{**FOUND, **more})
    with clock.frozen(now):
        return client.post(path, data)


def link_of(answer):
    assert answer.status_code == 200, re.sub(r"<[^>]+>|\s+", " ", answer.content.decode())
    return re.search(r'<pre id="secret-link">(\S+?)</pre>', answer.content.decode())[1]


def opened(link):
    """A browser follows the secret link: what stands behind # stays in it, and its page sends it in a form."""
    client = stranger()
    path = urlsplit(link).path
    assert "?" not in link and urlsplit(link).fragment
    answer = client.post(path, filled(client, path, do="open", code=urlsplit(link).fragment))
    assert (answer.status_code, answer["Location"]) == (302, path)
    return client


def seen(client):
    return client.get("/intel/submitted/").content.decode()


def step(keeper, verb, row=None, **given):
    row = row or models.Submission.objects.get()
    answer = keeper.post(f"/intel/submissions/{row.pk}/{verb}/", given, follow=True)
    assert answer.status_code == 200, answer.content.decode()[:2000]
    row.refresh_from_db()
    return answer.content.decode()


def verb(keeper, name):
    """A button above the submission."""
    row = models.Submission.objects.get()
    answer = keeper.post("/intel/submissions/", {"do": f"{name}:{row.pk}", "next": f"/intel/submissions/{row.pk}/"})
    assert answer.status_code == 302, answer.content.decode()[:2000]


@pytest.mark.covers("Q07")
def test_what_a_researcher_reports_is_triaged_answered_and_watched_for(keeper, client_of):
    """From the form without an account to the watch list, through the product's own pages."""
    assert stranger().get("/intel/submit/").status_code == 404, "off until an administrator switches it on"
    keeper.post("/intel/centres/add/", {"name": "Harbour SRC", "slug": "harbour", "rules": "In scope: *.harbour.example", "answer_days": "3", "mend_days": "30", "thanks": "on"})
    assert stranger().get("/intel/submit/harbour/").status_code == 404
    row = models.Centre.objects.get()
    assert keeper.post(f"/intel/centres/{row.pk}/change/", {"name": "Harbour SRC", "slug": "harbour", "open": "on", "rules": "In scope: *.harbour.example", "answer_days": "3", "mend_days": "30", "thanks": "on"}).status_code == 302

    researcher = stranger()
    assert researcher.get("/intel/submit/")["Location"] == "/intel/submit/harbour/"
    page = researcher.get("/intel/submit/harbour/").content.decode()
    assert "In scope: *.harbour.example" in page and "within 3 days" in page
    answer = submitted(researcher, files=SimpleUploadedFile("proof.png", PICTURE, "text/html"))
    link, number = link_of(answer), models.Submission.objects.get().number
    assert re.fullmatch(r"SRC-\d{8}-[0-9A-HJKMNP-TV-Z]{6}", number) and number in answer.content.decode()
    browser = opened(link)
    assert "received" in seen(browser) and "proof.png" in seen(browser) and "First answer by" in seen(browser)

    ring = keeper.get("/intel/bell/?after=2026-01-01T00:00:00Z").content.decode()
    assert number in ring and "SQL injection" not in ring
    assert "SQL injection in the order search" in keeper.get("/intel/submissions/?state=open").content.decode()
    detail = keeper.get(f"/intel/submissions/{models.Submission.objects.get().pk}/").content.decode()
    for words in ("q=&#x27; OR 1=1", "proof.png", "Wei of Research", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "to be answered", "says the reporter"):
        assert words in detail, words
    assert CONTACT not in detail and CONTACT in step(keeper, "contact")

    assert "Write something first" in step(keeper, "ask", text="  ")
    step(keeper, "ask", text="Which account did you use?")
    step(keeper, "note", text="looks like the one of last year")
    page = seen(browser)
    assert "Which account did you use?" in page and "needs information" in page and "last year" not in page
    told = browser.post("/intel/submitted/", filled(browser, "/intel/submitted/", do="add", text="None: it works without.", files=SimpleUploadedFile("request.txt", b"GET /?q=1")))
    assert "It is added." in told.content.decode()
    assert models.Submission.objects.get().state == "received"
    assert "The reporter added to it" in keeper.get("/intel/bell/?after=2026-01-01T00:00:00Z").content.decode()
    step(keeper, "judge", severity="5")
    verb(keeper, "accept")
    verb(keeper, "start")
    step(keeper, "answer", text="Thank you; we are on it.")
    verb(keeper, "mend")
    row = models.Submission.objects.get()
    assert (row.state, row.severity, row.assignee_name, row.mend_by - row.accepted) == ("mended", 5, "Member", timedelta(days=30))
    assert "Thank you; we are on it." in seen(browser) and "mended" in seen(browser)
    assert "Wei of Research" in stranger().get("/intel/submit/harbour/").content.decode(), "the centre thanks those who wish it"

    proposal = keeper.post(f"/intel/submissions/{row.pk}/propose/")
    page = keeper.get(proposal["Location"]).content.decode()
    assert "shop.harbour.example" not in page, "what is affected is ours"
    ticked = [part.split('value="')[1].split('"')[0] for part in page.split('name="only" ')[1:] if "checked" in part.split(">")[0]]
    assert len(ticked) == 2 and "https://panel.bad.example/gate" in page, "what stands in the text is only offered"
    keeper.post(proposal["Location"], {"do": "start", "only": ticked})
    jobs.work(once=True)
    assert {(one.value, one.source, one.confidence) for one in models.Indicator.objects.all()} == {("http://drop.bad.example/x", "submission", 30), ("198.51.100.77", "submission", 30)}
    assert models.Indicator.objects.first().tags == ["submission", number]

    verb(keeper, "close")
    figures = keeper.get("/intel/submissions/figures/").content.decode()
    assert "Wei of Research" in figures and "median to the first answer" in figures
    changes = {one.verb.removeprefix("intel.submission_"): json.loads(one.detail) for one in Record.objects.filter(verb__startswith="intel.submission_", label=number)}
    assert set(changes) == {"submitted", "contact_seen", "ask", "note", "added_to", "judge", "accept", "start", "answer", "mend", "proposed", "close"}
    assert (changes["accept"]["before"], changes["accept"]["after"]) == ({"state": "received"}, {"state": "accepted"})
    assert changes["judge"]["after"] == {"severity": 5}
    outsider = client_of("outsider")
    assert outsider.get(f"/intel/submissions/{row.pk}/").status_code == 404 and number not in outsider.get("/intel/submissions/").content.decode()


def test_the_secret_stands_nowhere_but_in_the_link(centre, keeper, caplog):
    answer = submitted()
    link = link_of(answer)
    secret = urlsplit(link).fragment.partition(".")[2]
    assert len(secret) == 43, "256 bits"
    kept = database()
    assert secret.lower() not in kept and CONTACT not in kept and "203.0.113.50" not in kept
    browser = opened(link)
    page = browser.get("/intel/submitted/")
    assert (page["Cache-Control"], page["Referrer-Policy"], answer["Cache-Control"]) == ("no-store", "same-origin", "no-store")
    assert secret not in page.content.decode() and secret not in caplog.text
    cookie = browser.cookies[door.COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/intel/submitted/")
    forged = stranger()
    forged.cookies[door.COOKIE] = cookie.value[:-1] + ("A" if cookie.value[-1] != "A" else "B")
    assert "SQL injection" not in seen(forged)
    wrong = stranger()
    assert wrong.post("/intel/submitted/", filled(wrong, "/intel/submitted/", do="open", code="A" * 43)).status_code == 404
    assert "Close it in this browser" in seen(browser)
    browser.post("/intel/submitted/", filled(browser, "/intel/submitted/", do="leave"))
    assert "SQL injection" not in seen(browser)


def test_a_form_that_is_sent_twice_is_one_submission_and_gives_the_same_link(centre):
    client = stranger()
    now = clock.now()
    with clock.frozen(now - timedelta(minutes=1)):
        data = filled(client, "/intel/submit/harbour/", **FOUND)
    first, again = link_of(client.post("/intel/submit/harbour/", data)), link_of(client.post("/intel/submit/harbour/", data))
    assert first == again and models.Submission.objects.count() == 1


def test_what_a_program_sends_is_refused_with_clear_words(centre):
    assert "sent too quickly" in submitted(waited=timedelta(seconds=1)).content.decode()
    late = submitted(waited=timedelta(days=1), description="a long story that took a day")
    assert "open for too long" in late.content.decode() and "a long story that took a day" in late.content.decode()
    token = re.search(r'name="form" value="([^"]*)"', late.content.decode())[1]
    assert token and "trap for programs" in submitted(website="http://buy.example").content.decode()
    assert "not one of this page" in submitted(form="made:up").content.decode()
    assert "no CVSS vector" in submitted(vector="CVSS:3.1/AV:N").content.decode()
    assert "This field is required" in submitted(title="\u202e\u200b").content.decode()
    assert Client(enforce_csrf_checks=True).post("/intel/submit/harbour/", FOUND).status_code == 403
    assert models.Submission.objects.count() == 0


def test_one_address_and_all_together_have_their_share(centre, monkeypatch):
    for _ in range(submitting.EACH):
        link_of(submitted())
    answer = submitted()
    assert answer.status_code == 429 and "Too many submissions" in answer.content.decode() and "SQL injection in the order search" in answer.content.decode()
    link_of(submitted(stranger("203.0.113.51")))
    monkeypatch.setattr(submitting, "ALL", submitting.EACH + 1)
    assert submitted(stranger("203.0.113.52")).status_code == 429
    monkeypatch.setattr(door, "EACH", 0)
    assert submitted(stranger("203.0.113.53")).status_code == 429


def test_a_request_that_is_too_large_is_refused_before_it_is_read(centre):
    class Never:
        def read(self, *_size):
            raise AssertionError("it was read")

        readline = read

    answer = stranger().generic("POST", "/intel/submit/harbour/", b"", content_type="multipart/form-data; boundary=x", CONTENT_LENGTH=str(4 << 30), **{"wsgi.input": Never()})
    assert answer.status_code == 413 and "too large" in answer.content.decode()


def test_hostile_files_are_refused_and_the_rest_is_taken(centre, keeper, monkeypatch):
    monkeypatch.setenv("LIANFANG_ATTACHMENT_MB", "1")
    files = [
        SimpleUploadedFile("../../etc/proof.png", PICTURE), SimpleUploadedFile("picture.png", b"<html><script>alert(1)</script>", "image/png"), SimpleUploadedFile("report.pdf", b"MZ" + bytes(99), "application/pdf"),
        SimpleUploadedFile("large.txt", b"a" * (2 << 20)), SimpleUploadedFile("empty.txt", b""), SimpleUploadedFile("bomb.zip", b"PK\x03\x04" + bytes(500)),
    ]  # fmt: skip
    answer = submitted(files=files)
    page = answer.content.decode()
    for words in ("picture.png", "kind that is not taken: html", "not taken: program", "more than 1 MB", "The file is empty"):
        assert words in page, words
    taken = {one.name for one in Attachment.objects.filter(refused=False)}
    assert taken == {"proof.png", "bomb.zip"}, "an archive is kept as it is: nobody unpacks it"
    browser = opened(link_of(answer))
    many = browser.post("/intel/submitted/", filled(browser, "/intel/submitted/", do="add", text="", files=[SimpleUploadedFile(f"{n}.txt", b"%d" % n) for n in range(12)]))
    assert "At most 10 files" in many.content.decode()
    monkeypatch.setattr(submitting, "MOST_BYTES", 700)
    full = browser.post("/intel/submitted/", filled(browser, "/intel/submitted/", do="add", text="more", files=SimpleUploadedFile("more.txt", b"b" * 700)))
    assert "All files of a submission together" in full.content.decode() and "It is added." in full.content.decode()


def test_a_strangers_words_are_shown_as_words(centre, keeper):
    nasty = "<script>alert(1)</script> \x00\x1b[31m pay\u202efdp.exe {{ 7 }} =HYPERLINK(1)"
    link = link_of(submitted(title="=cmd|calc " + nasty, description=nasty, affected=nasty, credit=nasty[:60], steps=nasty, indicators=nasty))
    row = models.Submission.objects.get()
    keeper.post(f"/intel/submissions/{row.pk}/accept/")
    for page in (keeper.get("/intel/submissions/"), keeper.get(f"/intel/submissions/{row.pk}/"), opened(link).get("/intel/submitted/"), keeper.get("/intel/submissions/figures/")):
        text = page.content.decode()
        assert "<script>alert" not in text and "\u202e" not in text and "\x00" not in text
    table = b"".join(keeper.get("/intel/submissions/export/?format=csv").streaming_content).decode()
    assert "'=cmd|calc" in table


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({name: st.text(max_size=60) for name in ("about", "title", "affected", "description", "steps", "indicators", "claimed", "vector", "contact", "credit", "form")}), st.binary(max_size=200))
def test_whatever_is_sent_is_answered(centre, keeper, said, content):
    """Fuzzed: never an error of ours, and what is taken can be shown."""
    door.PACE = Pace()
    models.Submission.objects.all().delete()
    for values in (said, {**FOUND, **{name: text for name, text in said.items() if name not in ("about", "claimed", "form", "vector")}}):
        values = {name: text.encode("utf-8", "replace").decode() for name, text in values.items()}
        answer = submitted(files=SimpleUploadedFile("x", content or b"x"), **values)
        assert answer.status_code in (200, 403, 422), answer.status_code
    for row in models.Submission.objects.all():
        assert keeper.get(f"/intel/submissions/{row.pk}/").status_code == 200
        assert keeper.post(f"/intel/submissions/{row.pk}/propose/").status_code == 302


def test_triage_is_a_right_of_its_own(centre, users, tree, make_person, client_of):
    link_of(submitted())
    row = models.Submission.objects.get()
    users.analyst = make_person("analyst", tree.harbour, "analyst")
    analyst = client_of("analyst")
    assert analyst.get(f"/intel/submissions/{row.pk}/").status_code == 200, "reading is another right"
    for name in ("accept", "answer", "contact", "propose", "assign"):
        assert analyst.post(f"/intel/submissions/{row.pk}/{name}/", {"text": "x"}).status_code == 403
    assert analyst.post("/intel/submissions/", {"do": f"accept:{row.pk}"}).status_code in (403, 404)
    assert analyst.get("/intel/bell/?after=2026-01-01T00:00:00Z").status_code == 403
    keeper = client_of("member")
    keeper.cookies["django_language"] = "en"
    assert "This person cannot take it" in step(keeper, "assign", to=str(people_models.User.objects.get(username="analyst").pk))
    step(keeper, "assign", to=str(users.colleague.pk))
    assert models.Submission.objects.get().assignee_name == "Colleague"


def test_a_duplicate_is_linked_and_its_reporter_learns_nothing_of_the_other(centre, keeper):
    link_of(submitted(title="first"))
    first = models.Submission.objects.get()
    link = link_of(submitted(title="second"))
    second = models.Submission.objects.exclude(pk=first.pk).get()
    assert "no other submission" in step(keeper, "duplicate", second, of="SRC-20260101-AAAAAA")
    page = step(keeper, "duplicate", second, of=first.number.lower(), text="Known since Monday.")
    assert (second.state, second.original) == ("duplicate", first) and first.number in page
    assert second.number in keeper.get(f"/intel/submissions/{first.pk}/").content.decode()
    shown = seen(opened(link))
    assert "Known since Monday." in shown and first.number not in shown
    assert "does not allow this step" in step(keeper, "accept", second)
    step(keeper, "reopen", second)
    assert (second.state, second.original) == ("received", None)


def test_clocks_run_out_and_are_found(centre, keeper):
    link_of(submitted())
    row = models.Submission.objects.get()
    assert row.answer_by - row.received == timedelta(days=3)
    with clock.frozen(row.received + timedelta(days=4)):
        assert row.late and row.number in keeper.get("/intel/submissions/?clock=late").content.decode()
        step(keeper, "accept")
        assert row.number not in keeper.get("/intel/submissions/?clock=late").content.decode()
    with clock.frozen(row.received + timedelta(days=40)):
        assert row.number in keeper.get("/intel/submissions/?clock=late").content.decode()
        step(keeper, "mend")
        assert row.number not in keeper.get("/intel/submissions/?clock=late").content.decode()
        found = keeper.get("/intel/submissions/figures/?span=36").content.decode()
    assert "4.0 days" in found and "36.0 days" in found


def test_who_triages_hears_by_mail_of_what_came_and_once_of_each_clock_that_ran_out(centre, keeper, users, mailoutbox, settings, tree, make_person):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    for person in (users.member, users.outsider, make_person("analyst", tree.harbour, "analyst")):
        people_models.User.objects.filter(pk=person.pk).update(email=f"{person.username}@harbour.example", language="en")
        people_models.Reach.objects.create(user=person, mail=True, least=4)
    link_of(submitted(claimed="1"))
    row = models.Submission.objects.get()
    actions.tell_late()
    jobs.work(once=True)
    assert [(mail.to, "SQL injection" in mail.subject + mail.body) for mail in mailoutbox] == [(["member@harbour.example"], False)]
    with clock.frozen(row.answer_by + timedelta(hours=1)):
        actions.tell_late()
        actions.tell_late()
        jobs.work(once=True)
        step(keeper, "accept")
        assert actions.tell_late() == 0
    assert [row.number in mail.subject for mail in mailoutbox] == [True, True] and "longer than was promised" in mailoutbox[1].subject


def test_without_a_promise_nothing_is_late(centre, keeper):
    models.Centre.objects.update(answer_days=0, mend_days=0)
    link_of(submitted())
    row = models.Submission.objects.get()
    with clock.frozen(row.received + timedelta(days=400)):
        assert (row.due, row.late) == (None, False)
        assert row.number in keeper.get("/intel/submissions/?clock=on+time").content.decode()
        assert row.number not in keeper.get("/intel/submissions/?clock=late").content.decode()


def test_a_reporter_is_forgotten_when_they_wish_and_rubbish_goes_with_its_files(centre, keeper, home):
    link = link_of(submitted(files=SimpleUploadedFile("proof.png", PICTURE)))
    browser = opened(link)
    assert "are gone" in browser.post("/intel/submitted/", filled(browser, "/intel/submitted/", do="forget")).content.decode()
    row = models.Submission.objects.get()
    assert row.contact == row.credit == ""
    assert keeper.post(f"/intel/submissions/{row.pk}/remove/").status_code == 302
    assert not models.Submission.objects.exists() and not Attachment.objects.exists()
    assert not [path for path in (home / "attachments").rglob("*") if path.is_file()]
    assert "SQL injection" not in seen(browser)


def test_a_centre_that_is_off_takes_nothing_and_reporters_still_read(centre, keeper):
    link = link_of(submitted())
    keeper.post(f"/intel/centres/{centre.pk}/change/", {"name": "Harbour SRC", "slug": "harbour", "rules": "", "answer_days": "3", "mend_days": "30"})
    assert stranger().get("/intel/submit/harbour/").status_code == 404
    assert "SQL injection" in seen(opened(link))
    assert keeper.post(f"/intel/centres/{centre.pk}/remove/").status_code == 409, "what was submitted to it keeps it"
    assert reverse("intel:submit_to", kwargs={"slug": "harbour"}) not in stranger().get("/intel/submitted/").content.decode()


def test_a_contact_follows_the_nodes_newest_key_and_without_one_a_reporter_still_gets_through(centre, keeper, home):
    link_of(submitted())
    row = models.Submission.objects.get()
    before = row.contact
    people_actions.rotate_key(actor=SYSTEM)
    jobs.work(once=True)
    row.refresh_from_db()
    assert row.contact != before and CONTACT in step(keeper, "contact", row)
    for key in (home / "keys").glob("sealing*"):
        key.unlink()
    assert "cannot be read on this node" in step(keeper, "contact", row)
    answer = submitted(title="second")
    assert answer.status_code == 409 and "A contact cannot be kept at the moment" in answer.content.decode() and "keys" not in answer.content.decode()
    link_of(submitted(title="second", contact=""))


@pytest.mark.realparts
@pytest.mark.xdist_group("browser")
def test_a_browser_opens_the_secret_link_and_shows_it_to_no_server(centre, chromium, live):
    """The script of the page takes the secret out of the address and sends it in a body; no address that is asked for holds it."""
    link = link_of(submitted()).replace("http://testserver", live.url)
    secret, asked, faults = urlsplit(link).fragment, [], []
    page = chromium.new_context(locale="en").new_page()
    page.on("request", lambda request: asked.append((request.url, request.headers.get("referer", ""))))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(link, wait_until="commit")
    page.wait_for_selector("#text")
    assert page.url == f"{live.url}/intel/submitted/" and secret not in page.evaluate("document.referrer + location.href")
    page.fill("#text", "One thing more.")
    page.click("form:has(#text) button")
    page.wait_for_selector(".said-text")
    assert "One thing more." in page.inner_text(".said")
    assert asked and not faults and secret.partition(".")[2] not in str([one for one in asked if one[0] != link])
