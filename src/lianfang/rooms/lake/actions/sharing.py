"""Copies that may be shared: of a capture (addresses by a rule of desensitising, nothing of what was said), of a mail (who was attacked is hidden, the attacker's stays).

In: a file of a request, and how. Out: the copy, and a record in the ledger. The file itself is kept nowhere.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePath
from typing import IO, ClassVar

from lianfang.commons.ledger import actions as ledger
from lianfang.engines.connect import mails
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.masking import DROPPED, NUMBERS, Keyed, MailCopy, Rewriter, Wish, desensitised
from lianfang.kernel.errors import Invalid
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries
from lianfang.rooms.lake.actions import masking, sources
from lianfang.rooms.lake.actions.uploading import Sent
from lianfang.rooms.lake.queries import shielding

MOST_CAPTURE, MOST_MAIL = 128 << 20, 32 << 20


@dataclass(frozen=True, slots=True)
class Shared:
    """The copy, at its beginning; a name for it; how many packets it has; and whether the capture could be read to its end."""

    file: IO[bytes]
    name: str
    packets: int
    whole: bool
    KIND: ClassVar[str] = "application/vnd.tcpdump.pcap"

    @property
    def headers(self) -> dict[str, str]:
        """What a program is told of it."""
        return {"X-Capture-Whole": "yes" if self.whole else "no", "X-Capture-Packets": str(self.packets)}


@dataclass(frozen=True, slots=True)
class SharedMail:
    """The copy of a mail, a name for it, and what was changed in it."""

    copy: MailCopy
    name: str
    KIND: ClassVar[str] = "message/rfc822"


def wish_of(said: Mapping[str, Sequence[str]]) -> Wish:
    """What the fields of a form say of how a mail is to be hidden; what they leave out is as usual, kinds that were all unticked are none."""

    def words(name: str, between: str) -> list[str]:
        return [word.strip() for text in said.get(name, ()) for word in re.split(between, text) if word.strip()]

    kinds = tuple(kind for kind in NUMBERS if kind in said.get("kinds", ())) if "kinds" in said or "form" in said else tuple(NUMBERS)
    return Wish(frozenset(words("ours", r"[\s,;，；、]+")), tuple(words("words", r"[\n,;，；、]+")), tuple(words("drop", r"[\s,;，；、]+")) if "drop" in said else DROPPED, frozenset(said.get("keep", ())), kinds)


def copy_mail(sent: Sent | None, wish: Wish, *, actor: Viewer) -> SharedMail:
    """A mail (.eml, .msg) as it would be shared; nothing is kept and nothing recorded. Raises ``Invalid`` for no file, one that is no mail or too large."""
    actor.must("lake.event.export")
    if sent is None:
        raise Invalid("There is no file", todo="Choose a mail (.eml, .msg).", details={"file": ["choose one"]})
    if (sent.size or 0) > MOST_MAIL:
        raise Invalid("The mail is too large", why=f"At most {MOST_MAIL >> 20} MiB are rewritten at once.", todo="Save it without its attachments and send their digests.")
    masking.make_keys()
    try:
        content = mails.internet(sent.read(), limits=Limits())
    except Unreadable as error:
        raise Invalid("This is no mail", why=error.reason, todo=error.todo) from error
    name = PurePath((sent.name or "mail.eml").replace("\\", "/"))
    return SharedMail(desensitised(content, wish, shielding.secret), f"{name.stem[:60]}-shared.eml")


def share_mail(sent: Sent | None, wish: Wish, *, actor: Viewer) -> SharedMail:
    """The same, to be taken away: that a copy was made is on the ledger."""
    made = copy_mail(sent, wish, actor=actor)
    place, copy = sources.owner(actor), made.copy
    kept = [one.sha256 for one in copy.attachments if one.kept]
    detail = {"changes": len(copy.changes), "headers_removed": sum(not after for _where, _before, after in copy.changes), "attachments": len(copy.attachments), "attachments_kept": kept, "sha256": hashlib.sha256(copy.content).hexdigest()}
    ledger.record("lake.mail_shared", Ref("lake", "mail", str(new_id())), actor=actor, label=made.name[-80:], detail=detail, territory=place["territory"], industry=place["industry"])
    return made


def share_capture(sent: Sent | None, rule: str, *, actor: Viewer) -> Shared:
    """A copy of a capture for others: addresses as ``rule`` (of ``queries.address_rules``) says, nothing behind the transport headers. What was made is on the ledger; the caller closes the file.

    Raises ``Invalid`` for no file, for what is no capture, is too large, or cannot be rewritten, ``Missing`` for no such rule.
    """
    actor.must("lake.event.export")
    if sent is None:
        raise Invalid("There is no file", todo="Choose a capture (.pcap, .pcapng).", details={"file": ["choose one"]})
    if (sent.size or 0) > MOST_CAPTURE:
        raise Invalid("The capture is too large", why=f"At most {MOST_CAPTURE >> 20} MiB are rewritten at once.", todo="Split it (editcap -c 1000000) and send the parts.")
    chosen = queries.address_rule(rule, viewer=actor)
    masking.make_keys()
    keyed, made, told = Keyed(shielding.secret(chosen.domain)), tempfile.TemporaryFile(), hashlib.sha256()  # noqa: SIM115 - the caller sends it, and closes it

    def stand_in(address: str) -> str:
        return address if address in chosen.spare else chosen.method.hide([address], keyed)[0] or str(ip_address(bytes(len(ip_address(address).packed))))

    rewriter = Rewriter(stand_in, shielding.secret(f"{chosen.domain} hardware"))
    try:
        for piece in rewriter.run(sent):
            told.update(piece)
            made.write(piece)
    except BaseException:
        made.close()
        raise
    made.seek(0)
    place = sources.owner(actor)
    detail = {"rule": chosen.name, "packets": rewriter.packets, "whole": rewriter.whole, "left_out": rewriter.left_out, "sha256": told.hexdigest()}
    ledger.record("lake.capture_shared", Ref("lake", "capture", str(new_id())), actor=actor, label=(sent.name or "")[-80:], detail=detail, territory=place["territory"], industry=place["industry"])
    name = PurePath((sent.name or "capture.pcap").replace("\\", "/"))
    return Shared(made, f"{name.stem[:60]}-shared{'' if rewriter.whole else '-incomplete'}{name.suffix[:8]}", rewriter.packets, rewriter.whole)
