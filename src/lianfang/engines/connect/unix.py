"""Messages of well-known Unix programs → fields beside the message: sshd, sudo, su, PAM, and web servers over syslog.

A user name is chosen by the attacker: ``from`` and ``port`` are taken from the *last* place they
can stand, so that a name like ``root from 192.0.2.1 port 1 ssh2`` cannot move the blame.
Formats: OpenSSH ``auth.c``/``packet.c``, sudo ``logging.c``, Linux-PAM ``pam_unix``, the Combined Log Format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lianfang.engines.connect import web
from lianfang.engines.connect.flatten import put

_FROM = r" from (?P<src_ip>[0-9A-Fa-f:.%\w-]+)"
_PORT = r" port (?P<src_port>\d+)"
_SSHD: tuple[tuple[str, str, str, str], ...] = (
    ("Accepted", r"Accepted (?P<method>\S+) for (?P<user>.*)" + _FROM + _PORT + r" ssh2?(?:: .*)?", "accepted", "success"),
    ("Failed", r"Failed (?P<method>\S+) for (?:(?P<user_status>invalid user) )?(?P<user>.*)" + _FROM + _PORT + r"(?: ssh2?)?(?:: .*)?", "failed", "failure"),
    ("Invalid Illegal", r"\w+ user (?P<user>.*)" + _FROM + r"(?:" + _PORT + r")?", "invalid_user", "failure"),
    ("error: maximum", r"(?:error: )?maximum authentication attempts exceeded for (?:invalid user )?(?P<user>.*)" + _FROM + _PORT + r" ssh2(?: \[preauth\])?", "max_attempts", "failure"),
    ("User", r"User (?P<user>.*)" + _FROM + r" not allowed because .*", "not_allowed", "failure"),
    ("Connection", r"Connection" + _FROM + _PORT + r".*", "connected", ""),
    ("Connection Disconnected Received Disconnecting", r"(?:Connection (?:closed|reset) by|Disconnected from|Received disconnect from|Disconnecting)(?: (?:(?:authenticating|invalid) )?user (?P<user>.*?))? (?P<src_ip>[0-9A-Fa-f:.]+)" + _PORT + r"\b.*", "disconnected", ""),
    ("error: banner Did Bad Unable", r"(?:error: kex_exchange_identification|banner exchange|Did not receive identification string|Bad protocol version identification|Unable to negotiate).*?(?: from| with) (?P<src_ip>[0-9A-Fa-f:.]+)(?:" + _PORT + r")?.*", "scanned", "failure"),
    ("reverse", r"reverse mapping checking getaddrinfo for (?P<src_host>\S+) \[(?P<src_ip>[^\]]+)\] failed.*", "reverse_mapping", ""),
)
"""First words, pattern, action, outcome."""
_BY_WORD: dict[str, list[tuple[re.Pattern[str], str, str]]] = {}
for _words, _pattern, _action, _outcome in _SSHD:
    for _word in _words.split():
        _BY_WORD.setdefault(_word, []).append((re.compile(_pattern), _action, _outcome))
LONGEST = 16384
"""Characters of a message that is looked into; no program above writes more, and patterns go back over a text at most a few times."""
_PAM = re.compile(r"^pam_unix\((?P<service>[^:)]+):(?P<stage>[^)]+)\): (?P<event>session opened|session closed|authentication failure)(?P<rest>.*)$")
_PAM_USER = re.compile(r" for user (?P<user>[^\s(]+)")
_PAM_PAIR = re.compile(r"(logname|uid|euid|tty|ruser|rhost|user)=(\S*)")
_SUDO = re.compile(r"^ *(?P<user>\S+) : (?:(?P<error>[^;=]+?) ; )?(?P<pairs>(?:[A-Z]+=.*))$")
_SU = re.compile(r"^(?P<failed>FAILED SU |FAILED su )?\(to (?P<USER>\S+)\) (?P<user>\S+) on (?P<tty>\S+)$")
_ACCESS = re.compile(
    r'^(?P<cip>\S+) \S+ (?P<who>\S+) \[(?P<when>[^\]]+)\] "(?P<request>[^"\\]*(?:\\.[^"\\]*)*)" (?P<status>\d{3}) (?P<bytes>\d+|-)'
    r'(?: "(?P<referer>[^"\\]*(?:\\.[^"\\]*)*)" "(?P<agent>[^"\\]*(?:\\.[^"\\]*)*)")?'
)


def enrich(row: dict[str, str]) -> dict[str, str]:
    """Add what the message says in its program's own format; every other row is given back as it is."""
    program = row.get("program", "").rpartition("/")[2].lower()
    reader = _PROGRAMS.get(program)
    if reader is not None and len(row["message"]) <= LONGEST:
        reader(row, row["message"])
    return row


def sshd(row: dict[str, str], message: str) -> None:
    """``user src_ip src_port method action outcome`` of one sshd message."""
    if message.startswith("pam_unix"):
        return pam(row, message)
    for pattern, action, outcome in _BY_WORD.get(message.partition(" ")[0], ()):
        found = pattern.fullmatch(message)
        if found is not None:
            _add(row, found.groupdict())
            return _add(row, {"action": action, "outcome": outcome})
    return None


def pam(row: dict[str, str], message: str) -> None:
    """A session opened or closed, or a failed authentication, of any service behind pam_unix."""
    found = _PAM.match(message)
    if found is None:
        return
    event = found["event"]
    _add(row, {"pam_service": found["service"], "action": event.replace(" ", "_"), "outcome": "failure" if event.startswith("auth") else "success"})
    user = _PAM_USER.search(found["rest"])
    _add(row, {"user": user["user"]} if user else {})
    if event.startswith("auth"):
        _add(row, {{"rhost": "src_ip"}.get(name, name): value for name, value in _PAM_PAIR.findall(found["rest"])})


def sudo(row: dict[str, str], message: str) -> None:
    """``user`` asked; ``TTY PWD USER GROUP ENV COMMAND`` as sudo writes them; ``error`` when it was refused."""
    if message.startswith("pam_unix"):
        return pam(row, message)
    found = _SUDO.match(message)
    if found is None:
        return None
    error = found["error"] or ""
    _add(row, {"user": found["user"], "error": error, "action": "command", "outcome": "failure" if error else "success"})
    return _add(row, _pairs(found["pairs"]))


def _pairs(text: str) -> dict[str, str]:
    """``TTY=… ; PWD=… ; USER=… ; COMMAND=…``: the command comes last and may itself contain `` ; ``."""
    head, _, command = text.partition("COMMAND=")
    pairs = dict(part.split("=", 1) for part in head.split(" ; ") if "=" in part)
    return {**{name.strip(): value.strip() for name, value in pairs.items()}, "COMMAND": command}


def su(row: dict[str, str], message: str) -> None:
    """``(to root) alice on pts/0``, or refused."""
    if message.startswith("pam_unix"):
        return pam(row, message)
    found = _SU.match(message)
    if found is None:
        return None
    return _add(row, {"user": found["user"], "USER": found["USER"], "tty": found["tty"], "action": "switch_user", "outcome": "failure" if found["failed"] else "success"})


def access(row: dict[str, str], message: str) -> None:
    """One line in the Combined Log Format → the W3C names."""
    found = _ACCESS.match(message)
    if found is None:
        return
    method, _, target = found["request"].partition(" ")
    fields = {"c-ip": found["cip"], "cs-username": found["who"], "date-time": found["when"], "sc-status": found["status"], "sc-bytes": found["bytes"]}
    _add(row, {**fields, "cs-referer": found["referer"], "cs-user-agent": found["agent"], "cs-method": method})
    web.split(row, target.rpartition(" ")[0] or target)


def _add(row: dict[str, str], fields: Mapping[str, str | None]) -> None:
    for name, value in fields.items():
        if value and value != "-":
            put(row, name, value)


_PROGRAMS: dict[str, Callable[[dict[str, str], str], None]] = {
    "sshd": sshd, "sshd-session": sshd, "sshd-auth": sshd, "sudo": sudo, "su": su, "nginx": access, "apache": access, "apache2": access, "httpd": access,
    "login": pam, "cron": pam, "gdm-password": pam, "systemd-logind": pam, "vsftpd": pam,
}  # fmt: skip
