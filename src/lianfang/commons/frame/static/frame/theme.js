// Before the first paint: theme and density as this browser last chose them. Nothing else belongs here.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const read = (name, otherwise) => { try { return localStorage.getItem(name) || otherwise; } catch { return otherwise; } };
  const write = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private window: for this page only */ } };
  const paint = (theme) => {
    const shade = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
    root.dataset.theme = theme;
    root.setAttribute("data-bs-theme", shade);
    root.dispatchEvent(new CustomEvent("themed", { detail: shade }));
  };
  let theme = read("theme", "auto");
  paint(theme);
  dark.addEventListener("change", () => paint(theme));
  root.dataset.density = read("density", "normal");
  window.lianfang = {
    theme: (next) => { theme = next; write("theme", next); paint(next); },
    density: (next) => { root.dataset.density = next; write("density", next); },
  };
})();
