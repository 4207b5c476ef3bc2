"""Log templates: lines per CPU second and how well lines are grouped, beside Drain3 in the same run.

Generated logs: the formats below (what daemons, applications, devices and trading systems write, made up for this bench), values
drawn at random, frequencies as 1/rank; the truth is the format that made the line. Field data (``LIANFANG_DATA``): the messages of
201,000 Windows events; Windows makes a message of one format for each provider and event id, so these two are the truth.

Grouping accuracy (GA: Zhu et al., *Tools and Benchmarks for Automated Log Parsing*, ICSE-SEIP 2019) is the share of lines whose
group is exactly the group of the truth; FGA (Jiang et al., *A Large-Scale Evaluation for Log Parsing Techniques: How Far Are We?*,
ISSTA 2024) is the F1 over groups. Both parsers get the same lines once; Drain3 with its own settings and, separately, with the masks that
its documentation proposes: the better of the two counts for accuracy, the faster for speed. Ours has one setting.
"""

from __future__ import annotations

import gc
import io
import json
import os
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import zstandard  # noqa: E402
from benchmarks import report  # noqa: E402

from lianfang.engines.series import Miner  # noqa: E402

LINES, BATCH, PEER_LINES = 800_000, 20_000, 60_000

SYSTEMS = {
    "linux": """
Accepted {method} for {user} from {ip} port {port} ssh2
Failed password for {user} from {ip} port {port} ssh2
Failed password for invalid user {user} from {ip} port {port} ssh2
Received disconnect from {ip} port {port}:11: disconnected by user
Connection closed by authenticating user {user} {ip} port {port} [preauth]
pam_unix(sshd:session): session opened for user {user} by (uid={num})
pam_unix(sshd:session): session closed for user {user}
{user} : TTY=pts/{small} ; PWD={path} ; USER=root ; COMMAND={path}
Started {unit}.service - {title}.
Stopped {unit}.service - {title}.
{unit}.service: Main process exited, code=exited, status={small}/FAILURE
{unit}.service: Scheduled restart job, restart counter is at {small}.
usb {small}-{small}: new high-speed USB device number {small} using xhci_hcd
EXT4-fs ({disk}): mounted filesystem with ordered data mode
Out of memory: Killed process {num} ({unit}) total-vm:{num}kB, anon-rss:{num}kB
{nic}: link up, {num} Mbps, full duplex
{nic}: link down
TCP: request_sock_TCP: Possible SYN flooding on port {port}. Sending cookies.
CPU{small}: Core temperature above threshold, cpu clock throttled (total events = {num})
Time has been changed by {float} seconds
DHCPREQUEST on {nic} to {ip} port 67
DHCPACK of {ip} from {ip}
No lease, failing
error: kex_exchange_identification: Connection closed by remote host
Reloading configuration
""",
    "storage": """
Receiving block {block} src: /{ip}:{port} dest: /{ip}:{port}
PacketResponder {small} for block {block} terminating
Received block {block} of size {num} from /{ip}
Served block {block} to /{ip}
Verification succeeded for {block}
Deleting block {block} file {path}
Block report of {num} blocks took {num} msecs
Replica {block} is being recovered on {host}
Heartbeat lost for datanode {host}, last contact {num} s ago
Namenode entered safe mode
Namenode left safe mode after {num} ms
Volume {path} failed: {reason}
Checkpoint {num} written to {path} in {num} ms
Decommissioning of {host} complete
Balancer moved {num} bytes from {host} to {host}
""",
    "application": """
[{thread}] INFO {klass} - User {user} logged in from {ip}
[{thread}] INFO {klass} - User {user} logged out
[{thread}] WARN {klass} - Slow query took {num} ms: SELECT * FROM {table} WHERE id = {num}
[{thread}] ERROR {klass} - Could not connect to {host}:{port}: Connection refused
[{thread}] ERROR {klass} - Could not connect to {host}:{port}: Connection timed out
[{thread}] INFO {klass} - Cache {cache} evicted {num} entries
[{thread}] INFO {klass} - Order {num} of customer {user} accepted
[{thread}] INFO {klass} - Order {num} of customer {user} rejected: {reason}
[{thread}] DEBUG {klass} - Request {uuid} finished with status {status} in {num} ms
[{thread}] INFO {klass} - Scheduler started
[{thread}] INFO {klass} - Scheduler stopped
[{thread}] WARN {klass} - Retry {small} of {small} for task {task}
[{thread}] INFO {klass} - Loaded {num} rows from table {table}
[{thread}] ERROR {klass} - Unhandled exception in job {task}
[{thread}] INFO {klass} - Configuration "{title}" changed by {user}
[{thread}] INFO {klass} - Uploaded file {file} ({num} bytes) to bucket {cache}
[{thread}] WARN {klass} - Pool {cache} exhausted: {small} active, {small} waiting
[{thread}] INFO {klass} - Health check of {host} passed
[{thread}] ERROR {klass} - Health check of {host} failed: {reason}
[{thread}] INFO {klass} - Message {uuid} published to topic {table}
""",
    "trading": """
委托 {num} 已报，合约 {contract}，价格 {float}，数量 {small}
委托 {num} 已撤，合约 {contract}
成交回报 {num}：合约 {contract} 价格 {float} 数量 {small}
用户{name}登录成功，地址 {ip}
用户{name}登录失败：密码错误
用户{name}修改密码成功
报盘到交易所连接断开 code={num}
报盘到交易所连接恢复，耗时 {num} 毫秒
行情接收延迟 {num} ms，源 {host}
结算文件 {file} 读取完成，共 {num} 条
结算文件 {file} 校验失败
资金账号 {num} 可用资金不足，需要 {float}，可用 {float}
风控拒绝：账号 {num} 超出持仓限额 {num}
席位 {small} 心跳超时 {num} 秒
主备切换开始
主备切换完成，当前主机 {host}
数据库 {table} 同步滞后 {num} 秒
交易日 {date} 初始化完成
交易日 {date} 初始化失败，原因：{title_zh}
查询 {table_zh} 耗时 {num} ms
""",
    "network": """
%LINK-3-UPDOWN: Interface {iface}, changed state to up
%LINK-3-UPDOWN: Interface {iface}, changed state to down
%SYS-5-CONFIG_I: Configured from console by {user} on vty{small} ({ip})
%SEC-6-IPACCESSLOGP: list {acl} denied tcp {ip}({port}) -> {ip}({port}), {small} packets
%BGP-5-ADJCHANGE: neighbor {ip} Up
%BGP-5-ADJCHANGE: neighbor {ip} Down {reason}
action=deny src={ip} dst={ip} sport={port} dport={port} proto=tcp policy={num} user={user}
action=accept src={ip} dst={ip} sport={port} dport={port} proto=udp policy={num} user={user} sent={num} rcvd={num}
type=vpn event=tunnel-up tunnel={cache} remote={ip} duration={num}
IPSec tunnel {cache} to {ip} established
IPSec tunnel {cache} to {ip} torn down: {reason}
Fan {small} speed is {num} RPM
Power supply {small} failed
Temperature of module {small} is {small} degrees
User {user} authenticated by radius server {ip}
User {user} failed authentication: {reason}
License for feature {cache} expires in {small} days
NTP server {ip} unreachable
Configuration saved by {user}
Admin {user} added rule {num} to policy {cache}
""",
    "web": """
{ip} - {user} "GET {path} HTTP/1.1" {status} {num} "{agent}"
connect() failed (111: Connection refused) while connecting to upstream, client: {ip}, server: {host}, request: "GET {path} HTTP/1.1", upstream: "http://{ip}:{port}{path}"
open() "{path}" failed (2: No such file or directory), client: {ip}, server: {host}
upstream timed out (110: Connection timed out) while reading response header from upstream, client: {ip}, server: {host}
worker process {num} exited on signal {small}
signal {small} (SIGCHLD) received from {num}
SSL_do_handshake() failed while SSL handshaking, client: {ip}, server: {ip}:{port}
limiting requests, excess: {float} by zone "{cache}", client: {ip}, server: {host}
client {ip} closed keepalive connection
cache file "{path}" has too old header
the "user" directive is duplicate in {path}:{small}
using the "epoll" event method
start worker processes
gracefully shutting down
reconfiguring
""",
    "database": """
connection received: host={ip} port={port}
connection authorized: user={user} database={table}
disconnection: session time: {clock} user={user} database={table} host={ip} port={port}
checkpoint starting: time
checkpoint complete: wrote {num} buffers ({float}%); {small} WAL file(s) added, {small} removed
duration: {float} ms statement: {sql}
deadlock detected
process {num} waits for ShareLock on transaction {num}; blocked by process {num}
relation "{table}" does not exist at character {small}
duplicate key value violates unique constraint "{table}"
password authentication failed for user "{user}"
automatic vacuum of table "{table}": index scans: {small}
automatic analyze of table "{table}"
could not receive data from client: Connection reset by peer
replication slot "{cache}" advanced to {hex}
too many connections for role "{user}"
database system is ready to accept connections
database system was shut down at {date} {clock}
temporary file: path "{path}", size {num}
canceling statement due to statement timeout
""",
}

POOLS = {
    "user": [*["root", "admin", "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj", "olivia", "peggy", "rupert", "sybil", "trent", "victor", "walter", "oracle", "nginx", "postgres", "backup", "zhangsan", "lisi", "wangwu"], "svc01", "app2", "u10023"],
    "host": [*["web", "db", "cache-a", "cache-b", "gateway", "mail", "files", "build", "ldap", "proxy", "backup"], *(f"node{n}" for n in range(1, 13)), *(f"dn-{n}.example.cn" for n in range(1, 9))],
    "name": ["张三", "李四", "王五", "赵六", "欧阳修", "司马光", "陈平", "周勃", "刘邦", "韩信", "萧何", "张良", "曹参", "樊哙", "夏侯婴"],
    "unit": ["nginx", "cron", "rsyslog", "postgresql", "kafka", "redis", "docker", "chronyd", "firewalld", "auditd"],
    "title": ["Nightly backup", "The web server", "Message broker", "Time service", "Log collector", "Order cache", "Main database"],
    "title_zh": ["磁盘已满", "网络中断", "文件缺失", "权限不足", "版本不符", "参数错误"],
    "reason": ["timeout", "no route to host", "disk full", "permission denied", "limit exceeded", "peer reset", "unknown error", "checksum mismatch"],
    "thread": [*(f"http-nio-8080-exec-{n}" for n in range(1, 21)), "main", "scheduler-1", "pool-2-thread-7"],
    "klass": [f"com.example.{part}.{name}" for part in ("web", "core", "trade") for name in ("LoginService", "OrderService", "CacheManager", "JobRunner", "Gateway")],
    "table": ["orders", "accounts", "positions", "quotes", "users", "sessions", "audit", "settlements"],
    "table_zh": ["持仓", "委托", "成交", "资金", "合约", "客户", "席位"],
    "cache": ["quotes", "sessions", "prices", "users", "limits", "routes", "tokens", "pages"],
    "task": ["settle", "report", "archive", "cleanup", "notify", "sync", "export", "import"],
    "file": [f"{name}_{n}.{kind}" for name in ("trade", "pos", "acct") for n in range(40) for kind in ("csv", "dat")],
    "disk": ["sda1", "sdb2", "nvme0n1p1", "dm-0"], "nic": ["eth0", "eth1", "ens192", "bond0"], "method": ["password", "publickey", "keyboard-interactive/pam"],
    "iface": [*(f"GigabitEthernet0/{n}" for n in range(1, 25)), "Vlan10", "Port-channel1"], "acl": ["101", "OUTSIDE", "MGMT", "120"], "status": ["200", "304", "404", "500", "302", "403"],
    "agent": ["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.4.0", "python-requests/2.31", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"],
    "path": ["/var/lib/data", "/usr/bin/systemctl", "/index.html", "/api/orders", "/opt/app/conf/app.yml", "/home/alice/report.txt", "/static/logo.png", "/var/log/messages", "/login"],
    "sql": ["SELECT 1", "SELECT * FROM orders WHERE id = 17", "UPDATE accounts SET balance = balance - 10 WHERE id = 5", "DELETE FROM sessions", "INSERT INTO audit VALUES (1, 'x')", "COMMIT"],
}
MADE: dict[str, Callable[[random.Random], str]] = {
    "ip": lambda dice: f"{dice.choice((10, 172, 192))}.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(1, 255)}", "port": lambda dice: str(dice.randrange(1024, 65536)), "num": lambda dice: str(int(10 ** dice.uniform(0, 8))),
    "small": lambda dice: str(dice.randrange(64)), "float": lambda dice: f"{dice.uniform(0, 9999):.2f}", "hex": lambda dice: f"0x{dice.getrandbits(48):x}", "uuid": lambda dice: "-".join(f"{dice.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12)),
    "block": lambda dice: f"blk_{dice.choice(('', '-'))}{dice.getrandbits(62)}", "clock": lambda dice: f"{dice.randrange(24):02d}:{dice.randrange(60):02d}:{dice.randrange(60):02d}.{dice.randrange(1000):03d}",
    "date": lambda dice: f"2026-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}", "contract": lambda dice: f"{dice.choice(('cu', 'rb', 'IF', 'SR', 'm'))}{dice.randrange(2601, 2613)}",
}  # fmt: skip
_SLOT = re.compile(r"\{(\w+)\}")


def generated(formats: Sequence[str], number: int, seed: int) -> tuple[list[str], list[int]]:
    """Lines, and for each the number of its format."""
    dice = random.Random(seed)
    order = list(range(len(formats)))
    dice.shuffle(order)
    truth = dice.choices(order, [1 / (rank + 1) for rank in range(len(order))], k=number)

    def value(found: re.Match[str]) -> str:
        kind = found[1]
        return MADE[kind](dice) if kind in MADE else dice.choice(POOLS[kind])

    return [_SLOT.sub(value, formats[one]) for one in truth], truth


def accuracy(truth: Sequence[object], found: Sequence[object]) -> tuple[float, float]:
    """GA and FGA.

    >>> accuracy(["a", "a", "b", "b"], [1, 1, 2, 3])
    (0.5, 0.4)
    """
    sizes, spread, whole = Counter(truth), defaultdict(Counter), Counter(found)
    for one, group in zip(truth, found):
        spread[group][one] += 1
    right = [group for group, inside in spread.items() if len(inside) == 1 and sizes[next(iter(inside))] == whole[group]]
    lines = sum(whole[group] for group in right)
    return lines / len(truth), 2 * len(right) / (len(sizes) + len(whole))


def ours(lines: Sequence[str]) -> list[str]:
    """The template of each line when all lines were taken; batches as they would come."""
    miner = Miner()
    for start in range(0, len(lines), BATCH):
        miner.take(lines[start : start + BATCH])
    return [miner.template(number).uid for number in miner.take(lines)]


def peer(masks: bool):
    """Drain3 as it comes, or with the masks of its documentation."""
    from drain3 import TemplateMiner
    from drain3.masking import MaskingInstruction
    from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    edge, end = r"((?<=[^A-Za-z0-9])|^)", r"((?=[^A-Za-z0-9])|$)"
    found = {"ID": r"(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))", "IP": r"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})", "SEQ": r"([0-9a-f]{6,} ?){3,}", "HEX": r"(0x[a-f0-9A-F]+)", "NUM": r"([\-\+]?\d+)"}
    if masks:
        config.masking_instructions = [MaskingInstruction(f"{edge}{pattern}{end}", name) for name, pattern in found.items()]
    return TemplateMiner(config=config)


def drained(lines: Sequence[str], masks: bool) -> list[int]:
    """Drain3's cluster of each line."""
    miner = peer(masks)
    return [miner.add_log_message(line)["cluster_id"] for line in lines]


def timed(work: Callable[[], object], lines: int, rounds: int) -> float:
    """Lines per CPU second, the best of some rounds."""
    best = 0.0
    for _ in range(rounds):
        gc.collect()
        started = time.process_time()
        work()
        best = max(best, lines / (time.process_time() - started))
    return best


def speed(lines: list[str]) -> tuple[float, float, float]:
    """Lines per CPU second: ours with the first quarter of the lines, ours then with the others, which it sees once; and the faster of the two peers, with lines seen before."""
    parts = [lines[start : start + BATCH] for start in range(0, len(lines), BATCH)]
    quarter = max(1, len(parts) // 4)
    miner = Miner()

    def taken(batches: Sequence[list[str]]) -> float:
        return timed(lambda: [miner.take(batch) for batch in batches], sum(map(len, batches)), 1)

    cold = taken(parts[:quarter])
    warm = [taken(parts[start : start + quarter]) for start in range(quarter, len(parts), quarter)]
    some, peers = lines[:PEER_LINES], []
    for masks in (False, True):
        other = peer(masks)
        peers.append(timed(lambda other=other: [other.add_log_message(line) for line in some], len(some), 2))
    return cold, sorted(warm)[len(warm) // 2], max(peers)


WHO = "UtcTime ProcessGuid ProcessId Image"
SYSMON = {
    "1": ("Process Create", f"RuleName {WHO} FileVersion Description Product Company OriginalFileName CommandLine CurrentDirectory User LogonGuid LogonId TerminalSessionId IntegrityLevel Hashes ParentProcessGuid ParentProcessId ParentImage ParentCommandLine"),
    "2": ("File creation time changed", f"RuleName {WHO} TargetFilename CreationUtcTime PreviousCreationUtcTime"),
    "3": ("Network connection detected", f"RuleName {WHO} User Protocol Initiated SourceIsIpv6 SourceIp SourceHostname SourcePort SourcePortName DestinationIsIpv6 DestinationIp DestinationHostname DestinationPort DestinationPortName"),
    "5": ("Process terminated", f"RuleName {WHO}"),
    "6": ("Driver loaded", "RuleName UtcTime ImageLoaded Hashes Signed Signature SignatureStatus"),
    "7": ("Image loaded", f"RuleName {WHO} ImageLoaded FileVersion Description Product Company OriginalFileName Hashes Signed Signature SignatureStatus"),
    "8": ("CreateRemoteThread detected", "RuleName UtcTime SourceProcessGuid SourceProcessId SourceImage TargetProcessGuid TargetProcessId TargetImage NewThreadId StartAddress StartModule StartFunction"),
    "9": ("RawAccessRead detected", f"RuleName {WHO} Device"),
    "10": ("Process accessed", "RuleName UtcTime SourceProcessGUID SourceProcessId SourceThreadId SourceImage TargetProcessGUID TargetProcessId TargetImage GrantedAccess CallTrace"),
    "11": ("File created", f"RuleName {WHO} TargetFilename CreationUtcTime"),
    "12": ("Registry object added or deleted", f"RuleName EventType {WHO} TargetObject"),
    "13": ("Registry value set", f"RuleName EventType {WHO} TargetObject Details"),
    "15": ("File stream created", f"RuleName {WHO} TargetFilename CreationUtcTime Hash"),
    "17": ("Pipe Created", "RuleName EventType UtcTime ProcessGuid ProcessId PipeName Image"),
    "18": ("Pipe Connected", "RuleName EventType UtcTime ProcessGuid ProcessId PipeName Image"),
    "22": ("Dns query", "RuleName UtcTime ProcessGuid ProcessId QueryName QueryStatus QueryResults Image"),
    "23": ("File Delete", f"RuleName {WHO} User TargetFilename Hashes IsExecutable Archived"),
}
"""What Sysmon's own messages say, as its manifest (public) has it: a title, then each field with its value."""


def field_data() -> tuple[list[str], list[str]] | None:
    """Real Sysmon events as the messages that Sysmon writes of them, on one line each, with the event id as the truth."""
    path = Path(os.environ.get("LIANFANG_DATA", "")) / "detection/windows-events-201k.jsonl.zst"
    if not path.is_file():
        return None
    lines, truth = [], []
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in io.TextIOWrapper(stream, "utf-8"):
            event = json.loads(line)
            if event.get("Provider_Name") == "Microsoft-Windows-Sysmon" and event.get("EventID") in SYSMON:
                title, fields = SYSMON[event["EventID"]]
                told = (f"{name}: {event.get(name, event.get('EventTypeOrignal', '-') if name == 'EventType' else '-')}" for name in fields.split())
                lines.append(" ".join(f"{title}: {' '.join(told)}".split()))
                truth.append(event["EventID"])
    return lines, truth


def main() -> None:
    try:
        import drain3  # noqa: F401
    except ImportError:
        print("Drain3 is not installed: uv sync --group logbench")
        return
    rows, table = [], []
    for name, text in SYSTEMS.items():
        formats = [line for line in text.strip().splitlines() if line]
        lines, truth = generated(formats, 20_000, 11)
        table.append((name, len(formats), accuracy(truth, ours(lines)), accuracy(truth, drained(lines, False)), accuracy(truth, drained(lines, True))))
    every = [line for text in SYSTEMS.values() for line in text.strip().splitlines() if line]
    lines, truth = generated(every, LINES, 3)
    table.append(("all in one", len(every), accuracy(truth[:PEER_LINES], ours(lines[:PEER_LINES])), accuracy(truth[:PEER_LINES], drained(lines[:PEER_LINES], False)), accuracy(truth[:PEER_LINES], drained(lines[:PEER_LINES], True))))
    field = field_data()
    if field is not None:
        table.append(("Sysmon messages", len(set(field[1])), accuracy(field[1], ours(field[0])), accuracy(field[1], drained(field[0], False)), accuracy(field[1], drained(field[0], True))))
    else:
        print("no field data: set LIANFANG_DATA")
    print(f"{'logs':<20}{'formats':>8}  {'GA':>6}{'FGA':>7}   {'Drain3 GA':>9}{'FGA':>7}   {'masked GA':>9}{'FGA':>7}")
    for name, number, us, plain, masked in table:
        print(f"{name:<20}{number:>8}  {us[0]:>6.3f}{us[1]:>7.3f}   {plain[0]:>9.3f}{plain[1]:>7.3f}   {masked[0]:>9.3f}{masked[1]:>7.3f}")
    made = table[: len(SYSTEMS)]
    for at, measure in enumerate(("GA", "FGA")):
        us = sum(one[2][at] for one in made) / len(made)
        them = max(sum(one[which][at] for one in made) / len(made) for which in (3, 4))
        rows.append(report.Row(f"log templates: {measure}, mean of {len(made)} generated systems", round(us, 3), "share", "Drain3, the better of two settings", round(them, 3), round(us / them, 2), "ratio > 1"))
        for name, _number, one, plain, masked in table[len(SYSTEMS) :]:
            them = max(plain[at], masked[at])
            rows.append(report.Row(f"log templates: {measure}, {name}", round(one[at], 3), "share", "Drain3, the better of two settings", round(them, 3), round(one[at] / them, 2) if them > 0.01 else None, "ratio > 1"))
    cold, warm, them = speed(lines)
    rows.append(report.Row("log templates: lines, warm", round(warm), "lines/CPU-s", "Drain3, the faster of two settings", round(them), round(warm / them, 1), 500_000))
    rows.append(report.Row("log templates: lines, the first time", round(cold), "lines/CPU-s", "Drain3, the faster of two settings", round(them), round(cold / them, 1)))
    if field is not None:
        cold, warm, them = speed(field[0])
        rows.append(report.Row("log templates: Sysmon messages, warm", round(warm), "lines/CPU-s", "Drain3, the faster of two settings", round(them), round(warm / them, 1)))
    report.show(rows)
    report.merge(rows)


if __name__ == "__main__":
    main()
