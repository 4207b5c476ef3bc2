// The queue by keyboard: j and k move, Enter opens, x ticks, a acknowledges. An empty queue looks again by itself.
(() => {
  const rows = () => [...document.querySelectorAll(".queue-table .alert-row")];
  const typing = (target) => target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], dialog[open], .menu-list");
  let here = sessionStorage.getItem("queue-at");
  const current = () => rows().find((row) => row.dataset.pk === here);
  const go = (step) => {
    const list = rows();
    if (!list.length) return;
    const at = list.findIndex((row) => row.dataset.pk === here);
    const row = list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + step))];
    here = row.dataset.pk;
    mark();
    row.scrollIntoView({ block: "nearest" });
    row.querySelector(".queue-head a").focus({ preventScroll: true });
  };
  const mark = () => { rows().forEach((row) => row.classList.toggle("at", row.dataset.pk === here)); if (here) sessionStorage.setItem("queue-at", here); };
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target)) return;
    const row = current();
    if (e.key === "j") { e.preventDefault(); go(1); }
    if (e.key === "k") { e.preventDefault(); go(-1); }
    if (!row) return;
    if (e.key === "Enter" && !e.target.closest("a, button, summary, input")) location.href = row.dataset.open;
    if (e.key === "x") { e.preventDefault(); row.querySelector("input[name=row]").click(); }
    if (e.key === "a") row.querySelector("[data-acknowledge]")?.click();
  });
  document.addEventListener("focusin", (e) => { const row = e.target.closest?.(".alert-row"); if (row) { here = row.dataset.pk; mark(); } });
  document.addEventListener("htmx:afterSettle", (e) => {
    if (e.target.id !== "rows") return;
    mark();
    if (document.activeElement === document.body) current()?.querySelector(".queue-head a").focus({ preventScroll: true });
  });
  document.addEventListener("htmx:afterOnLoad", (e) => { if (e.detail.elt.dataset.reloadWhenChanged !== undefined && e.detail.xhr.status === 200 && e.detail.xhr.responseText.includes("alert-row")) location.reload(); });
})();
