"use strict";
// Updates a page by server-sent events. Without a stream, console.js asks for updates instead.

const REOPEN_MS = 10000;
let source = null;

function openStream() {
  if (source || document.hidden) return;
  source = new EventSource(live.dataset.stream);
  source.addEventListener("open", () => { streaming = true; showConnection(""); });
  source.addEventListener("overview", (event) => {
    showUpdate(event.data);
    updatedAt = new Date();
  });
  source.addEventListener("error", () => {
    streaming = false;
    // The browser reconnects by itself, unless the node answered with an error.
    if (source.readyState === EventSource.CLOSED) {
      closeStream();
      setTimeout(openStream, REOPEN_MS);
    }
  });
}

// A browser allows few connections to one server: pages that nobody sees give theirs back.
function closeStream() {
  source?.close();
  source = null;
  streaming = false;
}

if (live?.dataset.stream) {
  openStream();
  document.addEventListener("visibilitychange", () => (document.hidden ? closeStream() : openStream()));
  window.addEventListener("pagehide", closeStream);
  window.addEventListener("pageshow", openStream);
}
