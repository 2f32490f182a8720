// Hot translations and the ways between them, drawn in layers.
const NODE = { width: 216, height: 38, gapX: 44, gapY: 60, perRow: 6 };

/** A window in which six blocks side by side could not be read. */
function narrow() { return document.documentElement.clientWidth < 760; }

/** Edges by counted exits where they are linked; by links alone without counters. */
function graphEdges(nodes) {
  const inside = new Set(nodes.map(r => r.id));
  const byRip = new Map();
  for (const r of nodes) if (!r.retired || !byRip.has(r.rip)) byRip.set(r.rip, r.id);
  const edges = new Map();
  const add = (from, to, count) => {
    if (!inside.has(to)) return;
    const key = from + ">" + to;
    const edge = edges.get(key) || { from, to, count: 0 };
    edge.count += count;
    edges.set(key, edge);
  };
  for (const r of nodes) {
    if (trace.counters) {
      for (const [rip, count, linked] of r.ways) {
        // A superblock may have taken the place of the linked translation.
        const to = inside.has(linked) ? linked : byRip.get(rip);
        if (to !== undefined) add(r.id, to, count);
      }
    } else {
      for (const l of r.links) add(r.id, l.to, 1);
    }
    let rounds = 0;
    for (const b of r.outline) if (b.loop && b.runs !== undefined) rounds += b.runs;
    if (rounds > r.entries) add(r.id, r.id, rounds - r.entries);
  }
  return [...edges.values()];
}

function layers(nodes, edges) {
  const out = new Map(nodes.map(r => [r.id, []]));
  for (const e of edges) if (e.from !== e.to) out.get(e.from).push(e);
  const state = new Map(), order = [];
  const visit = id => {
    state.set(id, 1);
    for (const e of out.get(id).sort((a, b) => b.count - a.count)) {
      if (state.get(e.to) === 1) e.back = true;
      else if (!state.has(e.to)) visit(e.to);
    }
    state.set(id, 2);
    order.push(id);
  };
  for (const r of nodes) if (!state.has(r.id)) visit(r.id);
  order.reverse();
  const rank = new Map(nodes.map(r => [r.id, 0]));
  for (const id of order) {
    for (const e of out.get(id)) if (!e.back) rank.set(e.to, Math.max(rank.get(e.to), rank.get(id) + 1));
  }
  const rows = [];
  for (const id of order) (rows[rank.get(id)] = rows[rank.get(id)] || []).push(id);
  const position = new Map();
  const place = () => rows.forEach(row => row.forEach((id, i) => position.set(id, i - row.length / 2)));
  place();
  for (let round = 0; round < 6; ++round) {
    for (const row of rows) {
      const weight = new Map(row.map(id => {
        const near = edges.filter(e => e.from !== e.to && (e.to === id || e.from === id)).map(e => position.get(e.to === id ? e.from : e.to));
        return [id, near.length ? near.reduce((a, b) => a + b, 0) / near.length : position.get(id)];
      }));
      row.sort((a, b) => weight.get(a) - weight.get(b));
    }
    place();
  }
  return wrapped(rows, edges);
}

/** Rows that fit a page: what has no edges comes last, and long rows are broken. */
function wrapped(rows, edges) {
  const joined = new Set(edges.filter(e => e.from !== e.to).flatMap(e => [e.from, e.to]));
  const lone = rows.flat().filter(id => !joined.has(id));
  const result = [];
  for (const row of [...rows.map(row => row.filter(id => joined.has(id))), lone]) {
    const perRow = narrow() ? 2 : NODE.perRow;
    for (let i = 0; i < row.length; i += perRow) result.push(row.slice(i, i + perRow));
  }
  const rank = new Map();
  result.forEach((row, y) => row.forEach(id => rank.set(id, y)));
  return { rows: result, rank };
}

function showGraph() {
  const size = Math.max(2, Math.min(150, Number(document.getElementById("graph-size").value) || 30));
  const nodes = [...trace.regions].sort(ORDERS.share[1]).slice(0, size);
  let edges = graphEdges(nodes);
  const most = Math.max(1, ...edges.map(e => e.count));
  if (!document.getElementById("graph-calls").checked) edges = edges.filter(e => e.count >= most / 100);
  const { rows, rank } = layers(nodes, edges);
  const widest = Math.max(...rows.map(r => r.length));
  const stepX = NODE.width + NODE.gapX, stepY = NODE.height + NODE.gapY;
  const width = widest * stepX + 80, height = rows.length * stepY + 30;
  const at = new Map();
  rows.forEach((row, y) => row.forEach((id, i) => at.set(id, {
    x: 40 + (width - 80) / 2 + (i - (row.length - 1) / 2) * stepX, y: 15 + y * stepY })));
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  svg.append(el("defs", {}, el("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
    el("path", { d: "M0 0L8 4L0 8z", fill: "currentColor", opacity: ".6" }))));
  const lines = el("g", {}), labels = el("g", { class: "edges" });
  edges.forEach((e, index) => {
    const a = at.get(e.from), b = at.get(e.to);
    const stroke = (0.7 + 3 * Math.log1p(e.count) / Math.log1p(most)).toFixed(2);
    let d, label;
    if (e.from === e.to) {
      const right = a.x + NODE.width / 2;
      d = `M${right} ${a.y + 10}c34 -14 34 34 0 18`;
      label = [right + 10, a.y + 5];
    } else if (e.back || rank.get(e.to) <= rank.get(e.from)) {
      const side = Math.min(a.x, b.x) - NODE.width / 2 - 22;
      d = `M${a.x - NODE.width / 2} ${a.y + 19}C${side} ${a.y + 19} ${side} ${b.y + 19} ${b.x - NODE.width / 2} ${b.y + 19}`;
      label = [side + 4, (a.y + b.y) / 2 + 19];
    } else {
      const y1 = a.y + NODE.height, y2 = b.y;
      d = `M${a.x} ${y1}C${a.x} ${y1 + 30} ${b.x} ${y2 - 30} ${b.x} ${y2}`;
      // Between the rows, where no block hides it, and not all at one height.
      const below = [30, 18, 43][index % 3], part = below / (y2 - y1);
      label = [a.x + (b.x - a.x) * part * part * (3 - 2 * part) + 3, y1 + below];
    }
    const back = e.from === e.to || e.back;
    lines.append(el("path", { d, class: "edge" + (back ? " back" : ""), "stroke-width": stroke, "marker-end": "url(#arrow)" },
      el("title", {}, `#${e.from} to #${e.to}: ${number(e.count)} times`)));
    if (trace.counters) labels.append(el("text", { x: label[0], y: label[1], class: "count" }, compact(e.count)));
  });
  svg.append(lines, labels);
  for (const r of nodes) {
    const p = at.get(r.id);
    const name = nameOf(r);
    svg.append(el("g", { class: "node " + r.kind, "data-id": r.id, tabindex: 0, onclick: () => openRegion(r.id, true),
                         onkeydown: event => { if (event.key === "Enter") openRegion(r.id, true); } },
      el("title", {}, name + "\n" + r.plan),
      el("rect", { x: p.x - NODE.width / 2, y: p.y, width: NODE.width, height: NODE.height, rx: 5 }),
      el("rect", { x: p.x - NODE.width / 2, y: p.y + NODE.height - 4, width: Math.max(2, NODE.width * r.share), height: 4,
                   style: "fill:var(--accent);stroke:none" }),
      el("text", { x: p.x - NODE.width / 2 + 6, y: p.y + 15 }, name.length > 31 ? name.slice(0, 14) + "…" + name.slice(-15) : name),
      el("text", { x: p.x - NODE.width / 2 + 6, y: p.y + 29, class: "count" },
        `${r.kind}, ring ${r.cpl}, ${compact(runsOf(r))} runs, ${percent(r.share)}`)));
  }
  const holder = document.getElementById("graph");
  holder.replaceChildren(svg);
  let scale = Math.min(1, (holder.clientWidth - 20) / width || 1);
  scale = Math.max(scale, narrow() ? 0.7 : 0.45);
  const apply = () => { svg.setAttribute("width", width * scale); svg.setAttribute("height", height * scale); };
  apply();
  const zoom = factor => {
    scale = Math.max(0.2, Math.min(3, scale * factor));
    apply();
  };
  svg.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.altKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.15 : 0.87);
  }, { passive: false });
  document.getElementById("graph-smaller").onclick = () => zoom(0.8);
  document.getElementById("graph-larger").onclick = () => zoom(1.25);
}

function compact(n) {
  return n >= 1e9 ? (n / 1e9).toFixed(1) + "G" : n >= 1e6 ? (n / 1e6).toFixed(1) + "M" : n >= 1e4 ? (n / 1e3).toFixed(0) + "k" : String(n);
}

function startGraph() {
  document.getElementById("graph-size").addEventListener("change", showGraph);
  document.getElementById("graph-calls").addEventListener("change", showGraph);
}
