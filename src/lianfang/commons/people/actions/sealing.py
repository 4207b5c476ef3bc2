"""Second factors at rest: what the database holds of them is sealed under a key that lies outside it."""

from __future__ import annotations

from contextlib import suppress

from allauth.mfa.models import Authenticator

from lianfang.commons.people import queries
from lianfang.engines.envelope import SealingKey
from lianfang.kernel.errors import Conflict, Missing


def seal(secret: str, *, purpose: str = queries.FACTOR) -> str:
    """What the database keeps of a secret, by itself of a second factor's. The key is made when first needed; a lost one is not replaced unseen: raises ``Conflict``."""
    return _key().seal(secret, purpose=purpose)


def _key() -> SealingKey:
    try:
        return queries.sealing_key()
    except Missing as error:
        if Authenticator.objects.exists():
            raise queries.factors_locked() from error
    return make_sealing_key()


def make_sealing_key() -> SealingKey:
    """The node's key for secrets at rest; made unless it is there."""
    with suppress(Conflict):  # another process was first: its key is the node's key
        SealingKey.generate().save(queries.sealing_file())
    return queries.sealing_key()
