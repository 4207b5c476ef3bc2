// The host's story: the opened event stands in sight, and the mark follows what is opened.
(() => {
  const wrap = () => document.querySelector(".host-wrap");
  const show = () => { const box = wrap(), row = box?.querySelector("tr.opened"); if (row) box.scrollTop = row.offsetTop - box.clientHeight / 3; };
  document.addEventListener("htmx:afterRequest", (e) => {
    const link = e.detail.elt;
    if (!e.detail.successful || !link.matches?.("[hx-target='#evidence']")) return;
    document.querySelectorAll(".host-story tr.opened").forEach((row) => row.classList.remove("opened"));
    const asked = new URL(link.getAttribute("hx-get"), location.href).searchParams.get("event");
    const row = [...document.querySelectorAll(".host-story a")].find((a) => new URL(a.href).searchParams.get("event") === asked)?.closest("tr");
    row?.classList.add("opened");
  });
  show();
})();
