"""Questions to intel: the watch list and its version, what is known of a value, what a delivery holds.

    >>> from lianfang.rooms.intel.queries import names_of
    >>> list(names_of("url", "http://bad.example/x"))
    [('url', 'http://bad.example/x'), ('domain', 'bad.example')]
"""

from lianfang.rooms.intel.queries.looking import known_of, look_up, names_of, plain
from lianfang.rooms.intel.queries.sharing import COLUMNS, leaving
from lianfang.rooms.intel.queries.watching import active, size, watchlist, watchlist_version

__all__ = ["COLUMNS", "active", "known_of", "leaving", "look_up", "names_of", "plain", "size", "watchlist", "watchlist_version"]
