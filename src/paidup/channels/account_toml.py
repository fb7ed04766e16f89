"""Reading one account.toml and the files beside it, with errors that name the mend.

Every channel reads its own names; the way of asking, and of complaining, is the same for all.
"""

import difflib
from collections.abc import Iterable, Mapping

from paidup.errors import ConfigError


class AccountToml:
    """The table of one account.toml and the bytes of the files beside it.

    Raises ConfigError at once when the table has a name that is not among `known`, naming the nearest.
    """

    def __init__(
        self, account: str, table: Mapping[str, object], files: Mapping[str, bytes], known: Iterable[str]
    ) -> None:
        self._where = f"{account}/account.toml"
        self._table = table
        self._files = files
        names = sorted(known)
        for name in table:
            if name not in names:
                raise ConfigError(f"{self._where}: unknown name {name!r}{_nearest(name, names)}")

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty. Without a default it must be there."""
        value = self._table.get(name, default)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, "must be a text in quotes")
        return value.strip()

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of one text or more."""
        value = self._table.get(name)
        if not isinstance(value, list) or not value:
            raise self.wrong(name, 'must be a list such as ["a", "b"]')
        return tuple(self._item(name, item) for item in value)

    def flag(self, name: str) -> bool:
        """true or false; there is no default, for a wrong guess would mix test money with real money."""
        value = self._table.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def url(self, name: str, default: str | None = None) -> str:
        """An http or https URL without a slash at its end."""
        value = self.text(name, default).rstrip("/")
        if not value.startswith(("https://", "http://")):
            raise self.wrong(name, f"must begin with https://, not {value!r}")
        return value

    def file(self, name: str) -> tuple[str, bytes]:
        """The name and the content of the file that this text names."""
        return self._content(name, self.text(name))

    def file_list(self, name: str) -> tuple[tuple[str, bytes], ...]:
        """The names and contents of the files that this list names, in its order."""
        return tuple(self._content(name, file) for file in self.texts(name))

    def wrong(self, name: str, what: str) -> ConfigError:
        """An error that points at this name, to be raised by the caller."""
        return ConfigError(f"{self._where}: {name} {what}")

    def _item(self, name: str, item: object) -> str:
        if not isinstance(item, str) or not item.strip():
            raise self.wrong(name, "must hold only texts in quotes")
        return item.strip()

    def _content(self, name: str, file: str) -> tuple[str, bytes]:
        if file not in self._files:
            raise self.wrong(name, f"names the file {file!r}, which is not beside it{_nearest(file, self._files)}")
        if not self._files[file].strip():
            raise self.wrong(name, f"names the file {file!r}, which is empty")
        return file, self._files[file]


def _nearest(name: str, names: Iterable[str]) -> str:
    known = list(names)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(known)}" if known else ""
