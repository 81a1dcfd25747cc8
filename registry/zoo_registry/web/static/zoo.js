"use strict";
// Comfort only: every page does its work without this file.

function copyButton(source) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${source.getAttribute("aria-label") || source.textContent.slice(0, 40)}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  source.after(button);
}

// The clipboard exists in secure contexts only (https or localhost): elsewhere no button is better than a dead one.
if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach(copyButton);

// Choosing from a list asks at once; typing waits for Enter or the button.
document.querySelectorAll("form.ask select").forEach((select) => {
  select.addEventListener("change", () => select.form.requestSubmit());
});

// A comparison needs two: say so by the button's state, and how many are chosen.
const compare = document.querySelector("#compare button");
if (compare) {
  const boxes = document.querySelectorAll('input[form="compare"]');
  const update = () => {
    const chosen = [...boxes].filter((box) => box.checked).length;
    compare.disabled = chosen < 2;
    compare.textContent = chosen ? `Compare ${chosen} selected` : "Compare selected";
  };
  boxes.forEach((box) => box.addEventListener("change", update));
  update();
}
