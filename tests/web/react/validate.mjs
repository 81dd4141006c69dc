// Reads data lines of an event stream; says which of them the AI SDK's own schema refuses.
import { uiMessageChunkSchema } from "ai";
import { readFileSync } from "node:fs";

const schema = uiMessageChunkSchema();
const lines = readFileSync(0, "utf8").split("\n");
const parts = lines.filter((line) => line.startsWith("data: {")).map((line) => line.slice(6));
for (const part of parts) {
  const { success } = await schema.validate(JSON.parse(part));
  if (!success) console.log(part);
}
console.log(`${parts.length} parts`);
