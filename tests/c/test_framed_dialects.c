/*
 * The dialects whose framing is not SSE, through the decoder: streams and what is told of them, in
 * any split; how they end; memory; and the recorded streams where they are at hand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "provider/decoder.h"
#include "provider/dialect.h"
#include "provider/message.h"
#include "provider_log.h"
#include "support.h"

static const mill_limits limits = {.event_bytes = 1 << 20, .json_depth = 64};

/* ---- AWS frames, written as lines ------------------------------------------------------------ */

/*
 * Each line of a stream is a frame:
 *   name payload          an event
 *   !name payload         an exception
 *   ?code message         an error
 *   =document             an event "chunk" that carries the document in base64
 *   ~                     cuts the frame before it by a byte
 */
static struct mill__buf wire;

static void put(struct mill__buf *buf, const void *bytes, size_t len) {
  CHECK_INT(mill__buf_append(buf, bytes, len), MILL_OK);
}

static void put_number(struct mill__buf *buf, size_t number, int n_bytes) {
  for (int i = n_bytes - 1; i >= 0; i--)
    put(buf, &(char){(char)(number >> i * 8)}, 1);
}

static void put_header(struct mill__buf *headers, const char *name, mill_slice value) {
  put_number(headers, strlen(name), 1);
  put(headers, name, strlen(name));
  put_number(headers, 7, 1);
  put_number(headers, value.len, 2);
  put(headers, value.ptr, value.len);
}

static void put_frame(mill_slice headers, mill_slice payload) {
  size_t from = wire.len;
  put_number(&wire, 16 + headers.len + payload.len, 4);
  put_number(&wire, headers.len, 4);
  put_number(&wire, mill__crc32(0, wire.ptr + from, 8), 4);
  put(&wire, headers.ptr, headers.len);
  put(&wire, payload.ptr, payload.len);
  put_number(&wire, mill__crc32(0, wire.ptr + from, wire.len - from), 4);
}

static void put_base64(struct mill__buf *buf, mill_slice bytes) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.len; i += 3) {
    unsigned group = 0;
    for (size_t j = 0; j < 3; j++)
      group = group << 8 | (i + j < bytes.len ? (unsigned char)bytes.ptr[i + j] : 0);
    for (size_t j = 0; j < 4; j++)
      put(buf, i + j > bytes.len ? "=" : &letters[group >> (18 - 6 * j) & 63], 1);
  }
}

static void put_frame_line(mill_slice line) {
  struct mill__buf headers, payload;
  mill__buf_init(&headers, 4096);
  mill__buf_init(&payload, 1 << 20);
  const char sign = line.ptr[0];
  bool marked = strchr("!?=", sign) != NULL;
  const char *space = sign == '=' ? line.ptr : memchr(line.ptr, ' ', line.len);
  CHECK(space != NULL);
  mill_slice name = {line.ptr + marked, (size_t)(space - line.ptr) - (sign != '=' && marked)};
  mill_slice rest = {space + 1, (size_t)(line.ptr + line.len - space) - 1};
  if (sign == '=') {
    name = (mill_slice){"chunk", 5};
    put(&payload, "{\"bytes\":\"", 10);
    put_base64(&payload, rest);
    put(&payload, "\",\"p\":\"ab\"}", 11);
  } else if (sign != '?') {
    put(&payload, rest.ptr, rest.len);
  }
  const char *kind = sign == '!' ? "exception" : sign == '?' ? "error" : "event";
  put_header(&headers, ":message-type", (mill_slice){kind, strlen(kind)});
  put_header(&headers,
             sign == '!'   ? ":exception-type"
             : sign == '?' ? ":error-code"
                           : ":event-type",
             name);
  if (sign == '?')
    put_header(&headers, ":error-message", rest);
  put_frame(mill__buf_slice(&headers), mill__buf_slice(&payload));
  mill__buf_fini(&headers);
  mill__buf_fini(&payload);
}

/* The stream's bytes as they go over the wire; good until the next call. */
static mill_slice wire_of(const char *format, mill_slice text) {
  if (strncmp(format, "bedrock", 7) != 0)
    return text;
  mill__buf_clear(&wire);
  while (text.len > 0) {
    const char *end = memchr(text.ptr, '\n', text.len);
    CHECK(end != NULL);
    mill_slice line = {text.ptr, (size_t)(end - text.ptr)};
    if (line.len == 1 && *line.ptr == '~')
      wire.len--;
    else
      put_frame_line(line);
    text = (mill_slice){end + 1, text.len - line.len - 1};
  }
  return mill__buf_slice(&wire);
}

/* ---- streams and what is told of them -------------------------------------------------------- */

#define TEXT_EVENT(text)                                                                           \
  "contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"" text "\"}}\n"
#define STOP_EVENT(word) "messageStop {\"stopReason\":\"" word "\"}\n"
#define USAGE_JSON "{\"inputTokens\":3,\"outputTokens\":2,\"cacheReadInputTokens\":1}"
#define METADATA_EVENT "metadata {\"usage\":" USAGE_JSON "}\n"
#define METRICS                                                                                    \
  "\"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\":3,\"outputTokenCount\":2}"
#define METRICS_LOG "usage/3/2/-/-/{\"inputTokenCount\":3,\"outputTokenCount\":2}"

static const struct {
  const char *name, *format;
  mill_slice stream;
  const char *log;
} streams[] = {
    {"a chat",
     "ollama-chat",
     {BYTES(
         "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":false}\n"
         "{\"message\":{\"content\":\"Hi\",\"thinking\":\"hm\"}}\r\n\n"
         "{\"message\":{\"content\":\"!\"},\"done\":true,\"done_reason\":\"stop\","
         "\"prompt_eval_count\":3,\"eval_count\":2}\nnot read")},
     "- model:m role:assistant other0\n- reasoning0=hm text0=Hi\n"
     "- text0=! finish0=stop:stop usage/3/2/-/-/{\"message\":{\"content\":\"!\"},\"done\":true,"
     "\"done_reason\":\"stop\",\"prompt_eval_count\":3,\"eval_count\":2}\ncomplete"},
    {"tool calls are whole",
     "ollama-chat",
     {BYTES("{\"message\":{\"content\":\"a\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
            "\"arguments\":{\"x\": [1]}}},{\"id\":\"i\",\"function\":{\"index\":0,\"name\":\"g\","
            "\"arguments\":\"{}\"}}]}}\n"
            "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"h\",\"arguments\":{}}}]}}\n"
            "{\"done\":true,\"done_reason\":\"stop\"}")},
     "- text0=a tool0.0<,f>={\"x\": [1]} tool0.1<i,g>={}\n- tool0.2<,h>={}\n"
     "- finish0=tool_calls:stop\ncomplete"},
    {"other reasons, and none",
     "ollama-generate",
     {BYTES("{\"response\":\"a\",\"thinking\":\"b\",\"done\":true,\"done_reason\":\"length\"}\n")},
     "- reasoning0=b text0=a finish0=length:length\ncomplete"},
    {"a model is loaded",
     "ollama-generate",
     {BYTES("{\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}\n")},
     "- finish0=other:load\ncomplete"},
    {"an old server",
     "ollama-generate",
     {BYTES("{\"response\":\"a\",\"done\":true}\n")},
     "- text0=a\ncomplete"},
    {"an error",
     "ollama-chat",
     {BYTES("{\"message\":{\"content\":\"a\"}}\n{\"error\":\"the runner died\"}\n")},
     "- text0=a\n-\nprovider error 0 : the runner died"},
    {"an error with a status",
     "ollama-chat",
     {BYTES("{\"error\":\"too many\",\"status_code\":429}")},
     "-\nprovider error 429 : too many"},
    {"cut between lines",
     "ollama-chat",
     {BYTES("{\"message\":{\"content\":\"a\"}}\n")},
     "- text0=a\ninterrupted"},
    {"cut in a line",
     "ollama-chat",
     {BYTES("{\"message\":{\"content\":\"a\"}}\n{\"message\":{\"content\":\"b\"},\"done\":tru")},
     "- text0=a\ninterrupted"},
    {"an error glued onto a line that was cut",
     "ollama-chat",
     {BYTES("{\"message\":{\"content\":\"a{\"error\":\"died\"}")},
     "provider error 0 : died"},
    {"a line that is no JSON",
     "ollama-chat",
     {BYTES("{\"message\":{\"content\":\"a\"}}\n<html>\n")},
     "- text0=a\nprotocol error at 28"},
    {"an empty body", "ollama-chat", {BYTES("")}, "interrupted"},
    {"a pair cut between two lines",
     "ollama-generate",
     {BYTES("{\"response\":\"a\\ud83d\"}\n{\"response\":\"\\ude00\"}\n"
            "{\"response\":\"\\ud83d\",\"done\":true}\n")},
     "- text0=a\n- text0=\xF0\x9F\x98\x80\n- text0=\xEF\xBF\xBD\ncomplete"},
    {"wrong shapes",
     "ollama-chat",
     {BYTES(
         "7\n[]\nnull\n{\"message\":\"x\"}\n{\"message\":[{\"content\":\"x\"}]}\n"
         "{\"message\":{\"content\":{\"a\":1},\"tool_calls\":{\"function\":1}},\"done\":\"true\"}\n"
         "{\"message\":{\"tool_calls\":[[{\"function\":{\"name\":\"f\"}}],1,{\"function\":[]},"
         "{\"function\":{\"name\":7,\"arguments\":7}}]},\"prompt_eval_count\":\"3\"}\n")},
     "- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n- other0\ninterrupted"},

    {"a chat",
     "cohere-v1-chat",
     {BYTES("{\"event_type\":\"stream-start\",\"generation_id\":\"g\"}\n"
            "{\"text\":\"Ar\",\"is_finished\":false,\"event_type\":\"text-generation\"}\n"
            "{\"event_type\":\"citation-generation\",\"citations\":[{\"text\":\"no\"}]}\n"
            "{\"event_type\":\"stream-end\",\"finish_reason\":\"COMPLETE\",\"is_finished\":true,"
            "\"response\":{\"text\":\"Ar\",\"meta\":{\"billed_units\":{\"input_tokens\":7,"
            "\"output_tokens\":5},\"tokens\":{\"input_tokens\":9,\"output_tokens\":6}}}}\n")},
     "- id:g other0\n- text0=Ar\n- other0\n- finish0=stop:COMPLETE usage/9/6/-/-/{\"billed_units\":"
     "{\"input_tokens\":7,\"output_tokens\":5},\"tokens\":{\"input_tokens\":9,\"output_tokens\":6}}"
     "\ncomplete"},
    {"what is billed counts alone, and does not count behind",
     "cohere-v1-generate",
     {BYTES(
         "{\"event_type\":\"x\",\"response\":{\"meta\":{\"billed_units\":{\"input_tokens\":7}}}}\n"
         "{\"is_finished\":true,\"response\":{\"meta\":{\"tokens\":{\"input_tokens\":9},"
         "\"billed_units\":{\"input_tokens\":7,\"output_tokens\":5}}}}\n")},
     "- usage/7/-/-/-/{\"billed_units\":{\"input_tokens\":7}}\n"
     "- usage/9/5/-/-/{\"tokens\":{\"input_tokens\":9},\"billed_units\":{\"input_tokens\":7,"
     "\"output_tokens\":5}}\ncomplete"},
    {"several generations",
     "cohere-v1-generate",
     {BYTES("{\"event_type\":\"text-generation\",\"text\":\"a\",\"index\":0}\n"
            "{\"event_type\":\"text-generation\",\"text\":\"b\",\"index\":1}\n"
            "{\"event_type\":\"stream-end\",\"finish_reason\":\"MAX_TOKENS\"}\n")},
     "- text0=a\n- text1=b\n- finish0=length:MAX_TOKENS\ncomplete"},
    {"tool calls in pieces, said again whole",
     "cohere-v1-chat",
     {BYTES(
         "{\"event_type\":\"tool-calls-chunk\",\"text\":\"I will\"}\n"
         "{\"event_type\":\"tool-calls-chunk\",\"tool_call_delta\":{\"index\":0,\"name\":\"f\"}}\n"
         "{\"event_type\":\"tool-calls-chunk\",\"tool_call_delta\":{\"index\":0,\"parameters\":"
         "\"{\\\"a\"}}\n"
         "{\"event_type\":\"tool-calls-chunk\",\"tool_call_delta\":{\"index\":1,\"name\":\"f\"}}\n"
         "{\"event_type\":\"tool-calls-chunk\",\"tool_call_delta\":{\"parameters\":\"\\\":1}\"}}\n"
         "{\"event_type\":\"tool-calls-generation\",\"text\":\"I will\",\"tool_calls\":[{\"name\":"
         "\"f\",\"parameters\":{\"a\":1}}]}\n"
         "{\"event_type\":\"stream-end\",\"finish_reason\":\"TOOL_CALL\"}\n")},
     "- reasoning0=I will\n- tool0.0<,f>=\n- tool0.0<,>={\"a\n- tool0.1<,f>=\n- tool0.0<,>=\":1}\n"
     "- other0\n- finish0=tool_calls:TOOL_CALL\ncomplete"},
    {"tool calls whole",
     "cohere-v1-chat",
     {BYTES(
         "{\"event_type\":\"tool-calls-generation\",\"tool_calls\":[{\"name\":\"f\",\"parameters\":"
         "{\"a\": 1}},{\"name\":\"f\",\"parameters\":{}}]}\n"
         "{\"event_type\":\"stream-end\",\"finish_reason\":\"COMPLETE\"}\n")},
     "- tool0.0<,f>={\"a\": 1} tool0.1<,f>={}\n- finish0=tool_calls:COMPLETE\ncomplete"},
    {"finish words",
     "cohere-v1-chat",
     {BYTES("{\"finish_reason\":\"ERROR_TOXIC\",\"is_finished\":true}\n")},
     "- finish0=content_filter:ERROR_TOXIC\ncomplete"},
    {"an error",
     "cohere-v1-chat",
     {BYTES("{\"message\":\"invalid api token\"}")},
     "-\nprovider error 0 : invalid api token"},
    {"a generation that failed",
     "cohere-v1-generate",
     {BYTES("{\"event_type\":\"text-generation\",\"text\":\"a\"}\n"
            "{\"event_type\":\"stream-error\",\"err\":\"broken\"}\n")},
     "- text0=a\n-\nprovider error 0 : broken"},
    {"one that ended by it",
     "cohere-v1-chat",
     {BYTES(
         "{\"event_type\":\"stream-end\",\"finish_reason\":\"TIMEOUT\",\"is_finished\":true}\n")},
     "- finish0=other:TIMEOUT\nprovider error 504 TIMEOUT: "},
    {"a message in an event is none",
     "cohere-v1-chat",
     {BYTES("{\"event_type\":\"debug\",\"message\":\"x\"}\n")},
     "- other0\ninterrupted"},
    {"no end",
     "cohere-v1-chat",
     {BYTES("{\"event_type\":\"text-generation\",\"text\":\"a\"}\n")},
     "- text0=a\ninterrupted"},

    {"an answer",
     "bedrock-converse",
     {BYTES("messageStart {\"role\":\"assistant\"}\n"
            "contentBlockDelta {\"delta\":{\"reasoningContent\":{\"text\":\"hm\"}}}\n"
            "contentBlockDelta {\"delta\":{\"reasoningContent\":{\"signature\":\"s\"}}}\n"
            "contentBlockDelta {\"delta\":{\"reasoningContent\":{\"redactedContent\":\"cg==\"}}}\n"
            "contentBlockDelta "
            "{\"delta\":{\"reasoningContent\":{\"signature\":{\"a\":\"no\"}}}}\n" TEXT_EVENT(
                "Hi") "contentBlockStop {\"contentBlockIndex\":0}\n" STOP_EVENT("end_turn")
                METADATA_EVENT TEXT_EVENT("not read"))},
     "- role:assistant other0\n- reasoning0=hm\n- reasoning0<s>=\n- reasoning0<cg==>=\n- other0\n- "
     "text0=Hi\n- other0\n"
     "- finish0=stop:end_turn\n- usage/3/2/-/1/" USAGE_JSON "\ncomplete"},
    {"tool calls, those of the server passed over",
     "bedrock-converse",
     {BYTES(
         "contentBlockStart {\"contentBlockIndex\":0,\"start\":{\"toolUse\":{\"toolUseId\":\"s\","
         "\"name\":\"search\",\"type\":\"server_tool_use\"}}}\n"
         "contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"toolUse\":{\"input\":\"no\"}}}\n"
         "contentBlockStop {\"contentBlockIndex\":0}\n"
         "contentBlockStart {\"contentBlockIndex\":2,\"start\":{\"toolUse\":{\"toolUseId\":\"i\","
         "\"name\":\"f\"}}}\n"
         "contentBlockDelta "
         "{\"contentBlockIndex\":2,\"delta\":{\"toolUse\":{\"input\":\"{\\\"a\"}}}\n"
         "contentBlockDelta "
         "{\"delta\":{\"toolUse\":{\"input\":\"\\\":1}\"}},\"contentBlockIndex\":2}\n"
         "contentBlockStop {\"contentBlockIndex\":2}\n"
         "contentBlockStart {\"contentBlockIndex\":3,\"start\":{\"toolUse\":{\"toolUseId\":\"j\","
         "\"name\":\"g\"}}}\n"
         "contentBlockStop {\"contentBlockIndex\":3}\n" STOP_EVENT("tool_use"))},
     "- other0\n- other0\n- other0\n- tool0.0<i,f>=\n- tool0.0<,>={\"a\n- tool0.0<,>=\":1}\n- "
     "other0\n"
     "- tool0.1<j,g>=\n- tool0.1<,>={}\n- finish0=tool_calls:tool_use\ncomplete"},
    {"finish words",
     "bedrock-converse",
     {BYTES(STOP_EVENT("max_tokens"))},
     "- finish0=length:max_tokens\ncomplete"},
    {"a guardrail",
     "bedrock-converse",
     {BYTES(STOP_EVENT("guardrail_intervened"))},
     "- finish0=content_filter:guardrail_intervened\ncomplete"},
    {"no reason to stop",
     "bedrock-converse",
     {BYTES(TEXT_EVENT("a") METADATA_EVENT)},
     "- text0=a\n- usage/3/2/-/1/" USAGE_JSON "\ninterrupted"},
    {"the last frame cut by a byte",
     "bedrock-converse",
     {BYTES(TEXT_EVENT("a") STOP_EVENT("end_turn") "~\n")},
     "- text0=a\ninterrupted"},
    {"the counts cut by a byte",
     "bedrock-converse",
     {BYTES(TEXT_EVENT("a") STOP_EVENT("end_turn") METADATA_EVENT "~\n")},
     "- text0=a\n- finish0=stop:end_turn\ninterrupted"},
    {"an exception",
     "bedrock-converse",
     {BYTES(TEXT_EVENT("a") "!throttlingException {\"message\":\"slow down\"}\n")},
     "- text0=a\n-\nprovider error 429 throttlingException: slow down"},
    {"an exception without JSON",
     "bedrock-converse",
     {BYTES("!internalServerException oh \xFF\n")},
     "-\nprovider error 500 internalServerException: oh \xEF\xBF\xBD"},
    {"an exception without words",
     "bedrock-converse",
     {BYTES("!validationException \n")},
     "-\nprovider error 400 validationException: "},
    {"an exception of another shape",
     "bedrock-converse",
     {BYTES("!accessDeniedException {\"Reason\":7}\n")},
     "-\nprovider error 403 accessDeniedException: {\"Reason\":7}"},
    {"an exception that nobody knows",
     "bedrock-converse",
     {BYTES("!oddException {\"message\":\"m\"}\n")},
     "-\nprovider error 0 oddException: m"},
    {"an error of the service",
     "bedrock-converse",
     {BYTES("?InternalError it broke\n")},
     "-\nprovider error 0 InternalError: it broke"},
    {"a message in an event is no error",
     "bedrock-converse",
     {BYTES("note {\"message\":\"m\"}\n" STOP_EVENT("end_turn"))},
     "- other0\n- finish0=stop:end_turn\ncomplete"},
    {"an event that is no JSON",
     "bedrock-converse",
     {BYTES("contentBlockDelta {\"delta\n")},
     "protocol error at 66"},
    {"wrong shapes",
     "bedrock-converse",
     {BYTES(
         "contentBlockDelta {\"delta\":\"x\"}\ncontentBlockDelta {\"delta\":{\"text\":{}}}\n"
         "contentBlockStart {\"start\":{\"toolUse\":[]}}\n"
         "contentBlockDelta {\"delta\":{\"toolUse\":{\"input\":\"x\"}}}\nmetadata {\"usage\":7}\n"
         "messageStop {\"stopReason\":7}\nmessageStop [\"stopReason\"]\nx 7\nx \n")},
     "- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n"
     "interrupted"},

    {"Titan",
     "bedrock-invoke",
     {BYTES("={\"outputText\":\"a\",\"index\":0.0,\"completionReason\":null}\n"
            "={\"outputText\":\"b\",\"completionReason\":\"FINISH\"," METRICS "}\n=not read\n")},
     "- text0=a\n- text0=b finish0=stop:FINISH " METRICS_LOG "\ncomplete"},
    {"Llama",
     "bedrock-invoke",
     {BYTES("={\"generation\":\"a\",\"stop_reason\":null}\n"
            "={\"generation\":\"\",\"stop_reason\":\"length\"," METRICS "}\n")},
     "- text0=a\n- finish0=length:length " METRICS_LOG "\ncomplete"},
    {"Mistral, with a finish reason only",
     "bedrock-invoke",
     {BYTES("={\"outputs\":[{\"text\":\"a\",\"stop_reason\":null}]}\n"
            "={\"outputs\":[{\"text\":\"b\",\"stop_reason\":\"stop\"}]}\n")},
     "- text0=a\n- text0=b finish0=stop:stop\ncomplete"},
    {"Cohere",
     "bedrock-invoke",
     {BYTES("={\"index\":0,\"is_finished\":false,\"text\":\"a\"}\n"
            "={\"finish_reason\":\"MAX_TOKENS\",\"is_finished\":true," METRICS "}\n")},
     "- text0=a\n- finish0=length:MAX_TOKENS " METRICS_LOG "\ncomplete"},
    {"Claude",
     "bedrock-invoke",
     {BYTES(
         "={\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"role\":\"assistant\",\"usage\":{"
         "\"input_tokens\":3,\"output_tokens\":1}}}\n"
         "={\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
         "\"text\":\"a\"}}\n"
         "={\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n"
         "={\"type\":\"message_stop\"," METRICS "}\n")},
     "- id:i role:assistant usage/3/1/-/-/{\"input_tokens\":3,\"output_tokens\":1}\n- text0=a\n"
     "- finish0=stop:end_turn\n- " METRICS_LOG "\ncomplete"},
    {"Nova",
     "bedrock-invoke",
     {BYTES("={\"messageStart\":{\"role\":\"assistant\"}}\n"
            "={\"contentBlockDelta\":{\"delta\":{\"text\":\"a\"},\"contentBlockIndex\":0}}\n"
            "={\"contentBlockStart\":{\"start\":{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\"}},"
            "\"contentBlockIndex\":1}}\n"
            "={\"contentBlockStop\":{\"contentBlockIndex\":1}}\n"
            "={\"messageStop\":{\"stopReason\":\"tool_use\"}}\n"
            "={\"metadata\":{\"usage\":" USAGE_JSON "}}\n")},
     "- role:assistant other0\n- text0=a\n- tool0.0<t,f>=\n- tool0.0<,>={}\n"
     "- finish0=tool_calls:tool_use\n- usage/3/2/-/1/" USAGE_JSON "\ncomplete"},
    {"models that speak as OpenAI's",
     "bedrock-invoke",
     {BYTES("={\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n"
            "={\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]," METRICS "}\n")},
     "- id:c text0=a\n- finish0=stop:stop " METRICS_LOG "\ncomplete"},
    {"a model that nobody knows",
     "bedrock-invoke",
     {BYTES("={\"said\":\"a\"}\n")},
     "- other0\ninterrupted"},
    {"a half pair held at the end",
     "bedrock-invoke",
     {BYTES("={\"generation\":\"\\ud83d\"}\n={" METRICS "}\n")},
     "- other0\n- text0=\xEF\xBF\xBD " METRICS_LOG "\ncomplete"},
    {"an exception",
     "bedrock-invoke",
     {BYTES("!modelTimeoutException {\"message\":\"too slow\"}\n")},
     "-\nprovider error 408 modelTimeoutException: too slow"},
    {"what it carries is no JSON",
     "bedrock-invoke",
     {BYTES("={\"generation\":\"a\"}\n={\"generation\"\n")},
     "- text0=a\nprotocol error at 157"},
    {"no base64",
     "bedrock-invoke",
     {BYTES("chunk {\"bytes\":\"&&&&\"}\n")},
     "protocol error at 54"},
    {"nothing is carried",
     "bedrock-invoke",
     {BYTES("chunk {}\nchunk {\"bytes\":7}\nchunk \n=\n")},
     "- other0\n- other0\n- other0\nprotocol error at 241"},

    {"an answer",
     "gemini-json-array",
     {BYTES("[{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"]\\\"\"}]}}]"
            "}\n,"
            "\r\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":"
            "\"STOP\"}]}]\n")},
     "- role:model text0=]\"\n- text0=b finish0=stop:STOP\ncomplete"},
    {"the enumeration's numbers",
     "gemini-json-array",
     {BYTES("[{\"candidates\":[{\"finishReason\":1}]}]")},
     "- finish0=stop:1\ncomplete"},
    {"a finish reason, but the array is cut",
     "gemini-json-array",
     {BYTES("[{\"candidates\":[{\"finishReason\":\"STOP\"}]}\n")},
     "- finish0=stop:STOP\ninterrupted"},
    {"cut in an element",
     "gemini-json-array",
     {BYTES("[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]},{\"candidates\":[{"
            "\"finishReason\":\"STOP\"}]")},
     "- text0=a\ninterrupted"},
    {"an empty array", "gemini-json-array", {BYTES("[]")}, "interrupted"},
    {"an error in the array",
     "gemini-json-array",
     {BYTES("[{\"error\":{\"code\":429,\"message\":\"slow\",\"status\":\"RESOURCE_EXHAUSTED\"}}]")},
     "-\nprovider error 429 RESOURCE_EXHAUSTED: slow"},
    {"an error in place of the array",
     "gemini-json-array",
     {BYTES("{\"error\":{\"code\":400,\"message\":\"bad\"}}")},
     "-\nprovider error 400 : bad"},
    {"an element that is no JSON",
     "gemini-json-array",
     {BYTES("[{},{x}]")},
     "- other0\nprotocol error at 4"},
    {"no array", "gemini-json-array", {BYTES(" <html>")}, "protocol error at 1"},
    {"elements of wrong shapes",
     "gemini-json-array",
     {BYTES("[1,\"a\",[],{\"candidates\":{}},null]")},
     "- other0\n- other0\n- other0\n- other0\n- other0\ninterrupted"},
};
enum { N_STREAMS = sizeof streams / sizeof *streams };

/* Feed a piece, resumed after every pause. */
static int feed_piece(struct mill__decoder *decoder, const char *piece, size_t len) {
  for (;;) {
    size_t consumed = SIZE_MAX;
    int rc = mill__decoder_feed(decoder, piece, len, &consumed);
    CHECK(consumed <= len);
    if (rc != MILL_AGAIN)
      return rc;
    piece += consumed;
    len -= consumed;
  }
}

static void check_stream(size_t i, struct test_pieces *pieces, int answer) {
  static struct test_log log;
  struct mill__decoder *decoder = test_log_open(&log, streams[i].format, &limits);
  log.answer = answer;
  const char *piece;
  size_t len;
  int rc = MILL_OK;
  while (rc == MILL_OK && (piece = test_next_piece(pieces, &len)) != NULL)
    rc = feed_piece(decoder, piece, len);
  int end = mill__decoder_finish(decoder);
  CHECK(rc == MILL_OK || rc == end);
  CHECK_INT(mill__decoder_finish(decoder), end);
  test_log_end(&log, decoder, end);
  CHECK_BYTES(log.text, log.len, streams[i].log, strlen(streams[i].log));
  mill__decoder_free(decoder);
}

static void test_streams(void) {
  for (size_t i = 0; i < N_STREAMS; i++) {
    const mill_slice bytes = wire_of(streams[i].format, streams[i].stream);
    for (int pause = 0; pause <= 1; pause++) {
      struct test_pieces pieces = {.bytes = bytes.ptr, .len = bytes.len};
      while (test_next_run(&pieces)) {
        test_case("%s: %s, %s, %s", streams[i].format, streams[i].name, test_run_name(&pieces),
                  pause ? "pausing" : "not pausing");
        check_stream(i, &pieces, pause ? MILL_AGAIN : MILL_OK);
      }
    }
  }
  test_case("%s", "");
}

/* ---- errors, limits, memory ------------------------------------------------------------------ */

static const struct {
  const char *format, *body, *message;
  int status;
} error_bodies[] = {
    {"ollama-chat", "{\"error\":\"model not found\"}", "model not found", 0},
    {"cohere-v1-chat", "{\"message\":\"invalid\"}", "invalid", 0},
    {"bedrock-converse", "{\"message\":\"no access\"}", "no access", 0},
    {"bedrock-invoke", "{\"message\":\"no access\"}", "no access", 0},
    {"gemini-json-array", "[{\n  \"error\": {\"code\": 404, \"message\": \"no model\"}\n}\n]",
     "no model", 404},
    {"gemini-json-array", "{\"error\": {\"code\": 404, \"message\": \"no model\"}}", "no model",
     404},
    {"ollama-chat", "{\"message\":{\"content\":\"x\"}}", NULL, 0},
    {"bedrock-converse", "{\"role\":\"assistant\"}", NULL, 0},
    {"bedrock-invoke", "<html>", NULL, 0},
};

static void test_error_bodies(void) {
  for (size_t i = 0; i < sizeof error_bodies / sizeof *error_bodies; i++) {
    test_case("error body %zu", i);
    struct mill__provider_error error = {.seen = false};
    mill__buf_init(&error.message, 1000);
    mill__buf_init(&error.kind, 1000);
    const char *body = error_bodies[i].body, *message = error_bodies[i].message;
    bool found = mill__dialect_error_body(mill__dialect_find(error_bodies[i].format), body,
                                          strlen(body), &error);
    CHECK_INT(found, message != NULL);
    if (found)
      CHECK_BYTES(error.message.ptr, error.message.len, message, strlen(message));
    CHECK_INT(error.status, error_bodies[i].status);
    mill__buf_fini(&error.message);
    mill__buf_fini(&error.kind);
  }
  test_case("%s", "");
}

/* The document that an event carries has the limits of any other. */
static void test_inner_limits(void) {
  static const struct {
    const char *stream;
    int result;
  } cases[] = {{"={\"a\":[[1]],\"generation\":\"x\"}\n", MILL_OK},
               {"={\"a\":[[[1]]],\"generation\":\"x\"}\n", MILL_E_LIMIT}};
  const mill_limits shallow = {.event_bytes = 1000, .json_depth = 3};
  static struct test_log log;
  for (size_t i = 0; i < 2; i++) {
    const char *text = cases[i].stream;
    const mill_slice bytes = wire_of("bedrock-invoke", (mill_slice){text, strlen(text)});
    struct mill__decoder *decoder = test_log_open(&log, "bedrock-invoke", &shallow);
    CHECK_INT(feed_piece(decoder, bytes.ptr, bytes.len), cases[i].result);
    mill__decoder_free(decoder);
  }
}

/* A stream whose models change: each document is read by its own dialect. */
static void test_models_change(void) {
  static struct test_log log;
  static const char text[] =
      "={\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n"
      "={\"contentBlockDelta\":{\"delta\":{\"text\":\"b\"}}}\n"
      "={\"generation\":\"c\"}\n"
      "={\"choices\":[{\"delta\":{\"content\":\"d\"}}]}\n";
  const mill_slice bytes = wire_of("bedrock-invoke", (mill_slice){BYTES(text)});
  struct mill__decoder *decoder = test_log_open(&log, "bedrock-invoke", &limits);
  CHECK_INT(feed_piece(decoder, bytes.ptr, bytes.len), MILL_OK);
  log.text[log.len] = '\0';
  CHECK_STR(log.text, "- text0=a\n- text0=b\n- text0=c\n- text0=d\n");
  mill__decoder_free(decoder);
}

struct starved {
  const char *format;
  mill_slice bytes;
  int result; /* with enough memory */
};

static int run_halves(const struct starved *starved) {
  static struct test_log log;
  struct mill__decoder *decoder = test_log_open(&log, starved->format, &limits);
  if (decoder == NULL)
    return MILL_E_NOMEM;
  const size_t half = starved->bytes.len / 2;
  int rc = feed_piece(decoder, starved->bytes.ptr, half);
  if (rc == MILL_OK)
    rc = feed_piece(decoder, starved->bytes.ptr + half, starved->bytes.len - half);
  if (rc == MILL_OK)
    rc = mill__decoder_finish(decoder);
  mill__decoder_free(decoder);
  return rc;
}

static void run_starved(void *ctx) {
  const struct starved *starved = ctx;
  int rc = run_halves(starved);
  CHECK(rc == MILL_E_NOMEM ? test_alloc_failed() : rc == starved->result);
}

static void test_out_of_memory(void) {
  for (size_t i = 0; i < N_STREAMS; i++) {
    const mill_slice bytes = wire_of(streams[i].format, streams[i].stream);
    struct starved starved = {streams[i].format, bytes, MILL_OK};
    starved.result = run_halves(&starved); /* compiles the tables too, which are kept */
    test_each_failing_allocation(run_starved, &starved);
  }
}

/* ---- recorded streams ------------------------------------------------------------------------ */

static const char *const recorded_apis[] = {
    "ollama-chat",      "ollama-generate", "cohere-v1-chat",   "cohere-v1-generate",
    "bedrock-converse", "bedrock-invoke",  "gemini-json-array"};

struct answer {
  struct mill__message message;
  size_t n_events;
  bool finished;
};

static int on_recorded(void *ctx, const mill_event *event, const struct mill__meta *meta,
                       const struct mill__delta *deltas, size_t n_deltas) {
  struct answer *answer = ctx;
  answer->n_events++;
  for (size_t i = 0; i < n_deltas; i++) {
    const struct mill__delta *delta = &deltas[i];
    const mill_chunk chunk = {.type = delta->type,
                              .choice = delta->choice,
                              .text = delta->text,
                              .signature = delta->signature,
                              .tool_index = delta->tool_index,
                              .tool_id = delta->tool_id,
                              .tool_name = delta->tool_name,
                              .finish = delta->finish,
                              .finish_raw = delta->finish_raw,
                              .usage = delta->usage};
    answer->finished |= delta->type == MILL_CHUNK_FINISH;
    CHECK_INT(mill__message_add(&answer->message, &chunk), MILL_OK);
  }
  return MILL_OK;
}

static struct mill__decoder *open_recording(struct answer *answer, const char *api) {
  *answer = (struct answer){.n_events = 0};
  mill__message_init(&answer->message);
  struct mill__decoder *decoder;
  const struct mill__sink sink = {.event = on_recorded, .ctx = answer};
  CHECK_INT(mill__decoder_new(mill__dialect_find(api), &limits, &sink, &decoder), MILL_OK);
  return decoder;
}

/* Characters: texts above a length are given by it only. */
static size_t n_characters(mill_slice text) {
  size_t n = 0;
  for (size_t i = 0; i < text.len; i++)
    n += (text.ptr[i] & 0xC0) != 0x80;
  return n;
}

static void check_text(mill_slice text, const struct json *expected, const char *key) {
  char len_key[32];
  snprintf(len_key, sizeof len_key, "%s_len", key);
  CHECK_INT(n_characters(text), json_need(expected, len_key, JSON_NUMBER)->number);
  const struct json *whole = json_get(expected, key);
  if (whole != NULL)
    CHECK_BYTES(text.ptr, text.len, whole->text, whole->len);
}

static void check_finish(mill_slice word, const struct json *expected) {
  const struct json *finish = json_get(expected, "finish");
  if (finish == NULL) {
    CHECK_INT(word.len, 0);
  } else if (finish->type == JSON_STRING) {
    CHECK_BYTES(word.ptr, word.len, finish->text, finish->len);
  } else {
    int64_t number;
    CHECK(mill__json_int64(word, &number));
    CHECK_INT(number, finish->number);
  }
}

static void check_usage(const mill_message *message, const struct json *expected) {
  const struct json *usage = json_get(expected, "usage");
  CHECK_INT(message->has_usage, usage != NULL);
  if (usage == NULL)
    return;
  CHECK_INT(message->usage.input_tokens, json_need(usage, "input_tokens", JSON_NUMBER)->number);
  CHECK_INT(message->usage.output_tokens, json_need(usage, "output_tokens", JSON_NUMBER)->number);
}

static void check_tools(const mill_choice *choice, const struct json *expected) {
  const struct json *tool = json_need(expected, "tool_calls", JSON_ARRAY)->child;
  size_t i = 0;
  for (; tool != NULL; tool = tool->next, i++) {
    CHECK(i < choice->n_tool_calls);
    const struct json *name = json_need(tool, "name", JSON_STRING);
    const struct json *arguments = json_get(tool, "arguments");
    const mill_tool_call *call = &choice->tool_calls[i];
    CHECK_BYTES(call->name.ptr, call->name.len, name->text, name->len);
    if (arguments != NULL)
      CHECK_BYTES(call->arguments.ptr, call->arguments.len, arguments->text, arguments->len);
    else
      CHECK(call->arguments.len >= 2 && call->arguments.ptr[0] == '{');
  }
  CHECK_INT(choice->n_tool_calls, i);
}

static void check_answer(struct answer *answer, const struct json *expected) {
  static const mill_choice nothing = {.index = 0};
  mill_message message;
  CHECK_INT(mill__message_view(&answer->message, &message), MILL_OK);
  const mill_choice *choice = message.n_choices > 0 ? message.choices : &nothing;
  check_text(choice->text, expected, "text");
  check_text(choice->reasoning, expected, "reasoning");
  check_finish(choice->finish_raw, expected);
  check_usage(&message, expected);
  check_tools(choice, expected);
  CHECK_INT(answer->n_events, json_need(expected, "n_events", JSON_NUMBER)->number);
}

/* `size` 0: pieces of random sizes. */
static void replay(const char *api, const char *bytes, size_t len, size_t size,
                   const struct json *expected) {
  struct answer answer;
  struct mill__decoder *decoder = open_recording(&answer, api);
  uint64_t seed = len;
  for (size_t at = 0, n; at < len; at += n) {
    n = size > 0 ? size : 1 + test_random(&seed) % 300;
    n = n < len - at ? n : len - at;
    CHECK_INT(feed_piece(decoder, test_guarded(bytes + at, n), n), MILL_OK);
  }
  bool whole = json_get(expected, "terminal_seen")->type == JSON_TRUE;
  CHECK_INT(mill__decoder_finish(decoder), whole ? MILL_OK : MILL_E_INTERRUPTED);
  check_answer(&answer, expected);
  mill__decoder_free(decoder);
  mill__message_fini(&answer.message);
}

/* Where the event ends that tells why the answer stopped, or that ends it. */
static size_t end_of_answer(const char *api, const char *bytes, size_t len) {
  struct answer answer;
  struct mill__decoder *decoder = open_recording(&answer, api);
  size_t at = 0;
  while (at < len && !answer.finished && !mill__decoder_complete(decoder))
    CHECK_INT(feed_piece(decoder, bytes + at++, 1), MILL_OK);
  mill__decoder_free(decoder);
  mill__message_fini(&answer.message);
  return at;
}

/* Cut off before that, an answer is never taken for a whole one. */
static void replay_cut(const char *api, const char *bytes, size_t len) {
  struct answer answer;
  /* A line is whole also without its line break. */
  size_t end = end_of_answer(api, bytes, len) - 1;
  uint64_t seed = len;
  for (int i = 0; i < 50; i++) {
    size_t cut = test_random(&seed) % end;
    test_case("%s cut at %zu", api, cut);
    struct mill__decoder *decoder = open_recording(&answer, api);
    CHECK_INT(feed_piece(decoder, test_guarded(bytes, cut), cut), MILL_OK);
    CHECK_INT(mill__decoder_finish(decoder), MILL_E_INTERRUPTED);
    CHECK(!answer.finished);
    mill__decoder_free(decoder);
    mill__message_fini(&answer.message);
  }
}

static bool is_ours(const char *api) {
  for (size_t i = 0; i < sizeof recorded_apis / sizeof *recorded_apis; i++)
    if (strcmp(api, recorded_apis[i]) == 0)
      return true;
  return false;
}

static void test_recording(const struct json *entry) {
  static const size_t sizes[] = {SIZE_MAX, 1, 7, 0};
  const char *api = json_need(entry, "api", JSON_STRING)->text;
  char path[256];
  snprintf(path, sizeof path, "streams/%s", json_need(entry, "file", JSON_STRING)->text);
  size_t len;
  char *bytes = test_read_file(test_shared(path), &len);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    test_case("%s in pieces of %zu", path, sizes[i]);
    replay(api, bytes, len, sizes[i], json_need(entry, "expected", JSON_OBJECT));
  }
  replay_cut(api, bytes, len);
  free(bytes);
}

static bool test_recordings(void) {
  const char *manifest = test_shared("streams/manifest.json");
  if (manifest == NULL)
    return false;
  struct json *all = json_read(manifest);
  size_t n_replayed = 0;
  for (const struct json *entry = all->child; entry != NULL; entry = entry->next) {
    if (!is_ours(json_need(entry, "api", JSON_STRING)->text))
      continue;
    test_recording(entry);
    n_replayed++;
  }
  json_free(all);
  CHECK(n_replayed >= 41);
  return true;
}

int main(void) {
  test_alloc_install();
  mill__buf_init(&wire, 1 << 20);
  test_streams();
  test_error_bodies();
  test_inner_limits();
  test_models_change();
  test_out_of_memory();
  bool recorded = test_recordings();
  mill__buf_fini(&wire);
  return recorded ? 0 : test_skipped("streams");
}
