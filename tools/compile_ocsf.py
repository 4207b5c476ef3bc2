"""Event classes of the public OCSF schema → ``engines/schema/ocsf.json``: numbers and names only.

In: the export of one pinned OCSF release (``https://schema.ocsf.io/<release>/export/schema``; the PyPI package
``ocsf-json-schema`` carries the same files) and our Chinese names in ``content/taxonomies/ocsf.yaml``.
Out: the compact table that ``engines.schema.ocsf`` reads. The OCSF schema is licensed under Apache-2.0.

    python tools/compile_ocsf.py path/to/1.8.0.json      # a new release: change RELEASE and DIGEST first
    python tools/compile_ocsf.py                         # only our names changed
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
OUT = ROOT / "src/lianfang/engines/schema/ocsf.json"
NAMES = ROOT / "content/taxonomies/ocsf.yaml"
RELEASE = "1.8.0"
DIGEST = "221b43d05787aa68d03233589f0eabdab192531d3e4740b856b2e0a4d6d91f82"


def facts(export: Path) -> list[dict[str, Any]]:
    """The classes of an export, by number. Stops when the file is not the pinned release."""
    content = export.read_bytes()
    if hashlib.sha256(content).hexdigest() != DIGEST:
        raise SystemExit(f"{export} is not the pinned export of OCSF {RELEASE} (SHA-256 differs).")
    return sorted(map(one_class, json.loads(content)["classes"].values()), key=lambda item: item["uid"])


def one_class(entry: dict[str, Any]) -> dict[str, Any]:
    """Number, name, caption, category, activities, and whether it is deprecated."""
    activities = entry["attributes"].get("activity_id", {}).get("enum", {})
    return {
        "uid": entry["uid"],
        "name": entry["name"].rsplit("/", 1)[-1],
        "caption": entry["caption"],
        "category_uid": entry.get("category_uid", 0),
        "deprecated": "@deprecated" in entry,
        "activities": {number: activities[number]["caption"] for number in sorted(activities, key=int)},
    }


def missing_names(classes: list[dict[str, Any]], names: dict[str, Any]) -> list[str]:
    """What has no Chinese name yet."""
    strange = [f"class {item['uid']} {item['caption']}" for item in classes if item["uid"] not in names["classes"]]
    captions = {caption for item in classes for caption in item["activities"].values()}
    return strange + [f"activity {caption}" for caption in sorted(captions - set(names["activities"]))]


def main(arguments: list[str]) -> None:
    """Write the table, or say what is missing."""
    names = yaml.safe_load(NAMES.read_text("utf-8"))
    classes = facts(Path(arguments[0])) if arguments else json.loads(OUT.read_text("utf-8"))["classes"]
    if missing := missing_names(classes, names):
        raise SystemExit("No Chinese name in content/taxonomies/ocsf.yaml for: " + "; ".join(missing))
    for item in classes:
        item["zh"] = names["classes"][item["uid"]]
    table = {"release": RELEASE, "digest": DIGEST, "licence": "Apache-2.0", "activities_zh": names["activities"], "categories_zh": names["categories"], "classes": classes}
    OUT.write_text(json.dumps(table, ensure_ascii=False, indent=0, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
