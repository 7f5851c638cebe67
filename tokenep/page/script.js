(() => {
  const post = document.querySelector("button[data-submit]");
  if (post) post.form.submit();
  for (const b of document.querySelectorAll("button[data-copy]")) {
    b.hidden = !navigator.clipboard;
    b.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(b.dataset.copy).textContent.trim());
      b.nextElementSibling.hidden = false;
    });
  }
})();
