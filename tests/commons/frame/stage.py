"""A room that exists only on stage: one kind of thing with every kind of column, three people, and their addresses."""

from __future__ import annotations

from django.db import models

from lianfang.commons.frame import middleware, pages, sheets
from lianfang.commons.frame.scoped import Scoped, whose
from lianfang.commons.frame.sheets import SEVERITIES, Column, Filter, Sheet, Verb
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Refused
from lianfang.kernel.viewer import NOBODY, Viewer

VERBS = frozenset(f"stage.device.{verb}" for verb in ("view", "add", "change", "delete", "export", "enable")) | {f"stage.plate.{verb}" for verb in ("view", "add", "change")}
MEMBER = Viewer(id="m", name="成员", organisation="org-1", path="0000100001", territory=("0000100001",), permissions=VERBS)
ABOVE = Viewer(id="a", name="上级", organisation="org-0", path="00001", territory=("00001",), permissions=VERBS)
OUTSIDER = Viewer(id="o", name="外单位", organisation="org-9", path="00009", territory=("00009",), permissions=VERBS)
READER = Viewer(id="r", name="只读", organisation="org-1", path="0000100001", territory=("0000100001",), permissions=frozenset({"stage.device.view"}))
PEOPLE = {"member": MEMBER, "above": ABOVE, "outsider": OUTSIDER, "reader": READER}


class Device(Scoped):
    class State(models.TextChoices):
        ACTIVE = "active", "在用"
        CLOSED = "closed", "停用"

    name = models.CharField("名称", max_length=80, unique=True)
    address = models.GenericIPAddressField("地址", null=True, blank=True)
    level = models.PositiveSmallIntegerField("严重性", default=3)
    state = models.CharField("状态", max_length=10, choices=State.choices, default=State.ACTIVE)
    guarded = models.BooleanField("受保护", default=True)
    score = models.IntegerField("分数", default=0)
    seen = models.DateTimeField("最近出现", null=True, blank=True)
    created = models.DateTimeField("创建时间", default=clock.now, editable=False)

    class Meta:
        app_label = "stage"
        verbose_name = "设备"
        verbose_name_plural = "设备"
        indexes = (models.Index(fields=["created", "id"], name="stage_device_created"),)

    def __str__(self) -> str:
        return self.name


class Plate(Scoped):
    """Fields whose names mean something to the schemas of the API."""

    label = models.CharField("标签", max_length=40)
    copy = models.CharField(max_length=40, blank=True)
    model_config = models.CharField(max_length=40, blank=True)

    class Meta:
        app_label = "stage"


def device(**values):
    """A device of the member's organisation."""
    return Device.objects.create(**{**whose(MEMBER), **values})


def enable(row, *, actor):
    if row.score < 0:
        raise Conflict("A device below zero stays off", why="Its score says so.")
    row.state = Device.State.ACTIVE
    row.save()



def refuse(request):
    raise Refused("You may not", why="It is night.", todo="Wait until morning.")


def break_down(request):
    raise ZeroDivisionError("on purpose")


def make_sheet() -> Sheet:
    return Sheet(
        model=Device, room="stage", kind="device", title="设备",
        columns=("name", "address", Column("level", cell="severity"), "state", "guarded", "score", "seen", "created", Column("half", "一半", value=lambda row: row.score / 2, shown=False)),
        filters=(Filter("level", choices=SEVERITIES), "state", "guarded", "score", "seen", "name"),
        search=("name", "address"), fields=("name", "address", "level", "state", "guarded", "score", "seen"), order="-created",
        nav=pages.Nav("assets", "设备", icon="server-2"), verbs=(Verb("enable", "启用", enable, bulk=True, icon="player-play", when=lambda row: row.state != "active"),),
    )  # fmt: skip


class Someone:
    """Middleware: the viewer named by the cookie ``someone`` (or by a key of that name)."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        key = request.headers.get("Authorization", "").removeprefix("Lianfang ").partition(":")[0]
        request.viewer = PEOPLE.get(key or request.COOKIES.get("someone", ""), NOBODY)
        return self.get_response(request)


def declare() -> Sheet:
    """Open the room: one sheet and two pages that fail."""
    sheet = sheets.register(make_sheet())
    pages.page("refuse/", name="refuse", title="Refuse", room="stage")(refuse)
    pages.page("break/", name="break", title="Break", room="stage")(break_down)
    pages.page("open/", name="open", title="Open", public=True, room="stage")(lambda request: pages.show(request, "frame/nothing.html"))
    return sheet


handler400, handler403, handler404, handler500 = middleware.bad, middleware.refused, middleware.missing, middleware.failed
urlpatterns: list = []


def addresses() -> None:
    """Build the addresses (after ``declare``)."""
    urlpatterns[:] = [*pages.urlpatterns({"frame": "lianfang.commons.frame", "stage": "tests.commons.frame"}, namespace="api")]




def declare_shell() -> None:
    """What higher rooms tell the shell."""
    pages.plug(organisation=lambda viewer: pages.Corner("城东银行", "/stage/device/"), inbox=lambda viewer: pages.Corner(url="/stage/device/", count=3))


def components(request):
    """Every component of the design system on one page."""
    moment = clock.now()
    hours = [f"{hour:02d}:00" for hour in range(24)]
    return pages.show(request, "stage/components.html", {
        "levels": range(5, 0, -1), "moment": moment, "pairs": [("主机", "payments-db-002"), ("地址", "10.2.2.3"), ("首次", moment), ("备注", None)],
        "story": [{"at": moment, "title": "规则命中", "text": "可疑的 LSASS 访问", "icon": "bell", "tone": "warn", "who": "检测"}, {"at": moment, "title": "已确认", "who": "成员", "icon": "check"}, {"at": moment, "title": "已关闭", "text": "真实攻击", "tone": "good"}],
        "bars": {"xAxis": {"type": "category", "data": hours}, "yAxis": {"type": "value"}, "legend": {}, "series": [{"type": "bar", "stack": "a", "name": name, "severity": level, "data": [(hour * 7 * level) % 13 for hour in range(24)]} for level, name in ((5, "严重"), (4, "高危"), (3, "中危"), (2, "低危"))]},
        "lines": {"xAxis": {"type": "category", "data": hours}, "yAxis": {"type": "value"}, "legend": {}, "series": [{"type": "line", "name": f"来源 {n}", "showSymbol": False, "data": [(hour * (n + 3)) % 17 + n * 4 for hour in range(24)]} for n in range(1, 7)]},
        "score": {"value": 87.5, "terms": [{"name": "规则级别", "value": 4, "weight": 10, "points": 40, "reason": "高危规则"}, {"name": "资产重要性", "value": 3, "weight": 12.5, "points": 37.5, "reason": "支付数据库"}, {"name": "情报", "value": 1, "weight": 10, "points": 10, "reason": "目的地址在布控名单中"}]},
    })  # fmt: skip
