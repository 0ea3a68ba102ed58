"use strict";
// Follows the node: asks for the live part of the page every 2 s and replaces only what changed,
// so that nothing flickers, and what has the focus keeps it.

const PERIOD_MS = 2000;
const live = document.querySelector("[data-live]");
const contact = document.getElementById("contact");
const contactAge = document.getElementById("contact-age");
const shown = new Map(); // key -> HTML as the node sent it
let lastHeard = Date.now();

function localise(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    time.title = time.textContent;
    time.textContent = today ? at.toLocaleTimeString() : at.toLocaleString();
  }
}

function keyed(root) {
  return [...root.children].filter((child) => child.dataset.key);
}

function remember(root) {
  for (const child of root.querySelectorAll("[data-key]")) {
    shown.set(child.dataset.key, child.outerHTML);
  }
}

// Makes the keyed children of `present` those of `wanted`, in their order.
function bring(present, wanted) {
  const here = new Map(keyed(present).map((child) => [child.dataset.key, child]));
  const news = keyed(wanted);
  const keep = new Set(news.map((child) => child.dataset.key));
  for (const [key, child] of here) {
    if (!keep.has(key)) {
      child.remove();
      shown.delete(key);
    }
  }
  let after = null;
  for (const child of news) {
    const key = child.dataset.key;
    let old = here.get(key);
    if (old === undefined) {
      old = take(child, null, key);
    } else if (shown.get(key) !== child.outerHTML) {
      const html = child.outerHTML;
      if (keyed(child).length && keyed(old).length) {
        bring(old, child);
        shown.set(key, html);
      } else {
        old = take(child, old, key);
      }
    }
    const place = after === null ? present.firstElementChild : after.nextElementSibling;
    if (old !== place) {
      present.insertBefore(old, place);
    }
    after = old;
  }
}

// The new element as it is to be shown, in the place of the old one where there is one.
function take(child, old, key) {
  remember({ querySelectorAll: (query) => [child, ...child.querySelectorAll(query)] });
  const focused = old !== null && old.contains(document.activeElement) ? document.activeElement.id : "";
  const fresh = document.importNode(child, true);
  keepPictures(old, fresh);
  localise(fresh);
  if (old !== null) {
    old.replaceWith(fresh);
    if (focused) {
      document.getElementById(focused)?.focus({ preventScroll: true });
    }
  }
  return fresh;
}

// A picture that is loaded already is moved, not loaded again.
function keepPictures(old, fresh) {
  for (const picture of old === null ? [] : old.querySelectorAll("img")) {
    fresh.querySelector(`img[src="${CSS.escape(picture.getAttribute("src"))}"]`)?.replaceWith(picture);
  }
}

function tellContact(heard) {
  if (heard) {
    lastHeard = Date.now();
    contact.hidden = true;
  } else {
    contactAge.textContent = `at ${new Date(lastHeard).toLocaleTimeString()}`;
    contact.hidden = false;
  }
}

async function follow() {
  if (!document.hidden) {
    try {
      const answer = await fetch(live.dataset.live, { signal: AbortSignal.timeout(10000) });
      if (answer.ok) {
        const html = await answer.text();
        bring(live, new DOMParser().parseFromString(html, "text/html").body);
      }
      tellContact(answer.ok);
    } catch {
      tellContact(false);
    }
  }
  setTimeout(follow, PERIOD_MS);
}

if (live !== null) {
  remember(live);
  document.addEventListener("visibilitychange", () => document.hidden || (lastHeard = Date.now()));
  setTimeout(follow, PERIOD_MS);
}
localise(document);
