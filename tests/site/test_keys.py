"""The node's sealing keys at the console: a lost one is never replaced unseen, what hangs on it can be given up by name; a new one is made without a gap."""

import json
import shutil
import subprocess
import sys

import pytest
from tests.site.test_cli import Console

pytestmark = pytest.mark.xdist_group("console")
ADD = """
from lianfang.commons.people import actions
from lianfang.rooms.lake import actions as lake
from lianfang.site import node
from lianfang.commons.people import models
from lianfang.commons.people.queries import viewer_of
actor = viewer_of(models.User.objects.get(username="admin"))
lake.create_source("{name}", kind="poll", address="https://api.example/x", user="u", every=3600, secret="opensesame", actor=actor)
"""


@pytest.fixture
def console(tmp_path):
    console = Console(tmp_path / "home")
    console.json("init")
    return console


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "home" / "keys"


def typed(console, name, code=0):
    """A person makes a source with a secret."""
    done = subprocess.run([sys.executable, "-c", "import django; django.setup()\n" + ADD.format(name=name)], env={**console.environment, "DJANGO_SETTINGS_MODULE": "lianfang.site.settings"}, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == bool(code), done.stderr[-2000:]
    return done.stderr


@pytest.mark.covers("XA8")
def test_a_lost_key_is_said_and_given_up_by_name_only(console, keys, tmp_path):
    typed(console, "one")
    shutil.move(keys / "sealing.key", tmp_path / "backup.key")
    found = {each["name"]: each for each in console.json("doctor", code=1)}["Sealing keys"]
    assert (found["state"], "secrets of log sources: 1" in found["what"], "keys forget 1" in found["todo"]) == ("fail", True, True)
    said = typed(console, "two", code=6)
    assert "lianfang keys forget 1" in said
    assert not (keys / "sealing.key").exists(), "no key was made in its place"
    refused = console("keys", "forget", "1", code=3).stderr
    assert "secrets of log sources: 1" in refused
    assert "--yes" in refused
    console("keys", "rotate", code=6)
    shutil.copy(tmp_path / "backup.key", keys / "sealing.key")
    assert {each["name"]: each for each in console.json("doctor")}["Sealing keys"]["state"] == "ok", "a backup brings everything back"
    console("keys", "forget", "1", "--yes", code=6)
    (keys / "sealing.key").unlink()
    console("keys", "forget", "1", "--yes")
    typed(console, "two")
    listed = {each["number"]: each for each in console.json("keys", "list")}
    assert listed[1]["state"] == "forgotten"
    assert listed[2]["state"] == "newest"
    assert listed[2]["things"] == {"lake.source_secret": 1}
    assert (keys / "sealing-2.key").stat().st_mode & 0o777 == 0o600
    assert console.json("ledger", "verify")["ok"]


@pytest.mark.covers("XA8")
def test_a_new_key_takes_over_and_the_old_one_is_retired(console, keys):
    typed(console, "one")
    assert console.json("keys", "rotate")["generation"] == 2
    assert {each["number"]: each["things"] for each in console.json("keys", "list")} == {1: {"lake.source_secret": 1}, 2: {}}
    typed(console, "two")
    console("keys", "retire", "1", code=6)
    assert console.json("keys", "reseal") == {}
    assert {each["number"]: each["things"] for each in console.json("keys", "list")} == {1: {}, 2: {"lake.source_secret": 2}}
    assert "two minutes" in console("keys", "retire", "1", code=6).stderr, "something may still be on its way"
    console("keys", "retire", "2", code=6)
    assert sorted(path.name for path in keys.glob("sealing*")) == ["sealing-2.key", "sealing.key"]
    assert json.loads(console("keys", "list", "--json").stdout)
