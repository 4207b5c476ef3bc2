"""The forms of the lake's sentences that hold values: of faults, of troubles of sources, of rejects. Each is a msgid of the catalogue."""

from __future__ import annotations

from lianfang.commons.frame.pages import sayable

sayable(
    "It no longer fits: it gives no %(column)s", "There is no time zone %(name)s", "There is no folder %(path)s", "The folder %(path)s may not be read", "This node reads logs below %(paths)s only.", "A source has no %(names)s", "Events have no column “%(name)s” to count by",
    "%(name)s is being erased", "The name %(name)s is taken", "The source %(name)s takes nothing in", "At most %(number)s characters are kept.",
    "It holds %(number)s records; 1 to %(most)s are taken at once.", "There is no topic %(name)s", "confluent-kafka is not installed: %(why)s", "More than %(number)s rows share one value of %(name)s",
    "The table has no column %(name)s", "The database refuses: %(why)s", "The database cannot be reached: %(why)s", "Its values are of the kind %(kind)s.", "“%(value)s” names no %(what)s", "More than %(number)s pages",
    "It points to %(url)s.", "%(host)s does not answer: %(why)s", "There is no host %(name)s", "%(name)s lies in a private network", "%(address)s may not be asked from this node.", "More than %(number)s MiB.",
    "It is not whole after %(number)s s.", "Nothing is found at %(place)s: %(why)s", "RE2 does not accept the pattern %(pattern)s",
    "Capture: %(why)s", "They are read by %(name)s, a program of its own, and it is not installed.", "Install it on the node (%(command)s), then send the capture again.", "Install %(name)s on the node, or let LIANFANG_CAPTURES name another program.",
    "%(name)s reads no captures here", "Captures are read by %(names)s.", "The program that reads it ended with %(code)s",
    "The program that reads it was ended (signal %(signal)s): it needed more than %(memory)s MiB of memory or %(minutes)s minutes, or it broke", "It did nothing for %(seconds)s seconds",
    "It is of type %(link)s; Ethernet, raw IP, Linux cooked and loopback are rewritten. Nothing is passed on that nobody has looked into.", "At most %(number)s MiB are rewritten at once.",
    "Not JSON: %(why)s", "A JSON %(kind)s, not an object", "Too large: %(size)s, the limit is %(limit)s", "More than %(number)s fields", "Nested deeper than %(number)s levels", "%(number)s values, but the header names %(names)s columns",
    "%(number)s values, but #fields names %(names)s", "Not a record of columns: %(why)s", "A CEF header has 7 parts, here are %(number)s", "A LEEF header has 5 parts, here are %(number)s", "No “%(mark)s” in this record",
    "Not XML: %(why)s", "Not a readable message: %(why)s", "%(name)s cannot be unpacked further: %(why)s", "Cannot be unpacked: %(why)s", "Damaged event log: %(why)s", "Packed %(number)s times over",
    "Larger than %(number)s bytes inside an archive", "More than %(number)s files in one archive", "%(number)s records in one frame, %(read)s were read", "The file cannot be read any further: %(why)s",
    "%(place)s, line %(line)s: %(what)s", "“%(name)s” is not a column that a template can fill", "Columns are %(names)s.", "OCSF %(release)s has no event class “%(name)s”", "%(name)s has no activity “%(activity)s”",
    "“%(name)s” holds %(kind)s, parse: %(parser)s gives something else", "The table gives %(value)s, but “%(name)s” holds %(kind)s",
    "“%(name)s” is not a table of this lake", "syntax error at or near \"%(near)s\"", "Up to %(number)s KiB are read.", "1 to %(number)s files of together at most %(size)s GiB are taken.", "One CSV or XLSX file of at most %(number)s MiB is taken.", "“%(text)s” is not a time",
    "%(host)s answers %(status)s", "%(host)s answers, but not like a node", "There is a destination %(name)s already", "This may not be reported to %(name)s",
    "It has more than %(number)s containers of parts.", "It has more than %(number)s parts.",
    "The rule “%(name)s” cannot be used", "%(name)s: there is no such entry", "%(name)s cannot be read: %(why)s", "%(name)s can be no watermark", "kinds: nothing inside a text is known as “%(kind)s”; there are %(kinds)s",
    "There is no file %(path)s", "“%(name)s” is the data set of the event tables.", "%(name)s was reviewed already", "%(who)s did.", "There is no part %(number)s of %(of)s", "Write how many ingest processes the node shall have, 1 to %(number)s.", "Write 1/4 to 4/4 for four processes; at most %(number)s.", "%(name)s is missing, or its SHA-256 is another.", "The events of %(table)s are not those of the manifest.", "Its stage is %(stage)s.", "There is no sample stream in %(path)s", "Its fields are %(names)s.", "The value is %(value)s.", "Its columns are %(names)s.", "The content encoding %(name)s is not understood", "It is longer than %(number)s MiB.", "The body is not %(name)s", "%(number)s records are too many at once", "At most %(number)s are taken.", "“%(name)s” is no address of a Spark Connect server", "%(name)s does not answer as a Spark Connect server should", "%(name)s does not answer", "“%(text)s” is not column:operator:value.", "“%(name)s” is no form of file", "The column holds no text, or there are more than %(number)s values.", "LIANFANG_LAKE_COPIES is “%(text)s”", "It says %(text)s.",
    "%(name)s is encrypted, and the node has no key for it: %(why)s",
)  # fmt: skip
