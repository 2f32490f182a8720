// Puts the views together.
const started = { graph: false };

function showView(name) {
  for (const section of document.querySelectorAll("main > section")) section.classList.toggle("on", section.dataset.view === name);
  for (const tab of document.querySelectorAll("nav button")) tab.setAttribute("aria-selected", tab.dataset.view === name);
  if (name === "graph" && !started.graph) {
    started.graph = true;
    showGraph();
  }
}

function followHash() {
  const region = /^#region-(\d+)$/.exec(location.hash);
  if (region && openRegion(Number(region[1]))) return;
  const name = location.hash.slice(1);
  if (document.querySelector(`main > section[data-view="${CSS.escape(name)}"]`)) showView(name);
}

async function start() {
  try {
    adopt(await unpack(document.querySelector("script.data").textContent));
  } catch (problem) {
    document.getElementById("loading").textContent = "This trace cannot be shown: " + problem +
      ". A browser with DecompressionStream is needed (2023 or later).";
    throw problem;
  }
  document.getElementById("what").textContent = "trace of " + number(trace.regions.length) + " translations";
  document.querySelector("main").hidden = false;
  document.getElementById("loading").remove();
  startTips();
  startList();
  startGraph();
  startTimeline();
  startTables();
  for (const tab of document.querySelectorAll("nav button")) {
    tab.addEventListener("click", () => {
      showView(tab.dataset.view);
      history.replaceState(null, "", "#" + tab.dataset.view);
    });
  }
  addEventListener("hashchange", followHash);
  showView(trace.regions.length ? "blocks" : "timeline");
  if (list.shown.length) await showRegion(list.shown[0]);
  followHash();
  document.documentElement.dataset.ready = Math.round(performance.now());
}
start();
