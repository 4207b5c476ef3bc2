"""Questions to intel: the watch list and its version, what is known of a value, what a delivery holds, what was submitted.

    >>> from lianfang.rooms.intel.queries import names_of
    >>> list(names_of("url", "http://bad.example/x"))
    [('url', 'http://bad.example/x'), ('domain', 'bad.example')]
"""

from lianfang.rooms.intel.queries.looking import groups_named, known_of, look_up, names_of, plain
from lianfang.rooms.intel.queries.sharing import COLUMNS, leaving
from lianfang.rooms.intel.queries.submissions import centre, figures, heard_since, open_centres, public, submission, thanked, triagers
from lianfang.rooms.intel.queries.watching import active, size, watchlist, watchlist_version

__all__ = [
    "COLUMNS", "active", "centre", "figures", "groups_named", "heard_since", "known_of", "leaving", "look_up", "names_of", "open_centres", "plain", "public", "size", "submission", "thanked", "triagers",
    "watchlist", "watchlist_version",
]  # fmt: skip
