// What happened when.
const TRACKS = [
  ["Where the processor was", ["real mode", "protected mode", "kernel", "user", "halted"], true],
  ["Exceptions and interrupts", ["page faults", "interrupts", "exceptions", "software interrupts"]],
  ["Device registers", ["device reads", "device writes"]],
  ["Ports", ["port reads", "port writes"]],
  ["Shadow page tables", ["page walks", "failed walks", "flushes"]],
  ["Translator", ["translations", "retired"]],
];
const COLOURS = ["#a1452f", "#2f6fa1", "#3b7d4f", "#b06a00", "#6b4fa1"];
const colourOf = (name, k) => name === "halted" ? "#cfcac0" : COLOURS[k];
const CHART = { width: 1000, height: 90, left: 60 };

/** Drawn as wide as the window, so that letters keep their size. */
function fitChart() {
  CHART.width = Math.max(300, Math.min(1400, document.documentElement.clientWidth - 34));
  CHART.left = CHART.width < 600 ? 40 : 60;
}

/** Stacked columns over time; `share`: each column fills the height. */
function chart(title, names, share) {
  const t = trace.timeline;
  const indices = names.map(n => t.counts.indexOf(n));
  const sums = t.slots.map(slot => indices.reduce((sum, i) => sum + slot[i], 0));
  const most = Math.max(1, ...sums);
  const count = Math.max(1, t.slots.length);
  const step = (CHART.width - CHART.left) / count;
  const svg = el("svg", { class: "chart", viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img" }, el("title", {}, title));
  // A path for each name: thousands of columns would be thousands of elements.
  const paths = names.map(() => []);
  t.slots.forEach((slot, at) => {
    let y = CHART.height - 12;
    const total = share ? sums[at] : most;
    if (!sums[at]) return;
    indices.forEach((index, k) => {
      if (!slot[index]) return;
      const h = Math.max(0.5, (CHART.height - 18) * slot[index] / total);
      y -= h;
      paths[k].push(`M${(CHART.left + at * step).toFixed(2)} ${y.toFixed(2)}h${Math.max(step, 0.6).toFixed(2)}v${h.toFixed(2)}h-${Math.max(step, 0.6).toFixed(2)}z`);
    });
  });
  paths.forEach((d, k) => { if (d.length) svg.append(el("path", { d: d.join(""), fill: colourOf(names[k], k) })); });
  svg.append(el("line", { x1: CHART.left, x2: CHART.width, y1: CHART.height - 12, y2: CHART.height - 12, stroke: "currentColor", opacity: .3 }));
  svg.append(el("text", { x: 2, y: 14 }, share ? "share" : compact(most)));
  const marks = CHART.width < 600 ? 2 : 5;
  for (let i = 0; i <= marks; ++i) {
    svg.append(el("text", { x: CHART.left + i * (CHART.width - CHART.left) / marks, y: CHART.height - 1, class: "count",
                            "text-anchor": i === marks ? "end" : i ? "middle" : "start" }, duration(i * count * t.slot_ns / marks)));
  }
  const totals = names.map((name, k) => {
    const sum = t.slots.reduce((all, slot) => all + slot[indices[k]], 0);
    return el("span", {}, el("i", { style: "background:" + colourOf(name, k) }), name + " " + (share ? duration(sum * 1000) : number(sum)));
  });
  return [el("h3", {}, title), el("div", { className: "legend" }, totals), svg];
}

function phaseBar() {
  const t = trace.timeline;
  if (!t.phases.length) return "";
  const end = Math.max(t.slots.length * t.slot_ns, trace.totals.ns, 1);
  const svg = el("svg", { class: "chart", viewBox: `0 0 ${CHART.width} 26`, role: "img" });
  t.phases.forEach((p, i) => {
    const to = i + 1 < t.phases.length ? t.phases[i + 1].ns : end;
    const scale = (CHART.width - CHART.left) / end;
    svg.append(el("rect", { x: CHART.left + p.ns * scale, y: 4, width: Math.max(1, (to - p.ns) * scale), height: 18, fill: COLOURS[i % COLOURS.length], opacity: .8 },
      el("title", {}, p.name + ", " + duration(p.ns))));
  });
  return [el("h3", {}, "Phases"), svg, table(["from", "instructions", "phase"],
    t.phases.map((p, i) => [duration(p.ns), number(p.instructions),
      el("span", {}, el("i", { style: `display:inline-block;width:.8em;height:.8em;margin-right:.4em;background:${COLOURS[i % COLOURS.length]}` }), p.name)]), [0, 1])];
}

function eventTable(filter) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const found = trace.timeline.events.filter(e => {
    const text = (e.name + " " + e.kind + " " + e.rip + " " + (e.symbol || "") + " " + (e.address || "") + " ring:" + e.cpl).toLowerCase();
    return words.every(w => text.includes(w));
  });
  const rows = found.slice(0, 400).map(e => [duration(e.ns), number(e.instructions), e.name, "ring " + e.cpl,
    (e.symbol ? e.symbol + " " : "") + e.rip, e.address ? "at " + e.address + ", error " + e.error : e.error !== undefined ? "error 0x" + e.error.toString(16) : ""]);
  return [el("p", { className: "quiet" }, number(found.length) + " of " + number(trace.timeline.events.length) + " kept, of " +
    number(trace.timeline.events_seen) + " in all" + (found.length > 400 ? "; the first 400 are shown" : "")),
    table(["time", "instructions", "what", "", "where", ""], rows, [0, 1])];
}

function startTimeline() {
  const results = el("div", {});
  const input = el("input", { type: "search", placeholder: "page fault, 0xec, symbol, ring:3", oninput: () => results.replaceChildren(...eventTable(input.value)) });
  results.append(...eventTable(""));
  const charts = el("div", {});
  const draw = () => {
    fitChart();
    charts.replaceChildren(...[phaseBar()].flat().filter(Boolean),
      el("p", { className: "quiet" }, "A column is " + duration(trace.timeline.slot_ns) + " of the guest's time. The number on the left of a chart is its tallest column."),
      ...TRACKS.flatMap(([title, names, share]) => chart(title, names, share)));
  };
  draw();
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 150); });
  const vectors = trace.timeline.vectors.slice().sort((a, b) => b.count - a.count);
  document.getElementById("timeline").append(charts,
    el("h3", {}, "By vector"), table(["event", "kind", "times"], vectors.map(v => [v.name, v.kind, number(v.count)]), [2]),
    el("h3", {}, "Single events"), el("div", { className: "tools" }, input), results);
}
