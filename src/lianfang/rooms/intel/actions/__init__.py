"""The verbs of intel: indicators by hand, whole deliveries at once or by a worker, the watch list's edition.

``import_list``, ``import_csv`` and ``import_stix`` take a delivery in here and now; ``upload`` and ``start`` have a
worker do it; ``deliver`` does the one or the other, by size.
"""

from lianfang.rooms.intel.actions.importing import import_csv, import_list, import_stix, take_in
from lianfang.rooms.intel.actions.intake import carry_out, deliver, discard, start, sweep, upload
from lianfang.rooms.intel.actions.keeping import FIELDS, add, change, remove, restore, revoke, tell

__all__ = ["FIELDS", "add", "carry_out", "change", "deliver", "discard", "import_csv", "import_list", "import_stix", "remove", "restore", "revoke", "start", "sweep", "take_in", "tell", "upload"]
