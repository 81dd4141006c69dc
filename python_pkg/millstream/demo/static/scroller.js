// The conversation follows its end, until the reader scrolls away from it.

const NEAR = 48; // pixels from the end that still count as there

export class Scroller {
  #frame;
  #jump;
  #follows = true;

  /** frame: what scrolls; content: what grows; jump: a button that is shown when the end is off. */
  constructor(frame, content, jump) {
    this.#frame = frame;
    this.#jump = jump;
    frame.addEventListener("scroll", () => this.#set(this.#isAtEnd()), { passive: true });
    new ResizeObserver(() => this.#onGrowth()).observe(content);
    new ResizeObserver(() => this.#onGrowth()).observe(frame); // a keyboard opened on a phone
    jump.addEventListener("click", () => {
      this.toEnd();
      frame.focus({ preventScroll: true }); // the button goes away
    });
  }

  toEnd() {
    this.#set(true);
    this.#frame.scrollTop = this.#frame.scrollHeight;
  }

  #onGrowth() {
    if (this.#follows) this.toEnd();
    else this.#set(this.#isAtEnd());
  }

  #set(follows) {
    this.#follows = follows;
    this.#jump.hidden = follows;
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#frame;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }
}
