"use strict";
// Keeps the line numbers beside the text, and shows the line of a mistake.

const text = document.getElementById("text");
const numbers = document.querySelector(".line-numbers");

function updateNumbers() {
  const count = text.value.split("\n").length;
  text.rows = count + 1;
  numbers.textContent = Array.from({ length: count }, (_, i) => `${i + 1}\n`).join("");
}

function showLine(number) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[number - 1] ?? "").length);
  const lineHeight = text.clientHeight / text.rows;
  const top = text.getBoundingClientRect().top + window.scrollY + (number - 1) * lineHeight;
  window.scrollTo({ top: Math.max(0, top - window.innerHeight / 3) });
}

text.addEventListener("input", updateNumbers);
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-line]");
  if (!link) return;
  event.preventDefault();
  showLine(Number(link.dataset.line));
});
