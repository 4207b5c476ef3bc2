"""Questions about people; above all: who is asking, and how far do they see?"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.mfa import app_settings as mfa
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from lianfang.commons.people import declare, models
from lianfang.commons.people.types import Axis, Hanging, Hat, KeyGeneration, KeyState, Person, Unit, covers, meet
from lianfang.engines.envelope import Keyring, SealingKey, generations, key_file
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Missing
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import NOBODY, SYSTEM, Viewer, after

KEY_MEMORY = 5.0
"""Seconds for which a process remembers a key it has examined; a revoked key dies within this time everywhere."""

NAME_MEMORY = 5.0
"""Seconds for which a process remembers what an organisation is called."""

_known: dict[str, tuple[float, Viewer]] = {}
_names: dict[str, tuple[float, str]] = {}


# ---- who is asking ---------------------------------------------------------------------------------------------


def viewer_of(user: models.User, *, hat: str = "") -> Viewer:
    """The viewer that a user's grants make, wearing ``hat`` if they hold it (otherwise the one with most roles)."""
    wardrobe = hats(user)
    return viewer_in(user, worn(wardrobe, hat))


def hats(user: models.User) -> tuple[Hat, ...]:
    """All hats of a user, the first being the one worn unless another is chosen."""
    grants = _grants(user) if user.is_active else []
    together: dict[frozenset[models.Role], list[models.Grant]] = defaultdict(list)
    for grant in grants:
        together[_roles_over(grants, grant.axis, grant.over)].append(grant)
    return tuple(sorted((_hat(roles, scopes) for roles, scopes in together.items()), key=lambda hat: (hat.size, hat.key), reverse=True))


def worn(wardrobe: tuple[Hat, ...], key: str) -> Hat | None:
    """The hat called ``key``, else the first, else none."""
    return next((hat for hat in wardrobe if hat.key == key), wardrobe[0] if wardrobe else None)


def restricted(user: models.User) -> Viewer:
    """A user who is known but must first do something about their account: no permission, no scope."""
    return Viewer(id=str(user.pk), name=user.name, organisation=str(user.organisation_id), path=user.territory, industry_path=user.industry, kind="restricted", language=user.language)


def viewer_in(user: models.User, hat: Hat | None) -> Viewer:
    if hat is None:
        return restricted(user)
    return Viewer(
        id=str(user.pk),
        name=user.name,
        organisation=str(user.organisation_id),
        path=user.territory,
        industry_path=user.industry,
        territory=hat.territory,
        industry=hat.industry,
        permissions=hat.permissions,
        clearance=hat.clearance,
        language=user.language,
    )


def _grants(user: models.User) -> list[models.Grant]:
    valid = models.Grant.objects.filter(_valid(), user=user).select_related("role", "over").order_by("created", "id")
    return [grant for grant in valid if getattr(grant.over, grant.axis)]


def _valid() -> Q:
    return Q(until=None) | Q(until__gt=clock.now())


def _roles_over(grants: list[models.Grant], axis: str, over: models.Organisation) -> frozenset[models.Role]:
    """The roles that are held over the whole of one scope: granted there or above it, on the same axis."""
    path = getattr(over, axis)
    return frozenset(grant.role for grant in grants if grant.axis == axis and path.startswith(getattr(grant.over, axis)))


def _hat(roles: frozenset[models.Role], scopes: list[models.Grant]) -> Hat:
    paths = {axis: _with_former(axis, {getattr(grant.over, axis) for grant in scopes if grant.axis == axis}) for axis in Axis}
    ordered = sorted(roles, key=lambda role: role.key)
    return Hat(
        key=f"{scopes[0].axis}:{scopes[0].over_id}",
        over=tuple(sorted({str(grant.over) for grant in scopes})),
        roles=tuple(str(role) for role in ordered),
        territory=paths[Axis.TERRITORY],
        industry=paths[Axis.INDUSTRY],
        permissions=frozenset(pattern for role in roles for pattern in role.permissions),
        clearance=DataLevel(max(role.clearance for role in roles)),
        landing=tuple(role.landing for role in ordered if role.landing),
        second_factor=any(role.second_factor for role in roles),
    )


def _with_former(axis: str, tops: set[str]) -> tuple[str, ...]:
    """The tops of a scope, and the paths that organisations in it had before they were moved; none below another."""
    inside = Q(pk__in=[])
    for top in tops:
        inside |= Q(**{f"organisation__{axis}__gte": top, f"organisation__{axis}__lt": after(top)})
    found = set(models.Former.objects.filter(inside, axis=axis).values_list("path", flat=True)) if tops else set()
    kept: list[str] = []
    for path in sorted(tops | found):
        if not kept or not path.startswith(kept[-1]):
            kept.append(path)
    return tuple(kept)


# ---- keys ------------------------------------------------------------------------------------------------------


def viewer_of_key(code: str, secret: str) -> Viewer:
    """The viewer of an API key; ``NOBODY`` if there is no such key, its secret differs, or it no longer holds.

    The secret has 256 random bits, so one HMAC under the node's secret is enough and a slow password hash would only
    cost every request its time (NIST SP 800-63B §5.1.2 asks for stretching of memorised and short look-up secrets).
    The digest is the only thing looked up by or compared, and the comparison takes the same time for any difference.
    """
    digest = digest_of(code, secret)
    until, viewer = _known.get(digest, (0.0, NOBODY))
    if until > monotonic():
        return viewer
    viewer = _examine(code, digest)
    if viewer is not NOBODY:
        if len(_known) > 4096:
            _known.clear()
        _known[digest] = (monotonic() + KEY_MEMORY, viewer)
    return viewer


def forget_keys() -> None:
    """Make this process look at the table again at once."""
    _known.clear()


def digest_of(code: str, secret: str) -> str:
    """What the table keeps of a key: HMAC-SHA-256 of ID and secret under the node's secret, in hex."""
    return salted_hmac("lianfang.people.key", f"{code}:{secret}", algorithm="sha256").hexdigest()


def _examine(code: str, digest: str) -> Viewer:
    key = models.Key.objects.filter(_valid(), code=code, revoked=None, user__is_active=True).select_related("user", "over").first()
    if not hmac.compare_digest(key.digest if key else "-" * 64, digest) or key is None:
        return NOBODY
    roles = _roles_over(_grants(key.user), key.axis, key.over)
    return Viewer(
        id=str(key.user_id),
        name=f"{key.user.name} · {key.name}",
        organisation=str(key.user.organisation_id),
        path=key.user.territory,
        industry_path=key.user.industry,
        territory=_with_former(key.axis, {key.over.territory}) if key.axis == Axis.TERRITORY else (),
        industry=_with_former(key.axis, {key.over.industry}) if key.axis == Axis.INDUSTRY else (),
        permissions=meet(key.permissions, {pattern for role in roles for pattern in role.permissions}),
        clearance=DataLevel(max((role.clearance for role in roles), default=DataLevel.L1)),
        kind="key",
        language=key.user.language,
    )


# ---- organisations and users -----------------------------------------------------------------------------------


def organisation(pk: Any, viewer: Viewer) -> Unit:
    """One organisation in the viewer's scope."""
    return unit(models.Organisation.objects.fetch(pk, viewer))


def organisations(viewer: Viewer) -> list[Unit]:
    """All organisations in the viewer's scope, by territory."""
    return [unit(row) for row in models.Organisation.objects.seen_by(viewer)]


def name_of(pk: Any) -> str:
    """What an organisation is called, for a label; "" if there is none. Lists ask row by row, so a process remembers it for a few seconds."""
    until, name = _names.get(str(pk), (0.0, ""))
    if pk and until < monotonic():
        row = models.Organisation.objects.filter(pk=pk).only("name", "short_name").first()
        name = str(row) if row else ""
        if len(_names) > 4096:
            _names.clear()
        _names[str(pk)] = (monotonic() + NAME_MEMORY, name)
    return name


def forget_names() -> None:
    """Make this process look at the table again at once."""
    _names.clear()


def person(pk: Any, viewer: Viewer) -> Person:
    """One user in the viewer's scope, by id or user name."""
    return person_of(user_row(pk, viewer))


def persons(viewer: Viewer, *, permission: str = "") -> list[Person]:
    """Active persons in the viewer's scope; with ``permission``, only those who hold it (to be asked, or assigned to)."""
    rows = models.User.objects.seen_by(viewer).filter(is_active=True, kind=models.User.PERSON)
    if not permission:
        return [person_of(row) for row in rows]
    held = models.Grant.objects.filter(_valid(), user__in=rows.values("pk")).select_related("role")
    able = {grant.user_id for grant in held if covers(grant.role.permissions, permission)}
    return [person_of(row) for row in rows if row.pk in able]


def user_row(pk: Any, viewer: Viewer) -> models.User:
    """One user in the viewer's scope, by id or user name."""
    try:
        return models.User.objects.fetch(UUID(str(pk)), viewer)
    except ValueError:
        row = models.User.objects.seen_by(viewer).filter(username=str(pk).lower()).first()
    if row is None:
        raise Missing(_("There is no such user"), why=_("Nobody in your scope is called so."), todo=_("Check the name."))
    return row


def who_may(pk: Any, permission: str, *, territory: str, industry: str) -> models.User | None:
    """The user of this id or name, if one of their hats may do it to what belongs there; ``None`` for anybody else."""
    try:
        user = user_row(pk, SYSTEM)
    except Missing:
        return None
    worn_ = (viewer_in(user, hat) for hat in hats(user))
    return user if any(viewer.may(permission) and viewer.sees(territory, industry) for viewer in worn_) else None


def below(row: models.Organisation, axis: str) -> QuerySet[models.Organisation]:
    """The organisations that hang directly below one."""
    return models.Organisation.objects.filter(**{"parent" if axis == Axis.TERRITORY else "industry_parent": row})


def unit(row: models.Organisation) -> Unit:
    return Unit(id=str(row.pk), name=row.name, short_name=row.short_name, kind=row.kind, territory=row.territory, industry=row.industry)


def person_of(row: models.User) -> Person:
    return Person(id=str(row.pk), username=row.username, name=row.name, organisation=str(row.organisation_id), email=row.email, active=row.is_active)


def address_of(request: HttpRequest | None) -> str:
    """The address that a request comes from, behind as many proxies as ``LIANFANG_PROXIES`` says; empty where there is none."""
    return get_adapter().get_client_ip(request) if request is not None and request.META.get("REMOTE_ADDR") else ""


# ---- logins ----------------------------------------------------------------------------------------------------


def attempt_digest(username: str) -> str:
    """Under what failed logins are counted; the name itself is not kept, it may be a mistyped password."""
    return salted_hmac("lianfang.people.attempt", username.strip().lower(), algorithm="sha256").hexdigest()


def locked_until(username: str) -> datetime | None:
    """Until when logins under this name are refused, or None."""
    attempt = models.Attempt.objects.filter(pk=attempt_digest(username), locked_until__gt=clock.now()).first()
    return attempt.locked_until if attempt else None


def was_used(user: models.User, password: str) -> bool:
    """Whether ``password`` is the user's present one or one of the last few."""
    encoded = [user.password, *models.PastPassword.objects.filter(user=user).values_list("encoded", flat=True)[: settings.PASSWORD_HISTORY]]
    return any(check_password(password, one) for one in encoded if one)


def password_is_old(user: models.User) -> bool:
    """Whether the password has outlived ``LIANFANG_PASSWORD_DAYS``."""
    days = settings.PASSWORD_DAYS
    return bool(days and user.password_changed and (clock.now() - user.password_changed).days >= days)


def landings(user: models.User) -> list[str]:
    """The names of the pages that the user's roles land on, the first hat's first."""
    return [name for hat in hats(user) for name in hat.landing]


def has_second_factor(user: models.User) -> bool:
    """Whether a code is asked for at login."""
    return Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists()


def recovery_codes_left(user: models.User) -> int:
    """How many recovery codes have not been used."""
    codes = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).first()
    if codes is None:
        return 0
    if "migrated_codes" in codes.data:
        return len(codes.data["migrated_codes"])
    return mfa.RECOVERY_CODE_COUNT - codes.data["used_mask"].bit_count()


# ---- second factors at rest ------------------------------------------------------------------------------------

FACTOR = "lianfang second factor"
"""What the sealing key is used for; a text sealed for something else does not open as a second factor."""


def keys_folder() -> Path:
    """Where the node's keys lie."""
    return Path(settings.HOME) / "keys"


def sealing_file(generation: int = 1) -> Path:
    """Where a generation of the node's key for secrets at rest lies."""
    return key_file(keys_folder(), generation)


def keyring() -> Keyring:
    """The node's keys for secrets at rest, all generations that are here; raises ``Missing`` when none was ever needed, or they are lost."""
    return Keyring.load(keys_folder())


def generation_numbers() -> dict[str, int]:
    """Every key that the node ever sealed with → its generation."""
    rows = {row.number: row for row in models.Generation.objects.all()}
    return {row.key: row.number for row in rows.values() if row.key} | {key: number for number, key in keys_here(rows).items()}


def keys_here(rows: Mapping[int, models.Generation]) -> dict[int, str]:
    """The generations whose key lies here and is the one that it was → the key."""
    found = dict[int, str]()
    for number, path in generations(keys_folder()).items():
        with suppress(Fault, OSError):
            key = SealingKey.load(path).id
            if number not in rows or rows[number].key in ("", key):
                found[number] = key
    return found


def generation_of(key: str, known: Mapping[str, int]) -> int:
    """The generation of a sealed thing's key (``""``: from before there were generations). A strange key counts as the first where nothing is known of that one, else as 0."""
    return known.get(key) or (1 if not key or 1 not in known.values() else 0)


def by_generation(found: Iterable[tuple[str, int]]) -> dict[int, int]:
    """Counts by key → counts by generation."""
    known, sums = generation_numbers(), defaultdict[int, int](int)
    for key, n in found:
        sums[generation_of(key, known)] += n
    return dict(sums)


def given_up(key: str) -> bool:
    """Whether the generation of a sealed thing's key was given up as lost."""
    return models.Generation.objects.filter(number=generation_of(key, generation_numbers())).exclude(forgotten=None).exists()


def hanging() -> list[tuple[declare.Kind, declare.Counts]]:
    """What lies sealed: every kind with how many things hang on each generation."""
    return [(kind, {number: n for number, n in kind.count().items() if n}) for kind in declare.kinds()]


def key_generations() -> list[KeyGeneration]:
    """Every generation of the sealing key, the newest first: who made it, where it stands, what hangs on it."""
    rows, found = {row.number: row for row in models.Generation.objects.all()}, hanging()
    here = keys_here(rows)
    numbers = {*here, *rows, *(number for _, counts in found for number in counts)}
    return [_generation(number, rows.get(number), here, found) for number in sorted(numbers, reverse=True)]


def _generation(number: int, row: models.Generation | None, here: Mapping[int, str], found: list[tuple[declare.Kind, declare.Counts]]) -> KeyGeneration:
    things = tuple(Hanging(kind.name, kind.title, kind.loss, counts[number], kind.drains) for kind, counts in found if counts.get(number))
    lost = KeyState.LOST if things else KeyState.GONE
    absent = KeyState.RETIRED if row and row.retired else KeyState.FORGOTTEN if row and row.forgotten else lost
    state = absent if number not in here else KeyState.NEWEST if number == max(here) else KeyState.OLDER
    made = row.made if row else datetime.fromtimestamp(sealing_file(number).stat().st_mtime, UTC) if number in here else None
    ended = (row.retired or row.forgotten) if row else None
    return KeyGeneration(number, row.key if row else here.get(number, ""), state, made, row.made_by if row else "", ended, row.ended_by if row else "", things)


def unseal(sealed: str) -> str:
    """A second factor's secret. Raises ``Conflict``, in words for the person at the door, when the node's key does not open it."""
    try:
        return keyring().open(sealed, purpose=FACTOR)
    except Fault as fault:
        raise factors_locked() from fault


def factors_locked() -> Conflict:
    """What to say when the key and the second factors do not belong together."""
    return Conflict(_("Second factors cannot be read on this node"), why=_("They are sealed under a key that is not the one in keys/sealing.key."), todo=_("Ask the administrator of the node to restore that file from a backup, or to drop your second factor."))


def secrets_of(row: Any) -> list[str]:
    """What must be sealed in an authenticator's row."""
    return [row.data[name] for name in ("secret", "seed") if name in row.data] + list(row.data.get("migrated_codes", ()))


def factors_out_of_reach() -> int:
    """How many second factors this node's key does not open."""
    return sum(not _opens(row) for row in Authenticator.objects.all())


def _opens(row: Authenticator) -> bool:
    try:
        for secret in secrets_of(row):
            unseal(secret)
    except Conflict:
        return False
    return True
