// What a screen reader is told of an answer: whole sentences, not every piece, and how it ended.

const SENTENCE = /[.!?…:](?=\s)|\n/;
const KEPT = 20; // paragraphs: enough that none is removed before it was read
const QUIET_MS = 1200;

export class Announcer {
  #region;
  #pending = "";
  #ready = "";
  #inCode = false;
  #timer = 0;

  /** region: an element with aria-live="polite". */
  constructor(region) {
    this.#region = region;
  }

  /** Take a piece of an answer; its whole sentences are told together, a moment later. */
  append(text) {
    this.#pending += text;
    for (let end; (end = this.#pending.search(SENTENCE)) >= 0;) {
      this.#take(this.#pending.slice(0, end + 1));
      this.#pending = this.#pending.slice(end + 1);
    }
    if (this.#ready && !this.#timer) this.#timer = setTimeout(() => this.#flush(), QUIET_MS);
  }

  /** Tell what is left of the answer, and then `words`. */
  end(words) {
    this.#take(this.#pending);
    this.#pending = "";
    this.#inCode = false;
    this.#ready += ` ${words}`;
    this.#flush();
  }

  #take(line) {
    if (/^\s*(```|~~~)/.test(line)) {
      this.#inCode = !this.#inCode;
      if (this.#inCode) this.#ready += " Code block.";
    } else if (!this.#inCode) {
      this.#ready += line.replace(/[*_`#>|]+|\]\([^)]*\)|\[/g, " ");
    }
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const told = document.createElement("p");
    told.textContent = this.#ready.trim();
    this.#ready = "";
    if (told.textContent) this.#region.append(told);
    while (this.#region.childElementCount > KEPT) this.#region.firstElementChild.remove();
  }
}
