// The elements that the page makes: each says text, and none is made of a string of HTML.

const SAID_MS = 1600;

/** A new element of that name, class and text. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** A button that copies what `read()` gives, and says whether it could. */
export function copyButton(label, read) {
  const button = element("button", "quiet");
  const say = (text, name) => {
    button.textContent = text;
    button.setAttribute("aria-label", name);
  };
  button.type = "button";
  button.addEventListener("click", async () => {
    const text = (await copied(read())) ? "Copied" : "Not allowed";
    say(text, text);
    setTimeout(say, SAID_MS, "Copy", label);
  });
  say("Copy", label);
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not a secure context, or refused by the user
  }
}
