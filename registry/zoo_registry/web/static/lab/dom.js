// Small help with the page: elements from data, never from markup.

/** Make an element; `attributes` with a null value are left out, `on…` are listeners, children may be text. */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Give the element of this id, which the page has. */
export function the(id) {
  return document.getElementById(id);
}

/** A button that copies what `text` gives; null where the browser gives pages no clipboard. */
export function copyButton(label, text) {
  if (!navigator.clipboard) return null;
  const button = make("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}
