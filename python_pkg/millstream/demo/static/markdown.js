// Markdown to DOM nodes while it streams: what is complete is built once, only the last block anew.
//
// Nodes are made by createElement and text nodes alone, so that nothing a model says is ever read
// as HTML. Links go to http and https only; a picture is shown as a link to it, for loading one
// would tell its server what was said.
//
// Limits: emphasis and blocks nest 12 deep, what is deeper stays text. The cost of a piece grows
// with the last block, not with the answer; code grows by its new lines alone.

import { copyButton, element } from "./nodes.js";

const MAX_DEPTH = 12;
const MAX_LINK = 2000; // characters of its text, and of its address
const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: +(.*)|)$/;
// An unfinished line of marks alone: what it will be, the next piece tells.
const UNDECIDED = /^[ \t]*(?:[-*+_#>`~|:=]+|\d{1,9}[.)]?)[ \t]*$/;

/** The element of an answer that grows with `append()` and is complete with `end()`. */
export class MarkdownView {
  #root;
  #tail = ""; // the source from the last block on
  #last = []; // the nodes of that block
  #code = null; // the code block that is open

  constructor(root) {
    this.#root = root;
  }

  append(text) {
    this.#tail += text;
    this.#render(false);
  }

  end() {
    this.#render(true);
  }

  #render(ended) {
    for (const node of this.#last) node.remove();
    this.#last = [];
    if (this.#code && !this.#growCode(ended)) return;
    const lines = this.#tail.split("\n");
    const held = !ended && isUndecided(lines.at(-1)) ? lines.pop() : "";
    const blocks = readBlocks(lines, 0);
    const last = ended ? undefined : blocks.at(-1);
    for (const block of blocks) if (block !== last) this.#root.append(block.build(false));
    if (!last) {
      this.#tail = held;
    } else if (last.fence) {
      this.#tail = this.#tail.slice(offsetOf(lines, last.from + 1));
      this.#openCode(last);
    } else {
      this.#tail = this.#tail.slice(offsetOf(lines, last.from));
      this.#last = [last.build(true)];
      this.#root.append(...this.#last);
    }
  }

  /** Code is not built anew for each piece: its lines are added as they are complete. */
  #openCode(block) {
    const { frame, code } = codeBlock(block.language);
    this.#root.append(frame);
    this.#code = { code, fence: block.fence };
    this.#growCode(false);
  }

  /** Move the complete lines of the tail into the open code; whether the code is over. */
  #growCode(ended) {
    const { code, fence } = this.#code;
    let from = 0;
    let over = false;
    for (let end; !over && (end = this.#tail.indexOf("\n", from)) >= 0;) {
      over = closesFence(this.#tail.slice(from, end), fence);
      if (!over) from = end + 1;
    }
    if (from) code.append(this.#tail.slice(0, from));
    this.#tail = this.#tail.slice(from);
    if (over) return this.#closeCode(this.#tail.indexOf("\n") + 1);
    if (ended) {
      if (!closesFence(this.#tail, fence)) code.append(this.#tail);
      return this.#closeCode(this.#tail.length);
    }
    if (!UNDECIDED.test(this.#tail)) {
      this.#last = [document.createTextNode(this.#tail)];
      code.append(...this.#last);
    }
    return false;
  }

  #closeCode(length) {
    this.#code = null;
    this.#tail = this.#tail.slice(length);
    return true;
  }
}

/** Of an unfinished line: whether what it begins is still open. */
function isUndecided(line) {
  return UNDECIDED.test(line) || FENCE.test(line);
}

function offsetOf(lines, index) {
  let offset = 0;
  for (let i = 0; i < index; i++) offset += lines[i].length + 1;
  return offset;
}

// ---- blocks ---------------------------------------------------------------------------------

/** The blocks of lines: {from, to, build(open)}; of the one that is `open` more may come. */
function readBlocks(lines, depth) {
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    if (isBlank(lines[at])) {
      at++;
      continue;
    }
    const block = readBlock(lines, at, depth);
    blocks.push({ from: at, ...block });
    at = block.to;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  if (depth >= MAX_DEPTH) return readParagraph(lines, at);
  return (
    readFence(lines, at) ??
    readHeading(lines, at) ??
    readRule(lines, at) ??
    readQuote(lines, at, depth) ??
    readList(lines, at, depth) ??
    readTable(lines, at) ??
    readParagraph(lines, at)
  );
}

function readFence(lines, at) {
  const opening = FENCE.exec(lines[at]);
  if (!opening) return null;
  const [, closes, language] = opening;
  let to = at + 1;
  while (to < lines.length && !closesFence(lines[to], closes)) to++;
  const closed = to < lines.length;
  const body = lines.slice(at + 1, to).join("\n") + (closed && to > at + 1 ? "\n" : "");
  const build = () => {
    const { frame, code } = codeBlock(language);
    code.append(body);
    return frame;
  };
  return { to: closed ? to + 1 : to, build, fence: closed ? "" : closes, language };
}

function closesFence(line, fence) {
  const mark = line.trim();
  return mark.length >= fence.length && mark === fence[0].repeat(mark.length);
}

function readHeading(lines, at) {
  const heading = HEADING.exec(lines[at]);
  if (!heading) return null;
  const text = withoutClosingMarks(heading[2] ?? "");
  // The page and its turns have the levels above.
  const name = `h${Math.min(6, heading[1].length + 2)}`;
  return { to: at + 1, build: (open) => withInline(name, text, open) };
}

function withoutClosingMarks(text) {
  let end = text.length;
  while (end && " \t".includes(text[end - 1])) end--;
  let mark = end;
  while (mark && text[mark - 1] === "#") mark--;
  return text.slice(0, mark === 0 || " \t".includes(text[mark - 1]) ? mark : end).trimEnd();
}

function readRule(lines, at) {
  return RULE.test(lines[at]) ? { to: at + 1, build: () => element("hr") } : null;
}

function readQuote(lines, at, depth) {
  let to = at;
  const inner = [];
  for (let quoted; to < lines.length && (quoted = QUOTE.exec(lines[to])); to++)
    inner.push(quoted[1]);
  return to === at ? null : { to, build: (open) => withBlocks("blockquote", inner, depth, open) };
}

function readList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  if (!first || first[1].length > 3) return null;
  const ordered = isOrdered(first);
  const items = [];
  let width = 0; // of the indent and mark of the current item
  let loose = false;
  let to = at;
  for (; to < lines.length; to++) {
    const line = lines[to];
    const afterBlank = to > at && isBlank(lines[to - 1]);
    if (isBlank(line)) {
      items.at(-1).push("");
      continue;
    }
    const mark = ITEM.exec(line);
    const indent = indentOf(line);
    if (mark && (to === at || indent < width) && indent < 4 + first[1].length) {
      if (isOrdered(mark) !== ordered || RULE.test(line)) break;
      width = indent + mark[2].length + 1;
      items.push([mark[3] ?? ""]);
    } else if (indent >= Math.min(width, 2)) {
      items.at(-1).push(line.slice(Math.min(indent, width)));
    } else if (!afterBlank && !startsBlock(line)) {
      items.at(-1).push(line);
    } else {
      break;
    }
    loose ||= afterBlank && indent <= width; // what is deeper is another list's
  }
  const build = (open) => {
    const list = element(ordered ? "ol" : "ul");
    if (ordered) list.start = parseInt(first[2], 10);
    items.forEach((item, index) =>
      list.append(buildItem(item, depth, loose, open && index === items.length - 1)),
    );
    return list;
  };
  return { to, build };
}

function buildItem(lines, depth, loose, open) {
  const item = withBlocks("li", lines, depth, open);
  const first = item.firstChild;
  if (!loose && first?.nodeName === "P") first.replaceWith(...first.childNodes);
  return item;
}

function isOrdered(mark) {
  return mark[2].length > 1;
}

function indentOf(line) {
  let indent = 0;
  while (line[indent] === " ") indent++;
  return indent;
}

function readTable(lines, at) {
  if (!lines[at].includes("|") || at + 1 >= lines.length) return null;
  const head = cellsOf(lines[at]);
  const marks = cellsOf(lines[at + 1]);
  if (marks.length !== head.length || !marks.every((mark) => /^:?-+:?$/.test(mark))) return null;
  let to = at + 2;
  while (to < lines.length && !isBlank(lines[to]) && !startsBlock(lines[to])) to++;
  const rows = lines.slice(at + 2, to).map(cellsOf);
  return { to, build: (open) => buildTable(head, marks, rows, open) };
}

function cellsOf(line) {
  const cells = [];
  let cell = "";
  for (let i = 0; i < line.length; i++) {
    if (line[i] === "\\" && line[i + 1] === "|") cell += line[++i];
    else if (line[i] !== "|") cell += line[i];
    else {
      cells.push(cell.trim());
      cell = "";
    }
  }
  cells.push(cell.trim());
  if (cells.length > 1 && cells[0] === "") cells.shift();
  if (cells.length > 1 && cells.at(-1) === "") cells.pop();
  return cells;
}

function buildTable(head, marks, rows, open) {
  const cell = (name, text, column) => {
    const made = withInline(name, text ?? "", open);
    if (name === "th") made.scope = "col";
    if (marks[column].endsWith(":")) made.className = marks[column][0] === ":" ? "middle" : "right";
    return made;
  };
  const row = (name, cells) => {
    const made = element("tr");
    made.append(...head.map((_, column) => cell(name, cells[column], column)));
    return made;
  };
  const thead = element("thead");
  thead.append(row("th", head));
  const tbody = element("tbody");
  tbody.append(...rows.map((cells) => row("td", cells)));
  const table = element("table");
  table.append(thead, tbody);
  const frame = element("div", "table"); // a wide one scrolls, not the page
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", "Table");
  frame.append(table);
  return frame;
}

function readParagraph(lines, at) {
  let to = at + 1;
  while (to < lines.length && !isBlank(lines[to]) && !startsBlock(lines[to])) to++;
  const text = lines
    .slice(at, to)
    .map((line) => line.trimStart())
    .join("\n");
  return { to, build: (open) => withInline("p", text, open) };
}

/** Whether the line ends a paragraph before it. A number does only where it is the first. */
function startsBlock(line) {
  const item = ITEM.exec(line);
  return (
    (item && item[3] && (!isOrdered(item) || parseInt(item[2], 10) === 1)) ||
    FENCE.test(line) ||
    HEADING.test(line) ||
    RULE.test(line) ||
    QUOTE.test(line)
  );
}

function isBlank(line) {
  return line.trim() === "";
}

// ---- inline ---------------------------------------------------------------------------------

const MARK = /[\\`*_~[!<\n]|https?:\/\//g;
const PUNCTUATION = /[!-/:-@[-`{-~]/;

/** Adds text with its marks to a node. */
class Inline {
  #text;
  #open;
  #depth;
  #missing = new Set(); // closers that are not behind here: each is looked for once

  constructor(text, open, depth = 0) {
    this.#text = text;
    this.#open = open; // what is not closed yet may be, so it is shown as if it were
    this.#depth = depth;
  }

  into(parent) {
    const text = this.#text;
    let plain = 0;
    let at = 0;
    while (at < text.length) {
      MARK.lastIndex = at;
      const mark = MARK.exec(text);
      if (!mark) break;
      const found = this.#read(mark[0], mark.index);
      if (!found) {
        at = mark.index + this.#runAt(mark.index);
        continue;
      }
      parent.append(text.slice(plain, mark.index), ...found.nodes);
      at = plain = found.to;
    }
    parent.append(text.slice(plain));
  }

  #read(mark, at) {
    if (this.#depth >= MAX_DEPTH) return null;
    switch (mark) {
      case "\\":
        return this.#escape(at);
      case "\n":
        return this.#text.endsWith("  ", at) ? { nodes: [element("br")], to: at + 1 } : null;
      case "`":
        return this.#code(at);
      case "*":
      case "_":
      case "~":
        return this.#emphasis(at);
      case "[":
        return this.#link(at, at);
      case "!":
        return this.#text[at + 1] === "[" ? this.#link(at, at + 1) : null;
      case "<":
        return this.#angled(at);
      default:
        return this.#address(at);
    }
  }

  #escape(at) {
    const next = this.#text[at + 1];
    if (next === "\n") return { nodes: [element("br")], to: at + 2 };
    return next && PUNCTUATION.test(next) ? { nodes: [next], to: at + 2 } : null;
  }

  #runAt(at) {
    const mark = this.#text[at];
    if (!"`*_~".includes(mark)) return 1;
    let end = at + 1;
    while (this.#text[end] === mark) end++;
    return end - at;
  }

  #code(at) {
    const length = this.#runAt(at);
    const from = at + length;
    const end = this.#closer("`".repeat(length), from, (i) => this.#runAt(i) === length);
    if (end < 0 && !(this.#open && from < this.#text.length)) return null;
    const code = element("code");
    const body = this.#text.slice(from, end < 0 ? undefined : end).replaceAll("\n", " ");
    const padded = body.startsWith(" ") && body.endsWith(" ") && body.trim() !== "";
    code.textContent = padded ? body.slice(1, -1) : body;
    return { nodes: [code], to: end < 0 ? this.#text.length : end + length };
  }

  #emphasis(at) {
    const mark = this.#text[at];
    const run = this.#runAt(at);
    const length = mark === "~" ? 2 : Math.min(run, 2);
    const from = at + length;
    const opens = /\S/.test(this.#text[from] ?? " ") && !(mark === "_" && this.#isWord(at - 1));
    if (run < length || !opens) return null;
    const end = this.#closer(mark.repeat(length), from, (i) => this.#closes(i, length));
    if (end < 0 && !(this.#open && length === 2)) return null;
    const stop = end < 0 ? this.#text.length : end + this.#runAt(end) - length;
    const node = element(mark === "~" ? "del" : length === 2 ? "strong" : "em");
    this.#inner(node, from, Math.max(stop, from), this.#open && end < 0);
    return { nodes: [node], to: end < 0 ? stop : stop + length };
  }

  /** Whether the run at `at` ends an emphasis of that many marks. */
  #closes(at, length) {
    const run = this.#runAt(at);
    if (/\s/.test(this.#text[at - 1])) return false;
    if (this.#text[at] === "_" && this.#isWord(at + run)) return false;
    return length === 1 ? run !== 2 : run >= 2;
  }

  #isWord(at) {
    return /[\p{L}\p{N}]/u.test(this.#text[at] ?? "");
  }

  /** Where `mark` stands behind `from` as the beginning of a run that `fits`; -1: nowhere. */
  #closer(mark, from, fits) {
    if (this.#missing.has(mark)) return -1;
    for (let at = from; (at = this.#text.indexOf(mark, at)) >= 0; at += this.#runAt(at)) {
      if (this.#text[at - 1] === "\\" && mark[0] !== "`") continue;
      if (at > from && fits(at)) return at;
    }
    this.#missing.add(mark);
    return -1;
  }

  #link(at, bracket) {
    const middle = this.#middleOfLink(bracket);
    if (middle < 0) return null;
    const inner = this.#text.lastIndexOf("[", middle);
    if (inner !== bracket && this.#text[inner - 1] !== "!") return null; // the inner one is it
    const end = this.#endOfTarget(middle + 2);
    if (end < 0) return this.#halfLink(bracket, middle);
    const target = this.#text
      .slice(middle + 2, end)
      .trim()
      .split(/\s/, 1)[0];
    return { nodes: this.#anchor(target, bracket + 1, middle), to: end + 1 };
  }

  #middleOfLink(bracket) {
    const middle = this.#text.slice(bracket, bracket + MAX_LINK).indexOf("](");
    return middle < 0 ? -1 : bracket + middle;
  }

  /** The text of a link whose target is still coming. */
  #halfLink(bracket, middle) {
    if (!this.#open || /[\s)]/.test(this.#text.slice(middle))) return null;
    const node = element("span");
    this.#inner(node, bracket + 1, middle, false);
    return { nodes: [node], to: this.#text.length };
  }

  #endOfTarget(from) {
    const last = Math.min(this.#text.length, from + MAX_LINK);
    let depth = 0;
    for (let at = from; at < last && this.#text[at] !== "\n"; at++) {
      if (this.#text[at] === "(") depth++;
      else if (this.#text[at] === ")" && depth-- === 0) return at;
    }
    return -1;
  }

  #anchor(target, from, to) {
    const node = anchor(target.replace(/^<|>$/g, ""));
    this.#inner(node, from, to, false);
    if (!node.textContent) node.textContent = target;
    return [node];
  }

  #angled(at) {
    const end = this.#closer(">", at + 1, () => true);
    const target = end < 0 ? "" : this.#text.slice(at + 1, end);
    if (!/^https?:\/\/\S+$/.test(target)) return null;
    const node = anchor(target);
    node.textContent = target;
    return { nodes: [node], to: end + 1 };
  }

  #address(at) {
    const found = /https?:\/\/[^\s<>"`|*]+/y;
    found.lastIndex = at;
    let target = found.exec(this.#text)?.[0] ?? "";
    while (/[.,;:!?'_~\]]$/.test(target) || (target.endsWith(")") && !target.includes("(")))
      target = target.slice(0, -1);
    if (!/^https?:\/\/./.test(target)) return null;
    const node = anchor(target);
    node.textContent = target;
    return { nodes: [node], to: at + target.length };
  }

  #inner(node, from, to, open) {
    new Inline(this.#text.slice(from, to), open, this.#depth + 1).into(node);
  }
}

/** A link where the address is one of the web; else a plain element. */
function anchor(address) {
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) return element("span");
  const link = element("a");
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

// ---- nodes ----------------------------------------------------------------------------------

function withInline(name, text, open) {
  const made = element(name);
  new Inline(text, open).into(made);
  return made;
}

function withBlocks(name, lines, depth, open) {
  const made = element(name);
  const blocks = readBlocks(lines, depth + 1);
  made.append(...blocks.map((block) => block.build(open && block === blocks.at(-1))));
  return made;
}

/** {frame, code}: a code block with its language and a button that copies what fills `code`. */
function codeBlock(language) {
  const code = element("code");
  const pre = element("pre");
  pre.tabIndex = 0; // so that a wide one can be scrolled by keyboard
  pre.setAttribute("aria-label", "Code");
  pre.setAttribute("role", "group");
  pre.append(code);
  const head = element("div", "code-head");
  head.append(
    element("span", "language", language),
    copyButton("Copy code", () => code.textContent),
  );
  const frame = element("div", "code");
  frame.append(head, pre);
  return { frame, code };
}
