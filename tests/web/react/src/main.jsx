// A chat by the AI SDK's useChat as it is: no transport, option or parser of ours.
import { useChat } from "@ai-sdk/react";
import { isToolUIPart, getToolName } from "ai";
import { createRoot } from "react-dom/client";

// ?resume: the conversation has a name, and a reload asks the server for the answer's rest.
const options = location.search === "?resume" ? { id: "one", resume: true } : {};

function Part({ part }) {
  if (part.type === "text") return <p className={`text ${part.state ?? ""}`}>{part.text}</p>;
  if (part.type === "reasoning") return <details open className="reasoning">{part.text}</details>;
  if (part.type.startsWith("data-")) return <pre className="data">{JSON.stringify(part)}</pre>;
  if (!isToolUIPart(part)) return null;
  return (
    <pre className="tool" data-state={part.state}>
      {getToolName(part)} {JSON.stringify(part.input)} {JSON.stringify(part.output)}
    </pre>
  );
}

function Chat() {
  const { messages, sendMessage, addToolOutput, stop, status, error } = useChat(options);
  const call = messages.at(-1)?.parts.find((p) => isToolUIPart(p) && p.state === "input-available");
  const send = (event) => {
    event.preventDefault();
    sendMessage({ text: event.target.question.value });
    event.target.reset();
  };
  const answer = () =>
    addToolOutput({ tool: getToolName(call), toolCallId: call.toolCallId, output: { rain: true } });
  return (
    <main>
      {messages.map((message) => (
        <article key={message.id} className={message.role}>
          {message.parts.map((part, i) => <Part key={i} part={part} />)}
          {message.metadata && <pre className="metadata">{JSON.stringify(message.metadata)}</pre>}
        </article>
      ))}
      <output>{status}</output>
      {error && <p role="alert">{error.message}</p>}
      {call && <button onClick={answer}>Run the tool</button>}
      <form onSubmit={send}>
        <input name="question" aria-label="Question" />
        <button>Send</button>
        <button type="button" onClick={stop}>Stop</button>
      </form>
    </main>
  );
}

createRoot(document.getElementById("root")).render(<Chat />);
