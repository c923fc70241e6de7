"use strict";
// All results of the page as one file.
document.getElementById("download").addEventListener("click", () => {
  const text = atob(document.getElementById("raw").textContent.trim());
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/gzip" }));
  element("a", { href: url, download: `${DATA.study}-results.json.gz` }).click();
  URL.revokeObjectURL(url);
});
