// SQL: Ctrl+Enter asks, examples fill the field.
(() => {
  const field = document.querySelector("#sql");
  field?.addEventListener("keydown", (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); field.form.requestSubmit(); } });
  document.addEventListener("click", (e) => { const button = e.target.closest("[data-example]"); if (button) { field.value = button.dataset.example; field.focus(); } });
})();
