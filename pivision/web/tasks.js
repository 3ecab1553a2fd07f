// The tasks: the newest as pictures, by filters and pages.

import { tasks } from "./api.js";
import { html, say } from "./element.js";
import { filters } from "./filters.js";
import { findings, picture } from "./overlay.js";
import { badge, mark } from "./state.js";
import { ago, many } from "./words.js";

const PAGE = 24;
const CLOCK_MS = 10000;

/** What a task has come to, in a few words. */
function summary(task) {
  if (task.error) return task.error.detail;
  if (task.state !== "done") return "";
  const [first, ...more] = findings(task);
  if (first) return more.length ? `${first.label} and ${many(more.length, "more", "more")}` : first.label;
  const exposure = task.result?.quality?.exposure;
  return exposure ? `Exposure: ${exposure.verdict}` : "Nothing found";
}

function card(task) {
  const names = task.operations.map((operation) => operation.name).join(", ");
  const since = html("time", { datetime: task.created_at }, ago(task.created_at));
  return html("li", { class: `tile is-${task.state}`, "data-id": task.id },
    html("a", { href: `#/tasks/${task.id}` },
      picture(task),
      html("span", { class: "tile-head" }, html("strong", {}, `#${task.id}`), badge(task.state)),
      html("span", { class: "tile-text" }, summary(task) || names),
      html("span", { class: "muted small" }, task.source && `${task.source} · `, since)));
}

/** The cards of tasks; those that have not changed stay as they are, and the focus stays where it is. */
function cards() {
  let shown = new Map();
  const element = html("ul", { class: "tiles", "aria-label": "Tasks", tabindex: "-1" });

  function show(found) {
    const before = shown;
    shown = new Map(found.map((task) => {
      const old = before.get(task.id);
      return [task.id, old && mark(old.task) === mark(task) ? old : { task, card: card(task) }];
    }));
    const wanted = [...shown.values()].map((each) => each.card);
    const isSame = wanted.length === element.children.length && wanted.every((each, at) => each === element.children[at]);
    if (isSame) return;
    const focused = document.activeElement?.closest?.("li")?.dataset.id;
    element.replaceChildren(...wanted);
    if (focused && !element.contains(document.activeElement))
      element.querySelector(`[data-id="${CSS.escape(focused)}"] a`)?.focus();
  }

  return {
    element,
    show,
    has: (id) => shown.has(id),
    tasks: () => [...shown.values()].map((each) => each.task),
    tell: () => element.querySelectorAll("time").forEach((each) => { each.textContent = ago(each.dateTime); }),
  };
}

/** The view of the tasks. */
export function tasksView({ operations, banner }) {
  let cursors = []; // of the pages before this one, and of this one
  let next = null;
  let latest = 0;
  const list = cards();
  const wanted = filters(operations, first);
  const empty = html("p", { class: "empty", hidden: true });
  const error = html("p", { class: "error", role: "alert" });
  const newer = html("button", { type: "button", class: "quiet", onclick: () => turn(cursors.slice(0, -1)) }, "← Newer");
  const older = html("button", { type: "button", class: "quiet", onclick: () => turn([...cursors, next]) }, "Older →");

  async function turn(to) {
    cursors = to;
    await load();
    window.scrollTo(0, 0);
    list.element.focus({ preventScroll: true });
  }

  function first() {
    cursors = [];
    load();
  }

  function show(found) {
    list.show(found);
    empty.hidden = found.length > 0;
    empty.replaceChildren(wanted.isSet()
      ? "No task is like this."
      : html("a", { href: "#/new", class: "button" }, "Send the first picture"));
    newer.hidden = cursors.length === 0;
    older.hidden = next === null;
  }

  async function load() {
    const mine = ++latest;
    try {
      const page = await tasks({ limit: PAGE, cursor: cursors.at(-1), ...wanted.wanted() });
      if (mine !== latest) return;
      next = page.next;
      error.textContent = "";
      show(page.tasks);
    } catch (problem) {
      if (mine === latest && problem.status) error.textContent = `${problem.message} ${problem.remedy}`;
    }
  }

  function task(changed) {
    const isWanted = wanted.passes(changed);
    if (!list.has(changed.id) && (cursors.length > 0 || !isWanted)) return;
    const others = list.tasks().filter((each) => each.id !== changed.id);
    const all = (isWanted ? [...others, changed] : others).sort((one, other) => other.id - one.id);
    show(all.slice(0, PAGE));
    if (changed.state === "quarantined" || changed.state === "failed") say(`Task ${changed.id}: ${changed.state}`);
  }

  const clock = setInterval(list.tell, CLOCK_MS);
  load();
  return {
    element: html("div", { class: "page wide" }, banner, html("h1", { class: "sr" }, "Tasks"), wanted.element, error,
      list.element, empty, html("nav", { class: "pages", "aria-label": "Pages" }, newer, older)),
    title: "Tasks",
    refresh: load,
    leave: () => clearInterval(clock),
    task,
    removed: ({ id }) => { if (list.has(id)) load(); },
  };
}
