// A plot: the minutes of the last hour as bars.

import { svg } from "./element.js";

const STEP = 4;
const HEIGHT = 36;

/** The bars of `values`, described for those who do not see them. */
export function plot(values, name) {
  const width = values.length * STEP;
  const most = Math.max(1, ...values);
  const bars = values.map((value, index) => {
    const height = (HEIGHT * value) / most;
    return value > 0 && svg("rect", { x: index * STEP + 0.5, width: 3, y: 39 - height, height, rx: 0.8 });
  });
  const label = `${name} in the last hour: at most ${Math.max(...values)} a minute, now ${values.at(-1)}`;
  const frame = { class: "plot", viewBox: `0 0 ${width} 40`, preserveAspectRatio: "none", role: "img", "aria-label": label };
  return svg("svg", frame, svg("path", { class: "ground", d: `M0 39.5H${width}` }), bars);
}
