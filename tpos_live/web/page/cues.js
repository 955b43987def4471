// The list of cues: recalled, stored, moved and deleted.

import { make, triggerButton } from "./controls.js";

const EDITS = [
  ["look.cue.up", "▲", "Move up", -1],
  ["look.cue.down", "▼", "Move down", 1],
  ["look.cue.delete", "✕", "Delete", 0],
];

export function cues(show, parameters) {
  const list = document.querySelector("#cues ol");
  const edit = make("button", { type: "button", "aria-pressed": "false", title: "Show the buttons that move and delete cues" }, "Edit cues");
  const turn = (on) => {
    edit.setAttribute("aria-pressed", on);
    list.classList.toggle("editing", on);
  };
  edit.addEventListener("click", () => turn(edit.getAttribute("aria-pressed") !== "true"));
  const store = triggerButton(show, "look.cue.store", "Store as cue", parameters.get("look.cue.store").text);
  document.getElementById("cue-buttons").replaceChildren(store, edit);
  list.addEventListener("keydown", (event) => event.repeat && event.key === "Enter" && event.preventDefault()); // a held key deletes one cue

  let touched = { button: null, step: 0 };
  const ask = (button, name, index, step) => {
    touched = { button, step };
    show.set(name, String(index + 1));
  };
  show.on("cues", (all) => {
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const at = [...list.children].indexOf(focused?.closest("li")) + (focused === touched.button ? touched.step : 0);
    edit.hidden = !all.length;
    if (!all.length) turn(false);
    list.replaceChildren(...all.map((cue, index) => row(show, cue, index, all.length, ask)));
    if (focused) refocus(list, at, focused.dataset.edit);
  });
}

/** One cue: a button that recalls it, and the buttons that change the list. */
function row(show, [look, fade, start], index, count, ask) {
  const recall = make("button", { type: "button", class: "cue", onclick: () => show.set("look.cue", String(index + 1)) }, make("span", {}, look), make("span", { class: "quiet" }, `${fade} s · ${start}`));
  const buttons = EDITS.map(([name, sign, text, step]) => {
    const tip = `${text}: cue ${index + 1}, ${look}`;
    const possible = index + step >= 0 && index + step < count;
    const press = (event) => possible && ask(event.currentTarget, name, index, step);
    return make("button", { type: "button", class: "edit", "data-edit": name, "aria-label": tip, title: tip, "aria-disabled": !possible && "true", onclick: press }, sign);
  });
  return make("li", {}, make("div", { class: "cue-row" }, recall, ...buttons));
}

/** Keep the keyboard where it was: on the same button of the cue that moved, or of the one that took its place. */
function refocus(list, at, edit) {
  const row = list.children[Math.min(at, list.children.length - 1)];
  row?.querySelector(edit ? `[data-edit="${edit}"]` : ".cue").focus();
}
