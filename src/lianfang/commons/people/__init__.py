"""People owns who is who: organisations in two trees, users, roles, grants, API keys. It alone computes scope.

In: a request with a session or a key. Out: a ``kernel.viewer.Viewer``, which every query and action then asks.
"""
