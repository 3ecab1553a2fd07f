// A new task: a picture, what to look for, and what came of it.

import { get, post } from "./api.js";
import { copyButton, html, say } from "./element.js";
import { paramsForm } from "./form.js";
import { outcome } from "./task.js";
import { badge } from "./tasks.js";

const TYPES = "image/jpeg,image/png,image/webp,image/bmp";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The command that does the same. */
export function curl(fileName, operations, source) {
  const isPlain = operations.every((operation) => Object.keys(operation.params).length === 0);
  const wanted = isPlain ? operations.map((operation) => operation.name).join(",") : JSON.stringify(operations);
  return ["curl -H \"Authorization: Bearer $TOKEN\"", `-F ${quoted(`image=@"${fileName.replace(/["\\]/g, "\\$&")}"`)}`,
    `--form-string ${quoted(`operations=${wanted}`)}`, source && `--form-string ${quoted(`source=${source}`)}`,
    quoted(`${location.origin}/v1/tasks?wait=10`)].filter(Boolean).join(" \\\n  ");
}

function choice(operation, isChosen) {
  const id = `operation-${operation.name}`;
  const form = paramsForm(operation.params);
  const more = html("details", { class: "more", hidden: !isChosen }, html("summary", {}, "Parameters"), form.element);
  const box = html("input", { id, type: "checkbox", checked: isChosen, disabled: !operation.available, "aria-describedby": `${id}-about`, onchange: () => { more.hidden = !box.checked; } });
  const element = html("div", { class: operation.available ? "operation" : "operation off" },
    html("label", { for: id }, box, html("strong", {}, operation.name)),
    html("p", { id: `${id}-about`, class: "muted small" }, operation.summary, operation.problem && ` Not now: ${operation.problem.detail}`), more);
  return { element, call: () => (box.checked ? { name: operation.name, params: form.value() } : null) };
}

/** The view of a new task. */
export function submitView({ operations, given }) {
  let file = null;
  let address = null;
  let task = null;
  const choices = operations.map((operation) => choice(operation, operation.available && ["codes", "quality"].includes(operation.name)));
  const preview = html("img", { class: "preview", alt: "The chosen picture", hidden: true });
  const name = html("p", { class: "muted small", "aria-live": "polite" });
  const input = (id, label, extra) => {
    const chooser = html("input", { id, type: "file", accept: extra.capture ? "image/*" : TYPES, class: "sr", ...extra, onchange: () => { take(chooser.files[0]); chooser.value = ""; } });
    return [chooser, html("label", { for: id, class: "button quiet" }, label)];
  };
  const zone = html("div", { class: "zone",
    ondragover: (event) => { event.preventDefault(); zone.classList.add("over"); },
    ondragleave: () => zone.classList.remove("over"),
    ondrop: (event) => { event.preventDefault(); event.stopPropagation(); zone.classList.remove("over"); take(event.dataTransfer.files[0]); } },
  preview, html("p", { class: "hint" }, "Drop a picture here, or paste one"),
  html("div", { class: "actions" }, input("choose", "Choose a picture", {}), input("camera", "Take a picture", { capture: "environment" })), name);
  const source = html("input", { id: "source", type: "text", maxlength: 200, placeholder: "such as front door", "aria-describedby": "source-about" });
  const error = html("p", { class: "error", role: "alert" });
  const send = html("button", { type: "submit", disabled: true }, "Look at it");
  const command = html("pre", { class: "json", tabindex: 0, hidden: true, "aria-label": "The curl command" });
  const chosen = () => choices.map((each) => each.call()).filter(Boolean);
  const asCurl = () => {
    try {
      command.textContent = curl(file?.name || "photo.jpg", chosen(), source.value);
      command.hidden = false;
      error.textContent = "";
    } catch (wrong) {
      error.textContent = wrong.message;
    }
    return command.textContent;
  };
  const result = html("section", { class: "result", "aria-label": "Result" });
  const form = html("form", { class: "new", novalidate: true, onsubmit: submit }, zone,
    html("fieldset", { class: "operations" }, html("legend", {}, "What to look for"), choices.map((each) => each.element)),
    html("div", { class: "field" }, html("label", { for: "source" }, "Source"), source,
      html("small", { id: "source-about", class: "muted" }, "Where the picture comes from, in your words. motion compares with the one before from the same source.")),
    error, html("div", { class: "actions" }, send, copyButton("Copy as curl", asCurl)), command);
  const element = html("div", { class: "page wide" }, html("h1", {}, "New task"), html("div", { class: "split" }, form, result));

  function take(taken) {
    if (!taken) return;
    if (!taken.type.startsWith("image/")) {
      error.textContent = "This is no picture.";
      return;
    }
    if (address) URL.revokeObjectURL(address);
    file = taken;
    address = URL.createObjectURL(taken);
    preview.src = address;
    preview.hidden = false;
    name.textContent = `${taken.name || "A picture"} is chosen.`;
    error.textContent = "";
    send.disabled = false;
  }

  function show(changed) {
    if (task && task.state === changed.state && task.id === changed.id && task.finished_at === changed.finished_at) return;
    task = changed;
    say(`Task ${task.id} is ${task.state}`);
    result.replaceChildren(html("h2", {}, html("a", { href: `#/tasks/${task.id}` }, `Task ${task.id}`), " ", badge(task.state)), outcome(task));
    if (task.state === "queued" || task.state === "running") setTimeout(refresh, 3000);
  }

  async function refresh() {
    if (!task || !element.isConnected) return;
    const asked = task.id;
    try {
      const found = await get(`/v1/tasks/${asked}`);
      if (task.id === asked) show(found);
    } catch { /* the banner tells; the next event or refresh comes */ }
    if (task.id === asked && (task.state === "queued" || task.state === "running")) setTimeout(refresh, 3000);
  }

  async function submit(event) {
    event.preventDefault();
    if (!file) return;
    try {
      const wanted = chosen();
      if (!wanted.length) throw new Error("Choose at least one thing to look for.");
      const body = new FormData();
      body.append("operations", JSON.stringify(wanted));
      if (source.value) body.append("source", source.value);
      body.append("image", file, file.name || "picture");
      send.disabled = true;
      send.textContent = "Sending…";
      error.textContent = "";
      task = null;
      show(await post("/v1/tasks", body));
      result.scrollIntoView({ block: "nearest" });
    } catch (problem) {
      error.textContent = [problem.message, problem.remedy].filter(Boolean).join(" ");
    } finally {
      send.disabled = false;
      send.textContent = "Look at it";
    }
  }

  const paste = (event) => take([...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/")));
  document.addEventListener("paste", paste);
  take(given);
  return {
    element,
    title: "New task",
    take,
    refresh,
    task: (changed) => { if (task && changed.id === task.id) show(changed); },
    leave() {
      document.removeEventListener("paste", paste);
      if (address) URL.revokeObjectURL(address);
    },
  };
}
