"""What the bell tells also reaches people who are not at the screen: by mail, or by the webhook of their group."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.models import Job
from lianfang.commons.people import models as people_models
from lianfang.rooms.respond import actions

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hook(settings):
    """A webhook of the house that keeps what it gets; ``hook.status`` is what it answers."""
    got = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.status, server.got, server.address = 200, got, f"http://127.0.0.1:{server.server_port}/robot?token=s3cret"
    settings.WEBHOOKS = (f"http://127.0.0.1:{server.server_port}/",)
    settings.PUBLIC_URL = "https://node.example"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def browser(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


def choose(user, **more):
    people_models.User.objects.filter(pk=user.pk).update(email=f"{user.username}@harbour.example", language="en")
    return browser(user).post(reverse("people:reach"), {"least": "4", **more})


def test_each_person_chooses_and_only_who_may_see_it_is_told(three, found, hook):
    assert choose(three.users.member, mail="on").status_code == 302
    assert choose(three.users.colleague, webhook=hook.address).status_code == 302
    assert choose(three.users.outsider, mail="on", webhook=hook.address).status_code == 302
    for severity in (5, 2):
        actions.raise_alerts(found((0, f"r{severity}", "web-1", {"severity": severity})))
    jobs.work(once=True)
    (letter,) = mail.outbox
    assert letter.to == ["member@harbour.example"]
    assert "Alert: Rule r5 (web-1)" in letter.subject
    assert "https://node.example/respond/alerts/" in letter.body
    (body,) = hook.got
    assert (body["msgtype"], body["severity"]) == ("text", 5)
    assert "Alert: Rule r5 (web-1) https://node.example/respond/alerts/" in body["text"]["content"]
    page = browser(three.users.colleague).get(reverse("people:account")).content.decode()
    assert "127.0.0.1" in page
    assert "s3cret" not in page, "a webhook is a secret"
    assert "s3cret" not in people_models.Reach.objects.get(user=three.users.colleague).webhook


def test_what_the_other_side_refuses_is_tried_again(three, found, hook):
    choose(three.users.member, webhook=hook.address)
    hook.status = 503
    actions.raise_alerts(found((0, "r1", "web-1", {"severity": 5})))
    jobs.work(once=True)
    job = Job.objects.get(name="people.send_notice")
    assert (job.state, len(hook.got)) == ("waiting", 1)
    assert "HTTP 503" in browser(three.users.member).get(reverse("people:account")).content.decode()
    hook.status = 200
    Job.objects.update(due=job.created)
    jobs.work(once=True)
    assert (Job.objects.get(pk=job.pk).state, len(hook.got)) == ("done", 2)
    assert "HTTP 503" not in browser(three.users.member).get(reverse("people:account")).content.decode()


def test_the_node_sends_nowhere_but_where_it_may(three, hook, settings):
    for address in ("http://169.254.169.254/latest/meta-data", hook.address.replace("127.0.0.1", "127.0.0.1.example"), "ftp://127.0.0.1/"):
        answer = choose(three.users.member, webhook=address)
        assert (answer.status_code, "not allowed" in answer.content.decode()) == (422, True)
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    answer = choose(three.users.member, mail="on")
    assert (answer.status_code, "sends no mail" in answer.content.decode()) == (422, True)
    assert not people_models.Reach.objects.exists()
