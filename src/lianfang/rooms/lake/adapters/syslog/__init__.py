"""Syslog from the network: UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425).

In: datagrams and streams from anybody. Out: calls of ``put(frames, faults)``. ``put`` may raise ``Busy``: TCP then stops
reading, which the sender feels; UDP cannot be held back, so what is lost is counted.
"""
