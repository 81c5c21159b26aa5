"use strict";
// The page is made by the gateway. This asks for it again every two seconds, or less
// often where the gateway says that making it took long: a reader costs it a hundredth
// of a core, or one answer each 20 s. A slow link is no reason. It puts what has changed
// in the place of the old, node by node, so that what a reader has in focus or selected
// stays. Nothing is ever made of text: what comes is parsed as a document of its own,
// in which no script runs, and the policy allows none in it.

const every = 2000, seldom = 20000, share = 100, patience = 5000;
const byID = id => document.getElementById(id);
let seen = Date.now(), pause = every, asking, timer;

function key(node) { return node.id || node.nodeName; }

// become makes old what fresh is, and keeps the nodes that are the same.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
  for (const a of [...old.attributes]) if (!fresh.hasAttribute(a.name)) old.removeAttribute(a.name);
  for (const a of fresh.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
  const known = new Map();
  for (const c of old.children) if (c.id) known.set(c.id, c);
  let at = old.firstChild;
  for (const f of [...fresh.childNodes]) {
    let here = f.id ? known.get(f.id) : at;
    if (here && (here.nodeType !== f.nodeType || key(here) !== key(f))) here = undefined;
    if (!here) { old.insertBefore(f, at); continue; }
    if (here !== at) old.insertBefore(here, at);
    else at = at.nextSibling;
    become(here, f);
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
}

function gone() {
  document.body.classList.add("stale");
  byID("gone").hidden = false;
  document.title = byID("gone").firstElementChild.textContent;
  byID("old").textContent = Math.round((Date.now() - seen) / 1000) + " s";
}

function back() {
  seen = Date.now();
  document.body.classList.remove("stale");
  byID("gone").hidden = true;
}

async function refresh() {
  clearTimeout(timer);
  if (asking) asking.abort();
  const mine = asking = new AbortController(), late = setTimeout(() => mine.abort(), patience);
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: mine.signal });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asking) return;
    const made = /dur=([\d.]+)/.exec(answer.headers.get("Server-Timing"));
    pause = Math.min(seldom, Math.max(every, made ? share * made[1] : 0));
    if (answer.status >= 500) throw new Error(answer.statusText);
    if (!fresh.getElementById("main") || fresh.body.dataset.version !== document.body.dataset.version) {
      location.reload(); // another version of the page, or a question who is there
      return;
    }
    document.title = fresh.title;
    become(byID("main"), fresh.getElementById("main"));
    back();
  } catch (e) {
    if (mine !== asking) return;
    pause = every;
    gone();
  } finally {
    clearTimeout(late);
    if (mine === asking && !document.hidden) timer = setTimeout(refresh, pause);
  }
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

document.addEventListener("input", e => {
  if (e.target.id !== "find") return;
  const url = new URL(location.href);
  if (e.target.value) url.searchParams.set("find", e.target.value);
  else url.searchParams.delete("find");
  history.replaceState(null, "", url);
  refresh();
});
document.addEventListener("submit", e => { if (e.target.id === "filter") e.preventDefault(); });
document.addEventListener("keyup", e => { // a keydown would type the slash, too
  const find = byID("find");
  if (e.key === "/" && find && document.activeElement === document.body) find.focus();
});

timer = setTimeout(refresh, every);
