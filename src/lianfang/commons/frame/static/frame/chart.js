// Charts: an ECharts option from a JSON element, dressed in the palette of the page. Tooltips are drawn, not written (no inline style).
(() => {
  const root = document.documentElement;
  const token = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const severity = () => Object.fromEntries(["grey", "blue", "yellow", "orange", "red"].map((name, n) => [n + 1, token(`--${name}-fill`)]));
  const axis = (given, ink, line) => given && [].concat(given).map((a) => ({ ...a, axisLine: { lineStyle: { color: line }, ...a.axisLine }, axisTick: { show: false, ...a.axisTick }, axisLabel: { color: ink, fontSize: 11, hideOverlap: true, ...a.axisLabel }, splitLine: { lineStyle: { color: line, type: [3, 3] }, ...a.splitLine }, nameTextStyle: { color: ink, ...a.nameTextStyle } }));
  const dressed = (spec) => {
    const ink = token("--ink-2"), line = token("--line"), surface = token("--surface"), levels = severity();
    const palette = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => token(`--series-${n}`));
    return {
      color: palette, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink }, animationDuration: 240, aria: { enabled: true },
      grid: { left: 8, right: 12, top: spec.legend ? 34 : 14, bottom: 6, containLabel: true }, ...spec,
      xAxis: axis(spec.xAxis, ink, line), yAxis: axis(spec.yAxis, ink, line),
      legend: spec.legend && { textStyle: { color: ink, fontSize: 12 }, itemWidth: 10, itemHeight: 10, icon: "roundRect", left: 0, top: 0, type: "scroll", ...spec.legend },
      tooltip: spec.tooltip === false ? undefined : { trigger: "axis", backgroundColor: surface, borderColor: token("--line-strong"), textStyle: { color: token("--ink"), fontSize: 12 }, confine: true, ...spec.tooltip, renderMode: "richText" },
      series: [].concat(spec.series || []).map((s) => ({ barMaxWidth: 28, symbolSize: 5, ...(s.type === "bar" ? { itemStyle: { borderColor: surface, borderWidth: s.stack ? 0.75 : 0, borderRadius: s.stack ? 1 : 2 } } : { lineStyle: { width: 1.75 } }), ...s, ...(s.severity ? { itemStyle: { color: levels[s.severity], borderColor: surface, borderWidth: s.stack ? 0.75 : 0, ...s.itemStyle }, lineStyle: { color: levels[s.severity], ...s.lineStyle } } : {}), data: (s.data || []).map((d) => (d && d.severity ? { ...d, itemStyle: { color: levels[d.severity] } } : d)) })),
    };
  };
  const drawn = new Map();
  const clean = (option) => Object.fromEntries(Object.entries(option).filter(([, value]) => value !== undefined));
  const draw = (figure) => {
    const spec = JSON.parse(figure.querySelector("script").textContent);
    const chart = drawn.get(figure) || window.echarts.init(figure, null, { renderer: "canvas" });
    drawn.set(figure, chart);
    figure.dataset.drawn = "";
    chart.setOption(clean(dressed(spec)), true);
    const wide = figure.closest(".wide-chart");
    if (wide) wide.scrollLeft = (wide.scrollWidth - wide.clientWidth) / 2;  // what it is about stands in the middle
  };
  new ResizeObserver(() => drawn.forEach((chart, figure) => { if (figure.isConnected) chart.resize(); else { chart.dispose(); drawn.delete(figure); } })).observe(document.body);
  root.addEventListener("themed", () => requestAnimationFrame(() => drawn.forEach((_, figure) => figure.isConnected && draw(figure))));
  window.lianfang.charts = () => document.querySelectorAll("[data-chart]:not([data-drawn])").forEach(draw);
})();
