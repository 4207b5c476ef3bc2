"""Standards owns what data should be: data elements and the columns that follow them, rules of quality and how they are kept,
the life of data to its end, policies with the controls that keep them.

In: what people declare and approve, and counts that the lake makes of every row. Out: use and conformity of elements, scores
over time with the rows that fail, and a word to the owner when a rule falls below its threshold.
"""
