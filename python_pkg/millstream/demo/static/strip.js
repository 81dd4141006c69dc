// The strip under the conversation: what the answer costs, as the server measures it.

const EVERY_MS = 250;
const WINDOW_S = 1; // the rate is that of the last second
const BURST_S = 0.05; // what came all at once has no rate

const STATES = { streaming: "Streaming", done: "Done", stopped: "Stopped", error: "Failed" };

export class Strip {
  #root;
  #timer = 0;
  #samples = [];

  constructor(root) {
    this.#root = root;
  }

  /** Show the figures of the answer of that id, until `show()` says another state. */
  follow(id) {
    this.#samples = [];
    this.show("streaming");
    const ask = async () => {
      await this.#update(id);
      if (this.#timer) this.#timer = setTimeout(ask, EVERY_MS);
    };
    this.#timer = setTimeout(ask, EVERY_MS);
  }

  /** Show a state; with an id the last figures too. */
  async show(state, id = null) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#root.hidden = false;
    this.#root.dataset.state = state;
    this.#put("state", STATES[state]);
    if (id) await this.#update(id);
  }

  hide() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#root.hidden = true;
    for (const name of ["first-chunk", "rate", "gil"]) this.#put(name, "–");
  }

  async #update(id) {
    try {
      const response = await fetch(`api/answers/${id}/figures`);
      if (response.ok) this.#draw(await response.json());
    } catch {
      // the next time will tell; what ends the answer is shown by the answer
    }
  }

  #draw({ first_chunk, total, elapsed, chunks, gil_held }) {
    if (first_chunk == null) return;
    this.#put("first-chunk", `${(first_chunk * 1000).toFixed(0)} ms`);
    const rate = total == null ? this.#rateNow(elapsed, chunks) : chunks / (total - first_chunk);
    const isBurst = (total ?? elapsed) - first_chunk < BURST_S;
    if (!isBurst && Number.isFinite(rate)) this.#put("rate", rate.toFixed(rate < 10 ? 1 : 0));
    const share = (100 * gil_held) / (total ?? elapsed);
    this.#put("gil", `${(gil_held * 1000).toFixed(2)} ms · ${share.toFixed(2)} %`);
  }

  #rateNow(elapsed, chunks) {
    this.#samples.push({ elapsed, chunks });
    while (this.#samples.length > 2 && this.#samples[1].elapsed < elapsed - WINDOW_S) {
      this.#samples.shift();
    }
    const first = this.#samples[0];
    return (chunks - first.chunks) / (elapsed - first.elapsed);
  }

  #put(id, text) {
    this.#root.querySelector(`#${id}`).textContent = text;
  }
}
