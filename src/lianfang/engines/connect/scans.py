"""What a network scanner found (nmap's XML output, ``nmap -oX``): one record a host, an open port, a vulnerability.

In: the bytes of a report, from anybody, in chunks. Out: JSON objects under ``scan.…``, each of which says on its own which
host is meant. Expat reads as it comes: a report of a whole network needs the memory of one port. A document type is
allowed (nmap writes one) as long as it declares nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from xml.parsers import expat

from lianfang.engines.connect.limits import Limits, Unreadable

_TODO = "Send the whole file that nmap wrote with -oX."
_CVE = re.compile(r"\b(CVE-\d{4}-\d{4,7})\b(?:[ \t]+(\d{1,2}\.\d))?")
_CVES, _TEXT = 200, 2_000
_RATINGS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
"""CVSS v3.1, section 5: qualitative severity."""


def looks_like(head: bytes) -> bool:
    """Whether a file with this beginning is nmap's XML.

    >>> looks_like(b'<?xml version="1.0"?><!DOCTYPE nmaprun><nmaprun scanner="nmap">'), looks_like(b"<Events>")
    (True, False)
    """
    return head.lstrip().startswith(b"<") and b"<nmaprun" in head


def records(chunks: Iterable[bytes], *, limits: Limits) -> Iterator[dict[str, Any]]:
    """The records of a report as they are met; raises ``Unreadable`` where it breaks off or is no report.

    >>> xml = b'<nmaprun><host endtime="1"><address addr="192.0.2.7" addrtype="ipv4"/><ports><port protocol="tcp" portid="22"><state state="open"/><service name="ssh"/></port></ports></host></nmaprun>'
    >>> [(row["scan"]["record"], row["scan"]["address"]) for row in records([xml], limits=Limits())]
    [('port', '192.0.2.7'), ('host', '192.0.2.7')]
    """
    report = _Report(limits)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = report.start, report.end, report.text
    parser.EntityDeclHandler = _forbidden
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            yield from report.taken()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        yield from report.taken()
        raise Unreadable(f"Not XML: {expat.errors.messages.get(error.code, 'broken')}, line {error.lineno}", _TODO) from error
    yield from report.taken()


def _forbidden(*_: Any) -> None:
    raise Unreadable("The XML declares entities", "nmap never does: check where the file comes from.")


class _Report:
    """Elements of nmap's XML (nmap.dtd) → records of the host that is open."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.depth = 0
        self.begun = ""
        self.host: dict[str, Any] = {}
        self.port: dict[str, Any] = {}
        self.cpe: list[str] | None = None
        self.ready: list[dict[str, Any]] = []

    def taken(self) -> list[dict[str, Any]]:
        """What is whole by now."""
        ready, self.ready = self.ready, []
        return [{"scan": {"scanner": "nmap", **{name: value for name, value in row.items() if value}}} for row in ready]

    def start(self, name: str, said: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > self.limits.depth:
            raise Unreadable(f"Nested deeper than {self.limits.depth} levels", _TODO)
        said = {key: value[:_TEXT] for key, value in said.items()}
        match name:
            case "nmaprun":
                self.begun = said.get("start", "")
            case "host":
                self.host, self.port = {"time": said.get("endtime") or said.get("starttime") or self.begun}, {}
            case "status" if self.host:
                self.host["state"] = said.get("state", "")
            case "address" if self.host:
                self.host["mac" if said.get("addrtype") == "mac" else "address"] = said.get("addr", "")
                self.host["vendor"] = said.get("vendor", "") or self.host.get("vendor", "")
            case "hostname" if self.host:
                self.host.setdefault("hostname", said.get("name", ""))
            case "osmatch" if self.host:
                self.host.setdefault("os", said.get("name", ""))
            case "port" if self.host:
                self.port = {"port": said.get("portid", ""), "protocol": said.get("protocol", "")}
            case "state" if self.port:
                self.port["port_state"] = said.get("state", "")
            case "service" if self.port:
                self.port |= {"service": said.get("name", ""), "product": " ".join(filter(None, (said.get("product"), said.get("version"))))}
            case "cpe" if self.port:
                self.cpe = []
            case "script" if self.host:
                self._script(said)

    def text(self, data: str) -> None:
        if self.cpe is not None:
            self.cpe.append(data[:_TEXT])

    def end(self, name: str) -> None:
        self.depth -= 1
        if name == "cpe" and self.cpe is not None:
            self.port.setdefault("cpe", "".join(self.cpe)[:_TEXT])
            self.cpe = None
        elif name == "port":
            if self.port.get("port_state") == "open":
                self.ready.append({"record": "port", **self._whose(), **self.port})
            self.port = {}
        elif name == "host":
            if self.host.get("address") and self.host.get("state") != "down":
                self.ready.append({"record": "host", **self.host})
            self.host = {}

    def _whose(self) -> dict[str, Any]:
        return {name: self.host.get(name, "") for name in ("time", "address", "hostname")}

    def _script(self, said: dict[str, str]) -> None:
        """What a script found out: a record for each CVE that it names."""
        found: dict[str, str] = {}
        for cve, score in _CVE.findall(said.get("output", ""))[:_CVES]:
            found[cve] = found.get(cve) or score  # a link behind it says the name again
        for cve, score in found.items():
            rating = next((word for least, word in _RATINGS if score and float(score) >= least), "")
            self.ready.append({"record": "vulnerability", **self._whose(), **self.port, "cve": cve, "score": score, "severity": rating, "script": said.get("id", "")})
