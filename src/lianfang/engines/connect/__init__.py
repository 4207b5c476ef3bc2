"""Bytes ⇄ fields: codecs for frames, codecs for files, and declarative mappings to OCSF.

``codecs.decode`` turns frames into flat rows of native fields, ``files.frames`` turns any file into frames,
``mapping.Templates`` turns rows into the columns of an event. All input is taken for hostile: every step is bounded,
and what cannot be read becomes a ``Reject`` that says why and what to do, while the rest goes on.
"""
