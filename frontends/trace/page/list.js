// The list of translations: order and search.
const ORDERS = {
  share: ["share of time", (a, b) => b.share - a.share || b.executed - a.executed],
  executed: ["instructions executed", (a, b) => b.executed - a.executed],
  entries: ["times entered", (a, b) => runsOf(b) - runsOf(a)],
  host: ["bytes of host code", (a, b) => b.host_bytes - a.host_bytes],
  ratio: ["size ratio", (a, b) => b.ratio - a.ratio],
  guest: ["instructions", (a, b) => b.guest_instructions - a.guest_instructions],
  address: ["address", (a, b) => (BigInt(a.rip) < BigInt(b.rip) ? -1 : BigInt(a.rip) > BigInt(b.rip) ? 1 : a.id - b.id)],
  made: ["order of translation", (a, b) => a.id - b.id],
};
const PAGE = 300;
const list = { shown: [], limit: PAGE };

/** The address lies in one of the region's blocks. */
function covers(r, address) {
  return r.outline.some(b => address >= BigInt(b.rip) && address < BigInt(b.rip) + BigInt(b.bytes));
}

/** Every word must be found: in addresses, symbols and kinds, or as a whole mnemonic. */
function matches(r, words) {
  return words.every(word => r.haystack.includes(word) || r.mnemonics.has(word) ||
    (/^0x[0-9a-f]+$/.test(word) && covers(r, BigInt(word))) ||
    (word.endsWith("*") && [...r.mnemonics].some(m => m.startsWith(word.slice(0, -1)))));
}

function showList() {
  const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const order = ORDERS[document.getElementById("sort").value][1];
  list.shown = trace.regions.filter(r => matches(r, words)).sort(order);
  list.limit = PAGE;
  document.getElementById("found").textContent =
    list.shown.length === trace.regions.length ? number(list.shown.length) + " translations"
      : number(list.shown.length) + " of " + number(trace.regions.length);
  document.getElementById("list").replaceChildren();
  fillList(0);
}

function fillList(from) {
  const top = Math.max(...trace.regions.map(r => r.share), 1e-9);
  const items = list.shown.slice(from, list.limit).map(r => {
    const facts = [r.kind, "ring " + r.cpl, r.guest_instructions + " instr", "×" + r.ratio.toFixed(1)];
    if (r.entries !== undefined) facts.push(number(r.entries) + " runs");
    if (r.share > 0) facts.push(percent(r.share));
    return el("li", { "data-id": r.id, tabIndex: 0, className: r.id === list.current ? "on" : undefined },
      el("span", { className: "name" }, r.symbol ? r.symbol : r.rip),
      el("span", { className: "facts" }, r.symbol ? el("span", {}, r.rip) : "", facts.map(f => el("span", {}, f))),
      el("span", { className: "bar", style: "width:" + (100 * r.share / top).toFixed(1) + "%" }));
  });
  document.getElementById("list").append(...items);
  document.getElementById("more").hidden = list.limit >= list.shown.length;
}

function openRegion(id, scroll) {
  const r = regionsById.get(id);
  if (!r) return false;
  for (const item of document.querySelectorAll("#list li")) {
    item.classList.toggle("on", Number(item.dataset.id) === id);
  }
  showView("blocks");
  const shown = showRegion(r);
  if (location.hash !== "#region-" + id) history.replaceState(null, "", "#region-" + id);
  if (scroll && innerWidth <= 760) shown.then(() => document.getElementById("region").scrollIntoView());
  return true;
}

function startList() {
  const sort = document.getElementById("sort");
  for (const [key, [text]] of Object.entries(ORDERS)) sort.append(el("option", { value: key }, "by " + text));
  if (!trace.totals.samples && !trace.counters) sort.value = "made";
  sort.addEventListener("change", showList);
  document.getElementById("search").addEventListener("input", showList);
  document.getElementById("more").addEventListener("click", () => {
    const from = list.limit;
    list.limit += PAGE;
    fillList(from);
  });
  const items = document.getElementById("list");
  items.addEventListener("click", event => {
    const item = event.target.closest("li");
    if (item) openRegion(Number(item.dataset.id), true);
  });
  items.addEventListener("keydown", event => {
    const item = event.target.closest("li");
    if (!item) return;
    if (event.key === "Enter") openRegion(Number(item.dataset.id), true);
    if (event.key === "ArrowDown" && item.nextSibling) item.nextSibling.focus();
    if (event.key === "ArrowUp" && item.previousSibling) item.previousSibling.focus();
  });
  showList();
}
