// Controls for parameters, made from their description.

/** An element: make("button", { class: "small", onclick: f }, "text", child). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** A button that fires a trigger. */
export function triggerButton(show, name, text, tip) {
  const button = make("button", { type: "button", title: tip, onclick: () => show.fire(name) }, text);
  button.addEventListener("click", () => flash(button));
  return button;
}

/** A button that is pressed while a parameter is on. */
export function toggleButton(show, name, text, tip) {
  const button = make("button", { type: "button", title: tip, "aria-pressed": "false", "data-name": name }, text);
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    show.set(name, on);
  });
  show.onValue(name, (on) => button.setAttribute("aria-pressed", on));
  return button;
}

/** The control of a parameter with its label. p: its description; text: a shorter label. */
export function control(show, p, text = labelOf(p.name)) {
  const makers = { float: fader, int: p.high - p.low > 1000 ? number : fader, bool: toggle, choice, text: textField, trigger };
  return makers[p.kind](show, p, text);
}

/** "prompt.fade" is "prompt fade"; within a group the first word is not repeated. */
export function labelOf(name, group = "") {
  const words = name.split(".");
  if (words.length > 1 && words[0] === group) words.shift();
  return words.join(" ").replaceAll("_", " ");
}

let ids = 0;

function row(p, text, id, ...children) {
  return make("div", { class: `control ${p.kind}`, title: p.text }, make("label", { for: id }, text), ...children);
}

function fader(show, p, text) {
  const id = `control-${++ids}`;
  const step = p.kind === "int" ? 1 : stepOf(p.high - p.low);
  const value = make("button", { type: "button", class: "value", "aria-label": `${text}: back to the start value`, title: "back to the start value" });
  const input = make("input", { type: "range", id, min: p.low, max: p.high, step, "data-name": p.name, "aria-describedby": `${id}-text` });
  const hint = make("span", { id: `${id}-text`, class: "hidden" }, p.text);
  const draw = (number) => {
    input.value = number;
    const shown = p.off_below && number === 0 ? "off" : `${format(number, step)}${p.unit ? " " + p.unit : ""}`;
    value.textContent = shown;
    input.setAttribute("aria-valuetext", shown);
    input.style.setProperty("--part", `${(100 * (input.value - p.low)) / (p.high - p.low)}%`);
    input.classList.toggle("moved", Math.abs(number - p.default) > step / 2);
  };
  const set = (number) => {
    const allowed = p.off_below && number < p.off_below ? 0 : number;
    draw(allowed);
    show.set(p.name, allowed);
  };
  input.addEventListener("input", () => set(Number(input.value)));
  input.addEventListener("dblclick", () => set(p.default));
  value.addEventListener("click", () => set(p.default));
  show.onValue(p.name, draw);
  return row(p, text, id, value, input, hint);
}

function number(show, p, text) {
  const id = `control-${++ids}`;
  const input = make("input", { type: "number", id, min: p.low, max: p.high, step: 1, "data-name": p.name });
  input.addEventListener("change", () => {
    if (input.value !== "" && input.checkValidity()) show.set(p.name, Number(input.value));
  });
  show.onValue(p.name, (value) => (input.value = value));
  return row(p, text, id, input);
}

function toggle(show, p, text) {
  const id = `control-${++ids}`;
  const input = make("input", { type: "checkbox", role: "switch", id, "data-name": p.name });
  input.addEventListener("change", () => show.set(p.name, input.checked));
  show.onValue(p.name, (on) => (input.checked = on));
  return row(p, text, id, input);
}

function choice(show, p, text) {
  const id = `control-${++ids}`;
  const options = p.choices.map((word) => make("option", { value: word }, word));
  const select = make("select", { id, "data-name": p.name }, ...options);
  select.addEventListener("change", () => show.set(p.name, select.value));
  show.onValue(p.name, (word) => (select.value = word));
  return row(p, text, id, select);
}

function textField(show, p, text) {
  const id = `control-${++ids}`;
  const input = make("input", { type: "text", id, maxlength: 1000, autocomplete: "off", spellcheck: "false", "data-name": p.name });
  follow(show, p.name, input);
  return row(p, text, id, input);
}

function trigger(show, p, text) {
  return make("div", { class: "control trigger" }, triggerButton(show, p.name, text, p.text));
}

/** A text field that shows a parameter and sets it when Enter is pressed or the field is left. */
export function follow(show, name, input) {
  const send = () => {
    if (input.value.trim() !== show.values[name]) show.set(name, input.value.trim());
  };
  input.addEventListener("change", send);
  input.addEventListener("keydown", (event) => event.key === "Enter" && send());
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") input.value = show.values[name];
  });
  show.onValue(name, (text) => {
    if (document.activeElement !== input) input.value = text;
  });
}

function flash(element) {
  element.classList.add("flash");
  setTimeout(() => element.classList.remove("flash"), 200);
}

/** A step of about a two-hundredth of the range, 1, 2 or 5 times a power of ten. */
function stepOf(range) {
  const rough = range / 200;
  const power = 10 ** Math.floor(Math.log10(rough));
  return Number((power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999)).toPrecision(1));
}

function format(number, step) {
  return String(Number(Number(number).toFixed(Math.max(0, Math.ceil(-Math.log10(step))))));
}
