// One answer: what is known of it, and its element, which grows with the server's events.

import { MarkdownView } from "./markdown.js";
import { copyButton, element } from "./nodes.js";

/** An answer about which nothing is known yet. Plain data: it is kept over a reload. */
export function newAnswer() {
  return {
    role: "assistant",
    id: null, // of the server; null: not asked yet
    last: "", // id of the last event that is in here
    state: "streaming", // or done, stopped, error
    over: "", // what its last event said: done, stopped, error
    reasoning: "",
    text: "",
    calls: [], // {id, name, arguments, result, failed}
    finish: null,
    error: null, // {name, text}
  };
}

/** The element of an answer. What comes within one frame is drawn at once. */
export class AnswerView {
  element = element("article", "turn");
  #answer;
  #onRetry;
  #markdown = null;
  #reasoning = null;
  #calls = [];
  #waiting = waitingDots();
  #pending = "";
  #thought = "";
  #scheduled = false;

  constructor(answer, onRetry) {
    this.#answer = answer;
    this.#onRetry = onRetry;
    this.element.append(element("h2", "hidden", "Answer"), this.#waiting);
    this.element.setAttribute("aria-busy", "true");
    this.#think(answer.reasoning);
    this.#write(answer.text);
    answer.calls.forEach((_, index) => this.call(index));
    if (answer.state !== "streaming") this.end();
  }

  reason(text) {
    this.#answer.reasoning += text;
    this.#thought += text;
    this.#schedule();
  }

  write(text) {
    this.#answer.text += text;
    this.#pending += text;
    this.#schedule();
  }

  /** Show the tool call of that number as it is now. */
  call(index) {
    this.#draw(); // what came before it stands before it
    this.#waiting.remove();
    this.#calls[index] ??= this.#newCall();
    this.#calls[index](this.#answer.calls[index], this.#answer.state);
  }

  /** Show that no more will come, and why. */
  end() {
    this.#draw();
    this.#markdown?.end();
    this.#waiting.remove();
    this.element.removeAttribute("aria-busy");
    this.#answer.calls.forEach((_, index) => this.call(index));
    const { state, error, finish } = this.#answer;
    if (this.#reasoning) this.#reasoning.frame.classList.remove("live");
    if (this.#reasoning) this.#reasoning.title.textContent = "Reasoning";
    if (state === "stopped") this.element.append(element("p", "note", "Stopped."));
    if (state === "done" && NOTES[finish]) this.element.append(element("p", "note", NOTES[finish]));
    if (error) this.element.append(this.#errorBox(error));
    else if (this.#answer.text && !this.#answer.calls.length) this.element.append(this.#actions());
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const draw = () => {
      this.#scheduled = false;
      this.#draw();
    };
    // A page that is not seen has no frames.
    if (document.hidden) setTimeout(draw, 100);
    else requestAnimationFrame(draw);
  }

  #draw() {
    if (this.#thought) this.#think(this.#thought);
    if (this.#pending) this.#write(this.#pending);
    this.#thought = this.#pending = "";
  }

  #think(text) {
    if (!text) return;
    this.#reasoning ??= this.#newReasoning();
    this.#reasoning.body.append(text);
  }

  #newReasoning() {
    const frame = element("details", "live");
    const summary = element("summary");
    const title = element("span", "", "Thinking…");
    summary.append(title);
    const body = element("div", "folded plain");
    frame.append(summary, body);
    this.element.firstElementChild.after(frame);
    return { frame, title, body };
  }

  #write(text) {
    if (!text) return;
    this.#waiting.remove();
    if (!this.#markdown) {
      const root = element("div", "answer");
      (this.#reasoning?.frame ?? this.element.firstElementChild).after(root);
      this.#markdown = new MarkdownView(root);
    }
    this.#markdown.append(text);
  }

  #newCall() {
    const frame = element("details", "call");
    const summary = element("summary");
    const name = element("code");
    const state = element("span", "state");
    const dot = element("span", "dot");
    summary.append(name, dot, state);
    const given = element("pre");
    const result = element("pre");
    const body = element("div", "folded");
    const resultTitle = element("h3", "", "Result");
    body.append(element("h3", "", "Arguments"), given, resultTitle, result);
    frame.append(summary, body);
    this.element.append(frame);
    return (call, ofAnswer) => {
      const shown = callState(call, ofAnswer);
      name.textContent = call.name ? `${call.name}(${call.arguments})` : "…";
      dot.className = `dot ${shown.dot}`;
      state.textContent = shown.text;
      given.textContent = call.arguments;
      resultTitle.hidden = result.hidden = call.result == null;
      result.textContent = call.result ?? "";
    };
  }

  #errorBox(error) {
    const box = element("div", "error");
    box.setAttribute("role", "alert");
    const retry = element("button", "retry", "Try again");
    retry.type = "button";
    retry.addEventListener("click", () => this.#onRetry(this.#answer));
    box.append(element("strong", "", error.name), element("p", "", error.text), retry);
    return box;
  }

  #actions() {
    const actions = element("div", "actions");
    actions.append(copyButton("Copy answer", () => this.#answer.text));
    return actions;
  }
}

const NOTES = {
  length: "The answer reached its length limit.",
  content_filter: "The answer was held back by the provider's filter.",
};

function callState(call, ofAnswer) {
  if (call.failed) return { dot: "failed", text: "failed" };
  if (call.result != null) return { dot: "done", text: "done" };
  const open = ofAnswer === "streaming" || ofAnswer === "done";
  return open ? { dot: "running", text: "running" } : { dot: "", text: "not run" };
}

function waitingDots() {
  const dots = element("div", "waiting");
  dots.append(element("i"), element("i"), element("i"), element("span", "hidden", "Waiting"));
  return dots;
}
