// Requests to the exporter. Errors are problems (RFC 9457) whose detail is for people.

import { askForToken } from "./login.js";

/** What the exporter, or the way to it, said no with. `status` is 0 when there was no answer. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function send(method, path, body) {
  const options = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(0, "The exporter does not answer.");
  }
  const text = await response.text();
  if (!response.ok) {
    let detail = text;
    try {
      detail = JSON.parse(text).detail ?? text;
    } catch {
      // A proxy's error page is no problem in JSON: its text has to do.
    }
    throw new Problem(response.status, detail || response.statusText);
  }
  return response.headers.get("Content-Type")?.startsWith("application/json") ? JSON.parse(text) : text;
}

/** The decoded answer. Throws `Problem`. */
export const get = (path) => send("GET", path);

/** Give an order. Where the token is needed it is asked for, once, and the order given again. Throws `Problem`. */
export async function order(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (problem) {
    if (problem.status !== 401 || !(await askForToken((token) => send("POST", "api/v1/login", { token })))) throw problem;
    return send(method, path, body);
  }
}
