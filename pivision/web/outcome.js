// The outcome: a task's picture, and what was found in it.

import { copyButton, html } from "./element.js";
import { findings, picture } from "./overlay.js";
import { isUnfinished } from "./state.js";

function fault(title, { code, detail, remedy }) {
  return html("div", { class: "fault", role: "alert" },
    html("strong", {}, title),
    html("p", {}, detail),
    html("p", {}, remedy, " ", html("code", {}, code)));
}

/** What was found, as a list; pointing at one shows it in the picture. */
function foundList(found, frame) {
  const light = (index, isLit) => {
    for (const part of frame.querySelectorAll(`[data-index="${index}"]`)) part.classList.toggle("lit", isLit);
  };
  const items = found.map(({ operation, label, note }, index) => {
    const [on, off] = [() => light(index, true), () => light(index, false)];
    const listeners = { onmouseenter: on, onmouseleave: off, onfocus: on, onblur: off };
    return html("li", { tabindex: 0, class: `finding of-${operation}`, ...listeners },
      html("span", { class: "finding-text" }, label || "–"),
      html("span", { class: "muted small" }, [operation, note].filter(Boolean).join(" · ")));
  });
  return html("ul", { class: "findings", "aria-label": "What was found" }, items);
}

function qualityLine(quality) {
  const covered = quality.is_covered ? ", the lens is covered" : "";
  const frozen = quality.is_frozen ? ", the camera is frozen" : "";
  const sharpness = Math.round(quality.sharpness);
  return html("p", { class: "muted" }, `Sharpness ${sharpness}, exposure ${quality.exposure.verdict}${covered}${frozen}.`);
}

/** The result in words: what did not work, what was found, and how good the picture is. */
function told(task, frame) {
  const results = Object.entries(task.result ?? {});
  const faults = results.filter(([, { error }]) => error).map(([name, { error }]) => fault(`${name} did not work`, error));
  const found = findings(task);
  const quality = task.result?.quality;
  const ending = task.state === "quarantined" ? "Set aside, so that it harms no more workers" : "It failed";
  return [
    task.error && fault(ending, task.error),
    faults,
    found.length > 0 && foundList(found, frame),
    task.state === "done" && !found.length && !faults.length &&
      html("p", { class: "muted" }, "Nothing with a place in the picture was found."),
    quality && !quality.error && qualityLine(quality),
  ];
}

function links(task) {
  const link = (name, text) =>
    html("a", { href: `/v1/tasks/${task.id}/${name}`, target: "_blank", rel: "noopener" }, text);
  const hasDrawing = task.result?.annotate?.sha256;
  return html("p", { class: "links" }, link("image", "The picture"), hasDrawing && link("annotated", "The drawing"));
}

/** The picture and the result of a task, as JSON, too. */
export function outcome(task) {
  const frame = picture(task, { labels: true });
  const json = JSON.stringify(task.result, null, 2);
  const working = task.state === "queued" ? "Waits for a worker…" : "A worker looks at it…";
  return html("div", { class: "outcome" },
    html("div", { class: "stage" }, frame),
    html("div", { class: "told" },
      isUnfinished(task) && html("p", { class: "working" }, working),
      told(task, frame),
      links(task),
      task.result && html("details", {},
        html("summary", {}, "Result as JSON"),
        copyButton("Copy", () => json),
        html("pre", { class: "json", tabindex: 0 }, json))));
}
