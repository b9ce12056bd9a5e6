// Elements, made and found. Text is always set as text: nothing from a log or a model's name becomes markup.

/** The one element with this id, or matching a selector inside `root`. */
export const find = (selector, root = document) => root.querySelector(selector);

/** A new element: `properties` are its own, `dataset` and `aria-*` included; children are nodes or text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Set a text, but only when it is another: a screen reader hears live regions once, and selections survive. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make a list of terms and values (`<dl>`) show these pairs, with as few changes as need be. */
export function describe(list, pairs) {
  while (list.children.length > pairs.length) list.lastElementChild.remove();
  pairs.forEach(([term, value, hint = ""], index) => {
    const row = list.children[index] ?? list.appendChild(make("div", {}, make("dt"), make("dd")));
    const [name, content] = row.children;
    say(name, term);
    say(content, value);
    row.title = hint;
  });
}

/** Tell of an error until it is clicked away or ten seconds have gone. */
export function complain(text) {
  const close = make("button", { type: "button", "aria-label": "Close" }, "×");
  const message = make("p", {}, text, close);
  close.addEventListener("click", () => message.remove());
  setTimeout(() => message.remove(), 10_000);
  find("#messages").append(message);
}
