// The settings that the API may change: a form made of what the exporter says of them, checked by it while one types.

import { get, order } from "./api.js";
import { toArguments, toLines } from "./arguments.js";
import { confirmed } from "./confirm.js";
import { complain, find, make, say } from "./dom.js";

const SECTION = "server.";
const PATH = "api/v1/config/server";
const APPLYING = {
  none: "It takes effect without a restart.",
  "llama-server": "Applying restarts llama-server.",
  exporter: "Restart the exporter to apply it.",
};
const RESTARTS = { none: "", "llama-server": "Restarts llama-server.", exporter: "Needs a restart of the exporter." };
const form = find("#settings form");
const verdict = make("div", { className: "verdict", role: "status" });
const buttons = ["Save and apply", "Save", "Undo"].map((text) => make("button", { type: "button", disabled: true }, text));
let fields = new Map();
let checking = 0;
let restart = "none";

/** Fetch the configuration and show it. Resolves with its settings by key. Throws `Problem`. */
export async function loadSettings() {
  const { file, errors, settings } = await get("api/v1/config");
  const editable = Object.entries(settings).filter(([, setting]) => setting.editable);
  fields = new Map(editable.map(([key, setting]) => [key, newField(key, setting, file === null)]));
  const pending = editable.filter(([, setting]) => "saved" in setting).map(([key]) => key);
  say(find("#settings-file"), file === null
    ? "The exporter was started without a file (--config.file), so there is nothing to save to."
    : `Kept in ${file}.${pending.length ? ` Saved there and not applied yet: ${pending.join(", ")}.` : ""}`);
  say(verdict, errors ?? "");
  form.replaceChildren(...[...fields.values()].map(({ row }) => row), verdict, make("menu", {}, ...buttons));
  for (const button of buttons) button.disabled = true;
  if (pending.length && !errors) buttons[0].disabled = false;
  return settings;
}

/** Make the form work. `applied` is called when something has come into effect. */
export function editSettings(applied) {
  let typing;
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(check, 300);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  const [both, save, undo] = buttons;
  both.addEventListener("click", () => finish(applied, true));
  save.addEventListener("click", () => finish(applied, false));
  undo.addEventListener("click", () => loadSettings().catch(complainOf));
}

const complainOf = (problem) => complain(`Settings: ${problem.message}`);

function newField(key, setting, locked) {
  const plain = "saved" in setting ? setting.saved : setting.value;
  const value = setting.unit === "seconds" && plain !== null ? `${plain}s` : plain;
  const name = key.slice(SECTION.length);
  const properties = { id: key, spellcheck: false, disabled: locked || ["flag", "environment"].includes(setting.origin) };
  const { input, read } = newInput(name, value, setting.choices, properties);
  const hint = {
    flag: "Set on the command line, which counts more than the file.",
    environment: "Set in the environment, which counts more than the file.",
  }[setting.origin] ?? (RESTARTS[setting.restart]);
  const error = make("small", { className: "error", id: `${key}-error` });
  input.setAttribute("aria-describedby", error.id);
  const row = make("div", { className: "field" }, make("label", { htmlFor: key }, name), input,
    make("small", {}, hint), error);
  return { row, input, error, read };
}

/** An input for a value, and how to read it back as JSON. */
function newInput(name, value, choices, properties) {
  if (name === "args") {
    const input = make("textarea", { ...properties, rows: Math.max(4, value.length), value: toLines(value) });
    return { input, read: () => toArguments(input.value) };
  }
  if (name === "env") {
    const lines = Object.entries(value).map((pair) => pair.join("="));
    const input = make("textarea", { ...properties, rows: Math.max(2, lines.length), value: lines.join("\n") });
    return { input, read: () => toEnvironment(input.value) };
  }
  if (choices) {
    const input = make("select", properties, ...choices.map((choice) => make("option", { value: choice }, choice)));
    input.value = value;
    return { input, read: () => input.value };
  }
  if (typeof value === "boolean") {
    const input = make("input", { ...properties, type: "checkbox", checked: value });
    return { input, read: () => input.checked };
  }
  const input = make("input", { ...properties, type: "text", value: value ?? "" });
  return { input, read: () => (/^\d+(\.\d+)?$/.test(input.value.trim()) ? Number(input.value) : input.value.trim() || null) };
}

function toEnvironment(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const bad = lines.find((line) => line.indexOf("=") < 1);
  if (bad !== undefined) throw new Error(`${bad} is not NAME=value`);
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

/** The section as the form has it; an error goes to its field, and then there is none. */
function readForm() {
  const section = {};
  let good = true;
  for (const [key, { input, error, read }] of fields) {
    say(error, "");
    input.removeAttribute("aria-invalid");
    try {
      const [name, nested] = key.slice(SECTION.length).split(".");
      if (nested) (section[name] ??= {})[nested] = read();
      else section[name] = read();
    } catch (problem) {
      blame(key, problem.message);
      good = false;
    }
  }
  return good ? section : null;
}

function blame(key, text) {
  const { input, error } = fields.get(key);
  say(error, text);
  input.setAttribute("aria-invalid", "true");
}

async function check() {
  const asked = ++checking;
  const section = readForm();
  let usable = false;
  if (section !== null) {
    try {
      const answer = await order("PUT", `${PATH}?check=true`, section);
      if (asked !== checking) return; // more was typed since
      restart = answer.restart;
      usable = answer.changed.length > 0;
      say(verdict, usable ? `Changes ${answer.changed.join(", ")}. ${APPLYING[restart]}` : "Nothing is changed.");
    } catch (problem) {
      if (asked !== checking) return;
      say(verdict, problem.message);
      for (const [key] of fields) {
        const line = problem.message.split("\n").find((text) => text.includes(`${key}:`) || text.includes(`${key}[`));
        if (line) blame(key, line.slice(line.indexOf(key) + key.length + 2));
      }
    }
  }
  verdict.classList.toggle("error", !usable && section !== null && verdict.textContent !== "Nothing is changed.");
  buttons[0].disabled = buttons[1].disabled = !usable;
  buttons[2].disabled = false;
}

async function finish(applied, apply) {
  const section = readForm();
  if (section === null) return;
  try {
    const answer = await order("PUT", PATH, section);
    if (apply && answer.restart === "llama-server" && !(await confirmed("Saved. Apply it now? That restarts llama-server.", "Apply"))) apply = false;
    if (apply) await order("POST", "-/reload");
    applied(await loadSettings());
    say(verdict, apply && answer.restart !== "exporter" ? "Saved and applied." : `Saved. ${APPLYING[answer.restart]}`);
  } catch (problem) {
    complainOf(problem);
  }
}
