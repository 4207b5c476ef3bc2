"""Rules, packs and findings through the doors."""

import io
import zipfile

import pytest
from django.test import Client
from django.urls import reverse
from tests.rooms.detect.conftest import NOON, UID, windows

from lianfang.commons.jobs import actions as jobs
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.actions import examining

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def installed(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    return pack


@pytest.fixture
def client_of(three):
    def make(user, language="en"):
        client = Client()
        client.force_login(getattr(three.users, user) if isinstance(user, str) else user, backend="django.contrib.auth.backends.ModelBackend")
        client.cookies["django_language"] = language
        return client

    return make


def rule(name):
    return models.Rule.objects.get(uid=UID[name])


@pytest.mark.parametrize("page", ["rule_list", "pack_list", "finding_list", "install", "try", "hunt", "coverage"])
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_opens_for_who_keeps_the_rules(installed, client_of, page, language):
    assert client_of("member", language).get(reverse(f"detect:{page}")).status_code == 200


def test_a_rule_shows_its_author_licence_logic_and_what_it_needs(installed, client_of):
    page = client_of("member").get(reverse("detect:rule", kwargs={"pk": rule("dump").pk})).content.decode()
    for words in ("Another author", "Apache-2.0", "comsvcs", "CommandLine", "not met yet", "OS Credential Dumping: LSASS Memory", "Look back"):
        assert words in page
    assert "查询当前用户" in client_of("member", "zh-hans").get(reverse("detect:rule", kwargs={"pk": rule("whoami").pk})).content.decode()


@pytest.mark.parametrize(("asked", "found"), [({"technique": "T1003"}, {"dump"}), ({"tactic": "discovery"}, {"whoami"}), ({"alarm": "weak-password"}, {"ssh"}), ({"severity": "5"}, {"dump"}), ({"author": "another"}, {"dump"}), ({"product": "linux"}, {"ssh"}), ({"q": "LSASS"}, {"dump"}), ({"enabled": "0"}, set())])
def test_the_list_is_asked_many_ways(installed, client_of, asked, found):
    page = client_of("member").get(reverse("detect:rule_list"), asked).content.decode()
    assert {name for name in ("whoami", "dump", "ssh") if str(rule(name).pk) in page} == found


def test_rules_are_switched_one_by_one_in_bulk_and_by_source(installed, client_of):
    client = client_of(models_admin())
    client.post(reverse("detect:rule_list"), {"do": "disable", "row": [rule("whoami").pk, rule("dump").pk]})
    assert (rule("whoami").enabled, rule("dump").enabled, rule("ssh").enabled) == (False, False, True)
    client.post(reverse("detect:rule_list"), {"do": f"enable:{rule('dump').pk}"})
    assert rule("dump").enabled
    from lianfang.rooms.lake import actions as lake

    lake.ensure_source("edge", kind="http", actor=SYSTEM)
    three_way = reverse("detect:rule_source", kwargs={"pk": rule("dump").pk})
    owner = client_of(models_admin())
    owner.post(three_way, {"source": "edge", "on": "0"})
    assert models.RuleSwitch.objects.get().on is False
    owner.post(three_way, {"source": "edge", "on": "as"})
    assert not models.RuleSwitch.objects.exists()
    assert owner.post(three_way, {"source": "nowhere", "on": "0"}).status_code == 422


def models_admin():
    from lianfang.commons.people.models import User

    user = User.objects.get(username="admin")
    user.must_change_password = False
    user.save()
    return user


def test_who_may_not_see_rules_sees_none(installed, three, client_of, organisations):
    contact = three.person("contact", organisations.harbour, "unit_contact")
    client = client_of(contact)
    for name in ("rule_list", "pack_list", "finding_list", "install", "try"):
        assert client.get(reverse(f"detect:{name}")).status_code == 403
    for path in ("/api/detect/rules/", "/api/detect/packs/", "/api/detect/findings/", f"/api/detect/rules/{rule('dump').pk}/"):
        assert client.get(path).status_code == 403
    assert client.post(reverse("detect:hunt"), {"what": UID["dump"], "span": "24h"}).status_code == 403


def test_an_upload_is_installed_by_a_worker_and_its_progress_can_be_watched(installed, client_of):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("extra/pack.yaml", "name: extra\nversion: '7'\n")
        archive.writestr("extra/a.yml", (installed.folder / "windows/dump.yml").read_text("utf-8").replace(UID["dump"], "6b7a1c1e-7b2e-4a58-9d0e-0000000000cc"))
    packed.seek(0)
    packed.name = "extra.zip"
    client = client_of(models_admin())
    answer = client.post(reverse("detect:install"), {"archive": packed})
    assert answer.status_code == 302
    assert "You may leave this page" in client.get(answer["Location"]).content.decode()
    jobs.work(once=True)
    assert "Done." in client.get(answer["Location"]).content.decode()
    pack = models.Pack.objects.get(name="extra")
    assert (pack.version, pack.rules, pack.installed_by) == ("7", 1, models_admin().name)
    page = client.get(reverse("detect:pack", kwargs={"pk": models.Pack.objects.get(name="house rules").pk})).content.decode()
    assert "windows/broken.yml" in page


def test_findings_belong_to_whom_they_concern(installed, batch, client_of):
    watchman = examining.Watchman()
    found = batch(windows(r"C:\x\whoami.exe", host="harbour-ws"))
    watchman.conclude(found, watchman.examine(found))
    for who, sees in (("member", True), ("colleague", True), ("outsider", False)):
        client = client_of(who)
        assert (b"harbour-ws" in client.get(reverse("detect:finding_list")).content) is sees
        assert bool(client.get("/api/detect/findings/").json()["items"]) is sees
    pk = models.Finding.objects.get().pk
    assert client_of("outsider").get(reverse("detect:finding", kwargs={"pk": pk})).status_code == 404


def test_a_log_can_be_tried_and_nothing_is_kept(installed, client_of):
    text = '{"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Image": "C:\\\\Windows\\\\System32\\\\rundll32.exe", "CommandLine": "rundll32 comsvcs.dll #24"}'
    page = client_of("member").post(reverse("detect:try"), {"text": text}).content.decode()
    assert "Memory of LSASS read" in page
    assert "<mark>comsvcs</mark>" in page
    assert not models.Finding.objects.exists()
    assert client_of("member").post(reverse("detect:try"), {"text": '{"broken'}).status_code == 200


def test_what_people_try_at_once_is_examined_one_after_the_other(installed, client_of, monkeypatch):
    """An examiner serves one thread, and the web process has several."""
    from lianfang.rooms.detect.pages import trying

    real, held = trying.explaining.tried, []
    monkeypatch.setattr(trying.explaining, "tried", lambda *given: (held.append(trying._turn.locked()), real(*given))[1])
    assert client_of("member").post(reverse("detect:try"), {"text": '{"a": "b"}'}).status_code == 200
    assert (held, trying._turn.locked()) == ([True], False)


def test_an_organisation_switches_rules_for_its_own_sources_and_nothing_of_the_node(installed, three, client_of, organisations):
    from lianfang.commons.people.queries import viewer_of
    from lianfang.kernel.errors import Refused
    from lianfang.rooms.lake import actions as lake

    keeper = viewer_of(three.person("keeper", organisations.harbour, "administrator"))
    lake.ensure_source("harbour-edge", kind="http", actor=keeper)
    actions.switch(rule("dump"), False, "harbour-edge", actor=keeper)
    assert models.RuleSwitch.objects.get().source == "harbour-edge"
    with pytest.raises(Refused):
        actions.switch(rule("dump"), False, "harbour-edge", actor=three.viewers.outsider)
    with pytest.raises(Refused):
        actions.switch(rule("dump"), False, actor=keeper)
    with pytest.raises(Refused):
        actions.install_pack(installed.folder, actor=keeper)
    with pytest.raises(Refused):
        actions.look_back(UID["dump"], NOON, actor=keeper)


def test_how_often_a_rule_fires_elsewhere_is_nobody_s_to_know(installed, batch, three):
    from lianfang.rooms.detect import queries

    watchman = examining.Watchman()
    found = batch(windows(r"C:\x\whoami.exe"))
    watchman.conclude(found, watchman.examine(found))
    counts = {name: {line.uid: line.fired for line in queries.rules(getattr(three.viewers, name))}[UID["whoami"]] for name in ("member", "colleague", "outsider")}
    assert counts == {"member": 1, "colleague": 1, "outsider": 0}
