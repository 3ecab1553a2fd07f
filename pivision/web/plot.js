// A plot: sixty minutes as bars.

import { svg } from "./element.js";

export const MINUTES = 60;

/** One number for each of the last sixty minutes; what is older is forgotten. */
export class Hour {
  #minutes = new Map();

  #now = (at) => Math.floor(at / 60000);

  add(at, count = 1) {
    const minute = this.#now(at);
    this.#minutes.set(minute, (this.#minutes.get(minute) ?? 0) + count);
  }

  peak(at, value) {
    const minute = this.#now(at);
    this.#minutes.set(minute, Math.max(this.#minutes.get(minute) ?? 0, value));
  }

  values() {
    const newest = this.#now(Date.now());
    for (const minute of this.#minutes.keys()) if (minute <= newest - MINUTES) this.#minutes.delete(minute);
    return Array.from({ length: MINUTES }, (_, index) => this.#minutes.get(newest - MINUTES + 1 + index) ?? 0);
  }
}

/** The bars of `values`, described for those who do not see them. */
export function plot(values, name) {
  const most = Math.max(1, ...values);
  const newest = values.at(-1);
  return svg("svg", { class: "plot", viewBox: `0 0 ${MINUTES * 4} 40`, preserveAspectRatio: "none", role: "img", "aria-label": `${name} in the last hour: at most ${Math.max(...values)} a minute, now ${newest}` },
    svg("path", { class: "ground", d: `M0 39.5H${MINUTES * 4}` }),
    values.map((value, index) => value > 0 && svg("rect", { x: index * 4 + 0.5, width: 3, y: 39 - (36 * value) / most, height: (36 * value) / most, rx: 0.8 })));
}
