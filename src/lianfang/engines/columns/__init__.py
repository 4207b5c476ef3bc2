"""Event tables: append once, prune, query, compact, forget.

In: Arrow tables in the shape of ``engines.schema.events``. Out: rows by SQL. Delta Lake keeps the promises (one commit
per batch, one writer, readers never locked); DuckDB answers over the list of files that a question can touch.
"""
