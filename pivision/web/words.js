// Words: times, sizes and numbers as a person reads them.

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
