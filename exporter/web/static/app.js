// The page: what is shown when, and what is fetched. Each part of it has a module of its own.

import { get, order } from "./api.js";
import { addPoint, loadHistory } from "./charts.js";
import { complain, find, say } from "./dom.js";
import { clock } from "./format.js";
import { addRecord, search, startLog } from "./log.js";
import { showActivity, showModels } from "./models.js";
import { configureServer, showServer, showUptime, takeOrders } from "./server.js";
import { editSettings, loadSettings } from "./settings.js";
import { follow } from "./stream.js";
import { showTiles } from "./tiles.js";

let status = null;
let met = false;

const attempt = (work) => work.catch((problem) => complain(problem.message));

function showStatus(now) {
  status = now;
  showServer(now);
  showModels(now);
}

function showMetrics(metrics) {
  showUptime(metrics);
  showTiles(metrics, status?.models ?? []);
  showActivity(metrics);
  addPoint(metrics.point);
}

function showConnection(live) {
  document.body.classList.toggle("stale", !live);
  const stale = find("#stale");
  stale.hidden = live || document.hidden;
  if (!live) document.title = "llama-server";
  say(find("#connection"), live ? "live" : "not connected");
  if (!stale.hidden) say(stale, `No word from the exporter since ${clock(new Date())}. What you see is from then; connecting again …`);
  // What happened meanwhile is in no event.
  if (live && met) {
    attempt(loadHistory());
    attempt(search());
    attempt(loadSettings().then(useSettings));
  }
  met ||= live;
}

function useSettings(settings) {
  configureServer(settings);
  const grafana = find("#grafana");
  const url = settings["web.grafana_url"].value;
  grafana.hidden = !url;
  if (url) grafana.href = url;
}

const logout = find("#logout");
document.body.addEventListener("login", () => { logout.hidden = false; });
logout.addEventListener("click", () => attempt(order("POST", "api/v1/logout").then(() => { logout.hidden = true; })));
takeOrders(showStatus);
editSettings(useSettings);
attempt(loadSettings().then(useSettings));
attempt(get("api/v1/status").then(showStatus));
attempt(loadHistory());
attempt(startLog());
follow({ status: showStatus, metrics: showMetrics, log: addRecord, connection: showConnection });
