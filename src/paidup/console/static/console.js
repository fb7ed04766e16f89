"use strict";
// Small comforts; every page works without them.
(() => {
  const year = 365 * 86400;
  const secure = location.protocol === "https:" ? "; secure" : "";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `paidup_zone=${zone}; path=/; max-age=${year}; samesite=lax${secure}`;

  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      document.querySelector("#big-q, #q")?.focus();
    }
    if (event.key === "Escape") document.querySelector("details.me[open]")?.removeAttribute("open");
  });

  document.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-copy]");
    if (chip && navigator.clipboard) {
      navigator.clipboard.writeText(chip.dataset.copy).then(() => {
        chip.classList.add("copied");
        setTimeout(() => chip.classList.remove("copied"), 1200);
      });
    }
    const menu = document.querySelector("details.me[open]");
    if (menu && !menu.contains(event.target)) menu.removeAttribute("open");
    const all = event.target.closest("[data-check-all]");
    if (all) for (const box of document.querySelectorAll("input[name=id]")) box.checked = all.checked;
  });

  // Language and theme come back to the page on which they were chosen.
  const base = new URL(document.querySelector("link[rel=icon]").href).pathname.replace(/\/static\/.*/, "");
  for (const field of document.querySelectorAll("[data-here]")) {
    field.value = (location.pathname + location.search).slice(base.length) || "/";
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function draw(element) {
    const data = JSON.parse(element.dataset.series);
    const labels = JSON.parse(element.dataset.labels);
    element.replaceChildren();
    const total = data[1].map((count, n) => count + data[2][n]);
    const axis = { stroke: colour("--ink-3"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const line = (label, stroke) => ({ label, stroke, fill: stroke + "33", width: 2, points: { show: false } });
    const whole = { label: labels[0], stroke: colour("--accent"), fill: colour("--accent-soft"), width: 2, points: { show: false } };
    new uPlot({
      width: element.clientWidth || 600, height: 150, padding: [8, 8, 0, 0],
      legend: { show: true, live: false }, cursor: { points: { show: false }, drag: { x: false, y: false } },
      scales: { y: { range: (_u, _low, high) => [0, Math.max(4, high * 1.15)] } },
      axes: [{ ...axis, values: "{HH}:{mm}", space: 70 }, { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000] }],
      series: [{}, whole, line(labels[1], colour("--warn"))],
    }, [data[0], total, data[2]], element);
  }
  const drawAll = () => { if (window.uPlot) document.querySelectorAll(".chart[data-series]").forEach(draw); };
  document.addEventListener("htmx:afterSwap", drawAll);
  addEventListener("resize", drawAll);
  drawAll();
})();
