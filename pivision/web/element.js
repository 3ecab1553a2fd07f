// Elements: made without ever parsing HTML, so that a text stays a text whoever wrote it.

const SVG = "http://www.w3.org/2000/svg";

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An HTML element; attributes named on… are listeners, and strings among the children become text. */
export function html(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** Names with their values. */
export function facts(rows) {
  const pair = ([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value));
  return html("dl", { class: "facts" }, Object.entries(rows).map(pair));
}

/** Say something to those who listen to the page. */
export function say(text) {
  document.getElementById("spoken").textContent = text;
}

/** A button that copies a text, and says so. */
export function copyButton(label, text) {
  const button = html(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: async () => {
        const whole = text();
        try {
          await navigator.clipboard.writeText(whole);
        } catch {
          // plain http from another machine has no clipboard
          const area = html("textarea", { class: "sr" });
          area.value = whole;
          document.body.append(area);
          area.select();
          document.execCommand("copy");
          area.remove();
        }
        button.textContent = "Copied";
        say("Copied");
        setTimeout(() => {
          button.textContent = label;
        }, 1500);
      },
    },
    label,
  );
  return button;
}
