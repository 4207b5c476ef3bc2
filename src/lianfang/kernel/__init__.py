"""The words everyone shares: identifiers, references, labels, errors, facts, the clock, the viewer.

Standard library only. Nothing here knows a database, a web framework or a room.
"""
