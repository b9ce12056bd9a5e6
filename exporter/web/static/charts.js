// Small charts of the last quarter of an hour, drawn as SVG. A value that was not known is a gap, never a line.

import { get } from "./api.js";
import { find, make, say } from "./dom.js";
import { bytes, clock, number, percent } from "./format.js";

const SPAN = 15 * 60;
const WIDTH = 300;
const HEIGHT = 80;
const CHARTS = [
  { title: "Tokens/s", show: number,
    series: { generation: "generation_tokens_per_second", prompt: "prompt_tokens_per_second" } },
  { title: "Requests", show: number, series: { running: "requests_running", waiting: "requests_waiting" } },
  { title: "GPU", show: percent, top: 1, when: (point) => point.gpus > 0,
    series: { "work": "gpu_utilization", "memory": (point) => point.gpu_memory_used / point.gpu_memory_total } },
  { title: "CPU", show: percent, top: 1, when: (point) => point.gpus === 0, series: { work: "cpu_utilization" } },
  { title: "Memory", show: bytes, top: (point) => point.memory_total, series: { used: "memory_used" } },
];
let points = [];
let gap = Infinity;

/** Fetch what has been. Throws `Problem`. */
export async function loadHistory() {
  const history = await get("api/v1/history");
  gap = history.interval_seconds * 2.5;
  const last = history.points.at(-1)?.time ?? 0;
  points = [...history.points, ...points.filter(({ time }) => time > last)];
  draw();
}

/** Take the point of a `metrics` event, which comes again until there is a newer one. */
export function addPoint(point) {
  if (!point || point.time <= (points.at(-1)?.time ?? 0)) return;
  points.push(point);
  while (points[0].time < point.time - SPAN) points.shift();
  draw();
}

const read = (point, source) => {
  const value = typeof source === "function" ? source(point) : point[source];
  return Number.isFinite(value) ? value : null;
};

function draw() {
  const last = points.at(-1);
  if (!last) return;
  CHARTS.forEach((chart, index) => {
    chart.figure ??= newFigure(chart, index);
    chart.figure.hidden = Boolean(chart.when) && !chart.when(last);
    if (chart.figure.hidden) return;
    const values = points.flatMap((point) => Object.values(chart.series).map((source) => read(point, source)));
    const highest = Math.max(0, ...values.filter((value) => value !== null));
    const fixed = typeof chart.top === "function" ? chart.top(last) : chart.top;
    const top = fixed || nice(highest);
    say(find(".top", chart.figure), chart.show(top));
    const texts = Object.entries(chart.series).map(([name, source], line) => {
      find(`path:nth-of-type(${line + 1})`, chart.figure).setAttribute("d", path(source, last.time, top));
      const text = `${name} ${chart.show(read(last, source))}`;
      say(chart.figure.querySelectorAll(".key")[line], text);
      return text;
    });
    find("svg", chart.figure).setAttribute("aria-label", `${chart.title}, now ${texts.join(", ")}`);
  });
}

/** A round number not below the highest value, for the top of the axis. */
function nice(highest) {
  if (highest <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 5, 10].find((step) => step * power >= highest) * power;
}

function path(source, end, top) {
  let d = "";
  let before = null;
  for (const point of points) {
    const value = read(point, source);
    if (value !== null) {
      const joined = before !== null && point.time - before < gap;
      d += `${joined ? "L" : "M"}${x(point.time, end)} ${(HEIGHT * (1 - Math.min(1, value / top))).toFixed(1)}`;
      if (!joined) d += "h0.01"; // one point alone is to be seen too
    }
    before = value === null ? null : point.time;
  }
  return d;
}

const x = (time, end) => (WIDTH * (1 - (end - time) / SPAN)).toFixed(1);

function newFigure(chart) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const names = Object.keys(chart.series);
  for (const _ of names) svg.append(document.createElementNS(svg.namespaceURI, "path"));
  const keys = names.map(() => make("span", { className: "key" }));
  const note = make("output", {});
  const figure = make("figure", {}, make("figcaption", {}, make("b", {}, chart.title), ...keys),
    make("div", { className: "plot" }, make("span", { className: "top" }), svg, note),
    make("div", { className: "axis" }, make("span", {}, "15 min ago"), make("span", {}, "now")));
  svg.addEventListener("pointermove", (event) => say(note, at(chart, event.offsetX / svg.clientWidth)));
  svg.addEventListener("pointerleave", () => say(note, ""));
  find("#charts").append(figure);
  return figure;
}

/** What the chart shows at this part of its width, in words. */
function at(chart, part) {
  const time = points.at(-1).time - SPAN * (1 - part);
  const nearest = points.reduce((best, point) => (Math.abs(point.time - time) < Math.abs(best.time - time) ? point : best));
  if (Math.abs(nearest.time - time) > gap) return "";
  const values = Object.entries(chart.series).map(([name, source]) => `${name} ${chart.show(read(nearest, source))}`);
  return `${clock(nearest.time * 1000)}: ${values.join(", ")}`;
}
