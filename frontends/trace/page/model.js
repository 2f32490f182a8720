// The data, unpacked, and what several views ask of it. The first part is everything but the code of
// the regions, which follows in chunks that are unpacked when one of their regions is opened.
const CHUNK = 32;
let trace = null;
const chunks = [];
const regionsById = new Map();

async function unpack(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; ++i) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

/** The region with its blocks and host code. */
async function withDetail(r) {
  if (r.blocks) return r;
  const number = Math.floor(r.at / CHUNK);
  if (!chunks[number]) {
    chunks[number] = unpack(document.querySelectorAll("script.data")[number + 1].textContent).then(text => text.split("\n"));
  }
  const lines = await chunks[number];
  return Object.assign(r, JSON.parse(lines[r.at % CHUNK]));
}

function adopt(text) {
  trace = JSON.parse(text);
  trace.regions.forEach((r, i) => { r.at = i; });
  const executed = trace.regions.reduce((sum, r) => sum + r.executed, 0) || 1;
  const samples = trace.totals.samples || 1;
  for (const r of trace.regions) {
    regionsById.set(r.id, r);
    r.ratio = r.guest_bytes ? r.host_bytes / r.guest_bytes : 0;
    r.share = trace.totals.samples ? r.samples / samples : r.executed / executed;
    r.linkedFrom = [];
    const words = [r.rip, r.symbol || "", "kind:" + r.kind, "ring:" + r.cpl, "cpl:" + r.cpl,
                   "bits:" + r.bits, "cr3:" + r.cr3, r.physical || "", "#" + r.id,
                   r.retired ? "retired" : "alive"];
    for (const b of r.outline) words.push(b.rip, b.symbol || "");
    r.mnemonics = new Set(r.mnemonics);
    r.haystack = words.join(" ").toLowerCase();
  }
  for (const r of trace.regions) {
    for (const link of r.links) {
      const to = regionsById.get(link.to);
      if (to && !to.linkedFrom.includes(r.id)) to.linkedFrom.push(r.id);
    }
  }
}

// --- Making elements and texts
function el(tag, attributes, ...children) {
  const svg = ["svg", "g", "rect", "text", "path", "line", "title", "polyline", "defs", "marker"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (name === "style" || !(name in node) || svg) node.setAttribute(name, value);
    else if (name === "className" || name === "hidden" || name === "open" || name === "tabIndex") node[name] = value;
    else node.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== null && child !== "") node.append(child);
  }
  return node;
}

/** Text with an explanation on hover, focus or tap. */
function why(topic, text, className) {
  return el("span", { "data-why": EXPLAIN[topic] ? topic : undefined, className, tabIndex: EXPLAIN[topic] ? 0 : undefined }, text);
}

function number(n) { return Number(n).toLocaleString("en-US").replace(/,/g, "\u202f"); }
function percent(x) { return x >= 0.0995 ? (100 * x).toFixed(0) + " %" : x > 0 ? (100 * x).toFixed(x < 0.001 ? 3 : 1) + " %" : "0"; }
function duration(ns) {
  if (!ns) return "0";
  if (ns >= 1e9) return (ns / 1e9).toFixed(3) + " s";
  if (ns >= 1e6) return (ns / 1e6).toFixed(2) + " ms";
  return (ns / 1e3).toFixed(1) + " µs";
}
function spaced(hex) { return hex.replace(/(..)/g, "$1 ").trim(); }
function nameOf(r) { return r.symbol || r.rip; }
function runsOf(r) { return r.entries !== undefined ? r.entries : 0; }
function table(head, rows, numeric) {
  return el("div", { className: "wide" }, el("table", { className: "data" },
    el("thead", {}, el("tr", {}, head.map(h => el("th", {}, h)))),
    el("tbody", {}, rows.map(row => el("tr", {}, row.map((cell, i) =>
      el("td", { className: numeric && numeric.includes(i) ? "n" : undefined }, cell)))))));
}
