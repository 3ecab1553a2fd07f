// The tasks: the newest as pictures, by filters and pages.

import { tasks } from "./api.js";
import { html, say } from "./element.js";
import { findings, picture } from "./overlay.js";
import { STATES, ago, many } from "./words.js";

const PAGE = 24;

/** What a task has come to, in a few words. */
export function summary(task) {
  if (task.state === "quarantined" || task.state === "failed") return task.error?.detail ?? task.state;
  if (task.state !== "done") return "";
  const found = findings(task);
  if (found.length === 0) return task.result?.quality ? `Exposure: ${task.result.quality.exposure?.verdict ?? "–"}` : "Nothing found";
  const first = found[0].label;
  return found.length === 1 ? first : `${first} and ${many(found.length - 1, "more", "more")}`;
}

/** The state of a task as a coloured word. */
export const badge = (state) => html("span", { class: `badge is-${state}` }, state);

function card(task) {
  const names = task.operations.map((operation) => operation.name).join(", ");
  return html("li", { class: `tile is-${task.state}`, "data-id": task.id },
    html("a", { href: `#/tasks/${task.id}` },
      picture(task),
      html("span", { class: "tile-head" }, html("strong", {}, `#${task.id}`), badge(task.state)),
      html("span", { class: "tile-text" }, summary(task) || names),
      html("span", { class: "muted small" }, task.source && `${task.source} · `, html("time", { datetime: task.created_at }, ago(task.created_at)))));
}

/** The view of the tasks. */
export function tasksView({ operations, banner }) {
  let cursors = [];
  let next = null;
  let shown = new Map();
  const list = html("ul", { class: "tiles", "aria-label": "Tasks", tabindex: "-1" });
  const empty = html("p", { class: "empty", hidden: true });
  const error = html("p", { class: "error", role: "alert" });

  const select = (id, label, options, any) => {
    const field = html("select", { id, onchange: first }, html("option", { value: "" }, any), options.map((value) => html("option", { value }, value)));
    return [html("div", { class: "field" }, html("label", { for: id }, label), field), field];
  };
  const [stateField, state] = select("filter-state", "State", STATES, "every state");
  const [operationField, operation] = select("filter-operation", "Operation", operations.map((each) => each.name), "every operation");
  const source = html("input", { id: "filter-source", type: "search", maxlength: 200, placeholder: "every source", onchange: first });
  const filters = html("form", { class: "filters", role: "search", "aria-label": "Filter tasks", onsubmit: (event) => { event.preventDefault(); first(); } },
    stateField, operationField, html("div", { class: "field" }, html("label", { for: "filter-source" }, "Source"), source));
  const newer = html("button", { type: "button", class: "quiet", onclick: () => { cursors.pop(); turn(); } }, "← Newer");
  const older = html("button", { type: "button", class: "quiet", onclick: () => { cursors.push(next); turn(); } }, "Older →");
  const element = html("div", { class: "page wide" }, banner, html("h1", { class: "sr" }, "Tasks"), filters, error, list, empty,
    html("nav", { class: "pages", "aria-label": "Pages" }, newer, older));

  async function turn() {
    await load();
    window.scrollTo(0, 0);
    list.focus({ preventScroll: true });
  }

  function first() {
    cursors = [];
    load();
  }

  const passes = (task) =>
    (!state.value || task.state === state.value) &&
    (!operation.value || task.operations.some((each) => each.name === operation.value)) &&
    (!source.value || task.source === source.value);

  function show(found) {
    const before = shown;
    shown = new Map(found.map((task) => {
      const mark = `${task.state} ${task.attempt} ${task.finished_at}`;
      const old = before.get(task.id);
      return [task.id, old?.mark === mark ? old : { mark, task, element: card(task) }];
    }));
    const wanted = [...shown.values()].map((each) => each.element);
    const focused = document.activeElement?.closest?.("li")?.dataset.id;
    if (wanted.length !== list.children.length || wanted.some((each, index) => each !== list.children[index])) list.replaceChildren(...wanted);
    if (focused && !list.contains(document.activeElement)) list.querySelector(`[data-id="${CSS.escape(focused)}"] a`)?.focus();
    empty.hidden = wanted.length > 0;
    empty.replaceChildren(state.value || operation.value || source.value
      ? "No task is like this." : html("a", { href: "#/new", class: "button" }, "Send the first picture"));
    newer.hidden = cursors.length === 0;
    older.hidden = next === null;
  }

  let latest = 0;
  async function load() {
    const mine = ++latest;
    try {
      const page = await tasks({ limit: PAGE, cursor: cursors.at(-1), state: state.value, operation: operation.value, source: source.value });
      if (mine !== latest) return;
      next = page.next;
      error.textContent = "";
      show(page.tasks);
    } catch (problem) {
      if (mine === latest && problem.status) error.textContent = `${problem.message} ${problem.remedy}`;
    }
  }

  const clock = setInterval(() => list.querySelectorAll("time").forEach((each) => { each.textContent = ago(each.dateTime); }), 10000);
  load();
  return {
    element,
    title: "Tasks",
    refresh: load,
    leave: () => clearInterval(clock),
    task(changed) {
      const known = shown.has(changed.id);
      if (!known && (cursors.length > 0 || !passes(changed))) return;
      const others = [...shown.values()].map((each) => each.task).filter((task) => task.id !== changed.id);
      const all = (passes(changed) ? [...others, changed] : others).sort((a, b) => b.id - a.id);
      show(all.slice(0, PAGE));
      if (changed.state === "quarantined" || changed.state === "failed") say(`Task ${changed.id}: ${changed.state}`);
    },
    removed: ({ id }) => { if (shown.has(id)) load(); },
  };
}
