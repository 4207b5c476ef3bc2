"""What the tests of the rules engine share: a small pack that uses every modifier, and the public pack where it is at hand."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from lianfang.engines.rules import Compiled, prepared, sources
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.sources import RuleText

SYSMON = "Microsoft-Windows-Sysmon/Operational"


def rule(name: str, detection: str, *, logsource: str = "{product: windows, category: process_creation}", uid: str = "") -> RuleText:
    """One rule; its uid is its name made into a UUID, so that tests can speak of it by name."""
    number = uid or uuid_of(name)
    return RuleText(f"{name}.yml", f"title: '{name}'\nid: {number}\nlogsource: {logsource}\nauthor: A. Tester\nlevel: high\ntags: [attack.execution, attack.t1059.001]\ndetection:\n{detection}")


def uuid_of(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def selection(*lines: str, condition: str = "selection") -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"  selection:\n{body}  condition: {condition}\n"


ANY = "{product: windows}"
PACK = [
    rule("contains", selection("  CommandLine|contains: ' -Enc '")),
    rule("contains all", selection("  CommandLine|contains|all: [alpha, beta]")),
    rule("starts and ends", selection("  Image|startswith: 'C:\\Users\\'", "  Image|endswith: '.exe'")),
    rule("equal", selection("  User: ['Администратор', '系统管理员', 'root']")),
    rule("cased", selection("  CommandLine|contains|cased: KeRnEl")),
    rule("wild", selection("  CommandLine: 'cmd?/c *whoami*'")),
    rule("wild chinese", selection("  CommandLine|contains: '计?机'")),
    rule("regex", selection("  CommandLine|re: 'net[12]? (user|group)\\s+/add$'")),
    rule("regex caseless", selection("  CommandLine|re|i: '^powershell.{1,6}秘密'")),
    rule("null", selection("  ParentImage: null")),
    rule("empty", selection("  ParentImage: ''")),
    rule("exists", selection("  IntegrityLevel|exists: true", "  Hashes|exists: false")),
    rule("any value", selection("  Description: '*'")),
    rule("cidr", selection("  SourceIp|cidr: [10.0.0.0/8, 'fe80::/10']")),
    rule("greater", selection("  ProcessId|gte: 1000", "  ProcessId|lt: 2000.5")),
    rule("number", selection("  LogonId: 999")),
    rule("fieldref", selection("  Image|fieldref: ParentImage")),
    rule("fieldref start", selection("  CommandLine|fieldref|startswith: Image")),
    rule("fieldref end", selection("  Image|fieldref|endswith: OriginalFileName")),
    rule("windash", selection("  CommandLine|windash|contains: ' -x '")),
    rule("base64", selection("  CommandLine|base64offset|contains: 'http://'")),
    rule("not", "  selection:\n    Image|endswith: '\\cmd.exe'\n  filter:\n    User|contains: system\n  condition: selection and not filter\n"),
    rule("one of", "  a_one:\n    Image|endswith: '\\a.exe'\n  a_two:\n    CommandLine|contains: ' -enc '\n  condition: all of a_*\n"),
    rule("keywords", "  keywords: ['mimikatz', 'sekurlsa::*logon', '中文关键字', 'C:\\Temp\\x', 'a/b']\n  condition: keywords\n", logsource=ANY),
    rule("keywords all", "  keywords:\n    '|all': ['first word', 'second word']\n  condition: keywords\n", logsource=ANY),
    rule("spaced name", selection("  NewValue|contains: 'disabled'"), logsource="{product: windows, service: windefend}"),
    rule("other case", selection("  payload|contains: 'inject'"), logsource="{product: windows, category: ps_module}"),
    rule("linux", selection("  CommandLine|contains: '/etc/shadow'"), logsource="{product: linux, category: process_creation}"),
    rule("web", selection("  cs-uri-query|contains: '../'"), logsource="{category: webserver}"),
    rule("nested", selection("  userIdentity.type: Root"), logsource="{product: aws, service: cloudtrail}"),
]


@pytest.fixture(scope="session")
def own() -> Compiled:
    """The small pack, compiled."""
    compiled = compile_rules(PACK)
    assert not compiled.problems
    return compiled


@pytest.fixture(scope="session")
def names(own) -> dict[str, str]:
    """uid → name of the rules of the small pack."""
    return {each.uid: each.title for each in own.rules}


@pytest.fixture(scope="session")
def sigma(field_data) -> Compiled:
    """The public pack, compiled once for all test processes of this machine."""
    archive = field_data / "detection" / "sigma-rules.tar.zst"
    code = b"".join(path.read_bytes() for path in sorted(Path(sources.__file__).parent.glob("*.py")))
    kept = Path(tempfile.gettempdir()) / f"lianfang-rules-{os.getuid()}" / f"{hashlib.sha256(archive.read_bytes() + code).hexdigest()[:24]}.rules"
    if not kept.exists():
        prepared(compile_rules(sources.load(archive))).save(kept)
    return Compiled.load(kept)


@pytest.fixture(scope="session")
def field_lines(field_data) -> list[bytes]:
    """Every 40th of the real Windows events."""
    import zstandard

    with (field_data / "detection" / "windows-events-201k.jsonl.zst").open("rb") as packed:
        whole = zstandard.ZstdDecompressor().stream_reader(packed).read()
    return whole.splitlines()[::40]
