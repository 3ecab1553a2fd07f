// The events: news from the server as they come; asked for every two seconds where it has no stream to give.

import { get, tasks } from "./api.js";

const POLL_MS = 2000;
const RETRY_MS = 1000;
const STREAM_AGAIN_MS = 20000;
const SILENCE_MS = 20000;

/** Tells of "task", "removed", "system" (each with `detail`), "refresh" (lists may be old), "lost" and "back". */
export class Events extends EventTarget {
  #source = null;
  #last = null;
  #timer = 0;
  #isRunning = false;
  #isLost = false;
  #heard = 0;
  #seen = null;
  #streamAgain = 0;

  start() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#open();
  }

  /** Stop for a while: `start` goes on from here. */
  pause() {
    this.#isRunning = false;
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  /** Stop, and forget what was heard. */
  stop() {
    this.pause();
    this.#seen = this.#last = null;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #later(step, wait) {
    clearTimeout(this.#timer);
    if (this.#isRunning) this.#timer = setTimeout(() => step.call(this), wait);
  }

  #open() {
    const source = new EventSource(this.#last === null ? "/v1/events" : `/v1/events?last_event_id=${this.#last}`);
    this.#source = source;
    source.onopen = () => {
      this.#found();
      this.#tell("refresh");
    };
    this.#later(this.#listen, SILENCE_MS);
    // A browser comes back by itself only after some errors; so each stream that fails is left, and a new one opened.
    source.onerror = () => {
      source.close();
      if (source !== this.#source) return;
      this.#source = null;
      this.#streamAgain = Date.now() + STREAM_AGAIN_MS;
      this.#later(this.#poll, 0);
    };
    const hear = (name, act) =>
      source.addEventListener(name, (event) => {
        this.#heard = Date.now();
        if (event.lastEventId) this.#last = event.lastEventId;
        act(event);
      });
    hear("task", (event) => this.#tell("task", JSON.parse(event.data)));
    hear("system", (event) => this.#tell("system", JSON.parse(event.data)));
    hear("removed", (event) => this.#tell("removed", JSON.parse(event.data)));
    hear("reset", () => this.#tell("refresh"));
  }

  /** A connection whose other end is gone is silent, too: ask when nothing was heard for a while. */
  async #listen() {
    if (Date.now() - this.#heard > SILENCE_MS) {
      try {
        await get("/healthz", { patience: 5000 });
      } catch {
        if (this.#source) this.#source.onerror();
        return;
      }
    }
    this.#later(this.#listen, SILENCE_MS);
  }

  async #poll() {
    try {
      const [page, system] = await Promise.all([tasks({ limit: 50 }), get("/v1/system")]);
      if (!this.#isRunning) return;
      const wasLost = this.#isLost;
      this.#found();
      if (wasLost) this.#streamAgain = 0;
      // The first answer has nothing to be compared with: what came since the lists were loaded is known to nobody.
      if (wasLost || this.#seen === null) this.#tell("refresh");
      this.#compare(page.tasks);
      this.#tell("system", system);
      if (Date.now() >= this.#streamAgain) this.#later(this.#open, 0);
      else this.#later(this.#poll, POLL_MS);
    } catch (problem) {
      if (problem.status === 401) return;
      if (!this.#isLost) this.#tell("lost", problem);
      this.#isLost = true;
      this.#later(this.#poll, RETRY_MS);
    }
  }

  #compare(found) {
    const before = this.#seen;
    this.#seen = new Map(found.map((task) => [task.id, `${task.state} ${task.attempt}`]));
    for (const task of found.toReversed()) {
      if (before && before.get(task.id) !== this.#seen.get(task.id)) this.#tell("task", task);
    }
    const oldest = found.at(-1)?.id ?? 0;
    for (const id of before?.keys() ?? []) if (id > oldest && !this.#seen.has(id)) this.#tell("removed", { id });
  }

  #found() {
    this.#heard = Date.now();
    if (this.#isLost) this.#tell("back");
    this.#isLost = false;
  }
}
