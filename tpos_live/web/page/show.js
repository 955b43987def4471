// The connection to the show: receives its newest values, and sends the requests of the page.

const SEND_EVERY = 16; // ms between two messages
const HOLD = 400; // ms for which a control that was moved on this page ignores changes by others
const AGAIN = 1000; // ms until the next attempt to connect

export class Show {
  constructor() {
    this.values = {};
    this.status = {};
    this.connected = false;
    this._listeners = new Map();
    this._touched = new Map();
    this._pending = {};
    this._sentAt = 0;
    this._timer = 0;
    this.token = new URLSearchParams(location.search).get("token") || "";
    this.connect();
  }

  /** Call f with each new value of a parameter, at once if it is known. */
  onValue(name, f) {
    this._listen(`value ${name}`, f);
    if (name in this.values) f(this.values[name]);
  }

  /** Call f with each new value of a field of the status. */
  onStatus(name, f) {
    this._listen(`status ${name}`, f);
    if (name in this.status) f(this.status[name]);
  }

  /** what: connected, describe, looks, cues, log, error, image. */
  on(what, f) {
    this._listen(what, f);
  }

  set(name, value) {
    this.values[name] = value;
    this._touched.set(name, performance.now());
    this._pending[name] = value;
    const wait = SEND_EVERY - (performance.now() - this._sentAt);
    if (wait <= 0) this._flush();
    else if (!this._timer) this._timer = setTimeout(() => this._flush(), wait);
  }

  fire(name) {
    this._flush();
    this.send({ fire: name });
  }

  send(message) {
    if (this._socket.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify(message));
  }

  /** An address of this server, with the token. */
  address(path, query = {}) {
    const parts = new URLSearchParams(this.token ? { ...query, token: this.token } : query);
    return `${path}?${parts}`;
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this._socket = new WebSocket(`${scheme}://${location.host}${this.address("/socket")}`);
    this._socket.binaryType = "blob";
    this._socket.onopen = () => this._connected(true);
    this._socket.onclose = () => {
      this._connected(false);
      setTimeout(() => this.connect(), AGAIN);
    };
    this._socket.onmessage = (event) => {
      if (typeof event.data === "string") this._take(JSON.parse(event.data));
      else this._tell("image", event.data);
    };
  }

  _connected(on) {
    this.connected = on;
    this._tell("connected", on);
  }

  _flush() {
    clearTimeout(this._timer);
    this._timer = 0;
    if (!Object.keys(this._pending).length) return;
    this._sentAt = performance.now();
    this.send({ set: this._pending });
    this._pending = {};
  }

  _take(news) {
    for (const [name, value] of Object.entries(news.values || {})) this._takeValue(name, value);
    for (const [name, value] of Object.entries(news.status || {})) {
      this.status[name] = value;
      this._tell(`status ${name}`, value);
    }
    for (const what of ["describe", "looks", "cues", "log", "error"]) if (what in news) this._tell(what, news[what]);
  }

  /** A control that was just moved on this page follows after HOLD. */
  _takeValue(name, value) {
    this.values[name] = value;
    const rest = HOLD - (performance.now() - (this._touched.get(name) ?? -HOLD));
    if (rest > 0) setTimeout(() => this._tell(`value ${name}`, this.values[name]), rest);
    else this._tell(`value ${name}`, value);
  }

  _listen(what, f) {
    if (!this._listeners.has(what)) this._listeners.set(what, []);
    this._listeners.get(what).push(f);
  }

  _tell(what, value) {
    for (const f of this._listeners.get(what) || []) f(value);
  }
}
