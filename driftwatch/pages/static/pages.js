// Charts that can be zoomed, drawn by a library in place of the pictures; and pages that follow what goes on.
"use strict";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let library = null;

function load(address) {
  library ??= new Promise((loaded, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => loaded(window.Plotly);
    script.onerror = () => failed(new Error("the chart library did not load"));
    document.head.append(script);
  });
  return library;
}

const line = (name, x, y, more) => ({ type: "scatter", mode: "lines", name, x, y, ...more });
const level = (value, x) => x.map(() => value);

const draw = {
  course(data) {
    const texts = data.verdict.map((verdict, place) => `${verdict}, evidence ${data.evidence[place]?.toPrecision(3) ?? "none"} days`);
    const shape = data.at.length > 200 ? "lines" : "lines+markers";
    const traces = [line("found", data.at, data.value, { mode: shape, text: texts, hovertemplate: "%{x}<br>%{y:.4g} (%{text})<extra></extra>", line: { color: colour("--now"), width: 2 } })];
    if (data.reference !== null) traces.push(line("normal", data.at, level(data.reference, data.at), { hoverinfo: "skip", line: { color: colour("--normal"), dash: "dash", width: 1.5 } }));
    return [traces, {}];
  },
  distribution(data) {
    const side = (name, part, more) => line(`${name} (n = ${part.n})`, part.score, part.share_below, { hovertemplate: `%{y:.1%} of ${name} lie at or below %{x:.4g}<extra></extra>`, ...more });
    const traces = [side("now", data.now, { line: { shape: "hv", color: colour("--now"), width: 2 } })];
    if (data.baseline) traces.push(side("baseline", data.baseline, { line: { shape: "hv", color: colour("--normal"), dash: "dash", width: 1.5 } }));
    const gap = data.ks && [{ type: "line", x0: data.ks.at, x1: data.ks.at, y0: 0, y1: 1, line: { color: colour("--gap"), dash: "dot" } }];
    return [traces, { shapes: gap || [], yaxis: { tickformat: ".0%" } }];
  },
  rank(data) {
    const deepest = Math.max(10, ...data.rank.filter((rank) => rank !== null)) + 1;
    const y = data.rank.map((rank, place) => (data.state[place] === "missed" ? deepest : rank));
    const traces = [line("rank", data.at, y, { mode: "lines+markers", text: data.state, hovertemplate: "%{x}<br>rank %{text}<extra></extra>", line: { shape: "hv", color: colour("--now") } })];
    return [traces, { yaxis: { range: [deepest + 0.5, 0.5], title: { text: "rank" } } }];
  },
};

function layout(more) {
  const axis = { gridcolor: colour("--grid"), zerolinecolor: colour("--grid"), linecolor: colour("--grid") };
  const { xaxis, yaxis, ...rest } = more;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("--soft"), family: "system-ui, sans-serif" },
    margin: { l: 52, r: 40, t: 12, b: 40 }, legend: { orientation: "h", y: 1.12 }, hovermode: "closest", dragmode: "zoom",
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
  };
}

async function zoom(figure, button) {
  button.disabled = true;
  button.textContent = "Loading …";
  try {
    const [plotly, answer] = await Promise.all([load(figure.dataset.library), fetch(figure.dataset.source)]);
    if (!answer.ok) throw new Error(`the data did not load (${answer.status})`);
    const [traces, more] = draw[figure.dataset.chart](await answer.json());
    const place = document.createElement("div");
    place.className = "plot";
    figure.querySelector("svg").replaceWith(place);
    await plotly.newPlot(place, traces, layout(more), { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "toImage"] });
    button.parentElement.remove();
  } catch (error) {
    button.disabled = false;
    button.textContent = `Try again: ${error.message}`;
  }
}

for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const tools = document.createElement("div");
  const button = document.createElement("button");
  tools.className = "tools";
  button.type = "button";
  button.className = "quiet small";
  button.textContent = "Zoom and read values";
  button.addEventListener("click", () => zoom(figure, button));
  tools.append(button);
  figure.querySelector("svg").after(tools);
}

async function follow(place) {
  const seconds = Number(place.dataset.live);
  if (!seconds) return;
  await new Promise((passed) => setTimeout(passed, 1000 * seconds));
  if (document.hidden || place.contains(document.activeElement)) return follow(place);
  let found = place;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    found = page.getElementById("live") ?? place;
    if (found !== place) update(place, found);
  } catch {
    // The daemon restarts, perhaps: the page stays as it is and asks again.
  }
  return follow(document.getElementById("live") ?? place);
}

function update(place, found) {
  const said = place.querySelectorAll("[role=status]");
  const news = found.querySelectorAll("[role=status]");
  const bars = place.querySelectorAll("progress");
  const ends = found.querySelectorAll("progress");
  const same = (node) => [...node.querySelectorAll("*")].map((each) => each.tagName + each.className).join();
  if (same(place) !== same(found)) return place.replaceWith(document.adoptNode(found));
  // Only what moves is written, so that a screen reader hears the news and nothing twice.
  said.forEach((node, at) => { if (node.textContent !== news[at].textContent) node.textContent = news[at].textContent; });
  bars.forEach((node, at) => { node.value = ends[at].value; });
}

document.querySelectorAll("#live[data-live]").forEach(follow);
