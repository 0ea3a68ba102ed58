"use strict";
// Follows the node: asks for the live part of the page every 2 s and changes only what is new in
// it, so that nothing flickers and whatever has the focus, is selected or unfolded stays so.

const PERIOD_MS = 2000;
const PATIENCE_MS = 10000;
const live = document.querySelector("[data-live]");
const connection = document.getElementById("connection");
let tag = "";
let heardAt = new Date();

// Times: the node tells UTC, people read the time of their own clock.

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function absolute(moment) {
  const today = moment.toDateString() === new Date().toDateString();
  return today ? `Today, ${CLOCK.format(moment)}` : FULL.format(moment);
}

function length(seconds) {
  if (seconds < 90) return `${seconds} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

// "for": how long something has lasted; "since": how long ago; "until": how long it will be.
const WORDS = {
  for: (moment) => length(secondsSince(moment)),
  since: (moment) => `${length(secondsSince(moment))} ago`,
  until: (moment) => (moment > Date.now() ? `in ${length(Math.round((moment - Date.now()) / 1000))}` : "now"),
  absolute,
};

function secondsSince(moment) {
  return Math.max(0, Math.round((Date.now() - moment) / 1000));
}

function tellTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    const text = WORDS[time.dataset.time](moment);
    if (time.textContent !== text) time.textContent = text;
    time.title = FULL.format(moment);
  }
}

// Changes: `now` becomes like `then`, element by element.

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id : "";
}

function isSame(now, then) {
  return now.nodeName === then.nodeName && keyOf(now) === keyOf(then);
}

function becomeLike(now, then) {
  if (now.isEqualNode(then)) return;
  if (now.nodeType !== Node.ELEMENT_NODE) {
    now.nodeValue = then.nodeValue;
    return;
  }
  for (const { name } of [...now.attributes]) {
    // What a person has unfolded stays unfolded.
    if (!then.hasAttribute(name) && name !== "open") now.removeAttribute(name);
  }
  for (const { name, value } of then.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  becomeLikeWithin(now, then);
}

function becomeLikeWithin(now, then) {
  let place = now.firstChild;
  for (const wanted of [...then.childNodes]) {
    const found = place && isSame(place, wanted) ? place : findLater(place, wanted);
    if (found) {
      if (found !== place) now.insertBefore(found, place);
      else place = place.nextSibling;
      becomeLike(found, wanted);
    } else {
      now.insertBefore(wanted, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function findLater(place, wanted) {
  if (!keyOf(wanted)) return null;
  for (let node = place; node; node = node.nextSibling) {
    if (isSame(node, wanted)) return node;
  }
  return null;
}

// Asking.

function tellConnection(problem) {
  connection.hidden = !problem;
  const text = problem ? `${problem} This page shows what was known at ${CLOCK.format(heardAt)}.` : "";
  if (connection.textContent !== text) connection.textContent = text;
}

async function ask() {
  const headers = tag ? { "If-None-Match": tag } : {};
  const answer = await fetch(live.dataset.live, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (answer.status === 304) return "";
  if (!answer.ok) return `The node answers with an error (${answer.status}).`;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  tellTimes(page);
  becomeLikeWithin(live, page.body);
  tag = answer.headers.get("ETag") ?? "";
  return "";
}

async function look() {
  let problem = "";
  try {
    problem = await ask();
  } catch {
    problem = "The node does not answer.";
  }
  if (!problem) heardAt = new Date();
  tellConnection(problem);
}

async function follow() {
  if (!document.hidden) await look();
  setTimeout(follow, PERIOD_MS);
}

// Buttons.

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!live || !form.matches("form[data-press]")) return; // without us the form works as a form
  event.preventDefault();
  const button = form.querySelector("button");
  const rowId = form.closest("tr")?.id;
  button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", redirect: "manual" });
    if (answer.type !== "opaqueredirect" && !answer.ok) form.submit(); // shows what is wrong
    await look();
  } catch {
    tellConnection("The node does not answer.");
  }
  button.disabled = false;
  // Where the button has gone, the keyboard goes on from its row.
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

// Browsers lend the clipboard to secure pages alone: localhost and https.
document.documentElement.classList.toggle("no-clipboard", !navigator.clipboard);
tellTimes(document);
if (live) {
  setTimeout(follow, PERIOD_MS);
  setInterval(() => tellTimes(live), 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
}
