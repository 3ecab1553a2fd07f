// One task: its picture, what was found, its life, and what can be done with it.

import { call, get, post } from "./api.js";
import { copyButton, html, say } from "./element.js";
import { findings, picture } from "./overlay.js";
import { may } from "./session.js";
import { badge } from "./tasks.js";
import { remedy, span, time } from "./words.js";

const FINISHED = ["done", "failed", "quarantined", "cancelled"];
const RETRIED = ["failed", "quarantined", "cancelled"];

const between = (from, to) => (from && to ? span((Date.parse(to) - Date.parse(from)) / 1000) : "–");

function fault(title, { code, detail }) {
  return html("div", { class: "fault", role: "alert" }, html("strong", {}, title), html("p", {}, detail),
    html("p", {}, remedy(code), " ", html("code", {}, code)));
}

function life(task) {
  const rows = {
    State: badge(task.state),
    Attempts: `${task.attempt}${task.worker ? `, with worker ${task.worker} now` : ""}`,
    Created: time(task.created_at),
    Started: time(task.started_at),
    Finished: time(task.finished_at),
    Waited: between(task.created_at, task.started_at),
    Ran: between(task.started_at, task.finished_at),
    Source: task.source ?? "–",
    Picture: `${task.image.format}, ${task.image.width_px} × ${task.image.height_px}`,
    Operations: task.operations.map((operation) => operation.name).join(", "),
  };
  return html("dl", { class: "facts" }, Object.entries(rows).map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))));
}

/** What was found, as a list; pointing at one shows it in the picture. */
function foundList(task, frame) {
  const light = (index, on) => frame.querySelectorAll(`[data-index="${index}"]`).forEach((each) => each.classList.toggle("lit", on));
  const found = findings(task);
  const items = found.map((each, index) => html("li", {
    tabindex: 0, class: `finding of-${each.operation}`,
    onmouseenter: () => light(index, true), onmouseleave: () => light(index, false),
    onfocus: () => light(index, true), onblur: () => light(index, false),
  }, html("span", { class: "finding-text" }, each.label || "–"), html("span", { class: "muted small" }, [each.operation, each.note].filter(Boolean).join(" · "))));
  const said = Object.entries(task.result ?? {}).filter(([, result]) => result.error).map(([name, result]) => fault(`${name} did not work`, result.error));
  const quality = task.result?.quality;
  const facts = quality && !quality.error && html("p", { class: "muted" },
    `Sharpness ${Math.round(quality.sharpness)}, exposure ${quality.exposure.verdict}${quality.is_covered ? ", the lens is covered" : ""}${quality.is_frozen ? ", the camera is frozen" : ""}.`);
  return [said, items.length ? html("ul", { class: "findings", "aria-label": "What was found" }, items)
    : task.state === "done" && !said.length && html("p", { class: "muted" }, "Nothing with a place in the picture was found."), facts];
}

/** The picture and the result of a task, as JSON, too. */
export function outcome(task) {
  const frame = picture(task, { labels: true });
  const json = JSON.stringify(task.result, null, 2);
  const hasDrawing = task.result?.annotate?.sha256;
  return html("div", { class: "outcome" },
    html("div", { class: "stage" }, frame),
    html("div", { class: "told" },
      ["queued", "running"].includes(task.state) && html("p", { class: "working" }, task.state === "queued" ? "Waits for a worker…" : "A worker looks at it…"),
      task.error && fault(task.state === "quarantined" ? "Set aside, so that it harms no more workers" : "It failed", task.error),
      foundList(task, frame),
      html("p", { class: "links" }, html("a", { href: `/v1/tasks/${task.id}/image`, target: "_blank", rel: "noopener" }, "The picture"),
        hasDrawing && html("a", { href: `/v1/tasks/${task.id}/annotated`, target: "_blank", rel: "noopener" }, "The drawing")),
      task.result && html("details", {}, html("summary", {}, "Result as JSON"), copyButton("Copy", () => json), html("pre", { class: "json", tabindex: 0 }, json))));
}

/** Ask first; resolves to whether the answer was yes. */
function confirmed(question, action) {
  return new Promise((resolve) => {
    const dialog = html("dialog", { "aria-labelledby": "question", onclose: () => { resolve(dialog.returnValue === "yes"); dialog.remove(); } },
      html("form", { method: "dialog" }, html("h2", { id: "question" }, question),
        html("div", { class: "actions" }, html("button", { value: "no", class: "quiet" }, "Keep it"), html("button", { value: "yes", class: "danger" }, action))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** The view of one task. */
export function taskView({ id }) {
  const body = html("div", {});
  const error = html("p", { class: "error", role: "alert" });
  const element = html("div", { class: "page wide" }, html("p", {}, html("a", { href: "#/" }, "← All tasks")), error, body);
  let mark = "";

  const act = (label, kind, scope, action) => may(scope) && html("button", { type: "button", class: kind, onclick: async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await action();
      error.textContent = "";
    } catch (problem) {
      error.textContent = `${problem.message} ${problem.remedy}`;
    } finally {
      button.disabled = false;
    }
  } }, label);

  function show(task) {
    const fresh = `${task.state} ${task.attempt} ${task.finished_at}`;
    if (fresh === mark) return;
    if (mark) say(`Task ${id} is ${task.state}`);
    mark = fresh;
    const hadFocus = body.contains(document.activeElement);
    body.replaceChildren(
      html("header", { class: "head" }, html("h1", { tabindex: "-1" }, `Task ${task.id} `, badge(task.state)),
        html("div", { class: "actions" },
          RETRIED.includes(task.state) && act("Retry", "", "submit", async () => show(await post(`/v1/tasks/${id}/retry`))),
          task.state === "queued" && act("Cancel", "quiet", "submit", async () => show(await call("DELETE", `/v1/tasks/${id}`))),
          FINISHED.includes(task.state) && act("Delete", "quiet danger-text", "admin", async () => {
            if (!(await confirmed(`Delete task ${id} and its picture?`, "Delete"))) return;
            await call("DELETE", `/v1/tasks/${id}?remove=true`);
            say(`Task ${id} is deleted`);
            location.hash = "#/";
          }))),
      outcome(task), html("section", { class: "card" }, html("h2", {}, "Its life"), life(task)));
    if (hadFocus) body.querySelector("h1").focus();
  }

  async function load() {
    try {
      show(await get(`/v1/tasks/${id}`));
      error.textContent = "";
    } catch (problem) {
      if (problem.status) error.textContent = problem.status === 404 ? "There is no such task; it may have been deleted." : `${problem.message} ${problem.remedy}`;
    }
  }

  load();
  return {
    element,
    title: `Task ${id}`,
    refresh: load,
    task: (changed) => { if (changed.id === id) show(changed); },
    removed: (gone) => { if (gone.id === id) { body.replaceChildren(); mark = ""; error.textContent = "This task was deleted."; } },
  };
}
