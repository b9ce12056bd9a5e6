// The numbers of this moment.

import { describe, find } from "./dom.js";
import { bytes, number, percent, UNKNOWN } from "./format.js";

/** Show the tiles of a `metrics` event; `models` are those of the last status. */
export function showTiles(metrics, models) {
  const { point } = metrics;
  const speed = metrics.tokens_per_second;
  const active = Object.entries(metrics.activity);
  const used = active.reduce((sum, [, { context_used_tokens: tokens }]) => sum + tokens, 0);
  const size = models.filter(({ id }) => id in metrics.activity).reduce((sum, model) => sum + (model.context_tokens ?? 0), 0);
  const pairs = [
    ["Generation", `${number(speed?.generation)} tok/s`, "Tokens generated a second, all models"],
    ["Prompts", `${number(speed?.prompt)} tok/s`, "Prompt tokens processed a second, all models"],
    ["Running", number(metrics.requests_running), "Requests that slots work on"],
    ["Waiting", speed ? number(point?.requests_waiting) : UNKNOWN, "Requests that wait for a slot"],
    ["Context", size ? percent(used / size) : UNKNOWN, `${number(used)} of ${number(size)} tokens`],
  ];
  if (point?.gpus) {
    const share = point.gpu_memory_total ? point.gpu_memory_used / point.gpu_memory_total : null;
    pairs.push(
      [point.gpus > 1 ? `${point.gpus} GPUs` : "GPU", percent(point.gpu_utilization), "Share of time in which it worked"],
      ["GPU memory", percent(share), `${bytes(point.gpu_memory_used)} of ${bytes(point.gpu_memory_total)}`],
      ["Power", `${number(point.gpu_power_watts)} W`, "All GPUs"],
    );
  }
  const memory = point?.memory_total ? point.memory_used / point.memory_total : null;
  pairs.push(
    ["CPU", percent(point?.cpu_utilization), "Share of all CPUs' time, of the whole machine"],
    ["Memory", percent(memory), `${bytes(point?.memory_used)} of ${bytes(point?.memory_total)}, of the whole machine`],
  );
  describe(find("#tiles"), pairs);
}
