"""What the demo prints for another shell can be typed there."""

import json
import shutil
import subprocess

from paidup.demo.look_around import to_look_around

ENV = {
    "PAIDUP_DATABASE_URL": "postgresql://p:x@/demo?host=%2Ftmp%2Fa b&port=5",
    "PAIDUP_CLOCK": "2026-11-29T00:48:45*15",
}
SHOW = "python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"


def test_another_shell_has_the_settings_and_the_command() -> None:
    """Whatever stands in an address, blanks and ampersands among it."""
    typed = f"{to_look_around(ENV)}\n{SHOW}"
    ran = subprocess.run(
        ["bash", "-c", typed], env={"PATH": "/usr/bin:/bin:/usr/local/bin"}, capture_output=True, check=True
    )
    there = json.loads(ran.stdout)
    assert ENV == {name: there[name] for name in ENV}
    assert shutil.which("paidup", path=there["PATH"])
