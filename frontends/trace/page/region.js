// One translation: guest code, plan and host code side by side.
const view = { bytes: false };

function hostLine(line) {
  const [offset, bytes, text, note, topic] = line;
  return el("div", { className: "line" + (topic ? " k-" + topic : ""), "data-why": EXPLAIN[topic] ? topic : undefined,
                     title: "+" + offset.toString(16) },
    el("span", { className: "b" }, bytes), el("span", {}, text), note ? el("span", { className: "note" }, note) : "");
}

function hostLines(lines) { return (lines || []).map(hostLine); }

function hue(index) { return (index * 67) % 360; }

function planTags(plan) {
  return plan.map(([topic, text]) => el("span", { className: "tag t-" + topic, "data-why": EXPLAIN[topic] ? topic : undefined,
                                                  tabIndex: 0 }, text));
}

function instructionRow(insn, index, block) {
  const rare = insn.rare && insn.rare.length
    ? el("details", { className: "rare" }, el("summary", {}, insn.rare.length + " host instructions kept out of line"),
         hostLines(insn.rare)) : "";
  return el("div", { className: "row", style: "--hue:" + hue(index), "data-insn": block + "." + index },
    el("div", { className: "guest" },
      el("span", { className: "at" }, insn.rip + "  " + spaced(insn.bytes)),
      el("span", { className: "insn" }, insn.text)),
    el("div", { className: "plan" }, planTags(insn.plan)),
    el("div", { className: "host" }, hostLines(insn.host),
      !insn.host && !rare ? el("span", { className: "quiet" }, "no code") : "", rare));
}

function plainRow(title, plan, lines) {
  if (!lines || !lines.length) return "";
  return el("div", { className: "row plain" }, el("div", {}, title), el("div", { className: "plan" }, plan),
            el("div", { className: "host" }, hostLines(lines)));
}

function factRow(name, ...value) { return el("tr", {}, el("th", {}, name), el("td", {}, ...value)); }

function regionLink(id, text) {
  return regionsById.has(id) ? el("a", { href: "#region-" + id }, text) : el("span", {}, text);
}

function regionFacts(r) {
  const facts = el("table", { className: "facts-table" });
  const add = (...row) => facts.append(factRow(...row));
  add("why it is here", r.made.why + ", " + duration(r.made.ns) + " after the start");
  if (r.generation > 1) add("translated again", "the " + r.generation + "th time in this run");
  if (r.retired) add("out of use", r.retired.why + ", at " + duration(r.retired.ns));
  add("guest", r.rip + (r.physical ? ", physical " + r.physical + " (page " + (BigInt(r.physical) >> 12n).toString(16) + ")" : "")
      + ", CR3 " + r.cr3);
  add(why("key", "block key"), r.key + ": " + r.key_text);
  add("host", r.host_address + ", " + number(r.host_bytes) + " bytes for " + r.guest_bytes + " of the guest, ",
      why("ratio", "ratio " + r.ratio.toFixed(1)));
  if (r.entries !== undefined) {
    add("ran", number(r.entries) + " times entered, about " + number(r.executed) + " instructions");
  }
  if (trace.totals.samples) {
    add(why("time", "time"), percent(r.samples / trace.totals.samples) + " (" + number(r.samples) + " samples)");
  }
  add("plan", r.plan);
  if (r.links.length) {
    add(why("chained", "chained to"), r.links.map((l, i) => [i ? ", " : "", regionLink(l.to, "#" + l.to), " at " + l.rip]).flat());
  }
  if (r.linkedFrom.length) {
    add("chained from", r.linkedFrom.slice(0, 12).map((id, i) => [i ? ", " : "", regionLink(id, nameOf(regionsById.get(id)) + " #" + id)]).flat());
  }
  return facts;
}

function exitsTable(r) {
  if (!r.exits.length) return "";
  const targets = e => e.targets.flatMap((t, i) => [i ? el("br") : "", (e.targets.length > 1 ? "about " : "") + number(t.count) + " to " + (t.symbol || t.rip)]);
  const rows = r.exits.map(e => [e.kind, e.targets ? el("span", {}, targets(e)) : e.symbol || e.rip || "known as it runs",
    e.block < 0 ? "" : "block " + e.block, number(e.count), e.to ? regionLink(e.to, "#" + e.to) : ""]);
  return el("details", {}, el("summary", {}, r.exits.length + " exits"), table(["exit", "to", "from", "times", "linked"], rows, [3]));
}

async function showRegion(r) {
  list.current = r.id;
  await withDetail(r);
  if (list.current !== r.id) return;  // another one was opened meanwhile
  const article = document.getElementById("region");
  const blocks = r.blocks.map((b, index) => {
    const head = r.blocks.length > 1 || b.runs !== undefined
      ? el("h3", {}, "block " + index + (b.symbol ? " " + b.symbol : ""), " ",
          el("span", { className: "quiet" }, (b.runs !== undefined ? number(b.runs) + " runs" : "") +
             (b.loop ? ", loop" : "") + (b.next !== undefined ? ", goes on to block " + b.next : ""))) : "";
    return [head, el("div", { className: "code" },
      el("div", { className: "head" }, el("div", {}, "guest"), el("div", {}, "plan"), el("div", {}, "host")),
      plainRow("counter of the trace", [why("counter", "counter", "tag")], b.start),
      b.instructions.map((insn, i) => instructionRow(insn, i, index)),
      plainRow("end of the block", [why("exit", "exit", "tag")], b.end))];
  });
  const toggle = el("button", { onclick: () => { view.bytes = !view.bytes; article.classList.toggle("bytes", view.bytes); } }, "host bytes");
  const all = el("button", { onclick: () => {
    const parts = [...article.querySelectorAll("details.rare")];
    const open = parts.some(d => !d.open);
    for (const d of parts) d.open = open;
  } }, "rare parts");
  article.classList.toggle("bytes", view.bytes);
  article.replaceChildren(
    el("h2", {}, nameOf(r), " ", why(r.kind, r.kind, "tag " + r.kind), el("span", { className: "tag" }, "ring " + r.cpl),
       el("span", { className: "tag" }, r.bits + "-bit"), r.retired ? el("span", { className: "tag gone" }, "in use") : ""),
    regionFacts(r),
    el("p", {}, toggle, " ", all),
    el("div", { className: "code" }, plainRow("start of the region", [why("budget", "budget", "tag")], r.start)),
    ...blocks.flat(),
    el("div", { className: "code" }, plainRow("leaving at the start", [why("exit", "exit", "tag")], r.leave)),
    exitsTable(r));
}

/** Rows of the same instruction light up together; explanations follow the pointer. */
function startTips() {
  const tip = document.getElementById("tip");
  const show = (target, x, y) => {
    const topic = target.dataset.why;
    const [title, text, manual] = EXPLAIN[topic];
    tip.replaceChildren(el("b", {}, title), text, manual ? el("i", {}, manual) : "");
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - box.width - 8)) + "px";
    tip.style.top = (y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 12) : y + 18) + "px";
  };
  document.addEventListener("pointermove", event => {
    const target = event.target.closest && event.target.closest("[data-why]");
    if (target) show(target, event.clientX, event.clientY);
    else tip.hidden = true;
  });
  document.addEventListener("focusin", event => {
    const target = event.target.closest("[data-why]");
    if (!target) return;
    const box = target.getBoundingClientRect();
    show(target, box.left, box.bottom - 14);
  });
  document.addEventListener("focusout", () => { tip.hidden = true; });
  document.addEventListener("scroll", () => { tip.hidden = true; }, true);
}
