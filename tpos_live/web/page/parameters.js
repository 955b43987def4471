// All parameters, one tab for each group, and the map of features to targets.

import { control, labelOf, make } from "./controls.js";

const SLOT = /^prompt\.\d/;
const ONCE = new Set(["look.recall", "look.cue", "look.cue.up", "look.cue.down", "look.cue.delete", "look.store", "look.delete"]); // empty again at once: they have fields of their own

export function parameters(show, description) {
  const groups = description.groups.map(({ title, parameters: all }) => {
    const shown = all.filter((p) => !SLOT.test(p.name) && !ONCE.has(p.name));
    const first = shown[0]?.name.split(".")[0];
    const same = shown.every((p) => p.name.split(".")[0] === first) ? first : "";
    return [title, () => shown.map((p) => control(show, p, labelOf(p.name, same)))];
  });
  groups.push(["Map", () => [map(show, description.map)]]);
  tabs(groups);
}

/** Tabs whose panels are filled when they are first shown. */
function tabs(groups) {
  const list = document.getElementById("tabs");
  const panels = groups.map(([title]) => make("div", { role: "tabpanel", id: `panel-${title}`, "aria-labelledby": `tab-${title}`, class: "controls", hidden: true }));
  const buttons = groups.map(([title], at) => make("button", { type: "button", role: "tab", id: `tab-${title}`, "aria-controls": `panel-${title}`, onclick: () => open(at) }, title));
  const open = (at) => {
    if (!panels[at].childElementCount) panels[at].replaceChildren(...groups[at][1]());
    panels.forEach((panel, n) => (panel.hidden = n !== at));
    buttons.forEach((button, n) => {
      button.setAttribute("aria-selected", n === at);
      button.tabIndex = n === at ? 0 : -1;
    });
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    buttons[at].focus();
    open(at);
  });
  list.replaceChildren(...buttons);
  document.getElementById("panels").replaceChildren(...panels);
  open(2);
}

/** One feature at a time: how far it moves each target. */
function map(show, { features, targets, parts }) {
  const box = make("div", { class: "controls" });
  const options = Object.keys(features).map((name) => make("option", { value: name }, name));
  const select = make("select", { id: "map-feature" }, ...options);
  const about = make("p", { class: "quiet" });
  const draw = () => {
    about.textContent = features[select.value];
    const rows = Object.entries(targets).map(([target, [low, high, unit, text]]) => {
      const name = `map.${select.value}.${target}`;
      const depth = { name, kind: "float", text: `how far ${features[select.value]} moves ${target}: ${text}`, low, high, unit, default: 0 };
      const rest = Object.entries(parts).map(([part, p]) => control(show, { ...p, name: `${name}.${part}` }, part));
      return make("div", {}, control(show, depth, target), make("details", {}, make("summary", {}, `${target}: curve, attack, release`), ...rest));
    });
    box.replaceChildren(...rows);
  };
  select.value = "kick";
  select.addEventListener("change", draw);
  draw();
  return make("div", { class: "map" }, make("div", { class: "control choice" }, make("label", { for: "map-feature" }, "feature"), select), about, box);
}
