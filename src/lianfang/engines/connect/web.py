"""Web access records under other names get the W3C names that Sigma's ``webserver`` rules use.

The native fields stay; ``cs-method``, ``cs-uri-stem``, ``cs-uri-query``, ``sc-status`` … are added beside them.
"""

from __future__ import annotations

_NAMES = (
    ("cs-method", ("request_method", "method")),
    ("sc-status", ("status", "status_code", "response_code")),
    ("c-ip", ("remote_addr", "client_ip", "remote_ip")),
    ("cs-user-agent", ("http_user_agent", "user_agent", "agent")),
    ("cs-referer", ("http_referer", "referer", "referrer")),
    ("cs-host", ("http_host", "host", "server_name", "vhost")),
    ("cs-username", ("remote_user",)),
    ("sc-bytes", ("body_bytes_sent", "bytes_sent", "size")),
    ("time-taken", ("request_time",)),
)


def native(row: dict[str, str]) -> dict[str, str]:
    """nginx-like names → W3C names added; every other row is given back as it is.

    >>> row = native({"remote_addr": "192.0.2.1", "request": "GET /a?b=1 HTTP/1.1", "status": "200"})
    >>> row["cs-method"], row["cs-uri-stem"], row["cs-uri-query"], row["sc-status"]
    ('GET', '/a', 'b=1', '200')
    """
    if "cs-method" in row or not ("request" in row or "request_uri" in row or "uri" in row) or not ("status" in row or "status_code" in row):
        return row
    request = row.get("request", "").split(" ")
    target = row.get("request_uri") or row.get("uri") or (request[1] if len(request) > 1 else "")
    if len(request) > 1 and request[0].isalpha():
        row.setdefault("cs-method", request[0])
    split(row, target, query=row.get("query_string") or row.get("args") or "")
    for ours, theirs in _NAMES:
        for name in theirs:
            if row.get(name, "-") != "-":
                row.setdefault(ours, row[name])
                break
    return row


def split(row: dict[str, str], target: str, *, query: str = "") -> None:
    """The target of a request → ``cs-uri``, its stem and its query.

    >>> row = {}; split(row, "/a?b"); row
    {'cs-uri': '/a?b', 'cs-uri-stem': '/a', 'cs-uri-query': 'b'}
    """
    stem, _, rest = target.partition("?")
    for name, value in (("cs-uri", target), ("cs-uri-stem", stem), ("cs-uri-query", rest or query)):
        if value:
            row.setdefault(name, value)
