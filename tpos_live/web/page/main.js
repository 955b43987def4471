// The control page: puts its parts together.

import { control, make, toggleButton, triggerButton } from "./controls.js";
import { looks } from "./looks.js";
import { meters } from "./meters.js";
import { parameters } from "./parameters.js";
import { preview } from "./preview.js";
import { prompts } from "./prompts.js";
import { Show } from "./show.js";

const LOG_LINES = 100;
const WARNING = 30;
const NOTICE = 25;
const KEYS = { " ": "space", PageDown: "pagedown", PageUp: "pageup", Backspace: "backspace" };

const byId = (id) => document.getElementById(id);
const show = new Show();
preview(show);
meters(show);
header();
messages();
keys();
let drawn = false;
show.on("describe", (description) => {
  if (drawn) return;
  drawn = true;
  const all = new Map(description.groups.flatMap((group) => group.parameters.map((p) => [p.name, p])));
  output(all);
  prompts(show, all);
  looks(show, all);
  parameters(show, description);
});

function output(all) {
  const tip = (name) => all.get(name).text;
  byId("safety").replaceChildren(
    toggleButton(show, "out.blackout", "Blackout", tip("out.blackout")),
    toggleButton(show, "out.freeze", "Freeze", tip("out.freeze")),
    triggerButton(show, "out.panic", "Panic", tip("out.panic")),
  );
  byId("master").replaceChildren(control(show, all.get("out.level"), "master level"));
  byId("output-buttons").replaceChildren(
    toggleButton(show, "out.record", "Record", tip("out.record")),
    triggerButton(show, "out.snapshot", "Save image", tip("out.snapshot")),
    triggerButton(show, "seed.random", "New seed", tip("seed.random")),
    triggerButton(show, "director.next", "Next scene", tip("director.next")),
  );
}

function header() {
  const badge = byId("connection");
  show.on("connected", (on) => {
    badge.textContent = on ? "connected" : "no connection";
    badge.classList.toggle("lost", !on);
    document.body.classList.toggle("offline", !on);
  });
  const midi = byId("midi");
  midi.addEventListener("click", () => show.set("midi.learn", show.values["midi.learn"] ? "" : "+"));
  show.onValue("midi.learn", (target) => midi.setAttribute("aria-pressed", Boolean(target)));
  show.onStatus("midi", (ports) => (midi.hidden = !ports));
  const say = () => {
    const { engine = "", accelerator = "", fps = 0 } = show.status;
    byId("engine").textContent = [engine, accelerator, `${fps.toFixed(1)} fps`].filter(Boolean).join(" · ");
  };
  for (const name of ["engine", "accelerator", "fps"]) show.onStatus(name, say);
}

function messages() {
  const line = byId("message");
  show.onStatus("error", (text) => {
    line.textContent = text;
    line.hidden = !text;
  });
  const log = byId("log");
  const add = (level, text) => {
    const kind = level >= WARNING ? "warning" : level >= NOTICE ? "notice" : "";
    log.append(make("li", { class: kind }, text));
    while (log.childElementCount > LOG_LINES) log.firstChild.remove();
    log.scrollTop = log.scrollHeight;
  };
  show.on("connected", (on) => on && log.replaceChildren());
  show.on("log", (lines) => lines.forEach(([level, text]) => add(level, text)));
  show.on("error", (text) => add(WARNING, `this page: ${text}`));
}

/** The keys of the window, while they are switched on and no field has the focus. */
function keys() {
  const button = byId("keys");
  const turn = (on) => {
    button.setAttribute("aria-pressed", on);
    localStorage.setItem("keys", on ? "on" : "");
  };
  turn(localStorage.getItem("keys") === "on");
  button.addEventListener("click", () => turn(button.getAttribute("aria-pressed") !== "true"));
  document.addEventListener("keydown", (event) => {
    const off = button.getAttribute("aria-pressed") !== "true" || event.ctrlKey || event.metaKey || event.altKey;
    if (off || event.repeat || event.target.closest("input, select, textarea, [role=tab]")) return;
    if (event.key === " " && event.target.closest("button, summary, a")) return;
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
    const name = KEYS[event.key] || (digit ? digit[1] : event.key.length === 1 ? event.key.toLowerCase() : "");
    if (!name) return;
    event.preventDefault();
    show.send({ key: name, shift: event.shiftKey });
  });
}
