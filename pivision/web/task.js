// One task: its outcome, its life, and what can be done with it.

import { call, get, post } from "./api.js";
import { facts, html, say } from "./element.js";
import { outcome } from "./outcome.js";
import { may } from "./session.js";
import { badge, isRetriable, isUnfinished, isWaiting, mark } from "./state.js";
import { span, time } from "./words.js";

const between = (from, to) => (from && to ? span((Date.parse(to) - Date.parse(from)) / 1000) : "–");

function life(task) {
  const { format, width_px: width, height_px: height } = task.image;
  return facts({
    State: badge(task.state),
    Attempts: `${task.attempt}${task.worker ? `, with worker ${task.worker} now` : ""}`,
    Created: time(task.created_at),
    Started: time(task.started_at),
    Finished: time(task.finished_at),
    Waited: between(task.created_at, task.started_at),
    Ran: between(task.started_at, task.finished_at),
    Source: task.source ?? "–",
    Picture: `${format}, ${width} × ${height}`,
    Operations: task.operations.map((operation) => operation.name).join(", "),
  });
}

/** Ask first; resolves to whether the answer was yes. */
function confirmed(question, action) {
  return new Promise((resolve) => {
    const onclose = () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    };
    const dialog = html("dialog", { "aria-labelledby": "question", onclose },
      html("form", { method: "dialog" },
        html("h2", { id: "question" }, question),
        html("div", { class: "actions" },
          html("button", { value: "no", class: "quiet" }, "Keep it"),
          html("button", { value: "yes", class: "danger" }, action))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** The view of one task. */
export function taskView({ id }) {
  const body = html("div", {});
  const error = html("p", { class: "error", role: "alert" });
  let shown = "";

  /** A button for whoever may do what it does; what goes wrong is said on the page. */
  function button(label, look, scope, action) {
    if (!may(scope)) return null;
    const onclick = async () => {
      made.disabled = true;
      try {
        await action();
        error.textContent = "";
      } catch (problem) {
        error.textContent = `${problem.message} ${problem.remedy}`;
      } finally {
        made.disabled = false;
      }
    };
    const made = html("button", { type: "button", class: look, onclick }, label);
    return made;
  }

  const retry = async () => show(await post(`/v1/tasks/${id}/retry`));
  const cancel = async () => show(await call("DELETE", `/v1/tasks/${id}`));
  const remove = async () => {
    if (!(await confirmed(`Delete task ${id} and its picture?`, "Delete"))) return;
    await call("DELETE", `/v1/tasks/${id}?remove=true`);
    say(`Task ${id} is deleted`);
    location.hash = "#/";
  };

  function show(task) {
    if (mark(task) === shown) return;
    if (shown) say(`Task ${id} is ${task.state}`);
    shown = mark(task);
    const hadFocus = body.contains(document.activeElement);
    const heading = html("h1", { tabindex: "-1" }, `Task ${id} `, badge(task.state));
    const actions = html("div", { class: "actions" },
      isRetriable(task) && button("Retry", "", "submit", retry),
      isWaiting(task) && button("Cancel", "quiet", "submit", cancel),
      !isUnfinished(task) && button("Delete", "quiet danger-text", "admin", remove));
    body.replaceChildren(
      html("header", { class: "head" }, heading, actions),
      outcome(task),
      html("section", { class: "card" }, html("h2", {}, "Its life"), life(task)));
    if (hadFocus) heading.focus();
  }

  async function load() {
    try {
      show(await get(`/v1/tasks/${id}`));
      error.textContent = "";
    } catch (problem) {
      if (problem.status === 404) error.textContent = "There is no such task; it may have been deleted.";
      else if (problem.status) error.textContent = `${problem.message} ${problem.remedy}`;
    }
  }

  load();
  return {
    element: html("div", { class: "page wide" }, html("p", {}, html("a", { href: "#/" }, "← All tasks")), error, body),
    title: `Task ${id}`,
    refresh: load,
    task: (changed) => { if (changed.id === id) show(changed); },
    removed: (gone) => {
      if (gone.id !== id) return;
      body.replaceChildren();
      shown = "";
      error.textContent = "This task was deleted.";
    },
  };
}
