// Server-sent events by fetch(), which unlike EventSource can begin behind an event of before.

const TRIES = 6;
const FIRST_PAUSE_MS = 250;

/** The server does not know the answer any more. */
export class Gone extends Error {}

/**
 * The events {id, type, data} behind the one of id `last`. A connection that breaks is made again;
 * the reader stops by `break` when it has seen the event that is the last.
 */
export async function* events(url, last, signal) {
  for (let failed = 0; failed < TRIES; failed++) {
    if (failed) await pause(FIRST_PAUSE_MS * 2 ** failed, signal);
    try {
      for await (const event of connection(url, last, signal)) {
        failed = 0;
        last = event.id || last;
        yield event;
      }
    } catch (error) {
      if (error instanceof Gone || signal.aborted) throw error;
    }
  }
  throw new Gone("the connection to the server was lost");
}

async function* connection(url, last, signal) {
  const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
  const response = await fetch(url, { headers, signal, cache: "no-store" });
  if ([204, 404, 410].includes(response.status)) {
    throw new Gone("the server does not have this answer any more");
  }
  if (!response.ok) throw new Error(`status ${response.status}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let text = "";
    for (let part; !(part = await reader.read()).done;) {
      text += part.value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const event = parse(block);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // the connection ends with its reader
  }
}

function parse(block) {
  const event = { id: "", type: "message", data: "" };
  const data = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (line.startsWith("id:")) event.id = value;
    else if (line.startsWith("event:")) event.type = value;
    else if (line.startsWith("data:")) data.push(value);
  }
  event.data = data.join("\n");
  return data.length ? event : null;
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), {
      once: true,
    });
  });
}
