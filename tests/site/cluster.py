"""A Spark Connect server for tests: Sail, or Apache Spark with Delta's jars from Maven Central. Runs while its standard input is open."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.patience import free_port

DELTA = "4.1.0"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>delta</artifactId><version>1</version>
<dependencies><dependency><groupId>io.delta</groupId><artifactId>delta-spark_2.13</artifactId><version>{DELTA}</version>
<exclusions><exclusion><groupId>org.apache.spark</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency></dependencies></project>"""


def jars() -> str:
    """Delta's jars and what they need beside Spark itself, fetched once per machine."""
    folder = Path(tempfile.gettempdir()) / f"lianfang-delta-{DELTA}"
    if not (folder / "done").exists():
        folder.mkdir(exist_ok=True)
        (folder / "pom.xml").write_text(POM)
        subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'jars'}", "-DincludeScope=runtime"], cwd=folder, check=True, timeout=300)
        (folder / "done").touch()
    return ",".join(str(path) for path in sorted((folder / "jars").glob("*.jar")) if path.name.startswith(("delta-", "unitycatalog-")))


def spark(port: int) -> object:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable  # executors have what this process has
    settings = {
        "spark.jars": jars(),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "4",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sql("SELECT 1").collect()
    return session


def sail(port: int) -> object:
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(port=port)
    server.start(background=True)
    return server


if __name__ == "__main__":
    here = free_port()
    server = {"spark": spark, "sail": sail}[sys.argv[1]](here)  # lives as long as this name
    print(f"ready sc://127.0.0.1:{here}", flush=True)
    sys.stdin.read()
