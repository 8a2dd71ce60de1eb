// Keeps the page current: at each event the page is fetched again and its main part is put in place of the old one.
// The server has escaped everything; this file never builds markup from text.
"use strict";
const live = document.getElementById("live");
let waiting = false;

async function refresh() {
  waiting = false;
  const answer = await fetch("/", { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const old = document.querySelector("main");
  if (!fresh || !old) return;
  for (const open of old.querySelectorAll("details[open]")) {
    const same = fresh.querySelector("#" + CSS.escape(open.id));
    if (same) same.open = true;
  }
  old.replaceWith(document.adoptNode(fresh));
}

// Many changes within a second are one refresh.
function soon() {
  if (waiting) return;
  waiting = true;
  setTimeout(refresh, 1000);
}

const events = new EventSource("/api/v1/events");
events.onopen = () => { live.textContent = "live"; soon(); };
events.onerror = () => { live.textContent = "not live"; };
for (const name of ["finding_created", "finding_updated", "incident_created", "incident_updated",
  "window_ended", "resync"]) {
  events.addEventListener(name, soon);
}
