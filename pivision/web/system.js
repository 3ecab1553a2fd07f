// The system: programs, workers, machine and restarts, in detail.

import { copyButton, facts, html } from "./element.js";
import { ago, bytes, span, time } from "./words.js";

function row(cells, tag = "td") {
  const scope = tag === "th" ? { scope: "col" } : {};
  return html("tr", {}, cells.map((cell) => html(tag, scope, cell)));
}

/** A table that scrolls by itself where it is too wide, with the keyboard, too. */
function table(label, heads, rows) {
  const filled = html("table", {}, html("thead", {}, row(heads, "th")), html("tbody", {}, rows.map((cells) => row(cells))));
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, filled);
}

function card(title, ...content) {
  return html("section", { class: "card" }, html("h2", {}, title), content);
}

function memoryMeter({ total_bytes: total, available_bytes: available }) {
  return html("div", { class: "meter-row" },
    html("span", {}, "Memory"),
    html("meter", { min: 0, max: total, value: total - available, "aria-label": "Memory" }),
    html("span", { class: "muted small" }, `${bytes(available)} of ${bytes(total)} free`));
}

function machine(system) {
  const { disk, temperature_celsius: celsius } = system;
  const versions = Object.entries(system.versions ?? {}).map(([name, version]) => [name, version ?? "–"]);
  return card("Machine",
    system.memory && memoryMeter(system.memory),
    facts({
      Disk: disk ? `${bytes(disk.free_bytes)} free, ${bytes(disk.reserve_bytes)} of it in reserve` : "–",
      Temperature: Number.isFinite(celsius) ? `${Math.round(celsius)} °C` : "not told by this machine",
      "Up for": system.uptime_seconds ? span(system.uptime_seconds) : "–",
      Machine: system.machine ?? "–",
      ...Object.fromEntries(versions),
    }));
}

function restart(event) {
  const times = event.times > 1 ? ` (${event.times} times)` : "";
  return html("li", {},
    html("strong", {}, event.program), ` ${event.cause}${times}`,
    html("span", { class: "muted small", title: time(event.at) }, ` ${ago(event.at)}`),
    html("p", { class: "small" }, event.detail));
}

function details(system) {
  const restarts = system.restarts ?? [];
  const last = (program) => {
    const event = restarts.findLast((each) => each.program === program || program.endsWith(`:${each.program}`));
    return event ? `${event.cause}: ${event.detail}` : "none on record";
  };
  const since = (started) => (started === null ? "–" : span(Math.max(0, system.uptime_seconds - started)));
  const task = (id) => (id ? html("a", { href: `#/tasks/${id}` }, `task ${id}`) : "–");
  const programs = (system.health?.programs ?? []).map(({ name, state, started_seconds }) =>
    [name, state.toLowerCase(), since(started_seconds), last(name)]);
  const workers = (system.workers ?? []).map(({ number, is_fresh, started_seconds, task_id }) =>
    [number, is_fresh ? "fresh" : "none lately", since(started_seconds), task(task_id), last(`worker_${number}`)]);
  return [
    programs.length > 0 && card("Programs", table("Programs", ["Program", "State", "Up for", "Last restart"], programs)),
    card("Workers", table("Workers", ["Worker", "Sign of life", "Up for", "Looks at", "Last restart"], workers)),
    machine(system),
    card("Restarts", restarts.length === 0
      ? html("p", { class: "muted" }, "None on record.")
      : html("ol", { class: "events" }, restarts.toReversed().map(restart))),
    tunnel(system.supervisor_port),
  ];
}

/** The line that opens supervisord's own page, which listens on the box alone. */
function tunnel(port) {
  const command = `ssh -L ${port}:127.0.0.1:${port} USER@${location.hostname}`;
  const address = `http://127.0.0.1:${port}`;
  return card("supervisord's page",
    html("p", {}, "It listens on the box alone. Make a tunnel from your computer:"),
    html("pre", { class: "json", tabindex: 0 }, command),
    copyButton("Copy", () => command),
    html("p", {}, "Then open ", html("a", { href: address, target: "_blank", rel: "noopener" }, address),
      " there; the user is pivision, and the password is in ", html("code", {}, "data/secrets/supervisor-web-password"), "."));
}

/** The view of the system. */
export function systemView({ status, banner }) {
  const body = html("div", { class: "stack" });
  let before = "";
  const draw = () => {
    if (!status.system) return;
    const { memory, uptime_seconds: uptime, ...rest } = status.system;
    const now = JSON.stringify([rest, Math.round((memory?.available_bytes ?? 0) / 1e8), Math.round(uptime / 60)]);
    if (now === before || body.contains(document.activeElement)) return;
    before = now;
    body.replaceChildren(...details(status.system).filter(Boolean));
  };
  status.addEventListener("change", draw);
  draw();
  return {
    element: html("div", { class: "page" }, html("h1", {}, "System"), banner, body),
    title: "System",
    leave: () => status.removeEventListener("change", draw),
  };
}
