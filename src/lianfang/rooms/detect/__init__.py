"""Detect owns rules and what they find: rule packs, rules and their switches, findings.

In: decoded batches from the lake, the watch list from intel, packs of Sigma rules from people. Out: findings, folded by
rule, host and quarter of an hour, and the fact that there are some.
"""
