"""The JSON API of a sheet, and the guards around every operation."""

from __future__ import annotations

import json

import pytest

from lianfang.commons.frame import pages, sheets

from . import stage

BASE = "/api/stage/device/"
KEY = {"Authorization": "Lianfang member:secret"}


def send(client, method, address, body=None, **headers):
    return getattr(client, method)(address, json.dumps(body) if body is not None else None, content_type="application/json", headers=headers)


@pytest.fixture
def plates(monkeypatch):
    """A second sheet on stage; asked for before ``sheet``, which opens the addresses."""
    made = sheets.Sheet(model=stage.Plate, room="stage", columns=("label", "copy"), fields=("label", "copy", "model_config"))
    alone = stage.declare
    monkeypatch.setattr(stage, "declare", lambda: (sheets.register(made), alone())[1])
    yield made
    sheets.forget(made)


def test_list_by_cursor_gives_every_row_once(as_, sheet):
    for n in range(25):
        stage.device(name=f"d{n:02d}", score=n)
    found, after = [], ""
    while True:
        body = as_("member").get(f"{BASE}?limit=10&sort=score&after={after}").json()
        found += [item["name"] for item in body["items"]]
        after = body["next"]
        if not after:
            break
    assert found == [f"d{n:02d}" for n in range(25)]
    assert as_("outsider").get(BASE).json() == {"items": [], "next": None}
    assert as_("member").get(f"{BASE}?score_from=20&level=3").json()["items"][0]["score"] == 24


def test_create_get_change_delete(as_, sheet):
    client = as_("")
    made = send(client, "post", BASE, {"name": "alpha", "score": 3, "address": "10.0.0.1"}, **KEY)
    assert made.status_code == 201
    row = made.json()
    assert (row["label"], row["score"], row["state"], row["guarded"]) == ("alpha", 3, "active", True)
    assert send(client, "patch", f"{BASE}{row['id']}/", {"score": 4}, **KEY).json()["score"] == 4
    got = send(client, "get", f"{BASE}{row['id']}/", **KEY).json()
    assert (got["score"], got["address"], got["guarded"]) == (4, "10.0.0.1", True)
    assert send(client, "delete", f"{BASE}{row['id']}/", **KEY).status_code == 204
    assert send(client, "get", f"{BASE}{row['id']}/", **KEY).status_code == 404


def test_a_verb_is_a_post(as_, sheet):
    row = stage.device(name="alpha", state="closed")
    assert send(as_(""), "post", f"{BASE}{row.pk}/enable/", **KEY).json()["state"] == "active"
    assert send(as_(""), "post", f"{BASE}{row.pk}/enable/", **KEY).status_code == 409


def test_errors_are_problems_with_reasons_per_field(as_, sheet):
    answer = send(as_(""), "post", BASE, {"name": "", "score": "many"}, **KEY)
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["error"], body["status"]) == ("invalid", 422)
    assert set(body["details"]) == {"name", "score"}
    assert send(as_(""), "post", BASE, {"name": "x", "scoer": 1}, **KEY).json()["details"] == {"scoer": ["Extra inputs are not permitted"]}
    assert as_("member").get(f"{BASE}?sort=password").status_code == 422
    assert as_("member").get(f"{BASE}not-a-uuid/").status_code == 404
    assert send(as_(""), "post", BASE, None, **KEY).status_code in (400, 422)


def test_every_operation_is_closed_to_strangers_readers_and_outsiders(as_, sheet):
    row = stage.device(name="alpha")
    bodies = {"post": {"name": "new"}, "patch": {"score": 99}}
    walked = 0
    for end in pages.endpoints():
        address, method = end.path.replace("{pk}", str(row.pk)), end.method.lower()
        assert end.guarded
        assert send(as_(""), method, address, bodies.get(method)).status_code == 401, end
        seen = send(as_("outsider"), method, address, bodies.get(method))
        assert "alpha" not in seen.content.decode()
        assert seen.status_code == 404 or address == BASE, end
        if method not in ("get", "head"):
            assert send(as_("reader"), method, address, bodies.get(method)).status_code == 403, end
        walked += 1
    assert walked == 6
    row.refresh_from_db()
    assert row.score == 0


def test_a_session_must_show_its_csrf_token_and_a_key_need_not(as_, sheet):
    assert send(as_("member", enforce_csrf_checks=True), "post", BASE, {"name": "forged"}).status_code == 403
    assert send(as_("", enforce_csrf_checks=True), "post", BASE, {"name": "by-key"}, **KEY).status_code == 201


def test_openapi_describes_what_there_is_and_is_not_public(as_, sheet):
    schema = as_("member").get("/api/openapi.json").json()
    assert set(schema["paths"]) == {BASE, BASE + "{pk}/", BASE + "{pk}/enable/"}
    assert {"q", "level", "score_from", "after"} <= {one["name"] for one in schema["paths"][BASE]["get"]["parameters"]}
    assert as_("").get("/api/openapi.json").status_code == 401
    page = as_("member").get("/api/docs")
    assert page.status_code == 200
    assert "cdn" not in page.content.decode()
    assert as_("").get("/api/docs").status_code == 302
    assert as_("member").get("/api/nowhere").status_code == 404


def test_sheets_and_pages_can_be_walked_over(sheet):
    assert sheet in sheets.registered()
    assert {"stage:device_list", "stage:device", "stage:device_add", "stage:device_import"} <= {page.url_name for page in pages.registered()}


@pytest.mark.parametrize("address", ["/stage/device/", "/stage/device/add/", "/stage/device/export/", "/stage/device/import/", "/frame/search/", "/"])
def test_no_page_is_open_to_strangers(as_, sheet, address):
    assert as_("").get(address).status_code == 302


def test_columns_may_be_called_what_a_schema_calls_its_own_parts(plates, as_, sheet):
    client, base = as_("member"), "/api/stage/plate/"
    row = send(client, "post", base, {"label": "front", "copy": "two", "model_config": "x"})
    assert row.json() == {"id": str(stage.Plate.objects.get().pk), "label": "front", "copy": "two", "model_config": "x"}
    assert send(client, "patch", f"{base}{row.json()['id']}/", {"label": "back"}).json()["label"] == "back"
    assert client.get(base).json()["items"][0]["copy"] == "two"
    assert set(send(client, "post", base, {"field_0": "x"}).json()["details"]) == {"label", "field_0"}
    named = client.get("/api/openapi.json").json()["components"]["schemas"]
    assert set(named["StagePlate"]["properties"]) == {"id", "label", "copy", "model_config"}
    assert set(named["StagePlateNew"]["properties"]) == {"label", "copy", "model_config"}
