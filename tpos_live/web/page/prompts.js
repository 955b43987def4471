// The prompt, the eight slots of the bank with their weights, and what is understood.

import { control, follow, make } from "./controls.js";

export function prompts(show, parameters) {
  const form = document.getElementById("prompt-form");
  const field = document.getElementById("prompt");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show.set("prompt", field.value.trim());
    field.select();
  });
  show.onValue("prompt", (text) => {
    if (document.activeElement !== field) field.value = text;
  });
  const understood = document.getElementById("understood");
  const say = () => {
    const { showing = "", understood: words = "", prompt = "" } = show.status;
    const what = showing && showing !== "prompt" ? `${showing}: ${prompt}` : "";
    const line = [what, words && `understood: ${words}`].filter(Boolean).join(" · ");
    if (understood.textContent !== line) understood.textContent = line;
  };
  for (const name of ["showing", "understood", "prompt"]) show.onStatus(name, say);
  const slots = document.getElementById("slots");
  slots.replaceChildren(...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => slot(show, n, parameters.get(`prompt.${n}.weight`))));
}

function slot(show, n, weight) {
  const button = make("button", { type: "button", class: "slot-number", "aria-pressed": "false", title: `show slot ${n} alone; once more: the prompt` }, `${n}`);
  button.setAttribute("aria-label", `Show slot ${n}`);
  const input = make("input", { autocomplete: "off", maxlength: 1000, spellcheck: "false", "aria-label": `Text of slot ${n}`, placeholder: "empty", "data-name": `prompt.${n}` });
  button.addEventListener("click", () => {
    const selected = show.values["prompt.select"] === n;
    if (selected || show.values[`prompt.${n}`]) show.set("prompt.select", selected ? 0 : n);
    else input.focus();
  });
  show.onValue("prompt.select", (selected) => button.setAttribute("aria-pressed", selected === n));
  follow(show, `prompt.${n}`, input);
  return make("div", { class: "slot" }, button, input, control(show, weight, `weight ${n}`));
}
