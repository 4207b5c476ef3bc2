// The shell's manners: search everywhere, menus, choosing rows, polling with ETags, skeletons, toasts. No inline code anywhere.
(() => {
  const root = document.documentElement;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const on = (event, selector, act) => document.addEventListener(event, (e) => { const hit = e.target.closest?.(selector); if (hit) act(hit, e); });

  // -- theme and density
  const themes = ["auto", "light", "dark"];
  const sayTheme = () => all("[data-theme-switch]").forEach((button) => { const says = button.dataset[`says${root.dataset.theme[0].toUpperCase()}${root.dataset.theme.slice(1)}`]; button.title = says; button.setAttribute("aria-label", says); });
  on("click", "[data-theme-switch]", () => { window.lianfang.theme(themes[(themes.indexOf(root.dataset.theme) + 1) % 3]); sayTheme(); });
  on("change", "[data-density]", (input) => { window.lianfang.density(input.dataset.density); });
  const markDensity = () => all("input[data-density]").forEach((i) => { i.checked = i.dataset.density === root.dataset.density; });

  // -- navigation on a phone
  const rail = (open) => { document.body.classList.toggle("rail-open", open); one("[data-rail-open]")?.setAttribute("aria-expanded", String(open)); if (open) one("#rail a")?.focus(); };
  on("click", "[data-rail-open]", () => rail(!document.body.classList.contains("rail-open")));
  on("click", "[data-rail-close]", () => rail(false));

  // -- menus: one at a time, closed by Escape or a click elsewhere
  document.addEventListener("toggle", (e) => {
    const menu = e.target;
    if (!menu.matches?.("details.menu, details.chip") || !menu.open) return;
    all("details.menu[open], details.chip[open]").forEach((other) => { if (other !== menu) other.open = false; });
    const list = menu.lastElementChild;
    if (list === menu.firstElementChild) return;
    list.classList.remove("flip", "rise");
    const box = list.getBoundingClientRect();
    if (box.right > innerWidth - 8) list.classList.add("flip");
    if (box.bottom > innerHeight - 8 && box.height < menu.getBoundingClientRect().top) list.classList.add("rise");
  }, true);
  document.addEventListener("click", (e) => all("details.menu[open], details.chip[open]").forEach((menu) => { if (!menu.contains(e.target)) menu.open = false; }));

  // -- search everywhere
  const finder = one("#finder");
  const openFinder = () => { if (!finder || finder.open) return; finder.showModal(); const field = one("input", finder); field.select(); field.dispatchEvent(new Event("open")); };
  const hits = () => all("#found a");
  const choose = (step) => { const list = hits(); const at = list.findIndex((a) => a.classList.contains("chosen")); list[at]?.classList.remove("chosen"); const next = list[(at + step + list.length) % list.length]; next?.classList.add("chosen"); next?.scrollIntoView({ block: "nearest" }); };
  on("click", "[data-search-open]", openFinder);
  finder?.addEventListener("click", (e) => { if (e.target === finder) finder.close(); });
  finder?.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); choose(e.key === "ArrowDown" ? 1 : -1); }
    if (e.key === "Enter" && !e.isComposing) { const hit = one("#found a.chosen") || hits()[0]; if (hit) { e.preventDefault(); location.href = hit.href; } }
  });
  document.addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") { e.preventDefault(); openFinder(); }
    if (e.key === "/" && !e.target.closest("input, textarea, select, [contenteditable]")) { e.preventDefault(); (one(".words input") || { focus: openFinder }).focus(); }
    if (e.key === "Escape") { const menu = one("details.menu[open], details.chip[open]"); if (menu) { menu.open = false; one("summary", menu).focus(); } else rail(false); }
  });

  // -- choosing rows
  const count = (form) => {
    const ticks = all("tbody input[name=row]", form), chosen = ticks.filter((t) => t.checked).length, head = one("[data-tick-all]", form), said = one("[data-tick-count]", form);
    form.classList.toggle("choosing", chosen > 0);
    if (said) said.textContent = chosen;
    if (head) { head.checked = chosen > 0 && chosen === ticks.length; head.indeterminate = chosen > 0 && chosen < ticks.length; }
  };
  let last = null;
  on("change", "[data-tick-all]", (head) => { const form = head.closest("form"); all("tbody input[name=row]", form).forEach((t) => { t.checked = head.checked; }); count(form); });
  on("click", "tbody input[name=row]", (tick, e) => {
    const form = tick.closest("form"), ticks = all("tbody input[name=row]", form);
    if (e.shiftKey && last && ticks.includes(last)) { const [from, to] = [ticks.indexOf(last), ticks.indexOf(tick)].sort((a, b) => a - b); ticks.slice(from, to + 1).forEach((t) => { t.checked = tick.checked; }); }
    last = tick; count(form);
  });
  on("click", "[data-tick-none]", (button) => { const form = button.closest("form"); all("input[name=row], input[name=all]", form).forEach((t) => { t.checked = false; }); count(form); });
  on("submit", "form[data-columns]", (form) => { one("input[name=columns]", form).value = all("input[data-column]:checked", form).map((i) => i.value).join(","); });

  // -- small services
  on("click", "[data-dismiss]", (button) => button.closest(".toast-item").remove());
  on("click", "[data-copy]", async (button) => {
    const text = one(button.dataset.copy)?.textContent ?? button.dataset.copyText ?? "";
    try { await navigator.clipboard.writeText(text); } catch { const area = document.createElement("textarea"); area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove(); }
    const word = one("[data-copied]", button); if (word) { const before = word.textContent; word.textContent = word.dataset.copied; setTimeout(() => { word.textContent = before; }, 1600); }
  });
  const fade = () => all("#toasts .toast-success:not([data-fades]), #toasts .toast-info:not([data-fades])").forEach((t) => { t.dataset.fades = ""; setTimeout(() => t.remove(), 6000); });
  // A form is sent once.
  document.addEventListener("submit", (e) => {
    const form = e.target;
    if (form.method !== "post" || e.defaultPrevented) return;
    if (form.dataset.sent) { e.preventDefault(); return; }
    form.dataset.sent = "1"; form.classList.add("sending"); setTimeout(() => { delete form.dataset.sent; form.classList.remove("sending"); }, 8000);
  });

  // -- polling: elements with data-poll="seconds" and hx-trigger="poll"; an ETag spares what did not change
  const busy = (element) => { const form = element.closest("form"); return document.hidden || Boolean(one("details[open]", element)) || Boolean(form && (form.classList.contains("choosing") || all("tr.more ~ tr", form).length || form.dataset.went)); };
  setInterval(() => all("[data-poll]").forEach((element) => {
    const now = Date.now(), due = Number(element.dataset.due || 0);
    if (!due) { element.dataset.due = now + 1000 * element.dataset.poll; return; }
    if (now < due || busy(element)) return;
    element.dataset.due = now + 1000 * element.dataset.poll;
    window.htmx?.trigger(element, "poll");
  }), 1000);
  // X-Poll: what a page asks by itself keeps no session awake.
  document.addEventListener("htmx:configRequest", (e) => { const { poll, etag } = e.detail.elt.dataset; if (!poll) return; e.detail.headers["X-Poll"] = "1"; if (etag) e.detail.headers["If-None-Match"] = etag; });
  document.addEventListener("htmx:afterOnLoad", (e) => { const tag = e.detail.xhr.getResponseHeader("ETag"); if (tag && e.detail.elt.dataset.poll) e.detail.elt.dataset.etag = tag; });
  document.addEventListener("htmx:afterSwap", (e) => { if (e.detail.requestConfig?.elt?.closest?.("#more")) { const form = one(".sheet-form"); if (form) form.dataset.went = "1"; } });

  // -- skeleton after 300 ms, and what to say when nothing answers
  document.addEventListener("htmx:beforeRequest", (e) => { const target = e.detail.target; if (e.detail.elt.dataset.poll || !target) return; target.dataset.wait = setTimeout(() => target.classList.add("waiting"), 300); });
  document.addEventListener("htmx:afterRequest", (e) => { const target = e.detail.target; if (target?.dataset) { clearTimeout(Number(target.dataset.wait)); target.classList.remove("waiting"); } });
  // What is polled says since when it is stale, and stops saying so with the next answer.
  let fresh = new Date();
  const stale = (yes) => {
    const note = one(".stale-note");
    if (!yes) { fresh = new Date(); note?.remove(); return; }
    if (note) return;
    const made = one("#stale")?.content.cloneNode(true); if (!made) return;
    one("time", made).textContent = fresh.toLocaleTimeString(root.lang, { hour12: false });
    document.body.append(made);
  };
  document.addEventListener("htmx:afterOnLoad", (e) => { if (e.detail.elt.dataset.poll) stale(false); });
  document.addEventListener("htmx:sendError", (e) => { if (e.detail.elt.dataset.poll) { stale(true); return; } const lost = one("#lost"); if (lost) one("#toasts").append(lost.content.cloneNode(true)); });
  document.addEventListener("htmx:afterSettle", (e) => {
    markDensity(); fade(); charts();
    all("form.sheet-form").forEach(count);
    const asked = one("#sheet")?.dataset.asked; if (asked !== undefined) all("[data-follows-list]").forEach((a) => { const format = new URL(a.href).searchParams.get("format"); a.href = `${a.pathname}?${asked}${format ? `${asked ? "&" : ""}format=${format}` : ""}`; });
  });

  // -- charts are fetched only by pages that have one
  const fetched = {};
  const script = (source) => fetched[source] ??= new Promise((done) => { const tag = document.createElement("script"); tag.src = source; tag.onload = done; document.head.append(tag); });
  const charts = async () => { const waiting = all("[data-chart]:not([data-drawn])"); if (!waiting.length) return; await script(waiting[0].dataset.library); await script(waiting[0].dataset.script); window.lianfang.charts(); };

  sayTheme(); markDensity(); fade(); charts();
  all("form.sheet-form").forEach(count);
})();
