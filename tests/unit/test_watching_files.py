"""The dashboard and the alert rules ask for metrics that exist, by labels that they have, and for all of them."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from paidup.metrics.exposition import text
from paidup.metrics.families import FAMILIES, Family, Kind
from paidup.metrics.readings import Readings

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "ops" / "grafana" / "paidup.json"
ALERTS = ROOT / "ops" / "prometheus" / "alerts.yml"
ALERTS_TEST = ROOT / "ops" / "prometheus" / "alerts_test.yml"
STANDARD = {"process_resident_memory_bytes"}  # of Prometheus' own library
FROM_PROMETHEUS = {"instance", "job"}  # which it adds to all that it scrapes
SELECTOR = re.compile(r"\b((?:paidup|process)_[a-z_]+)(?:\{([^}]*)\})?")


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Where it stands, and the PromQL."""
    for panel in panels():
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    yield from ((rule["alert"], rule["expr"]) for rule in rules())


def samples() -> dict[str, Family]:
    """The names that a query may use, by what /metrics really prints: a histogram has three."""
    told = set(re.findall(r"^# TYPE (\S+) ", text(Readings()).decode(), re.MULTILINE))
    assert {family.name for family in FAMILIES} <= told
    endings = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
    return {family.name + ending: family for family in FAMILIES for ending in endings.get(family.kind, ("",))}


def wrong_in(expression: str) -> list[str]:
    """Names that do not exist, labels that they do not have, and counters that are read without rate()."""
    known, found = samples(), []
    for name, selectors in SELECTOR.findall(expression):
        if name in STANDARD:
            continue
        family = known.get(name)
        if family is None:
            found.append(name)
            continue
        labels = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", selectors)) - FROM_PROMETHEUS
        found += [f"{name} has no label {label}" for label in sorted(labels - {*family.labels, "le"})]
        grows = family.kind is not Kind.GAUGE
        if grows and not re.search(rf"(rate|increase)\({name}(\{{[^}}]*\}})?\[[^]]+\]", expression):
            found.append(f"{name} is read without rate()")
    return found


def added_up(expression: str) -> list[str]:
    """Figures of the business that are summed although max was not taken first."""
    names = {name for name, _ in SELECTOR.findall(expression)}
    ours = sorted(name for name in names if re.match("paidup_(?!process_)", name))
    return [name for name in ours if re.search(rf"\bsum( by \([^)]*\))? ?\((rate|increase)?\(?{name}\b", expression)]


def labels_kept(expression: str) -> set[str]:
    return {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}


def test_every_metric_that_is_asked_for_exists() -> None:
    """A panel or an alert on a misspelt name stays empty, and silence looks like health."""
    asked = list(expressions())
    assert (True, []) == (len(asked) > 60, [(where, wrong) for where, e in asked for wrong in wrong_in(e)])


def test_every_label_that_is_grouped_by_exists() -> None:
    """Each label after `by` belongs to one of the metrics in the expression."""
    known = samples()
    strange = []
    for where, expression in expressions():
        families = [known[name] for name, _ in SELECTOR.findall(expression) if name in known]
        has = {label for family in families for label in family.labels} | FROM_PROMETHEUS | {"le"}
        strange += [(where, label) for label in sorted(labels_kept(expression) - has)]
    assert [] == strange


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    """What nobody looks at need not be counted."""
    asked = {name for _, expression in expressions() for name, _ in SELECTOR.findall(expression)}
    seen = {samples()[name].name for name in asked if name in samples()}
    assert set() == {family.name for family in FAMILIES} - seen


def test_figures_of_the_business_are_never_added_up_over_processes() -> None:
    """All processes tell the same: a bare sum would show twice the payments with two processes."""
    assert [] == [(where, name) for where, expression in expressions() for name in added_up(expression)]


def test_every_alert_tells_what_to_do() -> None:
    """Each has a severity, a sentence of what is wrong and a sentence of what to do; names are used once."""
    bare = [
        rule["alert"]
        for rule in rules()
        if rule["labels"]["severity"] not in ("page", "ticket") or min(map(len, rule["annotations"].values())) < 20
        or set(rule["annotations"]) != {"summary", "runbook"}
    ]  # fmt: skip
    names = [rule["alert"] for rule in rules()]
    assert ([], len(names)) == (bare, len(set(names)))


def test_the_commands_of_the_runbooks_exist() -> None:
    """Whoever is woken at three copies them."""
    documents = _documents()
    quoted = [c for rule in rules() for c in re.findall(r"`(paidup [^`]+)`", rule["annotations"]["runbook"])]
    settings = documents.unknown_settings(ALERTS.read_text())
    assert (True, [], []) == (len(quoted) > 8, documents.unknown_commands("\n".join(quoted)), settings)


def test_every_panel_says_what_it_shows() -> None:
    """A title each, an id of its own, and a place that overlaps no other."""
    cells = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    ids = [panel["id"] for panel in panels()]
    titles = [panel["title"] for panel in panels()]
    assert (len(ids), len(titles), len(cells)) == (len(set(ids)), len(set(titles)), len(set(cells)))


def test_the_checks_bite() -> None:
    """A misspelt name, a label that is not there, a counter without rate, a sum over processes."""
    sample = 'sum(rate(paidup_callback_total[5m])) + paidup_cases_open{type="x"} + paidup_events_total'
    expected = [
        "paidup_callback_total",
        "paidup_cases_open has no label type",
        "paidup_events_total is read without rate()",
    ]
    assert (expected, ["paidup_callback_total"]) == (wrong_in(sample), added_up(sample))


@pytest.mark.parametrize("arguments", [("check", "rules", ALERTS), ("test", "rules", ALERTS_TEST)])
def test_prometheus_itself_accepts_the_rules(arguments: tuple[object, ...]) -> None:
    """Its own tool parses every expression, and plays alerts_test.yml: midnight, two processes, a lost database."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus): PromQL is checked by names only")
    said = subprocess.run([promtool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert (0, True) == (said.returncode, "SUCCESS" in said.stdout), said.stdout + said.stderr


def _documents() -> ModuleType:
    """The checks of tests/test_docs.py, which is no package."""
    spec = importlib.util.spec_from_file_location("documents", ROOT / "tests" / "test_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
