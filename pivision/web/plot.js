// A plot: the minutes of the last hour as bars.

import { svg } from "./element.js";

/** The bars of `values`, described for those who do not see them. */
export function plot(values, name) {
  const most = Math.max(1, ...values);
  const newest = values.at(-1);
  return svg("svg", { class: "plot", viewBox: `0 0 ${values.length * 4} 40`, preserveAspectRatio: "none", role: "img", "aria-label": `${name} in the last hour: at most ${Math.max(...values)} a minute, now ${newest}` },
    svg("path", { class: "ground", d: `M0 39.5H${values.length * 4}` }),
    values.map((value, index) => value > 0 && svg("rect", { x: index * 4 + 0.5, width: 3, y: 39 - (36 * value) / most, height: (36 * value) / most, rx: 0.8 })));
}
