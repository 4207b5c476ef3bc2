"""Shapes: events (OCSF), intelligence (STIX 2.1), observables, user-defined fields (JSON Schema); validate, redact."""
