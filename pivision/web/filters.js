// The filters: which tasks are shown.

import { html } from "./element.js";
import { STATES } from "./state.js";

const field = (label, input) => html("div", { class: "field" }, html("label", { for: input.id }, label), input);

function select(id, values, every, onchange) {
  const options = values.map((value) => html("option", { value }, value));
  return html("select", { id, onchange }, html("option", { value: "" }, every), options);
}

/** The form; calls `changed` when something else is wanted. `wanted()` is what the API takes, "" for everything. */
export function filters(operations, changed) {
  const names = operations.map((each) => each.name);
  const state = select("filter-state", STATES, "every state", changed);
  const operation = select("filter-operation", names, "every operation", changed);
  const source = html("input", {
    id: "filter-source", type: "search", maxlength: 200, placeholder: "every source", onchange: changed,
  });
  const onsubmit = (event) => {
    event.preventDefault();
    changed();
  };
  const wanted = () => ({ state: state.value, operation: operation.value, source: source.value });
  return {
    element: html("form", { class: "filters", role: "search", "aria-label": "Filter tasks", onsubmit },
      field("State", state), field("Operation", operation), field("Source", source)),
    wanted,
    isSet: () => Object.values(wanted()).some(Boolean),
    passes: (task) =>
      (!state.value || task.state === state.value) &&
      (!operation.value || task.operations.some((each) => each.name === operation.value)) &&
      (!source.value || task.source === source.value),
  };
}
