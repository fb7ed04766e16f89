"""What belongs to no shop, for keys with the scope `owner`: who may sign in to the console, and the settings."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request

from paidup.people import admin, store
from paidup.people.audit import Actor
from paidup.people.user import Role, User
from paidup.settings import effective
from paidup.shops.store import ApiKey, Scope
from paidup.web.context import Context
from paidup.web.hand import ACTION, WHO, deeds_of
from paidup.web.hand_shapes import Deeds
from paidup.web.route import BEFORE, LIMIT, Route

UserName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._@-]*$(?!\n)")]


class AddUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who may sign in to the console, and as what."""

    name: UserName
    role: Role = Role.VIEWER


class GiveRole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What they may do from now on."""

    role: Role


class UserOut(msgspec.Struct, frozen=True, kw_only=True):
    """Who may sign in. has_totp: a second factor is asked for."""

    name: str
    role: Role
    has_password: bool
    has_totp: bool
    created_at: datetime
    disabled_at: datetime | None


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """All users, by name."""

    items: list[UserOut]


class LinkOut(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in link, which opens once, within half an hour; it is given only now."""

    name: str
    link: str


class SettingOut(msgspec.Struct, frozen=True, kw_only=True):
    """A setting as it is in force. value: `***` for a secret. origin: where it comes from."""

    name: str
    value: str
    origin: str
    meaning: str


class SettingsOut(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, in the order of their reference."""

    items: list[SettingOut]


async def list_(context: Context, _key: ApiKey, _request: Request) -> Users:
    """Who may sign in to the console, and as what."""
    async with context.db.session() as tx:
        return Users(items=[_shown(user) for user in await store.users(tx)])


async def add(context: Context, key: ApiKey, _request: Request, body: AddUser) -> LinkOut:
    """Add a user; they set their password by the link that this gives."""
    clock = context.clock
    async with context.db.transaction() as tx:
        token = await admin.add(tx, _actor(key), body.name, body.role, clock.now(), rate=clock.rate)
    return _link(context, body.name, token)


async def give_role(context: Context, key: ApiKey, request: Request, body: GiveRole) -> UserOut:
    """Give a user another role; they sign in anew."""
    async with context.db.transaction() as tx:
        return _shown(await admin.give_role(tx, _actor(key), _name(request), body.role, context.clock.now()))


async def disable(context: Context, key: ApiKey, request: Request) -> UserOut:
    """End a user's sessions at once; nobody signs in under this name any more."""
    async with context.db.transaction() as tx:
        return _shown(await admin.disable(tx, _actor(key), _name(request), context.clock.now()))


async def reset(context: Context, key: ApiKey, request: Request) -> LinkOut:
    """Forget a user's password and second factor, enable them again, and give a sign-in link."""
    clock = context.clock
    async with context.db.transaction() as tx:
        token = await admin.reset(tx, _actor(key), _name(request), clock.now(), rate=clock.rate)
    return _link(context, _name(request), token)


async def link(context: Context, key: ApiKey, request: Request) -> LinkOut:
    """Another sign-in link for a user, such as for who forgot the password."""
    clock = context.clock
    async with context.db.transaction() as tx:
        token = await admin.make_link(tx, _actor(key), _name(request), clock.now(), rate=clock.rate)
    return _link(context, _name(request), token)


async def settings(context: Context, _key: ApiKey, _request: Request) -> SettingsOut:
    """What is in force, and where each value comes from; secrets are masked."""
    found = effective(context.settings)
    return SettingsOut(items=[SettingOut(**msgspec.structs.asdict(one)) for one in found])


async def whole_audit(context: Context, _key: ApiKey, request: Request) -> Deeds:
    """What people did by hand in all shops and in none, such as sign-ins and changes of users, newest first."""
    return await deeds_of(context, request, None)


def _actor(key: ApiKey) -> Actor:
    return Actor(f"key:{key.id}", "api")


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _shown(user: User) -> UserOut:
    return UserOut(**{name: getattr(user, name) for name in UserOut.__struct_fields__})


def _link(context: Context, name: str, token: str) -> LinkOut:
    return LinkOut(name=name, link=admin.link_of(context.settings.public_url, token))


ROUTES = (
    Route("GET", "/v1/users", list_, Scope.OWNER, gives=Users),
    Route("POST", "/v1/users", add, Scope.OWNER, body=AddUser, gives=LinkOut, status=201, secret=True),
    Route("POST", "/v1/users/{name}/role", give_role, Scope.OWNER, body=GiveRole, gives=UserOut),
    Route("POST", "/v1/users/{name}/disable", disable, Scope.OWNER, gives=UserOut),
    Route("POST", "/v1/users/{name}/reset", reset, Scope.OWNER, gives=LinkOut, secret=True),
    Route("POST", "/v1/users/{name}/link", link, Scope.OWNER, gives=LinkOut, secret=True),
    Route("GET", "/v1/whole-audit", whole_audit, Scope.OWNER, gives=Deeds, query=(WHO, ACTION, BEFORE, LIMIT)),
    Route("GET", "/v1/settings", settings, Scope.OWNER, gives=SettingsOut),
)
