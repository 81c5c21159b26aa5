"use strict";
// The page shows /status, again every two seconds. Everything that comes from
// there is set as text, never as HTML: names of sensors come from the network.

const byID = id => document.getElementById(id);
const shown = 200; // devices at once

function element(name, text, kind) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (kind) e.className = kind;
  return e;
}

function row(...cells) {
  const tr = element("tr");
  for (const c of cells) tr.append(c instanceof Node ? c : element("td", c));
  return tr;
}

function list(dl, pairs) {
  dl.replaceChildren();
  for (const [name, value, kind] of pairs) {
    if (value === "" || value === undefined) continue;
    dl.append(element("dt", name), element("dd", value, kind));
  }
}

const number = n => n.toLocaleString("en");

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + s % 60 + " s";
  if (s < 172800) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.floor(s / 86400) + " days";
}

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return (i && n < 100 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}

function showLink(l, since) {
  const day = c => c ? c.expires.slice(0, 10) + " (" + span(since(c.expires) * -1) + ")" : "";
  list(byID("link"), [
    ["state", (l.connected ? "connected" : "not connected") + " for " + span(since(l.since)), l.connected ? "good" : "bad"],
    ["why", l.connected ? "" : l.detail],
    ["next try", !l.connected && l.retry && since(l.retry) < 0 ? "in " + span(-since(l.retry)) : ""],
    ["endpoint", l.endpoint],
    ["encryption", l.tls],
    ["our certificate until", day(l.certificate)],
    ["the server's until", day(l.server_certificate)],
  ]);
}

function showQueue(q, connected, since) {
  const l = q.ledger, bad = n => n ? "bad" : "";
  list(byID("queue"), [
    ["waiting", number(l.waiting.readings) + " readings" + (q.backlog.readings ? ", " + number(q.backlog.readings) + " of them backlog" : "")],
    ["oldest on disk", q.oldest && l.waiting.readings ? span(since(q.oldest)) : ""],
    ["on disk", bytes(q.bytes) + " of " + bytes(q.max_size)],
    ["full in", q.full_in_ns && !connected ? span(q.full_in_ns / 1e6) + " at this rate" : ""],
    ["acknowledged", number(l.acknowledged.readings)],
    ["dropped", number(l.dropped.readings), bad(l.dropped.readings)],
    ["dead letters", number(l.dead.readings), bad(l.dead.readings)],
    ["damaged", number(l.damaged.readings), bad(l.damaged.readings)],
  ]);
}

function showWrong(conditions, since) {
  const section = byID("wrong");
  section.hidden = conditions.length === 0;
  section.querySelector("ul").replaceChildren(...conditions.map(c => {
    const li = element("li");
    li.append(element("b", c.subject, c.severity), ": " + c.text + " ", element("span", "for " + span(since(c.since)), "soft"));
    return li;
  }));
}

function showBuses(buses) {
  byID("buses").hidden = buses.length === 0;
  byID("buses").querySelector("tbody").replaceChildren(...buses.map(b => {
    const load = element("td");
    if (b.down) {
      load.append(element("span", "down", "bad"));
    } else {
      const meter = element("meter");
      meter.max = 1, meter.high = 0.8, meter.value = b.load;
      load.append(meter, " " + Math.round(100 * b.load) + " %");
    }
    return row(b.bus, b.address, load, element("td", number(b.requests), "n"), element("td", number(b.late_cycles), b.late_cycles ? "n warning" : "n"), b.detail || "");
  }));
}

function showDevices(devices, since) {
  const section = byID("devices"), words = byID("find").value.toLowerCase().split(/\s+/);
  section.hidden = devices.length === 0;
  const matching = devices.filter(d => {
    const text = [d.device, d.via, d.reason, d.detail].join(" ").toLowerCase();
    return words.every(w => text.includes(w));
  });
  matching.sort((a, b) => (b.bad > 0) - (a.bad > 0)); // what is bad first, else by name
  const bad = devices.filter(d => d.bad > 0).length;
  byID("found").textContent = number(devices.length) + " devices, " + (bad ? number(bad) + " with bad points" : "all good")
    + (matching.length > shown ? "; the first " + shown + " of " + number(matching.length) : "");
  const body = section.querySelector("tbody"), focused = body.contains(document.activeElement) && document.activeElement.textContent;
  body.replaceChildren(...matching.slice(0, shown).map(d => {
    const points = element("td");
    if (d.good || !d.bad) points.append(element("span", d.good + " good", d.good ? "good" : "soft"));
    if (d.bad) points.append(d.good ? ", " : "", element("span", d.bad + " bad: " + (d.reason || "unknown"), "bad"));
    const name = element("button", d.device);
    name.setAttribute("aria-expanded", d.device === open);
    name.addEventListener("click", () => choose(d.device));
    const cell = element("td"), tr = row(cell, d.via, points, d.last ? span(since(d.last)) + " ago" : "never", d.detail || "");
    cell.append(name);
    if (d.device !== open) return tr;
    const rows = document.createDocumentFragment();
    rows.append(tr, showValues());
    return rows;
  }));
  if (focused) for (const b of body.querySelectorAll("button")) if (b.textContent === focused) b.focus(); // they are new
}

// The readings of one device are shown at a time, while it is open.
let open, values;

function choose(device) {
  open = device === open ? undefined : device;
  values = undefined;
  show(last);
  look();
}

function showValues() {
  const tr = element("tr"), td = element("td");
  td.colSpan = 5;
  tr.append(td);
  if (!values || values.points.length === 0) {
    td.append(element("p", values ? "waiting for the next reading" : "…", "soft"));
    return tr;
  }
  const now = Date.parse(values.now), table = element("table"), body = element("tbody");
  table.className = "values";
  for (const p of values.points) {
    const value = p.bad ? element("td", "bad: " + p.bad, "n bad") : element("td", p.text, "n");
    body.append(row(element("td", p.point), value, p.unit || "", element("td", span(now - Date.parse(p.at)) + " ago", "soft")));
  }
  table.append(body);
  td.append(table);
  return tr;
}

async function look() {
  const device = open;
  if (device === undefined) return;
  try {
    const answer = await fetch("devices/" + encodeURIComponent(device), { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok || device !== open) return;
    values = await answer.json();
    show(last);
  } catch (e) {
    // refresh tells that the gateway does not answer
  }
}

let last; // status

function show(s) {
  const now = Date.parse(s.now); // the gateway's clock, not this machine's
  const since = time => now - Date.parse(time);
  const conditions = s.conditions || [];
  const state = conditions.some(c => c.severity === "alarm") ? "alarm" : conditions.length ? "degraded" : "ok";
  byID("state").textContent = { ok: "all is well", degraded: "degraded", alarm: "someone must act" }[state];
  byID("state").className = state;
  byID("gateway").textContent = s.gateway;
  byID("about").textContent = "up " + span(since(s.started)) + " · version " + s.version + " · run " + s.run + " · configuration " + s.config_hash.slice(0, 12)
    + (s.configuration && s.configuration.on_trial_until ? " (on trial)" : "");
  document.title = s.gateway + ": " + byID("state").textContent;
  showWrong(conditions, since);
  showLink(s.link, since);
  showQueue(s.queue, s.link.connected, since);
  showBuses(s.buses || []);
  showDevices(s.devices || [], since);
}

function gone(why) {
  byID("state").className = "gone";
  byID("state").textContent = "the gateway does not answer: " + why;
  document.title = byID("gateway").textContent + ": no answer";
}

async function refresh() {
  try {
    const answer = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.status + " " + answer.statusText);
    last = await answer.json();
    show(last);
    look();
  } catch (e) {
    gone(e.message);
  }
  setTimeout(refresh, 2000);
}

byID("find").addEventListener("input", () => last && show(last));
refresh();
