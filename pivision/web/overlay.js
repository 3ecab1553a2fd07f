// The overlay: what was found, drawn over the picture where it is.

import { html, svg } from "./element.js";

const LABEL_PX = 13;

const corners = (box) => [
  { x: box.x, y: box.y },
  { x: box.x + box.width, y: box.y },
  { x: box.x + box.width, y: box.y + box.height },
  { x: box.x, y: box.y + box.height },
];
const percent = (score) => (score === null || score === undefined ? "" : ` ${Math.round(score * 100)} %`);

const FOUND = {
  codes: (result) => result.codes.map((code) => ({ points: code.corners, label: code.printed ?? code.text, note: code.format })),
  faces: (result) =>
    result.faces.map((face) => ({
      points: corners(face.box),
      label: `face${percent(face.score)}`,
      dots: Object.values(face.landmarks ?? {}),
    })),
  objects: (result) =>
    result.objects.map((thing) => ({ points: corners(thing.box), label: `${thing.label}${percent(thing.score)}` })),
  people: (result) => result.people.map((one) => ({ points: corners(one.box), label: `person${percent(one.score)}` })),
  markers: (result) =>
    result.markers.map((marker) => ({ points: marker.corners, label: `${marker.id}`, note: marker.dictionary })),
  motion: (result) => result.boxes.map((box) => ({ points: corners(box), label: "changed" })),
  text: (result) =>
    result.lines.map((line) => ({ points: line.corners, label: line.text, note: percent(line.score).trim() })),
};

/** Everything in a task's result that has a place in the picture, as {operation, points, label, note, dots}. */
export function findings(task) {
  return Object.entries(task.result ?? {}).flatMap(([operation, result]) =>
    FOUND[operation] && !result.error ? FOUND[operation](result).map((found) => ({ operation, ...found })) : [],
  );
}

function shape(found, index) {
  const points = found.points.map(({ x, y }) => `${x},${y}`).join(" ");
  return svg("g", { class: `found of-${found.operation}`, "data-index": index },
    svg("title", {}, found.label),
    svg("polygon", { points, class: "halo" }),
    svg("polygon", { points, class: "edge" }),
    (found.dots ?? []).map(({ x, y }) => svg("path", { d: `M${x} ${y}h0`, class: "dot" })),
  );
}

function caption(found, index) {
  const left = Math.min(...found.points.map((point) => point.x));
  const top = Math.min(...found.points.map((point) => point.y));
  const text = found.label.length > 40 ? `${found.label.slice(0, 39)}…` : found.label;
  return svg("text", { x: left, y: top, class: `of-${found.operation}`, "data-index": index }, text);
}

/** The drawing over a task's picture. With `labels`, texts keep their size on the screen. */
export function overlay(task, { labels = false } = {}) {
  const { width_px: width, height_px: height } = task.image;
  const found = findings(task);
  const texts = svg("g", { class: "labels" });
  const drawing = svg("svg", { class: "overlay", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    found.map(shape),
    texts,
  );
  if (labels && found.length <= 60) {
    texts.append(...found.map(caption));
    new ResizeObserver(([entry]) => {
      const scale = Math.max(width / entry.contentRect.width, height / entry.contentRect.height);
      if (!Number.isFinite(scale)) return;
      texts.setAttribute("font-size", LABEL_PX * scale);
      for (const text of texts.children) {
        const { points } = found[text.dataset.index];
        const top = Math.min(...points.map((point) => point.y));
        text.setAttribute("y", Math.max(top - 5 * scale, (LABEL_PX + 2) * scale));
      }
    }).observe(drawing);
  }
  return drawing;
}

/** A task's picture with what was found over it: with `labels` the whole picture, otherwise a small one. */
export function picture(task, { labels = false } = {}) {
  const image = html("img", {
    src: `/v1/tasks/${task.id}/${labels ? "image" : "preview"}`, alt: `Picture of task ${task.id}`,
    loading: labels ? "eager" : "lazy", decoding: "async", onerror: () => frame.classList.add("lost"),
  });
  const frame = html("div", { class: "picture" }, image, overlay(task, { labels }));
  frame.style.setProperty("--width", task.image.width_px);
  frame.style.setProperty("--height", task.image.height_px);
  return frame;
}
