"use strict";
// Updates the page: fetches its live part every 2 s and changes only the elements that differ, so
// that nothing flickers and the focus, the selection and open details stay as they are.

const PERIOD_MS = 2000;
const TIMEOUT_MS = 10000;
const live = document.querySelector("[data-live]");
const connection = document.getElementById("connection");
const CSRF_TOKEN = document.querySelector("meta[name=csrf-token]")?.content ?? "";
let tag = "";
let streaming = false; // stream.js updates the page
let updatedAt = new Date();

// Times: the node sends UTC, the page shows the time zone of the browser.

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function isToday(moment) {
  return moment.toDateString() === new Date().toDateString();
}

function duration(seconds) {
  if (seconds < 90) return `${seconds} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

// "absolute": when; "sentence": the same within a sentence; "for": how long something has lasted; "since": how long ago; "until": how long it will be.
const TIME_FORMATS = {
  for: (moment) => duration(secondsSince(moment)),
  since: (moment) => `${duration(secondsSince(moment))} ago`,
  until: (moment) => (moment > Date.now() ? `in ${duration(Math.round((moment - Date.now()) / 1000))}` : "now"),
  absolute: (moment) => (isToday(moment) ? `Today, ${CLOCK.format(moment)}` : FULL.format(moment)),
  sentence: (moment) => (isToday(moment) ? `today at ${CLOCK.format(moment)}` : FULL.format(moment)),
};

function secondsSince(moment) {
  return Math.max(0, Math.round((Date.now() - moment) / 1000));
}

function updateTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    const text = TIME_FORMATS[time.dataset.time](moment);
    if (time.textContent !== text) time.textContent = text;
    time.title = FULL.format(moment);
  }
}

// Updates: `current` becomes equal to `wanted`, node by node.

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id : "";
}

function isSame(current, wanted) {
  return current.nodeName === wanted.nodeName && keyOf(current) === keyOf(wanted);
}

function updateNode(current, wanted) {
  if (current.isEqualNode(wanted)) return;
  if (current.nodeType !== Node.ELEMENT_NODE) {
    current.nodeValue = wanted.nodeValue;
    return;
  }
  for (const { name } of [...current.attributes]) {
    // Details that a person has opened stay open.
    const isKept = name === "open" || wanted.hasAttribute("data-keep");
    if (!wanted.hasAttribute(name) && !isKept) current.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (current.getAttribute(name) !== value) current.setAttribute(name, value);
  }
  // A script fills this element; the node states only its attributes.
  if (wanted.hasAttribute("data-keep")) return;
  updateChildren(current, wanted);
}

function updateChildren(current, wanted) {
  let next = current.firstChild;
  for (const child of [...wanted.childNodes]) {
    const found = next && isSame(next, child) ? next : findLater(next, child);
    if (found) {
      if (found !== next) current.insertBefore(found, next);
      else next = next.nextSibling;
      updateNode(found, child);
    } else {
      current.insertBefore(child, next);
    }
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
}

function findLater(start, wanted) {
  if (!keyOf(wanted)) return null;
  for (let node = start; node; node = node.nextSibling) {
    if (isSame(node, wanted)) return node;
  }
  return null;
}

// Polling.

function showConnection(problem) {
  connection.hidden = !problem;
  const text = problem ? `${problem} This page shows the state at ${CLOCK.format(updatedAt)}.` : "";
  if (connection.textContent !== text) connection.textContent = text;
}

async function fetchUpdate() {
  const headers = tag ? { "If-None-Match": tag } : {};
  const response = await fetch(live.dataset.live, { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (response.status === 304) return "";
  if (response.status === 401) location.reload(); // the session has ended: the node shows the login
  if (!response.ok) return `The node answers with an error (${response.status}).`;
  showUpdate(await response.text());
  tag = response.headers.get("ETag") ?? "";
  return "";
}

function showUpdate(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  updateTimes(page);
  // What several sessions share holds no token of one of them.
  for (const field of page.querySelectorAll("[name=csrf]")) field.setAttribute("value", CSRF_TOKEN);
  // The parser drops white space at the start; it would shift every element and replace them all.
  const first = live.firstChild;
  if (first?.nodeType === Node.TEXT_NODE && !first.nodeValue.trim()) first.remove();
  updateChildren(live, page.body);
  document.dispatchEvent(new Event("segnode:updated"));
}

async function poll() {
  let problem = "";
  try {
    problem = await fetchUpdate();
  } catch {
    problem = "The node does not answer.";
  }
  if (!problem) updatedAt = new Date();
  showConnection(problem);
}

async function pollRepeatedly() {
  if (!document.hidden && !streaming) await poll();
  setTimeout(pollRepeatedly, PERIOD_MS);
}

// Buttons.

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!live || !form.matches("form[data-press]")) return; // without this script the browser submits the form
  event.preventDefault();
  const button = form.querySelector("button");
  const rowId = form.closest("tr")?.id;
  button.disabled = true;
  try {
    const body = new URLSearchParams(new FormData(form));
    const response = await fetch(form.action, { method: "POST", redirect: "manual", body });
    if (response.type !== "opaqueredirect" && !response.ok) form.submit(); // the browser shows the error page
    await poll();
  } catch {
    showConnection("The node does not answer.");
  }
  button.disabled = false;
  // If the update removed the button, the focus moves to its row.
  const row = rowId ? document.getElementById(rowId) : null;
  if (!button.isConnected) (row?.querySelector("a.main-link") ?? document.getElementById("main")).focus();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const before = button.innerHTML;
  button.textContent = "Copied";
  setTimeout(() => { button.innerHTML = before; }, 1500);
});

// Browsers allow access to the clipboard only on secure pages: localhost and https.
document.documentElement.classList.toggle("no-clipboard", !navigator.clipboard);
updateTimes(document);
if (live) {
  setTimeout(pollRepeatedly, PERIOD_MS);
  setInterval(() => updateTimes(live), 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !streaming) poll(); });
}
