"""Respond owns what people do about findings: alerts, folded and ranked with reasons, assigned and closed.

In: the fact that findings were stored. Out: a queue worth working through from the top, and the situation at a glance.
"""
