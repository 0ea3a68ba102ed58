"use strict";
// Keeps the form and the text of a rule equal: after a change of one, the node returns both.

const QUIET_MS = 400;
const rule = document.getElementById("rule-editor");
let timer = 0;
let edition = 0; // counts the changes by a person, and the questions to the node

function halfOf(element) {
  if (element.closest("#rule-form")) return "form";
  return element.id === "text" ? "text" : "";
}

async function fetchEditor(button) {
  clearTimeout(timer);
  const asked = ++edition;
  const body = new URLSearchParams(new FormData(rule));
  if (button) body.set("do", button.value);
  const response = await fetch(rule.dataset.rule, { method: "POST", body });
  if (!response.ok) {
    showConnection(`The node answers with an error (${response.status}).`);
    return;
  }
  const changed = new DOMParser().parseFromString(await response.text(), "text/html");
  // What a person types in the meantime stays, and a later answer counts.
  if (asked === edition) replaceParts(changed);
}

function replaceParts(changed) {
  const half = rule.querySelector("#edited").value;
  const wanted = half === "form" ? ["text", "messages", "dry-run"] : ["rule-form", "messages", "dry-run"];
  for (const id of wanted) {
    const current = document.getElementById(id);
    const next = changed.getElementById(id);
    if (id === "text") {
      current.value = next.value;
      updateNumbers();
    }
    else if (id === "rule-form") replaceForm(current, next);
    else updateNode(current, next);
  }
  if (half === "form") {
    replaceRows(changed);
    replaceMistakes(changed);
  }
}

// The fields stay as they are while a person edits them; only what is wrong in them changes.
function replaceMistakes(changed) {
  for (const current of rule.querySelectorAll("[data-mistake]")) {
    const next = changed.getElementById(current.id);
    if (!next) continue;
    updateNode(current, next);
    const field = document.getElementById(current.dataset.mistake);
    if (next.hidden) field.removeAttribute("aria-invalid");
    else field.setAttribute("aria-invalid", "true");
  }
  if (changed.getElementById("more")?.open) rule.querySelector("#more").open = true;
}

function replaceForm(current, next) {
  // Attributes alone do not change a field that a person has edited.
  if (current.querySelector("#more")?.open) next.querySelector("#more")?.setAttribute("open", "");
  current.replaceWith(next);
}

// A filled last row gets an empty one after it; the help of each attribute follows it.
function replaceRows(changed) {
  const focused = document.activeElement?.id;
  const current = rule.querySelector(".condition-row")?.closest("fieldset");
  const next = changed.querySelector(".condition-row")?.closest("fieldset");
  if (!current || !next || current.isEqualNode(next)) return;
  if (document.activeElement?.matches(".condition-row input") && rule.querySelectorAll(".condition-row").length === changed.querySelectorAll(".condition-row").length) return;
  current.replaceWith(next);
  if (focused) document.getElementById(focused)?.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-field]");
  if (!link) return;
  event.preventDefault();
  const field = document.getElementById(link.dataset.field);
  const folded = field.closest("details");
  if (folded) folded.open = true;
  field.focus();
});

rule.addEventListener("input", (event) => {
  const half = halfOf(event.target);
  if (!half) return;
  rule.querySelector("#edited").value = half;
  edition += 1;
  clearTimeout(timer);
  timer = setTimeout(fetchEditor, QUIET_MS);
});

rule.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (button?.value !== "dry-run") return;
  event.preventDefault();
  button.disabled = true;
  await fetchEditor(button);
  document.getElementById("try").disabled = false;
});

function isChanged(field) {
  if (field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (!field.options) return field.value !== field.defaultValue;
  const initial = [...field.options].findIndex((option) => option.defaultSelected);
  return field.selectedIndex !== Math.max(initial, 0);
}

// What was filled in before this script ran, or what the browser restores when a person comes back,
// causes no event. The browser restores the whole text, and not each field of the form.
window.addEventListener("pageshow", () => {
  if (edition > 0) return;
  const changed = [...rule.elements].filter(isChanged).map(halfOf);
  const half = ["text", "form"].find((each) => changed.includes(each));
  if (!half) return;
  rule.querySelector("#edited").value = half;
  fetchEditor();
});
