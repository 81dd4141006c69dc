// The page: questions go to the server, answers come back as events, a reload goes on where it was.
//
// The conversation is kept in this tab's sessionStorage, with the id of the last event of the
// answer that is still coming: from there on the server sends it again.

import { Announcer } from "./announcer.js";
import { AnswerView, newAnswer } from "./answer.js";
import { events, Gone } from "./events.js";
import { element } from "./nodes.js";
import { Scroller } from "./scroller.js";
import { Strip } from "./strip.js";

const KEY = "millstream-chat";
const SAVE_MS = 400;
const MAX_ROUNDS = 5; // of tool calls, for one question
const THEMES = ["auto", "light", "dark"];

const at = (id) => document.getElementById(id);
const question = at("question");
// Where the focus goes when what had it is gone. On a phone the field would open the keyboard.
const home = matchMedia("(pointer: coarse)").matches ? at("scroll") : question;
const log = at("log");
const scroller = new Scroller(at("scroll"), log, at("jump"));
const strip = new Strip(at("strip"));
const announcer = new Announcer(at("announcements"));

let turns = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
let current = null; // {answer, view, abort}: the answer that is coming

// ---- the conversation -----------------------------------------------------------------------

function show(turn) {
  at("empty").hidden = true;
  if (turn.role === "user") {
    const shown = element("article", "turn user", turn.text);
    shown.prepend(element("h2", "hidden", "You"));
    log.append(shown);
    return null;
  }
  const view = new AnswerView(turn, retry);
  log.append(view.element);
  return view;
}

function add(turn) {
  turns.push(turn);
  save();
  return show(turn);
}

/** What the model is to know: the turns so far, without answers that came to nothing. */
function messages() {
  return turns.flatMap((turn) => {
    if (turn.role === "user") return [{ role: "user", content: turn.text }];
    const calls = turn.calls.filter((call) => call.result != null);
    if (!turn.text && !calls.length) return [];
    const said = { role: "assistant", content: turn.text };
    if (calls.length) said.tool_calls = calls.map(asMade);
    return [said, ...calls.map(asAnswered)];
  });
}

function asMade(call) {
  return { id: call.id, name: call.name, arguments: call.arguments };
}

function asAnswered(call) {
  return { role: "tool", tool_call_id: call.id, name: call.name, content: call.result };
}

let saving = 0;

function save() {
  clearTimeout(saving);
  saving = 0;
  try {
    sessionStorage.setItem(KEY, JSON.stringify(turns));
  } catch {
    // too long for the tab's storage: a reload will go back to what was kept last
  }
}

function saveSoon() {
  saving ||= setTimeout(save, SAVE_MS);
}

// ---- asking ---------------------------------------------------------------------------------

function send() {
  const text = question.value.trim();
  if (!text || current) return;
  question.value = "";
  fit();
  add({ role: "user", text });
  ask();
}

/** Ask for an answer to the turns so far. */
async function ask() {
  const wanted = messages();
  const answer = newAnswer();
  const view = add(answer);
  begin(answer, view);
  scroller.toEnd();
  try {
    answer.id = (await post("api/answers", { messages: wanted })).id;
  } catch (error) {
    fail(answer, error);
    return;
  }
  save();
  if (answer.state === "stopped") forget(answer);
  else follow(answer, view);
}

function begin(answer, view) {
  current = { answer, view, abort: new AbortController() };
  strip.show("streaming");
  setBusy(true);
}

/** Take the answer's events, from the one after the last that it has. */
async function follow(answer, view) {
  const { signal } = current.abort;
  strip.follow(answer.id);
  try {
    const coming = answer.over ? [] : events(`api/answers/${answer.id}`, answer.last, signal);
    for await (const event of coming) {
      answer.last = event.id || answer.last;
      take(answer, view, JSON.parse(event.data));
      if (answer.over) break;
      saveSoon();
    }
    finish(answer);
  } catch (error) {
    if (answer.state === "streaming") fail(answer, error);
  }
}

/** Put an event into the answer. The last one of it sets `over`. */
function take(answer, view, event) {
  switch (event.type) {
    case "text":
    case "refusal":
      view.write(event.text);
      announcer.append(event.text);
      break;
    case "reasoning":
      view.reason(event.text);
      break;
    case "tool_call":
      grow(answer, event);
      view.call(event.index);
      break;
    case "done":
      Object.assign(answer, { over: "done", finish: event.finish_reason ?? null });
      break;
    case "stopped":
      answer.over = "stopped";
      break;
    case "error":
      Object.assign(answer, { over: "error", error: { name: event.error, text: event.text } });
      break;
  }
}

function grow(answer, { index, id, name, arguments: piece }) {
  const call = (answer.calls[index] ??= { id: "", name: "", arguments: "", result: null });
  if (id) call.id = id;
  if (name) call.name = name;
  call.arguments += piece ?? "";
}

async function finish(answer) {
  const open = answer.calls.filter((call) => call.result == null);
  if (answer.over !== "done" || !open.length || rounds() > MAX_ROUNDS) {
    end(answer, answer.over);
    return;
  }
  const { view, abort } = current;
  for (const call of open) await run(call);
  if (abort.signal.aborted) return;
  answer.state = "done";
  view.end();
  strip.show("done", answer.id);
  ask();
}

/** Run a tool on the server; what goes wrong is the call's result too, for the model to see. */
async function run(call) {
  try {
    const { content, failed } = await post("api/tools", asMade(call));
    Object.assign(call, { result: content, failed });
  } catch (error) {
    Object.assign(call, { result: error.message, failed: true });
  }
}

/** How many answers in a row the last question has had. */
function rounds() {
  return turns.length - 1 - turns.findLastIndex((turn) => turn.role === "user");
}

function fail(answer, error) {
  const name =
    error instanceof Gone ? "Connection lost" : (error.title ?? "The server cannot be reached");
  answer.error = { name, text: error.message };
  end(answer, "error");
}

const ENDINGS = { done: "Answer complete.", stopped: "Stopped.", error: "" }; // an alert tells

function end(answer, state) {
  if (current?.answer !== answer) return;
  const { view } = current;
  answer.state = state;
  current = null;
  view.end();
  announcer.end(ENDINGS[state]);
  strip.show(state, answer.id);
  setBusy(false);
  save();
}

function stop() {
  if (!current) return;
  const { answer, abort } = current;
  if (answer.id) forget(answer);
  end(answer, "stopped");
  abort.abort();
}

/** Have the server cancel the answer. */
function forget(answer) {
  fetch(`api/answers/${answer.id}`, { method: "DELETE", keepalive: true }).catch(() => {});
}

/** Ask again for an answer that failed. */
function retry(answer) {
  if (current) return;
  const index = turns.indexOf(answer);
  turns.splice(index);
  while (log.childElementCount > index) log.lastElementChild.remove();
  home.focus();
  ask();
}

async function post(path, value) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });
  const answer = await response.json();
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.message), { title: answer.error });
}

// ---- the page -------------------------------------------------------------------------------

function setBusy(busy) {
  const left = document.activeElement === at("stop");
  at("send").hidden = busy;
  at("stop").hidden = !busy;
  if (left && !busy) home.focus();
}

/** The message field is as high as its text. */
function fit() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
  at("send").setAttribute("aria-disabled", String(!question.value.trim()));
}

function clear() {
  stop();
  turns = [];
  save();
  log.replaceChildren();
  strip.hide();
  at("empty").hidden = false;
  home.focus();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("millstream-theme", theme);
  nameTheme();
}

function nameTheme() {
  const { theme } = document.documentElement.dataset;
  const name = theme === "auto" ? "automatic" : theme;
  at("theme-button").setAttribute("aria-label", `Theme: ${name}`);
  at("theme-button").title = `Theme: ${name}`;
}

function nextTheme() {
  const now = THEMES.indexOf(document.documentElement.dataset.theme);
  setTheme(THEMES[(now + 1) % THEMES.length]);
}

async function describe() {
  const { model, intro, suggestions } = await (await fetch("api/about")).json();
  at("model").textContent = model;
  at("empty-text").textContent = intro;
  at("suggestions").append(
    ...suggestions.map(({ text, shows }) => {
      const button = element("button");
      button.type = "button";
      button.append(element("b", "", text), element("span", "", shows));
      button.addEventListener("click", () => {
        question.value = text;
        home.focus();
        send();
      });
      const item = element("li");
      item.append(button);
      return item;
    }),
  );
}

/** Show what was kept, and go on with the answer that was coming. */
function restore() {
  const views = turns.map(show);
  const answer = turns.at(-1);
  at("empty").hidden = turns.length > 0;
  if (answer?.role !== "assistant") return;
  if (answer.state !== "streaming") {
    strip.show(answer.state, answer.id);
    return;
  }
  begin(answer, views.at(-1));
  if (answer.id) follow(answer, views.at(-1));
  else fail(answer, new Gone("the page was left before the question had reached the server"));
}

at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
question.addEventListener("input", fit);
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) stop();
});
at("stop").addEventListener("click", () => {
  stop();
  home.focus();
});
at("new").addEventListener("click", clear);
at("theme-button").addEventListener("click", nextTheme);
addEventListener("pagehide", save);

nameTheme();
restore();
fit();
describe();
if (home === question) home.focus();
