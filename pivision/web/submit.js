// A new task: a picture, what to look for, and what came of it.

import { get, post } from "./api.js";
import { chooser } from "./chooser.js";
import { copyButton, html, say } from "./element.js";
import { paramsForm } from "./form.js";
import { outcome } from "./outcome.js";
import { badge, isUnfinished, mark } from "./state.js";

const USUAL = ["codes", "quality"];
const REFRESH_MS = 3000;

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The command that does the same. */
function curl(fileName, operations, source) {
  const isPlain = operations.every((operation) => Object.keys(operation.params).length === 0);
  const wanted = isPlain ? operations.map((operation) => operation.name).join(",") : JSON.stringify(operations);
  const parts = [
    'curl -H "Authorization: Bearer $TOKEN"',
    `-F ${quoted(`image=@"${fileName.replace(/["\\]/g, "\\$&")}"`)}`,
    `--form-string ${quoted(`operations=${wanted}`)}`,
    source && `--form-string ${quoted(`source=${source}`)}`,
    quoted(`${location.origin}/v1/tasks?wait=10`),
  ];
  return parts.filter(Boolean).join(" \\\n  ");
}

/** An operation to be chosen: `call()` is how it is asked for, null while it is not. */
function choice(operation) {
  const { name, available, problem } = operation;
  const id = `operation-${name}`;
  const isUsual = available && USUAL.includes(name);
  const form = paramsForm(operation.params);
  const more = html("details", { class: "more", hidden: !isUsual }, html("summary", {}, "Parameters"), form.element);
  const box = html("input", {
    id, type: "checkbox", checked: isUsual, disabled: !available, "aria-describedby": `${id}-about`,
    onchange: () => { more.hidden = !box.checked; },
  });
  const about = html("p", { id: `${id}-about`, class: "muted small" },
    operation.summary, problem && ` Not now: ${problem.detail}`);
  const label = html("label", { for: id }, box, html("strong", {}, name));
  const element = html("div", { class: available ? "operation" : "operation off" }, label, about, more);
  return { element, call: () => (box.checked ? { name, params: form.value() } : null) };
}

function sourceField() {
  const about = "Where the picture comes from, in your words. motion compares with the one before from the same source.";
  const input = html("input", {
    id: "source", type: "text", maxlength: 200, placeholder: "such as front door", "aria-describedby": "source-about",
  });
  const element = html("div", { class: "field" }, html("label", { for: "source" }, "Source"), input,
    html("small", { id: "source-about", class: "muted" }, about));
  return { element, value: () => input.value };
}

/** What comes of the task that was sent, while one watches. */
function following() {
  let task = null;
  const element = html("section", { class: "result", "aria-label": "Result" });

  function show(changed) {
    if (task && mark(task) === mark(changed)) return;
    task = changed;
    say(`Task ${task.id} is ${task.state}`);
    const link = html("a", { href: `#/tasks/${task.id}` }, `Task ${task.id}`);
    element.replaceChildren(html("h2", {}, link, " ", badge(task.state)), outcome(task));
    if (isUnfinished(task)) setTimeout(refresh, REFRESH_MS);
  }

  async function refresh() {
    if (!task || !element.isConnected) return;
    const asked = task.id;
    try {
      const found = await get(`/v1/tasks/${asked}`);
      if (task?.id === asked) show(found);
    } catch { /* the banner tells; the next event or refresh comes */ }
    if (task?.id === asked && isUnfinished(task)) setTimeout(refresh, REFRESH_MS);
  }

  return { element, show, refresh, forget: () => { task = null; }, isOf: (changed) => task?.id === changed.id };
}

/** The view of a new task. */
export function submitView({ operations, given }) {
  const choices = operations.map(choice);
  const source = sourceField();
  const sent = following();
  const error = html("p", { class: "error", role: "alert" });
  const send = html("button", { type: "submit", disabled: true }, "Look at it");
  const command = html("pre", { class: "json", tabindex: 0, hidden: true, "aria-label": "The curl command" });
  const picture = chooser({
    refused: (reason) => { error.textContent = reason; },
    chosen: () => {
      error.textContent = "";
      send.disabled = false;
    },
  });
  const calls = () => choices.map((each) => each.call()).filter(Boolean);

  function asCurl() {
    try {
      command.textContent = curl(picture.file()?.name || "photo.jpg", calls(), source.value());
      command.hidden = false;
      error.textContent = "";
    } catch (wrong) {
      error.textContent = wrong.message;
    }
    return command.textContent;
  }

  function request() {
    const wanted = calls();
    if (!wanted.length) throw new Error("Choose at least one thing to look for.");
    const body = new FormData();
    body.append("operations", JSON.stringify(wanted));
    if (source.value()) body.append("source", source.value());
    body.append("image", picture.file(), picture.file().name || "picture");
    return body;
  }

  async function submit(event) {
    event.preventDefault();
    if (!picture.file()) return;
    try {
      const body = request();
      send.disabled = true;
      send.textContent = "Sending…";
      error.textContent = "";
      sent.forget();
      sent.show(await post("/v1/tasks", body));
      sent.element.scrollIntoView({ block: "nearest" });
    } catch (problem) {
      error.textContent = [problem.message, problem.remedy].filter(Boolean).join(" ");
    } finally {
      send.disabled = false;
      send.textContent = "Look at it";
    }
  }

  const form = html("form", { class: "new", novalidate: true, onsubmit: submit },
    picture.element,
    html("fieldset", { class: "operations" }, html("legend", {}, "What to look for"), choices.map((each) => each.element)),
    source.element, error,
    html("div", { class: "actions" }, send, copyButton("Copy as curl", asCurl)),
    command);
  picture.take(given);
  return {
    element: html("div", { class: "page wide" },
      html("h1", {}, "New task"), html("div", { class: "split" }, form, sent.element)),
    title: "New task",
    take: picture.take,
    refresh: sent.refresh,
    task: (changed) => { if (sent.isOf(changed)) sent.show(changed); },
    leave: picture.close,
  };
}
