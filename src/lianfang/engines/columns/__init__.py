"""Event tables: append once, prune, query, compact, forget.

In: Arrow tables in the shape of ``engines.schema.events``. Out: rows by SQL. Delta Lake keeps the promises (one commit
per batch, one writer, readers never locked); DuckDB answers over the list of files that a question can touch.
"""

import os

# Delta Lake brings an allocator of its own (jemalloc), made for machines with many cores; it is asked to share one arena among its
# threads and to give back at once what it freed: what one commit took would otherwise stand beside what the next one takes (a
# hundred megabytes more in a flood, for a tenth of the CPU time). It reads this once, when it is loaded.
os.environ.setdefault("_RJEM_MALLOC_CONF", "narenas:1,dirty_decay_ms:0,muzzy_decay_ms:0")
