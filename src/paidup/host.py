"""What is a host name, before anybody is asked where it leads."""

import re

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


def is_name(host: str) -> bool:
    """Whether every reader of a URL takes this for the same name: letters, digits and hyphens between dots.

    `urllib` finds hosts with backslashes and other marks in them, which another reader takes for the end of the host.
    """
    return _NAME.fullmatch(host) is not None
