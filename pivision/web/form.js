// The form: fields for an operation's parameters, made of their JSON Schema.

import { html } from "./element.js";

let made = 0;

function resolved(schema, root) {
  if (schema.$ref) return { ...resolved(schema.$ref.split("/").slice(1).reduce((at, key) => at[key], root), root), ...schema, $ref: undefined };
  return schema;
}

const words = (name) => {
  const text = name.replace(/_px$/, " (pixels)").replace(/_metres$/, " (metres)").replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
};

function listed(text, property) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  return ["number", "integer"].includes(property.items?.type) ? parts.map(Number) : parts;
}

/** A field: its element, and `value()`, undefined when the default is meant. Throws an Error that says what is wrong. */
function field(name, declared, root) {
  const whole = resolved(declared, root);
  const inner = whole.anyOf?.map((each) => resolved(each, root)).find((each) => each.type !== "null");
  const property = inner ? { ...inner, description: whole.description, default: whole.default } : whole;
  const id = `param-${++made}`;
  const about = property.description && html("small", { id: `${id}-about`, class: "muted" }, property.description);
  const described = about ? { "aria-describedby": `${id}-about` } : {};
  const label = html("label", { for: id }, words(name));
  const items = property.items ? resolved(property.items, root) : null;
  const fallback = property.default;

  if (property.type === "boolean") {
    const input = html("input", { id, type: "checkbox", checked: fallback === true, ...described });
    return { element: html("div", { class: "field check" }, input, label, about), value: () => (input.checked === (fallback === true) ? undefined : input.checked) };
  }
  if (property.enum || items?.enum) {
    const values = property.enum ?? items.enum;
    if (property.enum) {
      const input = html("select", { id, ...described }, html("option", { value: "" }, "default"), values.map((value) => html("option", { value }, String(value))));
      return { element: html("div", { class: "field" }, label, input, about), value: () => (input.value ? values.find((value) => String(value) === input.value) : undefined) };
    }
    const boxes = values.map((value) => html("input", { type: "checkbox", id: `${id}-${value}`, value, checked: fallback?.includes(value) }));
    const group = html("fieldset", { class: "field choices", ...described }, html("legend", {}, words(name)), about,
      html("div", {}, boxes.map((box) => html("label", { for: box.id }, box, box.value))));
    const same = (a, b) => a.length === b.length && a.every((each) => b.includes(each));
    return { element: group, value: () => {
      const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
      return same(chosen, fallback ?? []) ? undefined : chosen;
    } };
  }
  if (property.type === "number" || property.type === "integer") {
    const least = property.minimum ?? property.exclusiveMinimum;
    const input = html("input", { id, type: "number", min: least, max: property.maximum, step: property.type === "integer" ? 1 : "any", placeholder: fallback ?? "default", inputmode: "decimal", ...described });
    return { element: html("div", { class: "field" }, label, input, about), value: () => {
      if (!input.checkValidity()) throw new Error(`${words(name)}: ${input.validationMessage}`);
      return input.value === "" ? undefined : Number(input.value);
    } };
  }
  if (property.type === "array" && items?.type && items.type !== "array") {
    const input = html("input", { id, type: "text", placeholder: fallback?.join(", ") || "with commas between", ...described });
    return { element: html("div", { class: "field" }, label, input, about), value: () => (input.value.trim() ? listed(input.value, property) : undefined) };
  }
  const isText = property.type === "string";
  const input = html("input", { id, type: "text", placeholder: fallback ?? (isText ? "default" : "as JSON"), pattern: isText ? property.pattern : null, ...described });
  return { element: html("div", { class: "field" }, label, input, about), value: () => {
    if (!input.checkValidity()) throw new Error(`${words(name)}: ${input.validationMessage}`);
    if (input.value === "") return undefined;
    if (isText) return input.value;
    try {
      return JSON.parse(input.value);
    } catch {
      throw new Error(`${words(name)}: this is no JSON`);
    }
  } };
}

/** The fields of a schema of parameters; `value()` gives those that are not at their default. */
export function paramsForm(schema) {
  const fields = Object.entries(resolved(schema, schema).properties ?? {}).map(([name, property]) => [name, field(name, property, schema)]);
  return {
    element: html("div", { class: "params" }, fields.map(([, each]) => each.element)),
    value: () => Object.fromEntries(fields.map(([name, each]) => [name, each.value()]).filter(([, value]) => value !== undefined)),
  };
}
