// The table of models, and the orders to load and unload them.

import { order } from "./api.js";
import { confirmed } from "./confirm.js";
import { complain, find, make, say } from "./dom.js";
import { bytes, count, number, percent, UNKNOWN } from "./format.js";

const COLUMNS = ["State", "Slots busy", "Context", "Tokens/s", "GPU memory"];
const ACTIONS = { unloaded: "load", failed: "load", loaded: "unload", sleeping: "unload" };
const body = find("#models tbody");
let activity = {};

/** Show the models of a status. */
export function showModels(status) {
  const { models } = status;
  const rows = new Map([...body.children].map((row) => [row.dataset.model, row]));
  for (const model of models) {
    const row = rows.get(model.id) ?? newRow(model.id);
    rows.delete(model.id);
    row.dataset.state = model.state;
    row.model = model;
    const exit = model.state === "failed" && model.exit_code !== null ? ` (exit code ${model.exit_code})` : "";
    say(row.cells[1].firstElementChild, model.state + exit);
    say(row.cells[1].lastElementChild, model.reason ?? "");
    showOrder(row, status.mode === "router" ? ACTIONS[model.state] : undefined);
    body.append(row);
  }
  for (const gone of rows.values()) gone.remove();
  showNone(status);
}

/** Show what the models do, from a `metrics` event. */
export function showActivity(metrics) {
  activity = metrics.activity;
  find("#models").classList.toggle("no-gpu", !metrics.point?.gpus);
  for (const row of body.children) {
    const now = activity[row.dataset.model];
    const { slots, context_tokens: size } = row.model;
    const memory = metrics.point?.model_memory[row.dataset.model];
    const texts = [
      now ? `${number(now.slots_busy)} of ${number(slots)}` : UNKNOWN,
      now && size ? percent(now.context_used_tokens / size) : UNKNOWN,
      now ? number(now.tokens_per_second.generation) : UNKNOWN,
      bytes(memory),
    ];
    texts.forEach((text, index) => say(row.cells[index + 2], text));
  }
}

function newRow(id) {
  const cells = COLUMNS.map((name) => make("td", { dataset: { name } }));
  cells[0].append(make("span", { className: "badge" }), " ", make("small"));
  const button = make("button", { hidden: true });
  const row = make("tr", { dataset: { model: id } }, make("th", { scope: "row" }, id), ...cells, make("td", {}, button));
  button.addEventListener("click", () => tell(row, button.dataset.order));
  return row;
}

function showOrder(row, what) {
  const button = find("button", row);
  button.hidden = what === undefined;
  if (what === undefined) return;
  button.dataset.order = what;
  say(button, what === "load" ? "Load" : "Unload");
  button.setAttribute("aria-label", `${button.textContent} ${row.dataset.model}`);
}

async function tell(row, what) {
  const id = row.dataset.model;
  const running = activity[id]?.requests_running ?? 0;
  if (what === "unload" && running) {
    const question = `Unload ${id}? ${count(running, "request")} of it will be cut off.`;
    if (!(await confirmed(question, "Unload"))) return;
  }
  const button = find("button", row);
  button.setAttribute("aria-busy", "true");
  try {
    await order("POST", `api/v1/models/${what}`, { model: id });
  } catch (problem) {
    complain(`${id}: ${problem.message}`);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function showNone(status) {
  const none = find("#no-models");
  none.hidden = status.models.length > 0;
  find("#models").hidden = status.models.length === 0;
  say(none, status.state !== "ready"
    ? "Which models there are is known when llama-server answers."
    : "The router has no models: put GGUF files into the folder of --models-dir, or name a preset file with --models-preset, and restart it.");
}
