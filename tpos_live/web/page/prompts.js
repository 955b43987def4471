// The prompt, the slots of the bank with their weights (those with a text, and one empty one), and what is understood.

import { control, follow, make } from "./controls.js";

const NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8];

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
    const { showing = "", understood: words = "", prompt = "", waiting = "" } = show.status;
    const what = showing && showing !== "prompt" ? `${showing}: ${prompt}` : "";
    const seen = words && !/^(drawn instead|not understood)/.test(words) ? `understood: ${words}` : words;
    const line = [waiting && `waiting: ${waiting}`, what, seen].filter(Boolean).join(" · ");
    if (understood.textContent !== line) understood.textContent = line;
  };
  for (const name of ["showing", "understood", "prompt", "waiting"]) show.onStatus(name, say);
  const slots = document.getElementById("slots");
  const rows = NUMBERS.map((n) => slot(show, n, parameters.get(`prompt.${n}.weight`)));
  slots.replaceChildren(...rows);
  const hideEmpty = () => {
    const filled = NUMBERS.map((n) => Boolean(show.values[`prompt.${n}`]));
    rows.forEach((row, at) => (row.hidden = !filled[at] && at > filled.indexOf(false) && !row.contains(document.activeElement)));
  };
  for (const n of NUMBERS) show.onValue(`prompt.${n}`, hideEmpty);
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
