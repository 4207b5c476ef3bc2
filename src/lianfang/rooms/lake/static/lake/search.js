// Search: drag across the bars to narrow the time, conditions put together, rows by keyboard, one event in a drawer.
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // -- the histogram narrows the time
  const card = one(".histogram");
  const goto = (since, until) => { const here = new URL(location.href); ["span", "since", "until", "after"].forEach((name) => here.searchParams.delete(name)); here.searchParams.set("since", since.toISOString()); here.searchParams.set("until", until.toISOString()); location.href = here; };
  const stretch = (from, to) => {
    const seconds = Number(card.dataset.seconds), first = Math.floor(Date.parse(card.dataset.since) / 1000 / seconds);
    goto(new Date((first + from) * seconds * 1000), new Date((first + to + 1) * seconds * 1000));
  };
  const arm = (chart) => {
    if (chart.armed) return;
    chart.armed = true;
    const brush = () => { chart.setOption({ brush: { xAxisIndex: 0, toolbox: [], brushType: "lineX", throttleType: "debounce", throttleDelay: 200, brushStyle: { borderWidth: 1, color: "rgba(120,140,132,.18)", borderColor: "rgba(120,140,132,.7)" } } }); chart.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: "lineX", brushMode: "single" } }); };
    brush();
    document.documentElement.addEventListener("themed", () => setTimeout(brush, 50));
    chart.on("brushEnd", (e) => { const range = e.areas[0]?.coordRange; if (range) stretch(Math.max(0, Math.min(...range)), Math.max(...range)); });
    chart.on("click", (e) => stretch(e.dataIndex, e.dataIndex));
  };
  const wait = (tries) => { const figure = card && one("[data-chart]", card), chart = figure && window.echarts?.getInstanceByDom(figure); if (chart) arm(chart); else if (tries) setTimeout(() => wait(tries - 1), 100); };
  if (card) wait(100);

  // -- a condition is one parameter
  document.addEventListener("submit", (e) => {
    const form = e.target.closest("[data-condition]");
    if (form) one("[data-condition-value]", form).value = [one("[data-column]", form).value, one("[data-op]", form).value, one("[data-value]", form).value].join(":");
  });

  // -- one event in a drawer
  const drawer = one("#drawer");
  document.addEventListener("htmx:afterSwap", (e) => { if (e.detail.target.id === "drawer-content" && !drawer.open) drawer.showModal(); });
  document.addEventListener("click", (e) => {
    if (e.target.closest("[data-drawer-close]") || e.target === drawer) drawer.close();
    const row = e.target.closest(".event-row");
    if (row && !e.target.closest("a, button") && !String(getSelection())) { choose(row); one("a", row).click(); }
  });

  // -- rows by keyboard
  let at = null;
  const choose = (row) => { if (!row) return; at?.classList.remove("at"); at = row; row.classList.add("at"); row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest" }); };
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select")) return;
    const rows = all(".event-row"), now = rows.indexOf(at), step = { j: 1, k: -1 }[e.key];
    if (step) { choose(rows[Math.max(0, Math.min(rows.length - 1, now + step))]); if (drawer.open) one("a", at)?.click(); }
    if (e.key === "Enter" && at && e.target === at) one("a", at).click();
  });
})();
