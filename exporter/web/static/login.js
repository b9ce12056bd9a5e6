// The token, asked for in a dialog. It goes to the exporter and is kept nowhere; the session is a cookie that no script
// can read.

import { find, say } from "./dom.js";

const dialog = find("#login");
const input = find("input", dialog);
const error = find(".error", dialog);
let asking = null;

/** Ask until `login(token)` succeeds. Resolves with whether it did; false when the dialog was closed. */
export function askForToken(login) {
  asking ??= ask(login).finally(() => { asking = null; });
  return asking;
}

function ask(login) {
  return new Promise((resolve) => {
    const closing = new AbortController();
    let success = false;
    const on = (target, name, listener) => target.addEventListener(name, listener, { signal: closing.signal });
    on(find("form", dialog), "submit", async (event) => {
      event.preventDefault();
      try {
        await login(input.value);
        success = true;
        document.body.dispatchEvent(new CustomEvent("login"));
        dialog.close();
      } catch (problem) {
        say(error, problem.message);
        input.select();
      }
    });
    on(find("button[type=button]", dialog), "click", () => dialog.close());
    on(dialog, "close", () => {
      closing.abort();
      input.value = "";
      resolve(success);
    });
    say(error, "");
    dialog.showModal();
    input.focus();
  });
}
