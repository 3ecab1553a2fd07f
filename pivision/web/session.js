// The session: who looks, what that one may do, and the form that asks for the token.

import { call, get, post } from "./api.js";
import { html } from "./element.js";

const SCOPES = ["read", "submit", "admin"];

let scope = "admin";
let name = null;

/** Whether who looks may do what needs `needed`; the server decides again. */
export const may = (needed) => SCOPES.indexOf(scope) >= SCOPES.indexOf(needed);

/** Ask the server who this is; false when nobody is signed in. Throws a Problem when it cannot say. */
export async function load() {
  try {
    ({ scope, name } = await get("/session"));
  } catch (problem) {
    if (problem.status === 401) return false;
    throw problem;
  }
  return true;
}

/** Whether there is something to sign out of. */
export const canSignOut = () => name !== null;

/** Forget the session here and on the server. */
export async function signOut() {
  await call("DELETE", "/session");
  name = null;
}

/** The token of an address `/#token=T`, to which `/?token=T` leads; it is taken out of it. Null when there is none. */
export function takeToken() {
  if (!location.hash.startsWith("#token=")) return null;
  const token = new URLSearchParams(location.hash.slice(1)).get("token").trim();
  history.replaceState(null, "", "/");
  return token || null;
}

/**
 * What to ask before this page signs in with a token that came with the address: a page of another site may have led
 * here. Null when there is nothing to ask, as this browser is signed in with that token, or nobody needs one.
 * Throws a Problem, with status 401 for a token that is not valid.
 */
export async function offer(token) {
  const isIn = await load();
  if (isIn && name === null) return null;
  const found = await get("/session", { headers: { Authorization: `Bearer ${token}` } });
  if (isIn && found.name === name) return null;
  return { token, name: found.name, scope: found.scope, current: isIn ? name : null };
}

/** The form that asks; calls `done` when the server took the token, and `decline` when it is not wanted. */
export function offerForm(offered, done, decline) {
  const error = html("p", { class: "error", role: "alert" });
  const button = html("button", { type: "submit" }, "Sign in");

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      await post("/session", { token: offered.token });
      await done();
    } catch (problem) {
      error.textContent = `${problem.message} ${problem.remedy}`;
      button.disabled = false;
    }
  }

  const what = html("p", {}, "The address that you opened holds the access token ",
    html("strong", {}, offered.name), `, with the scope ${offered.scope}. Sign in with it only if you trust its source.`);
  const instead = offered.current === null ? [] : [
    html("p", {}, "This browser is signed in as ", html("strong", {}, offered.current), "; that session would end."),
  ];
  const no = html("button", { type: "button", class: "quiet", onclick: decline },
    offered.current === null ? "Cancel" : `Stay signed in as ${offered.current}`);
  const form = html("form", { class: "card sign-in", onsubmit: submit },
    html("h1", {}, `Sign in to ${location.host}?`), what, ...instead, error, button, no);
  return { element: form, focus: () => button.focus() };
}

/** The form that asks for the token, and calls `done` when the server took it. */
export function signInForm(done, complaint = "") {
  const token = html("input", {
    id: "token", type: "password", autocomplete: "current-password", required: true, spellcheck: "false",
    autocapitalize: "none", "aria-describedby": "token-help token-error",
  });
  const error = html("p", { id: "token-error", class: "error", role: "alert" }, complaint);
  const button = html("button", { type: "submit" }, "Sign in");

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    error.textContent = "";
    try {
      await post("/session", { token: token.value.trim() });
      await done();
    } catch (problem) {
      const isWrong = problem.status === 401;
      error.textContent = isWrong ? "This token is not valid." : `${problem.message} ${problem.remedy}`;
      token.select();
    } finally {
      button.disabled = false;
    }
  }

  const help = html("p", { id: "token-help", class: "muted" },
    "The part behind ", html("code", {}, "token="), " in the address that PiVision printed at its start, or one made with ",
    html("code", {}, "python -m pivision token make NAME"), ".");
  const form = html("form", { class: "card sign-in", onsubmit: submit },
    html("h1", {}, "Sign in"), html("label", { for: "token" }, "Access token"), token, help, error, button);
  return { element: form, focus: () => token.focus() };
}
