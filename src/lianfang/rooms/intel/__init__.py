"""Intel owns what is known of attackers: for now indicators, and the watch list made of them.

In: CSV, plain lists, STIX 2.1, and what people write by hand. Out: the watch list that ``detect`` examines events
against, answers to "is this known?", and the fact that the watch list changed.
"""
