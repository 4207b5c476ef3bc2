"""Event tables: append once, prune, query, compact, forget.

In: Arrow tables in the shape of ``engines.schema.events``. Out: rows by SQL. Delta Lake keeps the promises (one commit
per batch, one writer, readers never locked); DuckDB answers over the list of files that a question can touch.
"""

import os

# Delta Lake brings an allocator of its own (jemalloc), made for machines with many cores; it is asked to share one arena among its
# threads and to give back what it freed within half a second (at once would save another fifty megabytes in a flood, and cost a
# quarter more CPU time). It reads this once, when it is loaded.
os.environ.setdefault("_RJEM_MALLOC_CONF", "narenas:1,dirty_decay_ms:500,muzzy_decay_ms:0")
