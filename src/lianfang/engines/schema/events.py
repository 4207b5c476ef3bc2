"""The columns of an event at rest: a flat, queryable choice of OCSF leaves, with nothing lost beside them.

An event is stored once. Leaves that people filter by have a column of their own; all that a mapping did not name is
kept in ``unmapped`` (JSON text, native field names), the original bytes in ``raw``. Lists (``ips``, ``hashes`` …)
hold every such value of the event, whatever leaf it came from, so that one address is found by one look.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Storage kind of a column."""

    TEXT = "text"
    INT = "int"
    TIME = "time"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in SQL, the OCSF path it holds (``""``: ours), its kind, and a Chinese and English title."""

    name: str
    path: str
    kind: Kind
    zh: str
    en: str


def _columns() -> tuple[Column, ...]:
    t, i, m, s = Kind.TEXT, Kind.INT, Kind.TIME, Kind.LIST
    rows = (
        ("event_id", "metadata.uid", t, "事件编号", "Event ID"),
        ("event_day", "", t, "日期", "Day"),
        ("time", "time", m, "时间", "Time"),
        ("received", "metadata.logged_time", m, "接收时间", "Received"),
        ("source", "", t, "日志源", "Source"),
        ("territory", "", t, "组织路径", "Organisation path"),
        ("industry", "", t, "行业路径", "Industry path"),
        ("level", "", i, "数据级别", "Data level"),
        ("class_uid", "class_uid", i, "事件类", "Class"),
        ("activity_id", "activity_id", i, "活动", "Activity"),
        ("severity_id", "severity_id", i, "严重性", "Severity"),
        ("status_id", "status_id", i, "状态", "Status"),
        ("product", "metadata.product.name", t, "产品", "Product"),
        ("log_name", "metadata.log_name", t, "日志", "Log"),
        ("event_code", "metadata.event_code", t, "事件代码", "Event code"),
        ("host", "device.hostname", t, "主机", "Host"),
        ("host_ip", "device.ip", t, "主机地址", "Host address"),
        ("user", "user.name", t, "用户", "User"),
        ("user_domain", "user.domain", t, "用户域", "User domain"),
        ("user_uid", "user.uid", t, "用户标识", "User ID"),
        ("actor_user", "actor.user.name", t, "操作者", "Actor"),
        ("logon_type", "logon_type_id", i, "登录类型", "Logon type"),
        ("src_ip", "src_endpoint.ip", t, "源地址", "Source address"),
        ("src_port", "src_endpoint.port", i, "源端口", "Source port"),
        ("src_host", "src_endpoint.hostname", t, "源主机", "Source host"),
        ("dst_ip", "dst_endpoint.ip", t, "目的地址", "Destination address"),
        ("dst_port", "dst_endpoint.port", i, "目的端口", "Destination port"),
        ("dst_host", "dst_endpoint.hostname", t, "目的主机", "Destination host"),
        ("protocol", "connection_info.protocol_name", t, "协议", "Protocol"),
        ("process", "process.file.path", t, "进程", "Process"),
        ("process_cmd", "process.cmd_line", t, "命令行", "Command line"),
        ("process_pid", "process.pid", i, "进程号", "Process ID"),
        ("process_uid", "process.uid", t, "进程标识", "Process GUID"),
        ("parent", "process.parent_process.file.path", t, "父进程", "Parent process"),
        ("parent_cmd", "process.parent_process.cmd_line", t, "父命令行", "Parent command line"),
        ("file", "file.path", t, "文件", "File"),
        ("reg_key", "reg_key.path", t, "注册表项", "Registry key"),
        ("reg_value", "reg_value.data", t, "注册表值", "Registry value"),
        ("service", "service.name", t, "服务", "Service"),
        ("domain", "query.hostname", t, "域名", "Domain"),
        ("url", "http_request.url.url_string", t, "网址", "URL"),
        ("http_method", "http_request.http_method", t, "HTTP 方法", "HTTP method"),
        ("http_status", "http_response.code", i, "HTTP 状态", "HTTP status"),
        ("user_agent", "http_request.user_agent", t, "用户代理", "User agent"),
        ("script", "script.script_content", t, "脚本", "Script"),
        ("message", "message", t, "消息", "Message"),
        ("ips", "", s, "所有地址", "All addresses"),
        ("hashes", "", s, "所有散列", "All hashes"),
        ("domains", "", s, "所有域名", "All domains"),
        ("rules", "", s, "命中规则", "Rules that fired"),
        ("template", "", t, "映射模板", "Mapping template"),
        ("unmapped", "unmapped", t, "其他字段", "Other fields"),
        ("raw", "raw_data", t, "原始日志", "Raw log"),
    )
    return tuple(Column(*row) for row in rows)


COLUMNS: tuple[Column, ...] = _columns()
BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}
BY_PATH: dict[str, Column] = {column.path: column for column in COLUMNS if column.path}

TABLES: dict[int, str] = {
    0: "other",
    1: "system_activity",
    2: "findings",
    3: "iam",
    4: "network_activity",
    5: "discovery",
    6: "application_activity",
}
"""OCSF category → event table: one table per class family."""


def table_of(class_uid: int) -> str:
    """The table of a class.

    >>> table_of(3002), table_of(0), table_of(201001)
    ('iam', 'other', 'system_activity')
    """
    return TABLES.get(class_uid // 1000 % 100, "other")  # extensions count from 100,000 upwards: 201001 is of category 1
