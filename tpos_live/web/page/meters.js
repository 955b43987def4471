// The meters: level, bands, beat and tempo, the section, and the director's decisions.

import { make, triggerButton } from "./controls.js";

const BARS = [
  ["level", "level"],
  ["bass", "bass"],
  ["mid", "mid"],
  ["midhigh", "mid high"],
  ["high", "high"],
  ["energy", "energy"],
  ["tension", "tension"],
];
const WORDS = [
  ["sound", "input"],
  ["heard", "heard"],
  ["section", "section"],
  ["decision", "director"],
];

export function meters(show) {
  const box = document.getElementById("meters");
  box.replaceChildren(...BARS.map(([name, text]) => meter(show, name, text)));
  const list = document.getElementById("heard");
  list.replaceChildren(...WORDS.flatMap(([name, text]) => word(show, name, text)));
  tempo(show);
}

function meter(show, name, text) {
  const fill = make("div", { class: "fill" });
  const bar = make("div", { class: `meter ${name}`, role: "meter", "aria-label": text, "aria-valuemin": 0, "aria-valuemax": 1 }, fill);
  show.onStatus(name, (value) => {
    fill.style.transform = `scaleX(${Math.min(Math.max(value, 0), 1)})`;
    bar.setAttribute("aria-valuenow", value.toFixed(2));
  });
  return make("div", { class: "meter-row" }, make("span", {}, text), bar);
}

function word(show, name, text) {
  const value = make("dd", {}, "–");
  show.onStatus(name, (now) => (value.textContent = now || "–"));
  return [make("dt", {}, text), value];
}

function nudge(show, ms, text, tip) {
  const press = () => show.set("tempo.shift", show.values["tempo.shift"] + ms);
  return make("button", { type: "button", title: tip, "aria-label": tip, onclick: press }, text);
}

function tempo(show) {
  const light = make("span", { id: "beat", "aria-hidden": "true" });
  const text = make("output", { id: "bpm", "aria-label": "Tempo" }, "no beat");
  const say = () => {
    const { tempo = 0, confidence = 0, tempo_source = "" } = show.status;
    const from = tempo_source && tempo_source !== "audio" ? ` · ${tempo_source}` : "";
    text.textContent = tempo > 0 ? `${tempo.toFixed(1)} BPM · ${Math.round(100 * confidence)} %${from}` : "no beat";
  };
  show.onStatus("tempo", say);
  show.onStatus("confidence", say);
  show.onStatus("tempo_source", say);
  show.onStatus("beat", (phase) => (light.style.opacity = show.status.tempo > 0 ? (1 - phase) ** 2 : 0));
  const buttons = [
    triggerButton(show, "tempo.tap", "Tap", "tap the tempo, four times or more"),
    triggerButton(show, "tempo.resync", "Resync", "the next beat is now"),
    triggerButton(show, "tempo.double", "×2", "twice as many beats"),
    triggerButton(show, "tempo.halve", "÷2", "half as many beats"),
    nudge(show, 10, "◂", "the beat comes 10 ms earlier"),
    nudge(show, -10, "▸", "the beat comes 10 ms later"),
  ];
  const follow = make("button", { type: "button", title: "follow the sound again", onclick: () => show.set("tempo", 0) }, "Follow");
  show.onValue("tempo", (fixed) => (follow.hidden = !fixed));
  document.getElementById("tempo").replaceChildren(make("div", { class: "bpm" }, light, text), ...buttons, follow);
}
