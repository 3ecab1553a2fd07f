// The status: how the box is, in one sentence and two plots.

import { readiness } from "./api.js";
import { html } from "./element.js";
import { plot } from "./plot.js";
import { bytes, many, span } from "./words.js";

const HOT_CELSIUS = 80;
const READY_MS = 10000;
const SILENCE_SECONDS = 120;

const CHECKS = { database: "the database is not ready", disk: "the disk is full", worker: "no worker is running" };

/** What stands in the way of new tasks, by what /readyz has found. */
function obstacles(ready) {
  const missing = Object.entries(ready?.checks ?? {}).filter(([, found]) => found !== "ok");
  return missing.map(([name, found]) => CHECKS[name] + (/^[a-z-]+$/.test(found) ? ` (${found})` : ""));
}

/** The programs and workers that the box does without. */
function absent(system) {
  const down = (system?.health?.programs ?? []).filter((program) => !["RUNNING", "STARTING"].includes(program.state));
  const stale = (system?.workers ?? []).filter((worker) => !worker.is_fresh);
  return [...new Set([...down.map((program) => program.name), ...stale.map((worker) => `worker ${worker.number}`)])];
}

/** Why it works, but not as it should; nothing if it does. */
function concern(system) {
  const without = absent(system);
  if (without.length) return `It works, but without ${without.join(", ")}.`;
  const silence = system?.health?.boottime_seconds ? system.uptime_seconds - system.health.boottime_seconds : 0;
  if (silence > SILENCE_SECONDS) return `It works, but health has said nothing for ${span(silence)}.`;
  const disk = system?.disk;
  if (disk && disk.free_bytes < 1.5 * disk.reserve_bytes)
    return `It works, but the disk is nearly full: ${bytes(disk.free_bytes)} free.`;
  const celsius = system?.temperature_celsius;
  if (celsius >= HOT_CELSIUS) return `It works, but is hot: ${Math.round(celsius)} °C.`;
  const quarantined = system?.tasks?.quarantined;
  if (quarantined) return `All is well, but ${many(quarantined, "task is", "tasks are")} quarantined.`;
}

function verdict(ready, system) {
  if (ready === null) return { colour: "unknown", text: "PiVision cannot be reached." };
  const found = obstacles(ready);
  if (found.length) return { colour: "bad", text: `Not ready: ${found.join(", ")}.` };
  const but = concern(system);
  return but ? { colour: "warn", text: but } : { colour: "good", text: "All is well: ready for pictures." };
}

/** What the page knows of the box, kept while it is open; tells of "change". */
export class Status extends EventTarget {
  system = null;
  ready = undefined;

  start() {
    this.look();
    setInterval(() => document.hidden || this.look(), READY_MS);
  }

  async look() {
    this.ready = await readiness();
    this.dispatchEvent(new Event("change"));
  }

  hear(system) {
    this.system = { ...this.system, ...system };
    this.dispatchEvent(new Event("change"));
  }
}

function figure(label, number, values, name) {
  const caption = html("figcaption", {}, html("span", {}, label), html("strong", {}, number));
  return html("figure", {}, caption, plot(values, name));
}

/** The sentence and the plots; `close` stops following. */
export function sentence(status) {
  const words = html("p", { class: "verdict", role: "status" });
  const plots = html("div", { class: "plots" });
  let before = "";
  const draw = () => {
    if (status.ready === undefined) return;
    const { colour, text } = verdict(status.ready, status.system);
    if (text !== before) words.replaceChildren(html("span", { class: `light ${colour}`, "aria-hidden": "true" }), text);
    before = text;
    const { queue, finished } = status.system?.last_hour ?? { queue: [0], finished: [0] };
    const counts = status.system?.tasks;
    const waiting = counts ? counts.queued + counts.running : "–";
    const ended = finished.reduce((sum, each) => sum + each, 0);
    plots.replaceChildren(
      figure("Queue", waiting, queue, "Waiting and running tasks"),
      figure("Done in the last hour", ended, finished, "Finished tasks"),
    );
  };
  status.addEventListener("change", draw);
  draw();
  return {
    element: html("section", { class: "card status", "aria-label": "How it is" }, words, plots),
    close: () => status.removeEventListener("change", draw),
  };
}
