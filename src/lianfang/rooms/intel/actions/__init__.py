"""The verbs of intel: indicators by hand, whole deliveries at once or by a worker, the watch list's edition.

``import_list``, ``import_csv`` and ``import_stix`` take a delivery in here and now; ``upload`` and ``start`` have a
worker do it; ``deliver`` does the one or the other, by size.
"""

from lianfang.kernel import lazy

__getattr__, __all__ = lazy.door(
    __name__,
    {
        "feeding": "add_feed ask_feeds change_feed look_now read_feed remove_feed",
        "importing": "import_csv import_list import_stix take_in",
        "intake": "carry_out deliver discard start sweep upload",
        "knowing": "forget",
        "sharing": "look report share sharing_of",
        "submitting": "add_word forget_reporter new_form of_code submit",
        "triaging": "TRIAGE accept add_centre by_name change_centre close may_go mend propose remove_centre remove_submission reopen show_contact start_work tell_late",
        "keeping": "FIELDS add change remove restore revoke tell",
    },
)
