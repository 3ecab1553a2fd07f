// The chooser: a picture that is chosen, dropped, pasted or taken with the camera.

import { html } from "./element.js";

const TYPES = "image/jpeg,image/png,image/webp,image/bmp";

const isPicture = (file) => file.type.startsWith("image/");

/** An input without a look of its own, behind a button that has one. */
function fileInput(id, label, attributes, take) {
  const onchange = () => {
    take(input.files[0]);
    input.value = "";
  };
  const input = html("input", { id, type: "file", class: "sr", ...attributes, onchange });
  return [input, html("label", { for: id, class: "button quiet" }, label)];
}

/** The chooser: `file()` is what was chosen; calls `chosen` when there is another, and `refused` with the reason. */
export function chooser({ chosen, refused }) {
  let file = null;
  let address = null;
  const preview = html("img", { class: "preview", alt: "The chosen picture", hidden: true });
  const name = html("p", { class: "muted small", "aria-live": "polite" });

  function take(taken) {
    if (!taken) return;
    if (!isPicture(taken)) return refused("This is no picture.");
    forget();
    file = taken;
    address = URL.createObjectURL(taken);
    preview.src = address;
    preview.hidden = false;
    name.textContent = `${taken.name || "A picture"} is chosen.`;
    chosen();
  }

  function forget() {
    if (address) URL.revokeObjectURL(address);
  }

  function drop(event) {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("over");
    take(event.dataTransfer.files[0]);
  }

  function over(event) {
    event.preventDefault();
    element.classList.add("over");
  }

  const paste = (event) => take([...(event.clipboardData?.files ?? [])].find(isPicture));
  const leave = () => element.classList.remove("over");
  const element = html("div", { class: "zone", ondragover: over, ondragleave: leave, ondrop: drop },
    preview,
    html("p", { class: "hint" }, "Drop a picture here, or paste one"),
    html("div", { class: "actions" },
      fileInput("choose", "Choose a picture", { accept: TYPES }, take),
      fileInput("camera", "Take a picture", { accept: "image/*", capture: "environment" }, take)),
    name);

  document.addEventListener("paste", paste);
  return {
    element,
    take,
    file: () => file,
    close() {
      document.removeEventListener("paste", paste);
      forget();
    },
  };
}
