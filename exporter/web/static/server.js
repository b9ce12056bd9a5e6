// llama-server as a process: its state in a word and a colour, what is known of it, and the orders it takes.

import { order } from "./api.js";
import { confirmed } from "./confirm.js";
import { complain, describe, find, say } from "./dom.js";
import { count, duration, UNKNOWN } from "./format.js";

const MEANING = {
  stopped: "It runs when it is started.",
  starting: "Its process has begun.",
  loading: "It loads the model.",
  ready: "It answers.",
  unresponsive: "Its process runs and does not answer.",
  stopping: "Running requests have a while to end.",
  backoff: "It ended by itself, and is started again after a pause; Start does it now.",
  failed: "It can't run. Nothing is tried until it is started.",
};
const PROCESS_STATES = ["starting", "loading", "ready", "unresponsive"];
const buttons = Object.fromEntries(["start", "stop", "restart"].map((name) => [name, find(`#${name}`)]));
let running = null;
let stopTimeout = null;
let attached = null;

/** Tell what of the configuration matters here: the URL of a server that is not ours, the seconds of a stop. */
export function configureServer(settings) {
  attached = settings["server.attach"].value;
  stopTimeout = settings["server.stop_timeout"].value;
  for (const button of Object.values(buttons)) button.hidden = Boolean(attached);
}

/** Show a status. */
export function showServer(status) {
  const { state } = status;
  document.body.dataset.state = state;
  document.title = `${state} – llama-server`;
  say(find("#state"), state);
  const reason = status.reason ?? MEANING[state];
  say(find("#reason"), reason[0].toUpperCase() + reason.slice(1));
  const wanted = status.desired === "running";
  buttons.start.disabled = wanted && !["backoff", "failed"].includes(state);
  buttons.stop.disabled = !wanted;
  buttons.restart.disabled = !PROCESS_STATES.includes(state);
  const restarts = Object.entries(status.restarts).filter(([, times]) => times > 0);
  describe(find("#facts"), [
    ["PID", status.pid === null ? UNKNOWN : String(status.pid)],
    ["Up for", find("#facts").dataset.uptime ?? UNKNOWN, "Since its process began"],
    ["Build", status.build ?? UNKNOWN],
    ["Mode", status.mode ?? UNKNOWN],
    ["Answers at", status.url],
    ["Restarts", restarts.map(([reason, times]) => `${times} ${reason}`).join(", ") || "none", "Since the exporter began"],
    ["Exporter", status.versions.exporter],
  ]);
  showLastExit(status.last_exit);
}

function showLastExit(exit) {
  const details = find("#last-exit");
  details.hidden = exit === null;
  if (exit === null) return;
  const how = exit.signal ? `by ${exit.signal}` : `with code ${exit.code}`;
  const why = exit.reason ? `, probably ${exit.reason.replaceAll("_", " ")}` : "";
  say(find("summary", details), `Last exit: ${how}${why}`);
  say(find("pre", details), exit.last_lines.join("\n") || "It printed nothing.");
}

/** Show the numbers that change all the time. */
export function showUptime(metrics) {
  running = metrics.requests_running;
  const facts = find("#facts");
  facts.dataset.uptime = duration(metrics.uptime_seconds);
  if (facts.children[1]) say(facts.children[1].lastElementChild, facts.dataset.uptime);
}

/** Take orders. `changed` is called with the status that each is answered with. */
export function takeOrders(changed) {
  for (const [name, button] of Object.entries(buttons)) {
    button.addEventListener("click", async () => {
      if (name !== "start" && !(await confirmed(question(name), name === "stop" ? "Stop" : "Restart"))) return;
      button.setAttribute("aria-busy", "true");
      try {
        changed(await order("POST", `api/v1/server/${name}`));
      } catch (problem) {
        complain(`${button.textContent}: ${problem.message}`);
      } finally {
        button.removeAttribute("aria-busy");
      }
    });
  }
}

function question(name) {
  const what = name === "stop" ? "Stop llama-server?" : "Restart llama-server? Models have to be loaded again.";
  if (!running) return what;
  const grace = stopTimeout === null ? "a while" : duration(stopTimeout);
  return `${what} ${count(running, "request")} ${running === 1 ? "is" : "are"} running, and ${grace} is left to end.`;
}
