// The system: well or not, in one sentence and in detail.

import { readiness } from "./api.js";
import { copyButton, html } from "./element.js";
import { plot } from "./plot.js";
import { ago, bytes, many, span, time } from "./words.js";

const HOT_CELSIUS = 80;
const READY_MS = 10000;
const SILENCE_SECONDS = 120;

const CHECKS = { database: "the database is not ready", disk: "the disk is full", worker: "no worker is running" };

/** How the box is: {colour, text}. */
export function verdict(ready, system) {
  if (ready === null) return { colour: "unknown", text: "PiVision cannot be reached." };
  const missing = Object.entries(ready?.checks ?? {}).filter(([, found]) => found !== "ok");
  if (missing.length) return { colour: "bad", text: `Not ready: ${missing.map(([name, found]) => CHECKS[name] + (/^[a-z-]+$/.test(found) ? ` (${found})` : "")).join(", ")}.` };
  const down = (system?.health?.programs ?? []).filter((program) => !["RUNNING", "STARTING"].includes(program.state)).map((program) => program.name);
  const stale = (system?.workers ?? []).filter((worker) => !worker.is_fresh).map((worker) => `worker ${worker.number}`);
  if (down.length || stale.length) return { colour: "warn", text: `It works, but without ${[...new Set([...down, ...stale])].join(", ")}.` };
  const silence = system?.health?.boottime_seconds ? system.uptime_seconds - system.health.boottime_seconds : 0;
  if (silence > SILENCE_SECONDS) return { colour: "warn", text: `It works, but health has said nothing for ${span(silence)}.` };
  const low = system?.disk && system.disk.free_bytes < 1.5 * system.disk.reserve_bytes;
  if (low) return { colour: "warn", text: `It works, but the disk is nearly full: ${bytes(system.disk.free_bytes)} free.` };
  if (system?.temperature_celsius >= HOT_CELSIUS) return { colour: "warn", text: `It works, but is hot: ${Math.round(system.temperature_celsius)} °C.` };
  if (system?.tasks?.quarantined) return { colour: "warn", text: `All is well, but ${many(system.tasks.quarantined, "task is", "tasks are")} quarantined.` };
  return { colour: "good", text: "All is well: ready for pictures." };
}

/** What the page knows of the system, kept while it is open. */
export class Status extends EventTarget {
  system = null;
  ready = undefined;

  start() {
    const look = async () => {
      this.ready = await readiness();
      this.#tell();
    };
    look();
    setInterval(() => document.hidden || look(), READY_MS);
    this.look = look;
  }

  #tell() { this.dispatchEvent(new Event("change")); }

  hear(system) {
    this.system = { ...this.system, ...system };
    this.#tell();
  }
}

/** The sentence and the plots; `close` stops following. */
export function sentence(status) {
  const words = html("p", { class: "verdict", role: "status" });
  const plots = html("div", { class: "plots" });
  let before = "";
  const draw = () => {
    const { colour, text } = verdict(status.ready, status.system);
    if (status.ready === undefined) return;
    if (text !== before) words.replaceChildren(html("span", { class: `light ${colour}`, "aria-hidden": "true" }), text);
    before = text;
    const { queue, finished } = status.system?.last_hour ?? { queue: [0], finished: [0] };
    const counts = status.system?.tasks;
    plots.replaceChildren(
      html("figure", {}, html("figcaption", {}, html("span", {}, "Queue"), html("strong", {}, counts ? counts.queued + counts.running : "–")), plot(queue, "Waiting and running tasks")),
      html("figure", {}, html("figcaption", {}, html("span", {}, "Done in the last hour"), html("strong", {}, finished.reduce((sum, each) => sum + each, 0))), plot(finished, "Finished tasks")));
  };
  status.addEventListener("change", draw);
  draw();
  return { element: html("section", { class: "card status", "aria-label": "How it is" }, words, plots), close: () => status.removeEventListener("change", draw) };
}

function row(cells, tag = "td") {
  return html("tr", {}, cells.map((cell) => html(tag, tag === "th" ? { scope: "col" } : {}, cell)));
}

function meter(label, used, total, text) {
  return html("div", { class: "meter-row" }, html("span", {}, label), html("meter", { min: 0, max: total, value: used, "aria-label": label }), html("span", { class: "muted small" }, text));
}

function details(system) {
  const restarts = system.restarts ?? [];
  const last = (program) => restarts.findLast((event) => event.program === program || program.endsWith(`:${event.program}`));
  const cause = (event) => (event ? `${event.cause}: ${event.detail}` : "none on record");
  const since = (started) => (started === null ? "–" : span(Math.max(0, system.uptime_seconds - started)));
  const programs = system.health?.programs ?? [];
  const memory = system.memory;
  return [
    programs.length > 0 && html("section", { class: "card" }, html("h2", {}, "Programs"), html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Programs" }, html("table", {},
      html("thead", {}, row(["Program", "State", "Up for", "Last restart"], "th")),
      html("tbody", {}, programs.map((program) => row([program.name, program.state.toLowerCase(), since(program.started_seconds), cause(last(program.name))])))))),
    html("section", { class: "card" }, html("h2", {}, "Workers"), html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Workers" }, html("table", {},
      html("thead", {}, row(["Worker", "Sign of life", "Up for", "Looks at", "Last restart"], "th")),
      html("tbody", {}, (system.workers ?? []).map((worker) => row([worker.number, worker.is_fresh ? "fresh" : "none lately", since(worker.started_seconds),
        worker.task_id ? html("a", { href: `#/tasks/${worker.task_id}` }, `task ${worker.task_id}`) : "–", cause(last(`worker_${worker.number}`))])))))),
    html("section", { class: "card" }, html("h2", {}, "Machine"),
      memory && meter("Memory", memory.total_bytes - memory.available_bytes, memory.total_bytes, `${bytes(memory.available_bytes)} of ${bytes(memory.total_bytes)} free`),
      html("dl", { class: "facts" }, Object.entries({
        "Disk": system.disk ? `${bytes(system.disk.free_bytes)} free, ${bytes(system.disk.reserve_bytes)} of it in reserve` : "–",
        "Temperature": system.temperature_celsius === null || system.temperature_celsius === undefined ? "not told by this machine" : `${Math.round(system.temperature_celsius)} °C`,
        "Up for": system.uptime_seconds ? span(system.uptime_seconds) : "–",
        "Machine": system.machine ?? "–",
        ...Object.fromEntries(Object.entries(system.versions ?? {}).map(([name, version]) => [name, version ?? "–"])),
      }).map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))))),
    html("section", { class: "card" }, html("h2", {}, "Restarts"), restarts.length === 0 ? html("p", { class: "muted" }, "None on record.")
      : html("ol", { class: "events" }, restarts.toReversed().map((event) => html("li", {}, html("strong", {}, event.program), ` ${event.cause}${event.times > 1 ? ` (${event.times} times)` : ""}`,
        html("span", { class: "muted small", title: time(event.at) }, ` ${ago(event.at)}`), html("p", { class: "small" }, event.detail))))),
  ];
}

/** The view of the system. */
export function systemView({ status, banner }) {
  const body = html("div", { class: "stack" });
  let before = "";
  const draw = () => {
    if (!status.system) return;
    const { memory, uptime_seconds, ...rest } = status.system;
    const now = JSON.stringify([rest, Math.round((memory?.available_bytes ?? 0) / 1e8), Math.round(uptime_seconds / 60)]);
    if (now === before || body.contains(document.activeElement)) return;
    before = now;
    body.replaceChildren(...details(status.system).filter(Boolean));
  };
  status.addEventListener("change", draw);
  draw();
  const tunnel = `ssh -L 9001:127.0.0.1:9001 USER@${location.hostname}`;
  return {
    element: html("div", { class: "page" }, html("h1", {}, "System"), banner, body,
      html("section", { class: "card" }, html("h2", {}, "supervisord's page"),
        html("p", {}, "It listens on the box alone. Make a tunnel from your computer, then open http://127.0.0.1:9001 there:"),
        html("pre", { class: "json", tabindex: 0 }, tunnel), copyButton("Copy", () => tunnel))),
    title: "System",
    leave: () => status.removeEventListener("change", draw),
  };
}
