"""A run for people: text for the terminal, one self-contained page, and what changed since an earlier run."""

from collections.abc import Iterator, Sequence
from html import escape

from bench.result import Bar, Chart, Figure, Result, Run, shown

_COLOURS = ("#2563eb", "#94a3b8", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#0f766e", "#be185d")
_WIDTH, _HEIGHT, _LEFT, _BAR = 720, 240, 60, 18


def as_text(result: Result) -> str:
    """The figures, the bars and the texts of one bench."""
    width = max((len(f.name) for f in result.figures), default=0)
    lines = [f"  {f.name:<{width}}  {shown(f.median):>9} {f.unit}{_noise(f)}" for f in result.figures]
    lines += [f"  {bar}" for bar in result.bars]
    lines += [f"  {note}" for note in result.notes]
    lines += [f"  {title}\n{text}" for title, text in result.texts]
    return "\n".join(lines)


def bars(run: Run) -> str:
    """Every bar of the run, met or missed."""
    lines = [f"  {name:<10} {bar}" for name, bar in _bars(run)]
    return "\n".join(["", "bars", *lines])


def _bars(run: Run) -> Iterator[tuple[str, Bar]]:
    for name, result in run.results.items():
        for bar in result.bars:
            yield name, bar


def _noise(figure: Figure) -> str:
    return f"  ± {shown(figure.noise)} over {len(figure.rounds)} rounds" if len(figure.rounds) > 1 else ""


# What changed ------------------------------------------------------------------------------------------------------


def changes(before: Run, after: Run) -> str:
    """The figures that differ by more than the noise of both runs; the noise of a single round is taken as 10 %."""
    lines = [line for name, result in after.results.items() for line in _changed(name, before, result)]
    head = f"changed beyond the noise since {before.date}"
    if before.machine != after.machine:
        head += f" (on another machine: {before.machine})"
    return "\n".join(["", head, *(lines or ["  nothing"])])


def _changed(name: str, before: Run, result: Result) -> Iterator[str]:
    if name not in before.results:
        return
    old = {figure.name: figure for figure in before.results[name].figures}
    for new in result.figures:
        was = old.get(new.name)
        if was and beyond_noise(was, new):
            share = (new.median / was.median - 1) * 100 if was.median else 0.0
            yield f"  {_judged(was, new)}  {name} {new.name}: {shown(was.median)} → {shown(new.median)} {share:+.0f} %"


def beyond_noise(was: Figure, now: Figure) -> bool:
    """Whether two figures differ by more than twice the noise of both together, and by 3 % at least."""
    noise = sum(f.noise if len(f.rounds) > 1 else 0.1 * abs(f.median) for f in (was, now))
    return abs(now.median - was.median) > max(2 * noise, 0.03 * abs(was.median))


def _judged(was: Figure, now: Figure) -> str:
    if now.better == "neither":
        return "other "
    return "better" if (now.median > was.median) == (now.better == "higher") else "WORSE "


# The page ----------------------------------------------------------------------------------------------------------

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:860px;margin:2rem auto;padding:0 1rem;color:#0f172a;background:#fff}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #e2e8f0}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #f1f5f9;vertical-align:top}
figure{margin:1.2rem 0}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.met{color:#047857}.missed{color:#b91c1c}
pre{background:#f8fafc;padding:.7rem;overflow:auto;font-size:12px;line-height:1.35}svg{max-width:100%;height:auto}
text{font:12px system-ui,sans-serif;fill:#334155}small,.quiet{color:#64748b}
@media(prefers-color-scheme:dark){body{background:#0f172a;color:#e2e8f0}pre{background:#1e293b}text{fill:#cbd5e1}
td,th,h2{border-color:#334155}.met{color:#34d399}.missed{color:#f87171}}
"""


def page(run: Run) -> str:
    """One HTML page without anything from elsewhere."""
    sections = "".join(_section(name, result) for name, result in run.results.items())
    short = "<p class=missed>A quick run: short rounds, noisy figures.</p>" if run.quick else ""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Paidup, measured on {run.date}</title><style>{_STYLE}</style><h1>Paidup, measured</h1>"
        f"<p class=quiet>{escape(run.date)}. {escape(run.machine)}. {escape(run.load_before)}.</p>{short}"
        f"<h2>What it is held to</h2>{_bar_table(list(_bars(run)))}{sections}</html>\n"
    )


def _bar_table(rows: Sequence[tuple[str, Bar]]) -> str:
    cells = "".join(
        f"<tr><td class={'met' if bar.met else 'missed'}>{'met' if bar.met else 'missed'}<td>{escape(bar.claim)}"
        f"<td class=n>{shown(bar.value)}<td class=n>{_bound(bar)}<td class=quiet>{escape(name)}"
        for name, bar in rows
    )
    return f"<table><tr><th><th>claim<th>measured<th>bar<th>{cells}</table>"


def _bound(bar: Bar) -> str:
    return f"≥ {bar.at_least:g}" if bar.at_least is not None else f"≤ {bar.at_most:g}"


def _section(name: str, result: Result) -> str:
    rows = "".join(
        f"<tr><td>{escape(f.name)}<td class=n>{shown(f.median)} {escape(f.unit)}<td class='n quiet'>"
        f"{'± ' + shown(f.noise) if len(f.rounds) > 1 else ''}"
        for f in result.figures
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in result.notes)
    texts = "".join(
        f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
        for title, text in result.texts
    )
    charts = "".join(chart(one) for one in result.charts)
    return f"<h2 id={name}>{name}</h2>{notes}{charts}<table>{rows}</table>{texts}"


def chart(one: Chart) -> str:
    """An SVG picture with its legend."""
    drawn = _bar_chart(one) if one.kind == "bars" else _line_chart(one)
    names = [series.name for series in one.series if series.name]
    legend = " ".join(
        f"<span style='color:{_COLOURS[n % len(_COLOURS)]}'>■</span> {escape(name)}" for n, name in enumerate(names)
    )
    return f"<figure><figcaption><b>{escape(one.title)}</b> <small>{legend}</small></figcaption>{drawn}</figure>"


def _bar_chart(one: Chart) -> str:
    rows = [(n, str(where), value) for n, series in enumerate(one.series) for where, value in series.points]
    order = list(dict.fromkeys(where for _, where, _ in rows))
    rows.sort(key=lambda row: (order.index(row[1]), row[0]))
    most = max((value for _, _, value in rows), default=1) or 1
    left, drawn, last = 310, [], ""
    for place, (n, where, value) in enumerate(rows):
        y = place * (_BAR + 4)
        width = value / most * (_WIDTH - left - 110)
        label = f"<text x={left - 8} y={y + 13} text-anchor=end>{escape(where)}</text>" if where != last else ""
        drawn.append(
            f"{label}<rect x={left} y={y} width={width:.1f} height={_BAR} rx=2 fill='{_COLOURS[n % len(_COLOURS)]}'/>"
            f"<text x={left + width + 6:.1f} y={y + 13}>{shown(value)} {escape(one.unit)}</text>"
        )
        last = where
    return f"<svg viewBox='0 0 {_WIDTH} {len(rows) * (_BAR + 4)}' role=img>{''.join(drawn)}</svg>"


def _line_chart(one: Chart) -> str:
    points = [(float(x), y) for series in one.series for x, y in series.points]
    x_most = max((x for x, _ in points), default=1) or 1
    y_most = max((y for _, y in points), default=1) * 1.05 or 1

    def at(x: float, y: float) -> str:
        right, bottom = _LEFT + x / x_most * (_WIDTH - _LEFT - 20), _HEIGHT - 30 - y / y_most * (_HEIGHT - 45)
        return f"{right:.1f},{bottom:.1f}"

    lines = "".join(
        f"<polyline fill=none stroke-width=2 stroke='{_COLOURS[n % len(_COLOURS)]}' "
        f"points='{' '.join(at(float(x), y) for x, y in series.points)}'/>"
        for n, series in enumerate(one.series)
    )
    grid = "".join(
        f"<path d='M{at(0, y_most * part)} L{at(x_most, y_most * part)}' stroke='#94a3b8' stroke-opacity=.4 />"
        f"<text x={_LEFT - 6} y={at(0, y_most * part).split(',')[1]} text-anchor=end>{shown(y_most * part)}</text>"
        for part in (0, 0.5, 1)
    )
    below = f"<text x={_WIDTH - 20} y={_HEIGHT - 8} text-anchor=end>{escape(one.along)}, 0 … {shown(x_most)}</text>"
    unit = f"<text x={_LEFT} y=11>{escape(one.unit)}</text>"
    return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img>{grid}{lines}{below}{unit}</svg>"
