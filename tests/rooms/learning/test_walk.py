"""From a question to a model in use, as the people of a member and its programs walk it: by page and by API."""

import hashlib
import io
import json
import urllib.request
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from tests.rooms.kept import everything
from tests.rooms.lake.conftest import cleared, sysmon
from tests.rooms.lake.test_masking import rule as hide

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs import models as job_models
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import queries as people_queries
from lianfang.kernel import clock
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import models as lake_models
from lianfang.rooms.learning import actions, declare, models
from lianfang.rooms.learning.types import Learned, Origin

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "net use x: /user:admin password=Hunter-22"
READS = ("lake.event.view", "lake.event.export", "learning.*.view")


def body(answer):
    return b"".join(answer.streaming_content)


def arrow(answer):
    return pa.ipc.open_stream(body(answer)).read_all()


def declared(client, **values):
    """A data set, declared on the page."""
    answer = client.post("/learning/sets/add/", {"name": "processes", "purpose": "to learn what is usual", "origin": "events", "period": "24h", "pace": "never", "columns": ["host", "process_cmd", "process_pid"], **values})
    assert answer.status_code == 302, answer.content.decode()
    return models.DataSet.objects.get(name=values.get("name", "processes"))


def made(client, row):
    """A version, by one click; a worker makes it."""
    assert client.post("/learning/sets/", {"do": f"make:{row.pk}"}).status_code in (200, 302)
    jobs.work(once=True)
    return row.versions.order_by("-number").first()


@pytest.fixture
def secret(put):
    """Two events, one of level 4 (a password stands in it)."""
    return put(sysmon(1), sysmon(2, CommandLine=SECRET))


@pytest.mark.covers("XA13")
def test_a_question_becomes_a_data_set_whose_versions_never_change(put, browser, home):
    put(*(sysmon(n) for n in range(1, 6)))
    client = browser("member")
    assert "Keep this question as a data set" in client.get("/lake/search/?f=host:contains:pc-0&span=24h").content.decode()
    kept = client.get("/learning/sets/add/", {"filters": "host:contains:pc-0", "period": "24h"}).content.decode()
    assert "host:contains:pc-0" in kept
    assert 'name="period" value="fixed"' in client.get("/lake/search/?since=2026-01-01T00:00:00Z&until=2099-01-02T00:00:00Z").content.decode(), "a period that is nailed down comes along"
    row = declared(client, filters="host:contains:pc-0\nprocess_pid:above:1001")
    first = made(client, row)
    assert (first.state, first.number, first.rows, first.level) == ("ready", 1, 4, 2)
    file = home / "datasets" / str(first.pk) / "rows.parquet"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == first.digest
    assert json.loads((file.parent / "manifest.json").read_text())["tables"] == first.tables != {}
    put(sysmon(7))
    assert made(client, row).rows == 5
    first.refresh_from_db()
    assert (first.rows, hashlib.sha256(file.read_bytes()).hexdigest()) == (4, first.digest)
    page = client.get(f"/learning/versions/{first.pk}/").content.decode()
    assert all(word in page for word in ("process_cmd", first.digest, "system_activity@", "Reading it in Python"))
    assert Record.objects.filter(verb="learning.version_made").count() == 2


@pytest.mark.covers("XA13")
def test_a_program_reads_a_version_as_arrow_and_parquet_with_the_lines_of_the_page(put, browser, client, key, monkeypatch):
    put(*(sysmon(n) for n in range(1, 6)))
    member = browser("member")
    version = made(member, declared(member))
    code = member.get(f"/learning/versions/{version.pk}/").content.decode().partition("<code>import")[2].partition("</code>")[0]
    member.logout()
    head = key("member", *READS)
    table = arrow(client.get(f"/api/learning/versions/{version.pk}/rows", **head))
    assert table.column_names == ["event_id", "time", "source", "level", "host", "process_cmd", "process_pid", "masked"]
    assert sorted(table["process_pid"].to_pylist()) == [1001, 1002, 1003, 1004, 1005]
    assert pq.read_table(io.BytesIO(body(client.get(f"/api/learning/versions/{version.pk}/rows?form=parquet", **head)))).equals(table)
    declaring = key("member", *READS, "learning.dataset.add", "learning.version.add")
    asked = {"name": "by a program", "purpose": "to learn from a program", "filters": ["process_pid:below:1003"], "columns": ["host"], "period": "24h"}
    answer = client.post("/api/learning/sets/", json.dumps(asked), content_type="application/json", **declaring)
    assert answer.status_code == 201, answer.content
    assert client.post(f"/api/learning/sets/{answer.json()['id']}/make/", **declaring).status_code == 200
    jobs.work(once=True)
    (other,) = client.get(f"/api/learning/versions/?dataset={answer.json()['id']}", **declaring).json()["items"]
    assert (other["rows"], other["state"]) == (2, "ready")
    manifest = client.get(f"/api/learning/versions/{version.pk}/manifest", **head).json()
    assert {one["name"]: (one["type"], one["level"]) for one in manifest["columns"]}["process_pid"] == ("int64", 2)
    assert (manifest["rows"], manifest["sha256"], manifest["purpose"]) == (5, version.digest, "to learn what is usual")
    monkeypatch.setattr(urllib.request, "urlopen", lambda ask: io.BytesIO(body(client.get(ask.selector, **head))))
    told = {}
    exec("import" + code.replace("&quot;", '"').replace("&#x27;", "'").replace("frame = table.to_pandas()", "frame = None"), told)
    assert told["table"].equals(table)
    assert sorted(told["values"]) == [1001, 1002, 1003, 1004, 1005]
    assert Record.objects.filter(verb="learning.version_taken").count() == 3
    assert lake_models.Touch.objects.filter(verb="export", rows=5).count() == 3


@pytest.mark.covers("XA13")
def test_what_protects_a_search_and_an_export_protects_a_version(secret, put, browser, users, key, client, home):
    member = browser("member")
    low = made(member, declared(member, columns=["host", "process_cmd", "raw"]))
    assert low.rows == 2
    assert low.level < 4, "who declared it is cleared for less: the content of level 4 is not in the copy"
    assert b"hunter" not in (home / "datasets" / str(low.pk) / "rows.parquet").read_bytes().lower()
    cleared(users.member)
    member.post("/lake/protection/", {"level": 4, "hours": 24, "reads": 0, "exports": 100, "seal": "on", "approve": "on"})
    put(sysmon(3, CommandLine=SECRET))
    whole = made(member, declared(member, name="whole", columns=["host", "process_cmd"]))
    assert (whole.rows, whole.level) == (3, 4)
    copy = pq.read_table(home / "datasets" / str(whole.pk) / "rows.parquet")
    assert SECRET not in copy["process_cmd"].to_pylist()[2], "level 4 lies sealed in the copy as in the tables"
    assert {thing.kind: thing.count for one in people_queries.key_generations() for thing in one.things}["learning.version"] == 2, "and the page of keys says that it hangs on the key"
    taken = pq.read_table(io.BytesIO(body(member.get(f"/learning/versions/{whole.pk}/take/"))))
    assert taken["process_cmd"].to_pylist() == ["whoami /all 1"], "what needs approval is left out"
    page = member.get(f"/learning/versions/{whole.pk}/").content.decode()
    assert "leave only with a second person" in page
    assert member.post(f"/learning/versions/{whole.pk}/approval/", {"reason": "for the model of case 7"}).status_code == 302
    asked = lake_models.ExportRequest.objects.get()
    assert (asked.kind, asked.level, asked.rows) == ("set", 4, 3)
    cleared(users.second)
    browser("second").post(f"/lake/export-requests/{asked.pk}/decide/", {"do": "approve"})
    given = pq.read_table(io.BytesIO(browser("member").get(f"/lake/export-requests/{asked.pk}/take/").content))
    assert given["process_cmd"].to_pylist() == ["whoami /all 1", SECRET, SECRET]
    assert all(asked.number in mark for mark in given["watermark"].to_pylist())
    above = pq.read_table(io.BytesIO(body(browser("colleague").get(f"/learning/versions/{low.pk}/take/"))))
    assert (above.num_rows, above["process_cmd"].to_pylist()) == (1, ["whoami /all 1"]), "the unit above reads it within its own clearance"
    assert browser("analyst").get(f"/learning/versions/{whole.pk}/take/").status_code == 403, "their role may take nothing away"
    assert browser("outsider").get(f"/learning/versions/{whole.pk}/take/").status_code == 404
    assert browser("outsider").get(f"/learning/versions/{whole.pk}/").status_code == 404
    client.logout()
    assert client.get(f"/api/learning/versions/{whole.pk}/rows", **key("outsider", *READS)).status_code == 404


def test_a_mask_on_the_way_out_and_a_limit_bind_at_every_reading(put, browser, key, client):
    put(sysmon(1, User=r"HARBOUR\wang"), sysmon(2, User=r"HARBOUR\zhao"))
    member = browser("member")
    version = made(member, declared(member, columns=["host", "user", "raw"]))
    head = key("member", *READS)
    assert "wang" in json.dumps(arrow(client.get(f"/api/learning/versions/{version.pk}/rows", **head)).to_pylist(), default=str)
    hide(browser("member"), way="out", columns=["user"], verb="remove", form="text")
    client.logout()
    assert "wang" not in json.dumps(arrow(client.get(f"/api/learning/versions/{version.pk}/rows", **head)).to_pylist(), default=str).lower(), "also where the raw log repeats it"
    browser("member").post("/lake/protection/", {"level": 2, "hours": 24, "reads": 0, "exports": 5})
    client.logout()
    stopped = client.get(f"/api/learning/versions/{version.pk}/rows", **head)
    assert stopped.status_code == 403
    assert Record.objects.filter(verb="lake.reading_stopped").count() == 1


def test_a_version_goes_with_its_time_its_source_or_by_a_person_and_its_record_stays(put, browser, home, viewers):
    put(sysmon(1))
    client = browser("member")
    row = declared(client)
    one, two, three = (made(client, row) for _ in range(3))
    client.post("/learning/versions/", {"do": f"drop:{one.pk}", "confirm": "1"})
    models.Version.objects.filter(pk=two.pk).update(expires=clock.now() - timedelta(hours=1))
    assert actions.forget_expired() == 1
    lake_actions.erase_source(lake_models.Source.objects.get(), actor=viewers.member)
    jobs.work(once=True)
    assert set(models.Version.objects.values_list("state", flat=True)) == {"removed"}
    assert not list((home / "datasets").rglob("*.parquet"))
    assert three.digest in json.dumps([record.detail for record in Record.objects.filter(verb="learning.version_removed")])
    assert client.get(f"/learning/versions/{three.pk}/take/").status_code == 404
    assert client.post(f"/learning/sets/{row.pk}/remove/").status_code == 409, "a data set of which there were versions stays"


@pytest.mark.skipif("standards" not in settings.ROOMS, reason="parts are destroyed in standards")
def test_a_part_of_the_lake_that_is_destroyed_takes_the_copies_that_hold_some_of_it(put, browser):
    old = clock.now() - timedelta(days=5)
    put(sysmon(1, at=old), sysmon(2))
    client = browser("member")
    week, day = made(client, declared(client, name="week", period="7d")), made(client, declared(client, name="day", period="24h"))
    assert (week.rows, day.rows) == (2, 1)
    asked = {"deed": "destroy", "reason": "kept long enough", "since": (old - timedelta(days=2)).date().isoformat(), "until": (old + timedelta(days=2)).date().isoformat()}
    assert client.post("/standards/life/edr/system_activity/", asked).status_code == 302
    (deed,) = client.get("/api/standards/disposal/").json()["items"]
    browser("second").post("/standards/disposal/", {"do": f"approve:{deed['id']}", "confirm": "1"})
    jobs.work(once=True)
    lake_actions.drain()
    jobs.work(once=True)
    assert [models.Version.objects.get(pk=one.pk).state for one in (week, day)] == ["removed", "ready"]
    assert "edr" in models.Version.objects.get(pk=week.pk).why


@pytest.mark.parametrize("values", [{"filters": "nothing:is:1"}, {"filters": "host:like:1"}, {"filters": "process_pid:above:many"}, {"period": "fixed"}, {"purpose": ""}, {"purpose": "x"}])
def test_a_question_that_cannot_be_asked_is_told_beside_its_field(values, browser):
    answer = browser("member").post("/learning/sets/add/", {"name": "x", "purpose": "to learn", "origin": "events", "period": "24h", "pace": "never", **values})
    assert answer.status_code == 422
    assert not models.DataSet.objects.exists()


def test_a_version_on_a_schedule_is_made_once_each_time(put, browser):
    put(sysmon(1))
    row = declared(browser("member"), pace="hourly")
    assert row.due > clock.now()
    models.DataSet.objects.update(due=clock.now() - timedelta(hours=5))
    assert (actions.start_due(), actions.start_due()) == (1, 0)
    jobs.work(once=True)
    assert [version.state for version in row.versions.all()] == ["ready"]
    row.refresh_from_db()
    assert row.due > clock.now()


# ---- the registry ----------------------------------------------------------------------------------------------


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def tensors(**header):
    head = json.dumps(header or {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(head).to_bytes(8, "little") + head + b"\0" * 8


def sent(client, head, content, name="beacons", form="npz", **more):
    return client.post("/api/learning/models/upload", {"name": name, "kind": "autoencoder", "form": form, "file": SimpleUploadedFile("m", content), **more}, **head)


@pytest.mark.covers("XA13")
def test_a_model_from_outside_is_registered_approved_compared_and_switched(put, browser, client, key):
    put(sysmon(1))
    member = browser("member")
    version = made(member, declared(member))
    member.logout()
    head = key("member", *READS, "learning.model.*")
    answers = [sent(client, head, npz(w=[n, n]), metrics=json.dumps({"auc": 0.9 + n / 100, "loss": 0.3 - n / 10}), parameters='{"epochs": 2}', version=str(version.pk)) for n in (1, 2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [(answer.json()["version"], answer.json()["state"]) for answer in answers] == [(1, "proposed"), (2, "proposed")]
    one, two = models.Model.objects.order_by("number")
    assert (one.taught, one.metric, one.digest) == (version, "auc", hashlib.sha256(npz(w=[1, 1])).hexdigest())
    assert client.post(f"/api/learning/models/{one.pk}/approve/", **head).status_code == 403, "nobody approves their own"
    second = browser("second")
    for row in (one, two):
        second.post("/learning/models/", {"do": f"use:{row.pk}", "confirm": "1"})
        assert models.Model.objects.get(pk=row.pk).state == "proposed", "not approved yet"
        second.post("/learning/models/", {"do": f"approve:{row.pk}"})
        second.post("/learning/models/", {"do": f"use:{row.pk}", "confirm": "1"})
    assert list(models.Model.objects.order_by("number").values_list("state", flat=True)) == ["approved", "used"]
    page = second.get(f"/learning/models/compare/?a={one.pk}&b={two.pk}")
    assert [(line["name"], round(line["change"], 6)) for line in page.context["metrics"]] == [("auc", 0.01), ("loss", -0.1)]
    assert page.context["chart"]["series"][0]["data"][0] == 0.91
    second.post("/learning/models/", {"do": f"use:{one.pk}", "confirm": "1"})
    assert list(models.Model.objects.order_by("number").values_list("state", flat=True)) == ["used", "approved"], "back again"
    second.post("/learning/models/", {"do": f"retire:{two.pk}", "confirm": "1"})
    assert [record.verb for record in Record.objects.filter(ref=str(two.ref)).order_by("time")] == ["learning.model_registered", "learning.model_approved", "learning.model_used", "learning.model_replaced", "learning.model_retired"]
    assert second.get(f"/learning/models/{one.pk}/artefact/").getvalue() == npz(w=[1, 1])
    assert browser("outsider").get(f"/learning/models/{one.pk}/").status_code == 404
    assert browser("outsider").get(f"/learning/models/compare/?a={one.pk}&b={two.pk}").status_code == 404


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("json", b"\x80\x04\x95pickle"), ("npz", b"PK\x03\x04 broken"), ("onnx", b"\x80\x04\x95" + b"x" * 40), ("onnx", b"\x08\x07"), ("safetensors", b"\xff" * 16), ("safetensors", tensors() + b"more"), ("pickle", b"{}"), ("json", b""),
    ],
)  # fmt: skip
def test_what_is_no_safe_artefact_is_refused_and_not_kept(form, content, home, client, key):
    answer = sent(client, key("member", "learning.model.*"), content, form=form)
    assert answer.status_code == 422, answer.content
    assert not models.Model.objects.exists()
    assert not [path for path in (home / "models").rglob("*") if path.is_file()]


def test_an_array_of_objects_is_a_pickle_and_refused(client, key):
    file = io.BytesIO()
    np.savez(file, w=np.array([{"a": 1}], dtype=object))
    answer = sent(client, key("member", "learning.model.*"), file.getvalue())
    assert (answer.status_code, "pickle" in answer.json()["why"]) == (422, True)


@pytest.mark.parametrize(("form", "content"), [("json", b'{"w": [1]}'), ("safetensors", tensors()), ("onnx", b"\x08\x08" + b"\x3a\x03\x0a\x01x" + b"\x42\x02\x10\x0d")])
def test_the_four_forms_are_taken_as_they_are(form, content, client, key, browser):
    assert sent(client, key("member", "learning.model.*"), content, form=form).status_code == 201
    row = models.Model.objects.get()
    assert browser("member").get(f"/learning/models/{row.pk}/artefact/").getvalue() == content


@pytest.mark.parametrize("more", [{"metrics": "x"}, {"metrics": '{"a": "b"}'}, {"metrics": "[1]"}, {"metrics": '{"a": NaN}'}, {"metric": "b"}, {"version": "7"}, {"name": ""}, {"parameters": "["}])
def test_what_cannot_be_registered_says_why(more, client, key):
    assert sent(client, key("member", "learning.model.*"), b"{}", **{"form": "json", "metrics": '{"a": 1}', **more}).status_code == 422
    assert not models.Model.objects.exists()


# ---- the node's own learner ------------------------------------------------------------------------------------


def table(**columns):
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values()))]
    return SimpleUploadedFile("t.csv", "\n".join(lines).encode())


def looked(client, name="t.csv", **columns):
    file = table(**columns)
    file.name = name
    assert client.post("/lake/grading-start/", {"what": "file", "file": file}).status_code == 302
    jobs.work(once=True)


def taught(client, item="030301", **columns):
    """A reviewer says what columns hold."""
    looked(client, **columns)
    for column in columns:
        row = lake_models.Grade.objects.get(column=column)
        assert client.post(f"/lake/grading/{row.pk}/change/", {"item": item, "level": 3, "reason": "accounts"}).status_code == 302


ACCOUNTS = {f"zq_hz{n}": [f"ZQ-{n}{m}" for m in range(30)] for n in range(4)}


@pytest.mark.covers("XA13")
def test_the_learner_of_grading_is_trained_measured_registered_and_switched(browser):
    client = browser("member")
    taught(client, **ACCOUNTS)
    looked(client, "again.csv", other=["1"])
    jobs.work(once=True)
    training = models.Training.objects.get()
    first = models.Model.objects.get()
    assert (first.learner, first.number, first.state, first.taught.rows, first.metrics["accuracy"]) == ("grading", 1, "proposed", 4, 1.0)
    run = training.runs.get()
    assert (run.state, run.rows, run.metric, run.before) == ("done", 4, 1.0, None)
    assert run.seconds is not None
    second = browser("second")
    second.post("/learning/models/", {"do": f"approve:{first.pk}"})
    second.post("/learning/models/", {"do": f"use:{first.pk}", "confirm": "1"})
    taught(browser("member"), item="020101", **{f"wv_kk{n}": [f"W#{n}{m}" for m in range(30)] for n in range(3)})
    client = browser("member")
    client.post("/learning/trainings/", {"do": f"run:{training.pk}"})
    assert client.post("/learning/trainings/", {"do": f"run:{training.pk}"}).status_code in (302, 409)
    jobs.work(once=True)
    later = models.Model.objects.get(number=2)
    assert (later.taught.rows, later.state) == (7, "proposed")
    assert str(first) in client.get("/lake/grading-start/").content.decode(), "reviewers read which model is asked"
    looked(client, "third.csv", wv_kk9=[f"W#{m}" for m in range(30)])
    assert lake_models.Grade.objects.get(column="wv_kk9").item == "", "the model in use has not seen the new lessons"
    second = browser("second")
    second.post("/learning/models/", {"do": f"approve:{later.pk}"})
    second.post("/learning/models/", {"do": f"use:{later.pk}", "confirm": "1"})
    looked(browser("member"), "fourth.csv", wv_kk8=[f"W#{m}" for m in range(30)])
    assert lake_models.Grade.objects.get(column="wv_kk8").item == "020101"
    browser("second").post("/learning/models/", {"do": f"use:{first.pk}", "confirm": "1"})
    looked(browser("member"), "fifth.csv", wv_kk7=[f"W#{m}" for m in range(30)])
    assert lake_models.Grade.objects.get(column="wv_kk7").item == "", "back to the version before"
    page = browser("member").get(f"/learning/trainings/{training.pk}/").content.decode()
    assert "Train now" in page
    assert str(later) in page


@pytest.mark.covers("XA13")
def test_a_training_on_a_schedule_approves_by_itself_only_what_is_no_worse(browser, monkeypatch):
    client = browser("member")
    taught(client, **ACCOUNTS)
    client.post("/learning/sets/add/", {"name": "lessons", "purpose": "to teach grading", "origin": "lessons", "period": "7d", "pace": "never"})
    dataset = models.DataSet.objects.get(name="lessons")
    answer = client.post("/learning/trainings/add/", {"name": "grading", "learner": "grading", "dataset": str(dataset.pk), "pace": "daily", "auto": "on", "enabled": "on"})
    assert answer.status_code == 302, answer.content.decode()
    training = models.Training.objects.get()

    def due():
        models.Training.objects.update(due=clock.now() - timedelta(minutes=1))
        actions.start_due()
        jobs.work(once=True)

    due()
    assert models.Model.objects.get().state == "used"
    assert lake_models.GradingModel.objects.get().name == "grading v1"
    taught(client, item="020101", zq_hz8=[f"ZQ-8{m}" for m in range(30)])
    due()
    worse = models.Model.objects.get(number=2)
    assert worse.metrics["accuracy"] < 1
    assert (worse.state, models.Model.objects.get(number=1).state) == ("proposed", "used")
    due()
    assert training.runs.first().state == "same", "what was learned already is not registered again"
    assert models.Model.objects.count() == 2
    api = client.get("/api/learning/runs/?state=same").json()
    assert api["items"][0]["rows"] == 5


@pytest.fixture
def usual():
    """A learner of a room above: how long command lines usually are."""

    def train(rows, progress):
        lengths = [len(line) for line in rows["process_cmd"].to_pylist() if line]
        taught, held = lengths[::2], lengths[1::2]
        mean = sum(taught) / len(taught)
        return Learned(json.dumps({"mean": mean, "longest": max(lengths)}).encode(), "json", {"error": sum(abs(mean - one) for one in held) / max(1, len(held))}, rows=len(taught), held=len(held))

    used = []
    one = declare.Learner(key="usual", label="usual", about="", origin=Origin.EVENTS, kind="mean", metric="error", train=train, use=lambda artefact, name, whose: used.append((json.loads(artefact), name)), drop=lambda whose: used.append(None), least=True)
    declare.learner(one)
    yield used
    declare._learners.pop("usual")


def test_a_learner_of_another_room_reads_events_opened_and_is_told_what_is_in_use(put, browser, users, usual):
    cleared(users.member)
    client = browser("member")
    client.post("/lake/protection/", {"level": 4, "hours": 24, "reads": 0, "exports": 0, "seal": "on", "approve": "on"})
    put(*(sysmon(n) for n in range(1, 6)), sysmon(6, CommandLine=SECRET))
    row = declared(client, columns=["process_cmd"])
    client.post("/learning/trainings/add/", {"name": "lengths", "learner": "usual", "dataset": str(row.pk), "pace": "never", "auto": "on", "enabled": "on"})
    client.post("/learning/trainings/", {"do": f"run:{models.Training.objects.get().pk}"})
    jobs.work(once=True)
    run = models.Run.objects.get()
    assert (run.state, run.rows, run.held, run.trouble) == ("done", 3, 3, "")
    assert usual == [({"mean": usual[0][0]["mean"], "longest": len(SECRET)}, "lengths v1")], "a sealed line is opened for who may see it"
    client.post("/learning/models/", {"do": f"retire:{models.Model.objects.get().pk}", "confirm": "1"})
    assert usual[-1] is None


def test_a_grade_that_comes_later_hides_a_column_of_a_version_that_was_there(put, browser, key, client, users):
    put(sysmon(1))
    member = browser("member")
    version = made(member, declared(member, columns=["process_cmd", "host"]))
    head = key("member", *READS)
    member = browser("member")
    row = lake_models.Grade.objects.create(dataset="events", column="process_cmd", item="", level=4, state="changed", reviewed=clock.now(), organisation=version.organisation, territory=version.territory, industry=version.industry)
    client.logout()
    taken = arrow(client.get(f"/api/learning/versions/{version.pk}/rows", **head))
    assert (taken["process_cmd"].to_pylist(), taken["masked"].to_pylist()) == ([None], [True])
    row.delete()
    assert arrow(client.get(f"/api/learning/versions/{version.pk}/rows", **head))["process_cmd"].to_pylist() == ["whoami /all 1"]


def test_decisions_of_reviewers_are_read_by_key_within_the_scope(browser, client, key):
    member = browser("member")
    taught(member, **ACCOUNTS)
    member.post("/learning/sets/add/", {"name": "lessons", "purpose": "to teach grading", "origin": "lessons", "period": "7d", "pace": "never"})
    version = made(member, models.DataSet.objects.get(name="lessons"))
    client.logout()
    taken = arrow(client.get(f"/api/learning/versions/{version.pk}/rows", **key("member", *READS)))
    assert (sorted(taken["column"].to_pylist()), set(taken["item"].to_pylist())) == (sorted(ACCOUNTS), {"030301"})
    assert "territory" not in taken.column_names
    assert client.get(f"/api/learning/versions/{version.pk}/rows", **key("outsider", *READS)).status_code == 404


def test_a_run_that_fails_says_why_and_the_next_one_can_begin(browser):
    client = browser("member")
    client.post("/learning/sets/add/", {"name": "lessons", "purpose": "to teach grading", "origin": "lessons", "period": "7d", "pace": "never"})
    client.post("/learning/trainings/add/", {"name": "grading", "learner": "grading", "dataset": str(models.DataSet.objects.get().pk), "pace": "never", "enabled": "on"})
    training = models.Training.objects.get()
    for _ in range(2):
        client.post("/learning/trainings/", {"do": f"run:{training.pk}"})
        jobs.work(once=True)
    assert [(run.state, "nothing to learn" in run.trouble) for run in training.runs.all()] == [("failed", True)] * 2
    assert "nothing to learn" in client.get(f"/learning/trainings/{training.pk}/").content.decode()
    client.post("/learning/trainings/", {"do": f"run:{training.pk}"})
    job_models.Job.objects.filter(state="waiting", name="learning.train").update(state="cancelled", due=None)
    client.post("/learning/trainings/", {"do": f"run:{training.pk}"})
    assert training.runs.filter(state="running").count() == 1, "a run whose job was cancelled is over"


def test_a_version_that_is_removed_while_it_is_made_stays_removed(put, browser, viewers, home):
    put(sysmon(1))
    version = actions.ask_version(declared(browser("member")), actor=viewers.member)
    removed = []

    def meanwhile(*_said):
        if not removed:
            removed.append(actions.remove_version(version, actor=viewers.member))

    actions.make_version(str(version.pk), progress=meanwhile)
    version.refresh_from_db()
    assert version.state == "removed"
    assert not list((home / "datasets").rglob("*.parquet"))


def test_a_run_whose_worker_died_goes_on_with_the_version_that_it_had_made(browser, usual, put):
    put(*(sysmon(n) for n in range(1, 6)))
    client = browser("member")
    row = declared(client, columns=["process_cmd"])
    client.post("/learning/trainings/add/", {"name": "lengths", "learner": "usual", "dataset": str(row.pk), "pace": "never", "enabled": "on"})
    client.post("/learning/trainings/", {"do": f"run:{models.Training.objects.get().pk}"})
    run = models.Run.objects.get()

    def dies(percent, _said):
        if percent > 40:
            raise SystemExit

    with pytest.raises(SystemExit):
        actions.train(str(run.pk), progress=dies)
    jobs.work(once=True)
    run.refresh_from_db()
    assert (run.state, row.versions.count(), models.Model.objects.count()) == ("done", 1, 1)


def test_a_version_and_a_run_that_broke_off_are_finished_once(put, browser, viewers, home):
    put(sysmon(1))
    row = declared(browser("member"))
    version = actions.ask_version(row, actor=viewers.member)
    (home / "datasets" / f"{version.pk}.draft").mkdir(parents=True)
    actions.make_version(str(version.pk), progress=lambda *_: None)
    jobs.work(once=True)
    version.refresh_from_db()
    assert (version.state, version.rows) == ("ready", 1)
    assert Record.objects.filter(verb="learning.version_made").count() == 1
    assert not (home / "datasets" / f"{version.pk}.draft").exists()
    assert b"password" not in everything(home / "datasets")
