// The list of cues: shows the current and the next one; recalls, stores, moves and deletes cues.

import { make, triggerButton } from "./controls.js";

const EDITS = [
  ["look.cue.up", "▲", "Move up", -1],
  ["look.cue.down", "▼", "Move down", 1],
  ["look.cue.delete", "✕", "Delete", 0],
];

export function cues(show, parameters) {
  const list = document.querySelector("#cues ol");
  const edit = document.getElementById("edit-cues");
  const turn = (on) => {
    edit.setAttribute("aria-pressed", on);
    list.classList.toggle("editing", on);
  };
  edit.addEventListener("click", () => turn(edit.getAttribute("aria-pressed") !== "true"));
  const store = triggerButton(show, "look.cue.store", "Store as cue", parameters.get("look.cue.store").text);
  document.getElementById("delete").before(store);
  list.addEventListener("keydown", (event) => event.repeat && event.key === "Enter" && event.preventDefault()); // a held key deletes one cue

  let touched = { button: null, step: 0 };
  const ask = (button, name, index, step) => {
    touched = { button, step };
    show.set(name, String(index + 1));
  };
  show.on("cues", (all) => {
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const at = [...list.children].indexOf(focused?.closest("li")) + (focused === touched.button ? touched.step : 0);
    document.getElementById("cues").hidden = !all.length;
    if (!all.length) turn(false);
    list.replaceChildren(...all.map((cue, index) => row(show, cue, index, all.length, ask)));
    if (focused) refocus(list, at, focused.dataset.edit);
    mark(show, list);
  });
  show.onStatus("waiting", () => mark(show, list));
  for (const name of ["cue", "next_cue"]) {
    show.onStatus(name, () => {
      mark(show, list);
      if (!list.contains(document.activeElement)) follow(show, list);
    });
  }
}

/** Mark the cue that is shown, or waits to be shown, and the next one. */
function mark(show, list) {
  const { cue = 0, next_cue = 0, waiting = "" } = show.status;
  [...list.children].forEach((row, index) => {
    const [here, next] = [index + 1 === cue, index + 1 === next_cue];
    const [button, text] = [row.querySelector(".cue"), row.querySelector(".cue-mark")];
    const waits = here && waiting.includes(`look ${button.dataset.look} (`);
    button.setAttribute("aria-current", here);
    button.classList.toggle("next", next && !here);
    text.textContent = here ? (waits ? "waits" : "now") : next ? "next" : "";
  });
}

/** Scroll the list to the cue that is shown, with the next one below it. */
function follow(show, list) {
  const row = list.children[(show.status.cue || show.status.next_cue) - 1];
  if (!row) return;
  const end = (row.nextElementSibling ?? row).offsetTop + row.offsetHeight;
  if (row.offsetTop < list.scrollTop) list.scrollTop = row.offsetTop;
  else if (end > list.scrollTop + list.clientHeight) list.scrollTop = end - list.clientHeight;
}

/** One cue: a button that recalls it, and the buttons that change the list. */
function row(show, [look, fade, start], index, count, ask) {
  const recall = make("button", { type: "button", class: "cue", "data-look": look, onclick: () => show.set("look.cue", String(index + 1)) }, make("span", { class: "cue-name" }, look), make("span", { class: "cue-mark" }), make("span", { class: "quiet" }, `${Number(fade.toFixed(2))} s · ${start}`));
  const buttons = EDITS.map(([name, sign, text, step]) => {
    const tip = `${text}: cue ${index + 1}, ${look}`;
    const possible = index + step >= 0 && index + step < count;
    const press = (event) => possible && ask(event.currentTarget, name, index, step);
    return make("button", { type: "button", class: "edit", "data-edit": name, "aria-label": tip, title: tip, "aria-disabled": !possible && "true", onclick: press }, sign);
  });
  return make("li", {}, make("div", { class: "cue-row" }, recall, ...buttons));
}

/** Keep the focus: on the same button of the cue that moved, or of the cue that took its place. */
function refocus(list, at, edit) {
  const row = list.children[Math.min(at, list.children.length - 1)];
  row?.querySelector(edit ? `[data-edit="${edit}"]` : ".cue").focus();
}
