// A question before something that hurts.

import { find, say } from "./dom.js";

const dialog = find("#confirm");

/** Ask; resolves with whether the answer was `verb`. Escape means no. */
export function confirmed(question, verb) {
  say(find("p", dialog), question);
  say(find(".danger", dialog), verb);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
