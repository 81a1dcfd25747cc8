// Sending what was measured, only when told to, and only after showing all of it.

import { make } from "./dom.js";

const KEPT = "zoo-token"; // in this tab's session only

/**
 * Give the part of the page that offers to submit; null when there is nothing to send.
 *
 * @param {object[]} found each {entry, measurement}
 * @param {boolean} needsToken whether the registry asks for one with the scope `measure`
 */
export function submission(found, needsToken) {
  if (!found.length) return null;
  const { host, device } = found[0].measurement;
  const token = make("input", { type: "password", id: "lab-token", autocomplete: "off", spellcheck: "false", value: remembered(), "aria-describedby": "lab-token-why" });
  const asked = [
    make("label", { class: "field" }, make("span", {}, "Token with the scope “measure”"), token),
    make("p", { class: "about", id: "lab-token-why" }, "From the registry's operator. It is kept in this tab until you close it, and sent to this registry only."),
  ];
  const answer = make("ul", { class: "misses", role: "status", "aria-live": "polite" });
  const button = make("button", { type: "submit" }, `Submit ${found.length} measurement${found.length > 1 ? "s" : ""}`);
  const form = make("form", {}, ...(needsToken ? asked : []), make("p", { class: "actions" }, button), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    await send(found, needsToken ? token.value.trim() : "", answer);
    button.disabled = false;
  });
  const rows = found.map(({ measurement }) => measurement);
  return make(
    "details", { class: "fold", id: "lab-submit" },
    make("summary", {}, "Submit to this registry"),
    make("p", {}, "Others then see them on the artifacts' pages, as ", make("code", {}, device), ". This is said of your machine:"),
    shown(host, "What is sent of this machine"),
    make("details", { class: "more" }, make("summary", {}, "Everything that is sent"), shown(rows, "Everything that is sent")),
    form,
  );
}

function shown(value, label) {
  return make("div", { class: "command" }, make("pre", { tabindex: 0, "aria-label": label }, make("code", {}, JSON.stringify(value, null, 1))));
}

async function send(found, token, answer) {
  answer.replaceChildren();
  for (const { entry, measurement } of found) {
    const { tone, text, stop } = await post(entry, measurement, token);
    answer.append(make("li", {}, make("span", { class: `badge ${tone}` }, tone === "bad" ? "refused" : "sent"), ` ${entry.name}: ${text}`));
    if (stop) return; // the next would be refused alike
  }
  if (token) remember(token);
}

async function post(entry, measurement, token) {
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    const answer = await fetch(`${entry.record}/measurements`, { method: "POST", headers, body: JSON.stringify(measurement) });
    const told = await answer.json().catch(() => ({}));
    if (answer.ok) return { tone: "good", text: told.added ? "added" : "known already" };
    const hint = told.hint ? ` (its operator: ${told.hint})` : "";
    return { tone: "bad", text: `${told.detail ?? `status ${answer.status}`}${hint}`, stop: answer.status === 401 || answer.status === 403 };
  } catch (error) {
    return { tone: "bad", text: `the registry does not answer: ${error.message}`, stop: true };
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return ""; // storage is switched off
  }
}

function remember(token) {
  try {
    sessionStorage.setItem(KEPT, token);
  } catch {
    // storage is switched off: typed again next time
  }
}
