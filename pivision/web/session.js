// The session: who looks, what that one may do, and the form that asks for the token.

import { call, get, post } from "./api.js";
import { html } from "./element.js";

const SCOPES = ["read", "submit", "admin"];

let scope = "admin";
let isSignedIn = false;

/** Whether who looks may do what needs `needed`; the server decides again. */
export const may = (needed) => SCOPES.indexOf(scope) >= SCOPES.indexOf(needed);

/** Ask the server who this is; false when nobody is signed in. Throws a Problem when it cannot say. */
export async function load() {
  try {
    const found = await get("/session");
    scope = found.scope;
    isSignedIn = found.name !== null;
  } catch (problem) {
    if (problem.status === 401) return false;
    throw problem;
  }
  return true;
}

/** Whether there is something to sign out of. */
export const canSignOut = () => isSignedIn;

/** Forget the session here and on the server. */
export async function signOut() {
  await call("DELETE", "/session");
  isSignedIn = false;
}

/** The form that asks for the token, and calls `done` when the server took it. */
export function signInForm(done) {
  const token = html("input", {
    id: "token", type: "password", autocomplete: "current-password", required: true, spellcheck: "false",
    autocapitalize: "none", "aria-describedby": "token-help token-error",
  });
  const error = html("p", { id: "token-error", class: "error", role: "alert" });
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
