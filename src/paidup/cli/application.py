"""The application that embeds Paidup, for commands that change payments: what they do, its handlers do with them."""

import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from paidup.errors import ConfigError
from paidup.handlers import Handlers
from paidup.settings import Settings

if TYPE_CHECKING:
    from paidup.app import Paidup


@asynccontextmanager
async def quiet(settings: Settings) -> "AsyncIterator[Paidup]":
    """A Paidup that does nothing by itself, with the application's handlers.

    Raises ConfigError, as `handlers_of` does. The door raises HandlersMissing when they are needed and not named.
    """
    from paidup.app import Paidup

    async with Paidup(msgspec.structs.replace(settings, roles=()), handlers_of(settings)) as paidup:
        yield paidup


def handlers_of(settings: Settings) -> Handlers:
    """Those of the application that PAIDUP_APP names; none when it names none. Raises ConfigError.

    What the application's own modules raise while they are imported is not caught: its traceback names the line.
    """
    if not settings.app:
        return Handlers()
    from paidup.app import Paidup

    module_name, _, path = settings.app.partition(":")
    found = _imported(settings.app, module_name)
    for name in path.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, Paidup):
        said = "there is no such attribute" if found is None else f"that is a {type(found).__name__}"
        raise ConfigError(f"PAIDUP_APP={settings.app}: {said}; name the attribute that holds the Paidup object")
    return found.handlers


def _imported(app: str, module_name: str) -> object:
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current folder, where uvicorn looks for an application, too
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"PAIDUP_APP={app}: {module_name} cannot be imported: {error}; "
            "run the command in the folder, and with the Python, of the application"
        ) from None
