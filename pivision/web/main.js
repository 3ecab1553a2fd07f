// The dashboard: which view is shown, and what keeps it up to date.

import * as api from "./api.js";
import { html, say } from "./element.js";
import { Events } from "./events.js";
import * as session from "./session.js";
import { Status, sentence } from "./status.js";
import { submitView } from "./submit.js";
import { systemView } from "./system.js";
import { taskView } from "./task.js";
import { tasksView } from "./tasks.js";

const RETRY_MS = 1000;
const HIDDEN_MS = 30000;
const main = document.getElementById("main");
const nav = document.getElementById("nav");
const banner = document.getElementById("banner");
const signOut = document.getElementById("sign-out");
const events = new Events();
const status = new Status();

let view = null;
let told = null;
let operations = null;
let isIn = false;
let offered = session.takeToken(); // with the address

function leave() {
  view?.leave?.();
  told?.close();
  view = told = null;
}

function placed(made, name, focus) {
  view = made;
  main.replaceChildren(made.element);
  document.title = `${made.title} · PiVision`;
  for (const link of nav.children) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (focus) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
    say(made.title);
  }
}

function route({ given = null, focus = true } = {}) {
  if (!isIn) return;
  leave();
  const path = location.hash.replace(/^#/, "") || "/";
  const id = /^\/tasks\/([1-9]\d{0,18})$/.exec(path)?.[1];
  if (id) return placed(taskView({ id: Number(id) }), "tasks", focus);
  if (path === "/new" && session.may("submit")) return placed(submitView({ operations, given }), "new", focus);
  told = sentence(status);
  if (path === "/system") return placed(systemView({ status, banner: told.element }), "system", focus);
  return placed(tasksView({ operations, banner: told.element }), "tasks", focus);
}

function ask(form) {
  isIn = false;
  events.stop();
  leave();
  nav.hidden = signOut.hidden = true;
  main.replaceChildren(html("div", { class: "page" }, form.element));
  document.title = "Sign in · PiVision";
  form.focus();
}

function askForToken(complaint = "") {
  ask(session.signInForm(start, complaint));
}

/** Whether the token that came with the address is being asked about; the page goes on when that was answered. */
async function isAsking() {
  if (offered === null) return false;
  let question = null;
  try {
    question = await session.offer(offered);
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    offered = null;
    if (await session.load()) return false;
    askForToken("The token in this address is not valid.");
    return true;
  }
  offered = null;
  if (question) ask(session.offerForm(question, start, start));
  return question !== null;
}

async function start() {
  try {
    if (await isAsking()) return;
    if (!(await session.load())) return askForToken();
    operations = (await api.get("/v1/operations")).operations;
  } catch (problem) {
    if (problem.status === 401) return askForToken();
    lost(problem);
    setTimeout(start, RETRY_MS);
    return;
  }
  banner.hidden = true;
  isIn = true;
  nav.hidden = false;
  nav.querySelector("[data-view=new]").hidden = !session.may("submit");
  signOut.hidden = !session.canSignOut();
  events.start();
  route({ focus: false });
}

function lost(problem) {
  banner.hidden = false;
  banner.textContent = problem?.status ? `${problem.message} Reconnecting…` : "The connection is lost. Reconnecting…";
}

for (const name of ["task", "removed", "system"]) {
  events.addEventListener(name, ({ detail }) => {
    if (name === "system") status.hear(detail);
    view?.[name]?.(detail);
  });
}
events.addEventListener("refresh", () => view?.refresh?.());
events.addEventListener("lost", ({ detail }) => {
  lost(detail);
  status.look();
});
events.addEventListener("back", () => {
  banner.hidden = true;
  say("The connection is back");
  status.look();
});
api.watch.addEventListener("signed-out", () => {
  if (isIn) askForToken();
});
// A browser has six connections for one server: pages that nobody looks at must not hold them.
let hiding = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => events.pause(), HIDDEN_MS);
  else if (isIn) events.start();
});
window.addEventListener("hashchange", () => {
  offered = session.takeToken();
  if (offered === null) route();
  else start();
});
signOut.addEventListener("click", async () => {
  try {
    await session.signOut();
  } finally {
    askForToken();
  }
});

// A picture that is dropped anywhere is meant for a new task.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const given = event.dataTransfer?.files[0];
  if (!given || !isIn || !session.may("submit")) return;
  if (view?.take) return view.take(given);
  history.replaceState(null, "", "#/new");
  route({ given });
});

status.start();
start();
