// Looks with their thumbnails, and the autopilot.

import { cues } from "./cues.js";
import { control, make, toggleButton, triggerButton } from "./controls.js";

const SHOWN_HERE = ["look.fade", "look.start", "quantise", "autopilot.bars", "autopilot.order"];

export function looks(show, parameters) {
  const buttons = [
    triggerButton(show, "look.previous", "◀ Previous", "the previous cue, or look"),
    triggerButton(show, "look.next", "Next ▶", "the next cue, or the next look where there are no cues"),
    toggleButton(show, "autopilot", "Autopilot", parameters.get("autopilot").text),
    triggerButton(show, "look.keep", "Keep", parameters.get("look.keep").text),
  ];
  const settings = SHOWN_HERE.map((name) => control(show, parameters.get(name)));
  const more = make("details", {}, make("summary", {}, "Fade, start and bars"), make("div", { class: "controls" }, ...settings));
  document.getElementById("look-buttons").replaceChildren(...buttons, more);
  const remove = deleteMode();
  storing(show);
  const list = document.getElementById("look-list");
  show.on("looks", (all) => list.replaceChildren(...all.map(([name, image]) => lookButton(show, name, image, remove))));
  show.onStatus("look", () => mark(show.status.look));
  show.on("looks", () => mark(show.status.look));
  cues(show, parameters);
}

function lookButton(show, name, image, remove) {
  const picture = image
    ? make("img", { src: show.address("/thumbnail", { look: name, n: image }), alt: "", loading: "lazy", width: 160, height: 90 })
    : make("span", { class: "no-image", "aria-hidden": "true" });
  const button = make("button", { type: "button", class: "look", "data-look": name, "aria-pressed": "false" }, picture, make("span", { class: "name" }, name));
  button.addEventListener("click", () => {
    if (remove.end()) show.set("look.delete", name);
    else show.set("look.recall", name);
  });
  return button;
}

function mark(name) {
  for (const button of document.querySelectorAll("button.look")) button.setAttribute("aria-pressed", button.dataset.look === name);
}

/** The button Delete: while it is on, the next look that is pressed is deleted. end(): turn it off; true if it was on. */
function deleteMode() {
  const button = document.getElementById("delete");
  const turn = (on) => {
    button.setAttribute("aria-pressed", on);
    button.textContent = on ? "Which one?" : "Delete…";
    document.getElementById("look-list").classList.toggle("deleting", on);
  };
  const on = () => button.getAttribute("aria-pressed") === "true";
  button.addEventListener("click", () => turn(!on()));
  return {
    end() {
      const was = on();
      turn(false);
      return was;
    },
  };
}

function storing(show) {
  const field = document.getElementById("store");
  document.getElementById("store-form").addEventListener("submit", (event) => {
    event.preventDefault();
    show.set("look.store", field.value.trim() || "+");
    field.value = "";
  });
}
