"""Ledger owns the one append-only record of the node: audit, timelines and evidence are filters of it.

In: ``actions.record`` inside the transaction of the action it tells of. Out: rows in one RFC 6962 tree, signed
checkpoints, and the proof that no row was edited, removed or moved.
"""
