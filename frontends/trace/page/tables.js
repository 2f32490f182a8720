// Shadow page tables, devices, the cache, and this run.
function pairs(rows) {
  return el("table", { className: "facts-table" }, rows.filter(Boolean).map(([name, value, topic]) =>
    factRow(topic ? why(topic, name) : name, value)));
}

function shadowPart() {
  const s = trace.shadow;
  const walks = s.fills_read + s.fills_write + s.fills_fetch;
  return [el("h2", {}, "Shadow page tables"),
    el("p", {}, "Translated code finds guest memory through a ", why("shadow", "shadow page table"), " of " + number(s.entries) +
      " entries for each address space and privilege. What is not in it is looked up in the guest's own page tables; what the guest flushes must go."),
    pairs([
      ["entries made by page walks", number(walks)],
      ["… for reading", number(s.fills_read)],
      ["… for reading and writing", number(s.fills_write)],
      ["… for fetching code", number(s.fills_fetch)],
      ["not entered", number(s.outside), "outside"],
      ["failed walks", number(s.failed_walks), "failed"],
      ["pages of 4 KiB, 2 or 4 MiB, 1 GiB", [s.small_pages, s.large_pages, s.giant_pages].map(number).join(", ")],
      ["global pages", number(s.global)],
      ["pages CPL 3 may use", number(s.user)],
    ]),
    el("h3", {}, "Flushes"),
    pairs(Object.entries(s.flushes).map(([name, n]) => [name.replace(/_/g, " "), number(n), "flush-" + name])),
    el("h3", {}, "Pages walked most"),
    el("p", { className: "quiet" }, number(s.pages_seen) + " pages were walked. One that comes often was flushed often, or shares its slot with another."),
    table(["linear page", "", "walks"], s.pages.slice(0, 24).map(p => [p.linear, p.symbol || "", number(p.walks)]), [2]),
    s.spaces.length ? [el("h3", {}, "Address spaces"),
      table(["CR3", "times chosen"], s.spaces.slice(0, 24).map(p => [p.cr3, number(p.selected)]), [1])] : []];
}

function cachePart() {
  const t = trace.totals;
  const made = t.blocks + t.superblocks + t.narrow;
  const kept = trace.regions;
  const sum = (list, f) => list.reduce((a, r) => a + f(r), 0);
  const kinds = ["block", "superblock", "narrow"].map(kind => {
    const of_ = kept.filter(r => r.kind === kind);
    const guest = sum(of_, r => r.guest_bytes), host = sum(of_, r => r.host_bytes);
    return [why(kind, kind), number(of_.length), number(guest), number(host), guest ? (host / guest).toFixed(1) : "",
            number(sum(of_, r => r.executed)), t.samples ? percent(sum(of_, r => r.samples) / t.samples) : ""];
  });
  const topics = new Map();
  for (const r of kept) for (const [topic, n] of Object.entries(r.topics)) topics.set(topic, (topics.get(topic) || 0) + n);
  return [el("h2", {}, "Code cache"),
    pairs([
      ["translations made", number(made) + ": " + number(t.blocks) + " blocks, " + number(t.superblocks) + " superblocks, " + number(t.narrow) + " narrow"],
      ["links patched in", number(t.links), "link"],
      ["out of use: code was written over", number(t.bytes_changed)],
      ["out of use: superblock took over", number(t.superseded)],
      ["cache full", number(t.cache_full)],
      ["cache emptied for another reason", number(t.cache_emptied)],
      ["guest code translated", number(t.guest_bytes) + " bytes, " + number(t.guest_instructions) + " instructions"],
      ["host code made", number(t.host_bytes) + " bytes, ratio " + (t.guest_bytes ? (t.host_bytes / t.guest_bytes).toFixed(1) : "-"), "ratio"],
      t.samples ? ["processor time in translated code", percent(t.samples_in_code / t.samples) + " of " + number(t.samples) + " samples; the rest is C++: interpreter, page walks, devices, translator", "time"] : null,
    ]),
    el("h3", {}, "In this file"),
    table(["kind", "number", "guest bytes", "host bytes", "ratio", "executed", "time"], kinds, [1, 2, 3, 4, 5, 6]),
    el("h3", {}, "What the plans say"),
    table(["topic", "instructions"], [...topics].sort((a, b) => b[1] - a[1]).map(([topic, n]) => [why(topic, topic), number(n)]), [1])];
}

function devicePart() {
  const io = trace.io;
  if (!io.device_reads && !io.device_writes && !io.port_reads && !io.port_writes) return [];
  return [el("h2", {}, "Devices"),
    pairs([["registers in memory", number(io.device_reads) + " reads, " + number(io.device_writes) + " writes"],
           ["ports", number(io.port_reads) + " reads, " + number(io.port_writes) + " writes"]]),
    table(["address", "device", "times"], io.devices.slice(0, 24).map(d => [d.address, d.device || "", number(d.count)]), [2]),
    el("p", {}),
    table(["port", "device", "times"], io.ports.slice(0, 24).map(d => [d.port, d.device || "", number(d.count)]), [2])];
}

function startTables() {
  document.getElementById("tables").append(...[shadowPart(), cachePart(), devicePart()].flat(3).filter(Boolean));
  const t = trace.totals;
  document.getElementById("run").append(...[el("h2", {}, "This run"),
    pairs([
      ["command", el("code", {}, trace.command)],
      ["Dragoman", trace.version],
      ["instructions", number(t.instructions)],
      ["guest time", duration(t.ns)],
      ["translations in this file", number(trace.regions.length) + ", " + (trace.order === "hottest" ? "the hottest" : "the first")],
      t.filtered ? ["left out by the options", number(t.filtered)] : null,
      t.forgotten ? ["left out by limit=", number(t.forgotten)] : null,
      ["optimisations", Object.entries(trace.switches || {}).map(([name, on]) => name + (on ? "" : " off")).join(", ")],
    ]),
    trace.statistics ? el("h3", {}, "Statistics of the translator") : "", trace.statistics ? el("pre", {}, trace.statistics) : ""].filter(Boolean));
  const words = el("dl", { className: "words" });
  for (const [title, text, manual] of Object.values(EXPLAIN)) {
    words.append(el("dt", {}, title), el("dd", {}, text, manual ? el("span", { className: "quiet" }, " (" + manual + ")") : ""));
  }
  document.getElementById("words").append(el("h2", {}, "Words"), words);
}
