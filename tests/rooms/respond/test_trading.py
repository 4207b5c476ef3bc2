"""A futures firm watches its trading: the systems that take orders on the business layer, the lines between them and the exchanges on the network layer.

The records of the business layer are written by us after the public names of the CTP API; no such system was there to write them.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape

import pytest
from django.conf import settings as live
from django.test import Client
from django.urls import reverse

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people import actions as people
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.detect import models as detect_models
from lianfang.rooms.detect.actions import correlating
from lianfang.rooms.detect.queries import monitors
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)
RULES = live.CONTENT / "rules"
GATEWAY, FRONT, MARKET = "10.8.1.5", "192.0.2.10", "192.0.2.20"
"""The order gateway of the firm, the front of the exchange's side, and where prices come from."""


@pytest.fixture
def role():
    return "operator"


@pytest.fixture
def desk(three, organisations):
    """The browser of whoever is on duty: reads what is on level 3, such as who signed in."""
    return browser(three.person("leader", organisations.harbour, "duty_leader"))


@pytest.fixture
def outsider(three, organisations):
    """On duty too, but at another firm."""
    return browser(three.person("stranger", organisations.mill, "duty_leader"))


@pytest.fixture
def firm(three):
    """``firm("order-gateway", layer="business")``: the operator assigns a source to a layer; gives what sends records to it with its key, each with how long ago it was."""
    operator = three.users.member
    key = people.make_key("log reader", permissions=("lake.event.add",), actor=viewer_of(operator), user=operator.pk)
    correlating._mine.clear()

    def source(name, *, layer):
        made = browser(operator).post("/api/lake/source/", json.dumps({"name": name, "kind": "http", "layer": layer}), content_type="application/json")
        assert made.status_code == 201, made.content

        def send(*records):
            now = clock.now()
            lines = [json.dumps(record | ({"ts": (now - ago).timestamp()} if "_path" in record else {"time": clock.text(now - ago)}), ensure_ascii=False) for ago, record in records]
            answer = Client().post(f"/api/lake/ingest/{name}", data="\n".join(lines).encode(), content_type="application/json", headers={"Authorization": key.header})
            assert answer.status_code == 202, answer.content
            lake.drain()
            detect.judge_baselines()
            work()
            return lines

        return send

    return source


def work():
    jobs.work(once=True)
    detect.correlate()
    jobs.work(once=True)


def browser(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


def words(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def rules(*paths):
    """These rules, with all others of the packs that they come in: what is ordinary must wake none of them."""
    for pack in dict.fromkeys(path.split("/")[0] for path in paths):
        assert detect.install_pack(RULES / pack, actor=SYSTEM).problems == ()
    return [detect_models.Rule.objects.get(path=path.split("/", 1)[1]) for path in paths]


def alert_of(rule):
    return models.Alert.objects.get(rule_uid=rule.uid)


def page_of(client, alert):
    return client.get(reverse("respond:alert", kwargs={"pk": alert.pk}))


def card(client, layer):
    """What the card of one layer says on the page of the four layers."""
    page = client.get("/respond/layers/").content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", re.search(rf'data-layer="{layer}">(.*?)</section>', page, re.DOTALL)[1]).split())


def call(name, **fields):
    return {"hostname": "order-gw-01", "Callback": name, "BrokerID": "8888"} | fields


def order(number, account="80010001", **fields):
    sent = {"InvestorID": account, "UserID": "trader01", "OrderRef": str(number), "ExchangeID": "SHFE", "InstrumentID": "cu2701", "Direction": "0", "CombOffsetFlag": "0", "LimitPrice": 71230.0, "VolumeTotalOriginal": 1, "IPAddress": "10.8.3.21"}
    return call("ReqOrderInsert", **sent | fields)


def login(account="80010001", error=0, **fields):
    return call("OnRspUserLogin", **{"UserID": account, "IPAddress": "10.8.3.21", "ErrorID": error, "ErrorMsg": "登录不合法" if error else ""} | fields)


def flow(to, *, of=GATEWAY, port=41205, state="SF"):
    return {"_path": "conn", "uid": "C1", "id.orig_h": of, "id.orig_p": 40000, "id.resp_h": to, "id.resp_p": port, "proto": "tcp", "conn_state": state}


# ---- the business layer ----------------------------------------------------------------------------------------


@pytest.mark.covers("XD2")
def test_the_front_is_lost_and_an_alarm_stands_at_once_until_it_is_back(firm, three, desk, outsider):
    """Whoever is on duty sees on the business layer that the gateway lost the front, why, and when it was back; the record stands behind it as it came."""
    rule, late, channel = rules("starter/trading/front_disconnected.yml", "starter/trading/front_heartbeat_late.yml", "starter/trading/exchange_channel_down.yml")
    send = firm("order-gateway", layer="business")
    made = browser(three.users.member).post(reverse("detect:monitor_add"), {"name": "Front of the exchange", "source": "order-gateway", "keywords": "OnFrontDisconnected", "recovery": "OnFrontConnected", "times": "1", "within": "60", "severity": "5", "enabled": "on", "note": "Call the trading floor."})
    assert made.status_code == 302, words(made)
    where = {"FrontAddress": f"tcp://{FRONT}:41205", "备注": "主用前置"}
    send(*[(timedelta(days=day), login()) for day in range(1, 15)], *[(timedelta(days=day), order(day)) for day in range(1, 15)], (timedelta(hours=1), call("OnFrontConnected", **where)))
    assert not models.Alert.objects.exists(), "ordinary trading is no alarm"
    assert card(desk, "business").startswith("Business 0 open alarms")

    _, lost = send((timedelta(seconds=9), call("OnHeartBeatWarning", nTimeLapse=25)), (timedelta(), call("OnFrontDisconnected", nReason=8193, **where)))
    alert, alarm = alert_of(rule), models.Alert.objects.get(title="Front of the exchange")
    assert (alert.host, alert.severity, alert.source_name, alert.alarm) == ("order-gw-01", 4, "order-gateway", "outage")
    assert alert_of(late).severity == 3
    assert card(desk, "business").startswith("Business Queue 3 open alarms")
    assert card(desk, "network").startswith("Network 0 open alarms")
    told = page_of(desk, alert)
    assert lost in unescape(told.content.decode()), "the full raw record"
    assert "0x2001 接收心跳超时 no heartbeat came" in words(told)
    (event,) = desk.get("/api/lake/events/?q=OnFrontDisconnected").json()["events"]
    assert (event["product"], event["dst_ip"], event["dst_port"], event["log_name"]) == ("CTP", FRONT, 41205, "trading.channel")

    assert "Call the trading floor." in words(page_of(desk, alarm))
    send((timedelta(), call("OnFrontConnected", **where)), (timedelta(), call("OnRspQryTraderOffer", ExchangeID="DCE", TraderID="0088801", TraderConnectStatus="1")))
    alarm.refresh_from_db()
    assert (alarm.state, alarm.recovered is not None) == ("new", True)
    assert "Recovered" in words(page_of(desk, alarm))
    assert alert_of(channel).severity == 4, "a seat that is not connected is told too"

    assert page_of(outsider, alert).status_code == 404
    assert card(outsider, "business").startswith("Business 0 open alarms")
    assert "trading front" not in words(outsider.get("/respond/layers/")) + outsider.get("/api/respond/alerts/").content.decode()
    assert outsider.get("/api/lake/events/?q=OnFrontDisconnected").json()["events"] == []


@pytest.mark.covers("XD2")
def test_an_account_orders_and_cancels_far_more_than_it_does_in_other_weeks_and_than_others_do(firm, three, desk, outsider):
    """After three weeks of ordinary trading the alert says in numbers what was usual at this hour and what is now, and opens the orders behind it."""
    rate, cancels = rules("baselines/trading/orders_rate.yml", "baselines/trading/cancels_of_an_account.yml")
    send = firm("order-gateway", layer="business")
    accounts = [f"8001000{number}" for number in range(1, 8)]
    then = clock.now().replace(minute=30, second=0, microsecond=0) - timedelta(hours=2)

    def hour(account, number):
        return [(timedelta(seconds=at), order(at, account)) for at in range(number)]

    week = [(timedelta(days=day, seconds=at), one) for day in range(1, 22) for account in accounts for at, one in enumerate((order(1, account), call("ReqOrderAction", InvestorID=account, UserID="trader01", OrderRef="1", ActionFlag="0")))]
    with clock.frozen(then):
        send(*week, *[(ago + timedelta(weeks=weeks), one) for weeks in (3, 2, 1) for account in accounts for ago, one in hour(account, 12)])
        send(*[one for account in accounts[1:] for one in hour(account, 14)])
    with clock.frozen(then + timedelta(minutes=5)):
        sent = send(*hour("80010001", 150), *[(timedelta(seconds=at), call("ReqOrderAction", InvestorID="80010001", UserID="trader01", OrderRef=str(at), ActionFlag="0")) for at in range(120)])
    assert not models.Alert.objects.filter(rule_uid=rate.uid).exists(), "the hour is not over"
    with clock.frozen(then + timedelta(hours=1)):
        detect.judge_baselines()
        work()
    alert = alert_of(rate)
    assert (alert.kind, alert.severity, alert.alarm, alert.host) == ("baseline", 4, "abnormal-trading", "order-gw-01")
    told = page_of(desk, alert)
    assert "150 events of 80010001 in an hour" in words(told)
    assert re.search(r"usually 1[23] ± [\d.]+ at this hour of the week", words(told)), words(told)
    assert any(line in unescape(told.content.decode()) for line in sent[:150]), "orders stand behind it as they came"
    other = words(page_of(desk, alert_of(cancels)))
    assert re.search(r"80010001: 12[01] events in a day", other)
    assert "usually 1 ± 1 among its likes" in other
    assert set(detect_models.Finding.objects.values_list("user", flat=True)) == {"80010001"}, "who traded as always is not told of"
    assert card(desk, "business").startswith("Business Queue 2 open alarms")
    assert page_of(outsider, alert).status_code == 404


@pytest.mark.covers("XD2")
def test_log_ins_of_a_trading_account_are_refused_and_then_somebody_is_let_in_from_an_address_it_never_used(firm, three, desk, outsider):
    """Ten refusals of one account are one alert; nine are somebody who forgot. The address that was new is told by the baseline that watches all log-ins."""
    guessing, address = rules("correlations/chains/counter_account_guessing.yml", "baselines/logon/account_new_address.yml")
    send = firm("trade-front", layer="business")
    send(*[(timedelta(days=day), login(account)) for day in range(1, 22) for account in ("80010001", "80010002")])
    send(*[(timedelta(minutes=30, seconds=at), login("80010002", 3)) for at in range(9)])
    assert not models.Alert.objects.exists()
    refused = send(*[(timedelta(minutes=8, seconds=20 * at), login("80010001", 3, IPAddress="203.0.113.80")) for at in range(10)])
    alert = alert_of(guessing)
    assert (alert.kind, alert.count, alert.alarm) == ("correlation", 10, "weak-password")
    told = page_of(desk, alert)
    assert "(80010001)" in words(told), "whose it is"
    assert any(line in unescape(told.content.decode()) for line in refused)
    send((timedelta(minutes=5), login("80010001", IPAddress="203.0.113.80")), (timedelta(minutes=5), login("80010002")))
    new = alert_of(address)
    assert "203.0.113.80 was never seen with 80010001 before" in words(page_of(desk, new))
    assert card(desk, "business").startswith("Business Queue 2 open alarms")
    assert page_of(outsider, new).status_code == 404


@pytest.mark.covers("XD2")
def test_the_front_does_not_come_back_and_orders_are_refused_in_a_wave(firm, desk, outsider):
    """Of two gateways one is connected again within the minute: only the other is told of. Fifty orders refused within a minute are one alert with their reason."""
    stays, wave = rules("correlations/chains/order_channel_stays_down.yml", "correlations/chains/orders_refused_wave.yml")
    main, spare = firm("order-gateway", layer="business"), firm("order-gateway-2", layer="business")
    main((timedelta(seconds=2), call("OnFrontDisconnected", nReason=4097)))
    spare((timedelta(seconds=2), call("OnFrontDisconnected", nReason=4097)), (timedelta(), call("OnFrontConnected")))
    refusal = {"Callback": "OnRspOrderInsert", "ErrorID": 31, "ErrorMsg": "可用资金不够"}
    refused = spare(*[(timedelta(seconds=at / 4), order(at, **refusal)) for at in range(49)])
    assert not models.Alert.objects.exists(), "forty-nine are not fifty, and a minute is not over"
    spare((timedelta(), order(50, **refusal)))
    alert = alert_of(wave)
    assert (alert.count, alert.source_name, alert.alarm) == (50, "order-gateway-2", "outage")
    told = unescape(page_of(desk, alert).content.decode())
    assert any(line in told for line in refused)
    with clock.frozen(clock.now() + timedelta(minutes=2)):
        work()
        down = alert_of(stays)
        assert (down.source_name, down.severity) == ("order-gateway", 5)
        assert "within 1 minute no “Order channel connected” followed" in words(page_of(desk, down))
        assert card(desk, "business").startswith("Business Queue 2 open alarms")
        assert page_of(outsider, down).status_code == 404


# ---- the network layer -----------------------------------------------------------------------------------------


@pytest.mark.covers("XD4")
def test_the_order_gateway_talks_to_somebody_it_never_did(firm, three, desk, outsider):
    """The flows of the trading network come from a sensor; a counterpart that is new after three weeks is an alert of the network layer, with what was usual."""
    (rule,) = rules("baselines/network/server_new_destination.yml")
    send = firm("trading-net", layer="network")
    send(*[(timedelta(days=day, minutes=at), flow(to)) for day in range(1, 22) for at, to in enumerate((FRONT, MARKET))], (timedelta(minutes=30), flow(FRONT)))
    assert not models.Alert.objects.exists(), "what is said every day is no alarm"
    (line,) = send((timedelta(minutes=5), flow("198.51.100.7", port=443)))
    alert = alert_of(rule)
    told = page_of(desk, alert)
    assert f"198.51.100.7 was never seen with {GATEWAY} before" in words(told)
    assert line in unescape(told.content.decode())
    assert all(f"{known} (2" in words(told) for known in (FRONT, MARKET)), "whom it talks to"
    assert card(desk, "network").startswith("Network Queue 1 open alarm")
    assert card(desk, "business").startswith("Business 0 open alarms")
    assert page_of(outsider, alert).status_code == 404
    assert card(outsider, "network").startswith("Network 0 open alarms")


@pytest.mark.covers("XD4")
def test_the_line_to_the_front_falls_silent_or_is_refused(firm, three, desk, outsider):
    """Prices go on, orders do not: what was usual at this hour is told beside what came. Nobody named an address to the rule."""
    silent, refused = rules("baselines/network/destination_fell_silent.yml", "baselines/network/refused_rate.yml")
    send = firm("trading-net", layer="network")
    then = clock.now().replace(minute=30, second=0, microsecond=0) - timedelta(hours=2)

    def hour(to, number, **how):
        return [(timedelta(seconds=10 * at), flow(to, **how)) for at in range(number)]

    with clock.frozen(then):
        send(*[(ago + timedelta(weeks=weeks), one) for weeks in (3, 2, 1) for to in (FRONT, MARKET) for ago, one in hour(to, 40)], *[(ago + timedelta(weeks=weeks), one) for weeks in (3, 2, 1) for ago, one in hour("192.0.2.30", 2, state="REJ")])
    with clock.frozen(then + timedelta(minutes=25)):
        send(*hour(MARKET, 41), *hour("192.0.2.30", 90, state="REJ"))
    with clock.frozen(then + timedelta(hours=1)):
        detect.judge_baselines()
        work()
    told = words(page_of(desk, alert_of(silent)))
    assert f"0 events of {FRONT} in an hour" in told
    assert re.search(r"usually 40 ± [\d.]+ at this hour of the week", told)
    assert "90 events of 192.0.2.30 in an hour" in words(page_of(desk, alert_of(refused)))
    assert models.Alert.objects.count() == 2, "prices went on"
    assert card(desk, "network").startswith("Network Queue 2 open alarms")
    assert page_of(outsider, alert_of(silent)).status_code == 404


@pytest.mark.covers("XD4")
def test_no_flow_between_gateway_and_front_for_a_minute_is_an_alarm_while_there_is_trading(firm, three, desk, outsider):
    """The operator names the sign of life of the line and for how long it may be missing; when the flow is back the alarm is marked so."""
    page, send = browser(three.users.member), firm("trading-net", layer="network")
    made = page.post(reverse("detect:monitor_add"), {"name": "Line to the front", "source": "trading-net", "keywords": "", "beats": FRONT, "silence": "60", "times": "1", "within": "60", "severity": "5", "enabled": "on"})
    assert made.status_code == 302, words(made)
    send((timedelta(), flow(FRONT)), (timedelta(), flow(MARKET)))

    def silent_for(seconds):
        """As if the last flow to the front had come so many seconds ago."""
        now = clock.now()
        detect_models.Monitor.objects.update(alive=now - timedelta(seconds=seconds), floor=now - timedelta(hours=1), looked=now)
        detect.look_at_monitors()
        work()
        return monitors.standing(detect_models.Monitor.objects.get())

    assert silent_for(40) == "ok"
    assert not models.Alert.objects.exists()
    assert silent_for(75) == "absent"
    alert = models.Alert.objects.get()
    assert alert.title == "Line to the front: no sign of life for 60 s"
    send((timedelta(), flow(MARKET)))
    alert.refresh_from_db()
    assert alert.recovered is None, "prices are no sign of life of the orders' line"
    assert card(desk, "network").startswith("Network Queue 1 open alarm")
    send((timedelta(), flow(FRONT)))
    alert.refresh_from_db()
    assert alert.recovered is not None
    assert page_of(outsider, alert).status_code == 404
