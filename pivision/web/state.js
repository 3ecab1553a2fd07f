// The states of a task: what they allow, and how they look.

import { html } from "./element.js";

export const STATES = ["queued", "running", "done", "failed", "quarantined", "cancelled"];

const RETRIED = ["failed", "quarantined", "cancelled"];

export const isWaiting = ({ state }) => state === "queued";
export const isUnfinished = ({ state }) => state === "queued" || state === "running";
export const isRetriable = ({ state }) => RETRIED.includes(state);

/** What differs when a task has made a step. */
export const mark = ({ id, state, attempt, finished_at: finishedAt }) => `${id} ${state} ${attempt} ${finishedAt}`;

/** The state as a coloured word. */
export const badge = (state) => html("span", { class: `badge is-${state}` }, state);
