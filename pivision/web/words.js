// Words: states, times, sizes and errors as a person reads them.

export const STATES = ["queued", "running", "done", "failed", "quarantined", "cancelled"];

const REMEDIES = {
  "image-undecodable": "Open the picture in another program and save it anew, then send that.",
  "image-truncated": "The file ends too early: send it again.",
  "image-unsupported": "Send a JPEG, PNG, WebP or BMP.",
  "image-lost": "The picture is no longer on the box: send it again.",
  "storage-full": "Make room on the box's disk, then retry.",
  "model-missing": "Install the model with the command that the error names, then retry.",
  "model-unusable": "Install the model again, then retry.",
  "out-of-memory": "Send the picture smaller, or with fewer operations.",
  "worker-died": "Three attempts ended their worker. Retry once; if it comes back, keep the picture and report it.",
  "deadline-exceeded": "It took longer than it may: send the picture smaller, or with fewer operations, or retry.",
  "operation-failed": "The worker's log has the details; running it again would hardly change anything.",
  "unknown-operation": "The task is older than the program: send the picture again with operations that there are.",
  "invalid-parameter": "The task is older than the program: send the picture again with other parameters.",
};

/** What to do about an error of a task. */
export const remedy = (code) => REMEDIES[code] ?? "The logs on the box have the details.";

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** A point in time, in the reader's own zone. */
export const time = (iso) => (iso ? DATE.format(new Date(iso)) : "–");

/** How long ago, roughly. */
export function ago(iso) {
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  return seconds < 10 ? "just now" : `${span(seconds)} ago`;
}

/** A length of time, roughly. */
export function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** A number of bytes. */
export function bytes(count) {
  const step = Math.min(4, Math.floor(Math.log(Math.max(1, count)) / Math.log(1000)));
  const size = count / 1000 ** step;
  return `${size < 10 && step ? size.toFixed(1) : Math.round(size)} ${["B", "kB", "MB", "GB", "TB"][step]}`;
}

/** One or many of something. */
export const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;
