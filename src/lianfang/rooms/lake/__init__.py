"""Lake owns logs and events: sources, receiving, the event tables, rejects, retention.

In: frames from HTTP, syslog and files, spooled before they are acknowledged. Out: OCSF events in partitioned tables,
each stored once, the original kept beside it; what could not be read is kept in rejects with its reason.
"""
