"""Files that people put beside a thing: an alert, a case, a form. One mechanism, whatever the thing is.

In: bytes from anybody, and the thing they belong to. Out: a file kept under its digest with its type as its bytes say, or
a refusal that is kept with its reason. A room declares its kind with ``pages.allow``; the page of the thing then has the
list and the form in its slot ``<room>.<kind>.main``.

>>> sniff(b"%PDF-1.7"), sniff(b"MZ\\x90\\x00"), sniff("日志".encode())
('pdf', 'program', 'text')
"""

from lianfang.commons.frame.attachments.checking import Verdict, check
from lianfang.commons.frame.attachments.keeping import Subject, attach, forget, of
from lianfang.commons.frame.attachments.sniffing import sniff

__all__ = ["Subject", "Verdict", "attach", "check", "forget", "of", "sniff"]
