// The form: fields for an operation's parameters, made of their JSON Schema.

import { html } from "./element.js";

let made = 0;

/** The schema that is meant where another place of the document is referred to. */
function resolved(schema, root) {
  if (!schema.$ref) return schema;
  const place = schema.$ref.split("/").slice(1);
  return { ...resolved(place.reduce((at, key) => at[key], root), root), ...schema, $ref: undefined };
}

function words(name) {
  const text = name.replace(/_px$/, " (pixels)").replace(/_metres$/, " (metres)").replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

const line = (of, input) => html("div", { class: "field" }, html("label", { for: of.id }, of.label), input, of.about);

/** The text of an input, checked by the browser. Throws an Error that says what is wrong. */
function checked(of, input) {
  if (!input.checkValidity()) throw new Error(`${of.label}: ${input.validationMessage}`);
  return input.value;
}

function tick(of) {
  const isOn = of.fallback === true;
  const input = html("input", { id: of.id, type: "checkbox", checked: isOn, ...of.described });
  const element = html("div", { class: "field check" }, input, html("label", { for: of.id }, of.label), of.about);
  return { element, value: () => (input.checked === isOn ? undefined : input.checked) };
}

function oneOf(of) {
  const options = of.property.enum.map((value) => html("option", { value }, String(value)));
  const input = html("select", { id: of.id, ...of.described }, html("option", { value: "" }, "default"), options);
  const chosen = () => of.property.enum.find((value) => String(value) === input.value);
  return { element: line(of, input), value: () => (input.value ? chosen() : undefined) };
}

function someOf(of) {
  const usual = of.fallback ?? [];
  const boxes = of.items.enum.map((value) =>
    html("input", { type: "checkbox", id: `${of.id}-${value}`, value, checked: usual.includes(value) }));
  const labels = boxes.map((box) => html("label", { for: box.id }, box, box.value));
  const element = html("fieldset", { class: "field choices", ...of.described },
    html("legend", {}, of.label), of.about, html("div", {}, labels));
  const value = () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    const isUsual = chosen.length === usual.length && chosen.every((each) => usual.includes(each));
    return isUsual ? undefined : chosen;
  };
  return { element, value };
}

function number(of) {
  const { type, minimum, exclusiveMinimum, maximum } = of.property;
  const input = html("input", {
    id: of.id, type: "number", inputmode: "decimal", step: type === "integer" ? 1 : "any",
    min: minimum ?? exclusiveMinimum, max: maximum, placeholder: of.fallback ?? "default", ...of.described,
  });
  const value = () => {
    const text = checked(of, input);
    return text === "" ? undefined : Number(text);
  };
  return { element: line(of, input), value };
}

function list(of) {
  const placeholder = of.fallback?.join(", ") || "with commas between";
  const input = html("input", { id: of.id, type: "text", placeholder, ...of.described });
  const isNumeric = ["number", "integer"].includes(of.items.type);
  const value = () => {
    const parts = input.value.split(",").map((part) => part.trim()).filter(Boolean);
    if (parts.length === 0) return undefined;
    return isNumeric ? parts.map(Number) : parts;
  };
  return { element: line(of, input), value };
}

function text(of) {
  const { pattern } = of.property;
  const input = html("input", { id: of.id, type: "text", placeholder: of.fallback ?? "default", pattern, ...of.described });
  return { element: line(of, input), value: () => checked(of, input) || undefined };
}

function json(of) {
  const input = html("input", { id: of.id, type: "text", placeholder: of.fallback ?? "as JSON", ...of.described });
  const value = () => {
    try {
      return input.value === "" ? undefined : JSON.parse(input.value);
    } catch {
      throw new Error(`${of.label}: this is no JSON`);
    }
  };
  return { element: line(of, input), value };
}

function kindOf({ property, items }) {
  if (property.type === "boolean") return tick;
  if (property.enum) return oneOf;
  if (items?.enum) return someOf;
  if (property.type === "number" || property.type === "integer") return number;
  if (items?.type && items.type !== "array") return list;
  return property.type === "string" ? text : json;
}

/** A field: its element, and `value()`, undefined when the default is meant. Throws an Error that says what is wrong. */
function field(name, declared, root) {
  const whole = resolved(declared, root);
  const inner = whole.anyOf?.map((each) => resolved(each, root)).find((each) => each.type !== "null");
  const property = inner ? { ...inner, description: whole.description, default: whole.default } : whole;
  const id = `param-${++made}`;
  const about = property.description && html("small", { id: `${id}-about`, class: "muted" }, property.description);
  const of = {
    id, property, about, label: words(name), fallback: property.default,
    items: property.type === "array" && property.items ? resolved(property.items, root) : null,
    described: about ? { "aria-describedby": `${id}-about` } : {},
  };
  return kindOf(of)(of);
}

/** The fields of a schema of parameters; `value()` gives those that are not at their default. */
export function paramsForm(schema) {
  const properties = Object.entries(resolved(schema, schema).properties ?? {});
  const fields = properties.map(([name, property]) => [name, field(name, property, schema)]);
  const given = () => fields.map(([name, each]) => [name, each.value()]).filter(([, value]) => value !== undefined);
  return {
    element: html("div", { class: "params" }, fields.map(([, each]) => each.element)),
    value: () => Object.fromEntries(given()),
  };
}
