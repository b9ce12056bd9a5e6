// The live log: the exporter's search for what has been, and the stream for what comes.

import { get } from "./api.js";
import { complain, find, make, say } from "./dom.js";
import { clock, count } from "./format.js";

const LEVELS = ["debug", "info", "warn", "error"];
const KEPT = 1000;
const list = find("#log-lines");
const fields = Object.fromEntries(["level", "model", "source", "text"].map((name) => [name, find(`#log-${name}`)]));
const note = find("#log-note");
let searching = 0;
let newest = 0;
let waiting = [];
let paused = null;
let painting = false;

/** Begin: filters and buttons work, and the last records are there. */
export function startLog() {
  let typing;
  for (const field of Object.values(fields)) {
    field.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(search, field === fields.text ? 200 : 0);
    });
  }
  find("#log form").addEventListener("submit", (event) => event.preventDefault());
  find("#log-pause").addEventListener("click", (event) => pause(event.target));
  find("#log-copy").addEventListener("click", copy);
  return search();
}

/** Take the record of a `log` event. */
export function addRecord(record) {
  offerModel(record.model);
  if (!fits(record)) return;
  if (paused !== null) {
    paused += 1;
    say(note, `${count(paused, "new record")} since the pause`);
    return;
  }
  waiting.push(record);
  if (waiting.length > KEPT) waiting.shift();
  if (!painting) {
    painting = true;
    requestAnimationFrame(paint);
  }
}

/** Ask for the last records that fit the filters, and show them in place of all others. */
export async function search() {
  const asked = ++searching;
  const { level, model, source, text } = fields;
  const query = new URLSearchParams({ limit: 500, level: level.value });
  for (const [name, field] of [["model", model], ["source", source], ["search", text]]) {
    if (field.value) query.set(name, field.value);
  }
  waiting = [];
  try {
    const { records } = await get(`api/v1/logs?${query}`);
    if (asked !== searching) return; // the filters have changed since
    const shown = records[0]?.id ?? 0;
    waiting = waiting.filter(({ id }) => id > shown);
    records.forEach((record) => offerModel(record.model));
    list.replaceChildren(...records.reverse().map(line));
    newest = shown;
    list.scrollTop = list.scrollHeight;
    if (paused === null) say(note, records.length ? "" : "No record fits.");
  } catch (problem) {
    complain(`Log: ${problem.message}`);
  }
}

function paint() {
  painting = false;
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const records = waiting.filter(({ id }) => id > newest);
  waiting = [];
  if (!records.length) return;
  newest = records.at(-1).id;
  list.append(...records.map(line));
  while (list.children.length > KEPT) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
  say(note, "");
}

function fits({ level, model, source, message }) {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(fields.level.value)
    && (!fields.model.value || model === fields.model.value)
    && (!fields.source.value || source === fields.source.value)
    && message.toLowerCase().includes(fields.text.value.toLowerCase());
}

function line({ time, level, source, model, component, function: caller, message }) {
  const from = [source === "exporter" ? "exporter" : null, model, component ?? caller].filter(Boolean).join(" ");
  return make("li", { dataset: { level } },
    make("time", { dateTime: time, title: time }, clock(time)), " ",
    make("b", {}, level), " ", make("i", {}, from), " ", make("span", {}, message));
}

function offerModel(model) {
  if (model && ![...fields.model.options].some(({ value }) => value === model)) {
    fields.model.append(make("option", { value: model }, model));
  }
}

function pause(button) {
  paused = paused === null ? 0 : null;
  button.setAttribute("aria-pressed", String(paused !== null));
  say(button, paused === null ? "Pause" : "Go on");
  say(note, paused === null ? "" : "Paused");
  if (paused === null) search();
}

async function copy() {
  const text = [...list.children].map((item) => item.innerText.replaceAll("\n", " ")).join("\n");
  try {
    await navigator.clipboard.writeText(text);
    say(note, `${count(list.children.length, "record")} copied`);
  } catch {
    // Browsers give the clipboard only to pages over TLS or from this machine.
    getSelection().selectAllChildren(list);
    say(note, "Selected; copy with Ctrl+C");
  }
}
