// The API: requests to the server that this page came from, and its errors.

const PATIENCE_MS = 15000;

/** What the server has said no to, or that it could not be reached (status 0). */
export class Problem extends Error {
  constructor(status, { code = "", detail = "", remedy = "" } = {}) {
    super(detail || `the server answered ${status}`);
    this.status = status;
    this.code = code;
    this.remedy = remedy;
  }
}

/** Tells of "signed-out" when the server no longer knows the session. */
export const watch = new EventTarget();

/** One request; the answer's JSON, or null when it has none. Throws a Problem. */
export async function call(method, path, { body, headers, patience = PATIENCE_MS } = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, cache: "no-store", signal: AbortSignal.timeout(patience) });
  } catch (error) {
    throw new Problem(0, {
      code: "unreachable",
      detail: "The server cannot be reached.",
      remedy: "Is the box switched on and in the network?",
    });
  }
  const content = await answer.json().catch(() => null);
  if (answer.ok) return content;
  if (answer.status === 401 && path.startsWith("/v1")) watch.dispatchEvent(new Event("signed-out"));
  throw new Problem(answer.status, content ?? {});
}

export const get = (path, options) => call("GET", path, options);

export const post = (path, content) =>
  content instanceof FormData
    ? call("POST", path, { body: content, patience: 120000 })
    : call(
        "POST",
        path,
        content === undefined ? {} : { body: JSON.stringify(content), headers: { "Content-Type": "application/json" } },
      );

/** /readyz, whether it says yes or no; null when nobody answers. */
export async function readiness() {
  try {
    const answer = await fetch("/readyz", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    return await answer.json();
  } catch {
    return null;
  }
}

/** The tasks of one page, by filters that may be empty. */
export function tasks(filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  return get(`/v1/tasks?${query}`);
}
