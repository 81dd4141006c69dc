/*
 * The dialects of server-sent events through the decoder: streams and what is told of them, in any
 * split and with pauses; wrong shapes at every path of every table; memory; and the recorded
 * streams, whole, in pieces and cut short, where they are at hand. (More of openai-chat:
 * test_openai_chat.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/decoder.h"
#include "provider/dialect.h"
#include "provider_log.h"
#include "support.h"

#define DATA(json) "data: " json "\n\n"
#define NAMED(name, json) "event: " name "\n" DATA(json)
#define DONE DATA("[DONE]")

static const mill_limits limits = {.event_bytes = 1 << 24, .json_depth = 64};

/* ---- streams and what is told of them -------------------------------------------------------- */

#define ANTHROPIC(type, rest) NAMED(type, "{\"type\":\"" type "\"" rest "}")
#define BLOCK(index, block)                                                                        \
  ANTHROPIC("content_block_start", ",\"index\":" index ",\"content_block\":{" block "}")
#define BLOCK_DELTA(index, delta)                                                                  \
  ANTHROPIC("content_block_delta", ",\"index\":" index ",\"delta\":{" delta "}")
#define BLOCK_STOP(index) ANTHROPIC("content_block_stop", ",\"index\":" index)
#define TEXT_DELTA(text) BLOCK_DELTA("0", "\"type\":\"text_delta\",\"text\":\"" text "\"")
#define STOP_REASON(word) ANTHROPIC("message_delta", ",\"delta\":{\"stop_reason\":\"" word "\"}")
#define MESSAGE_STOP ANTHROPIC("message_stop", "")

#define RESPONSES(type, rest) DATA("{\"type\":\"" type "\"" rest "}")
#define COMPLETED RESPONSES("response.completed", ",\"response\":{\"status\":\"completed\"}")
#define OUTPUT(text) RESPONSES("response.output_text.delta", ",\"delta\":\"" text "\"")

#define PARTS(parts) DATA("{\"candidates\":[{\"content\":{\"parts\":[" parts "]}}]}")
#define CALL(call) PARTS("{\"functionCall\":{" call "}}")
#define GEMINI_STOP DATA("{\"candidates\":[{\"finishReason\":\"STOP\"}]}")

#define COHERE(type, rest) NAMED(type, "{\"type\":\"" type "\"" rest "}")
#define COHERE_MESSAGE(type, message)                                                              \
  COHERE(type, ",\"index\":0,\"delta\":{\"message\":{" message "}}")
#define COHERE_END(delta) COHERE("message-end", ",\"delta\":{" delta "}")

#define RUN(rest) DATA("{\"object\":\"thread.run\"," rest "}")
#define STEP_CALL(call)                                                                            \
  DATA("{\"object\":\"thread.run.step.delta\",\"delta\":{\"step_details\":{\"tool_calls\":[" call  \
       "]}}}")

static const struct stream {
  const char *format, *name, *stream, *log;
} streams[] = {
    {"anthropic-messages", "a plain answer",
     ANTHROPIC("message_start",
               ",\"message\":{\"id\":\"m1\",\"model\":\"c\",\"role\":\"assistant\",\"content\":[],"
               "\"usage\":{\"input_tokens\":3,\"output_tokens\":1,\"cache_read_input_tokens\":2}}")
         ANTHROPIC("ping", "") BLOCK("0", "\"type\":\"text\",\"text\":\"\"") TEXT_DELTA("Hel")
             TEXT_DELTA("lo") BLOCK_STOP("0") ANTHROPIC(
                 "message_delta",
                 ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{"
                 "\"output_tokens\":5,\"output_tokens_details\":{\"thinking_tokens\":4}}")
                 MESSAGE_STOP,
     "- id:m1 model:c role:assistant "
     "usage/3/1/-/2/{\"input_tokens\":3,\"output_tokens\":1,\"cache_read_input_tokens\":2}\n"
     "- other0\n"
     "- other0\n"
     "- text0=Hel\n"
     "- text0=lo\n"
     "- other0\n"
     "- finish0=stop:end_turn "
     "usage/-/5/4/-/{\"output_tokens\":5,\"output_tokens_details\":{\"thinking_tokens\":4}}\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages", "reasoning, its signature, redacted reasoning, citations",
     BLOCK("0", "\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"\"")
         BLOCK_DELTA("0", "\"thinking\":\"b\",\"type\":\"thinking_delta\"")
             BLOCK_DELTA("0", "\"type\":\"signature_delta\",\"signature\":\"S\"") BLOCK_STOP("0")
                 BLOCK("1", "\"type\":\"redacted_thinking\",\"data\":\"D\"")
                     BLOCK("2", "\"type\":\"text\",\"text\":\"c\"") BLOCK_DELTA(
                         "2", "\"type\":\"citations_delta\",\"citation\":{\"text\":\"no\"}")
                         MESSAGE_STOP,
     "- reasoning0=a\n"
     "- reasoning0=b\n"
     "- reasoning0<S>=\n"
     "- other0\n"
     "- reasoning0<D>=\n"
     "- text0=c\n"
     "- other0\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages", "a signature where the block begins; wrong shapes of signatures",
     BLOCK("0", "\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"S\\ud83d\"")
         BLOCK("1", "\"type\":\"thinking\",\"signature\":{\"signature\":\"no\"}")
             BLOCK("2", "\"type\":\"text\",\"signature\":\"no\",\"data\":\"no\"")
                 BLOCK_DELTA("0", "\"type\":\"signature_delta\",\"signature\":[\"no\"]")
                     BLOCK_DELTA("0", "\"type\":\"text_delta\",\"signature\":\"no\"") MESSAGE_STOP,
     "- reasoning0=a reasoning0<S\xEF\xBF\xBD>=\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages",
     "tool calls: in pieces, one block begun before the other stops, empty, whole, the server's "
     "own",
     BLOCK("0", "\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\"") BLOCK(
         "1", "\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"g\",\"input\":{ }")
         BLOCK_DELTA("1", "\"type\":\"input_json_delta\",\"partial_json\":\"[\"") BLOCK_DELTA(
             "0", "\"type\":\"input_json_delta\",\"partial_json\":\"\"")
             BLOCK_DELTA("1", "\"type\":\"input_json_delta\",\"partial_json\":\"]\"") BLOCK_STOP(
                 "1") BLOCK_STOP("0") BLOCK("2",
                                            "\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":"
                                            "\"web_search\",\"input\":{}")
                 BLOCK_DELTA("2", "\"type\":\"input_json_delta\",\"partial_json\":\"{}\"")
                     BLOCK_STOP("2") BLOCK(
                         "3",
                         "\"type\":\"tool_use\",\"input\":{\"x\":1},\"name\":\"h\",\"id\":\"c\"")
                         BLOCK_DELTA("3", "\"type\":\"input_json_delta\",\"partial_json\":\"{}\"")
                             BLOCK_STOP("3") STOP_REASON("tool_use") MESSAGE_STOP,
     "- tool0.0<a,f>=\n"
     "- tool0.1<b,g>=\n"
     "- tool0.1<,>=[\n"
     "- other0\n"
     "- tool0.1<,>=]\n"
     "- other0\n"
     "- tool0.0<,>={}\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- tool0.2<c,h>={\"x\":1}\n"
     "- other0\n"
     "- other0\n"
     "- finish0=tool_calls:tool_use\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages", "a call without an index; the type behind the delta; no event names",
     DATA("{\"content_block\":{\"id\":\"a\",\"name\":\"f\",\"type\":\"tool_use\"},\"type\":"
          "\"content_block_start\"}") DATA("{\"delta\":{\"partial_json\":\"1\",\"type\":\"input_"
                                           "json_delta\"},\"type\":\"content_block_delta\"}")
         DATA("{\"type\":\"content_block_stop\"}")
             DATA("{\"delta\":{\"stop_reason\":\"max_tokens\"},\"type\":\"message_delta\"}")
                 DATA("{\"type\":\"message_stop\"}"),
     "- tool0.0<a,f>=\n"
     "- tool0.0<,>=1\n"
     "- other0\n"
     "- finish0=length:max_tokens\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages",
     "the event's name where the document has no type, the document's where both do",
     NAMED("content_block_delta",
           "{\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}")
         NAMED("message_stop", "{\"type\":\"ping\"}") NAMED("message_stop", "{}"),
     "- text0=x\n"
     "- other0\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages", "finish words",
     STOP_REASON("stop_sequence") STOP_REASON("refusal") STOP_REASON("pause_turn")
         STOP_REASON("model_context_window_exceeded") STOP_REASON("\\ud83d"),
     "- finish0=stop:stop_sequence\n"
     "- finish0=content_filter:refusal\n"
     "- finish0=other:pause_turn\n"
     "- finish0=length:model_context_window_exceeded\n"
     "- finish0=other:\xEF\xBF\xBD\n"
     "complete"},
    {"anthropic-messages", "halves in names",
     BLOCK("0", "\"type\":\"tool_use\",\"id\":\"\\ud83d\",\"name\":\"f\\ude00\"")
         BLOCK_DELTA("0", "\"type\":\"input_json_delta\",\"partial_json\":\"\\ud83d\"") BLOCK_DELTA(
             "0", "\"type\":\"input_json_delta\",\"partial_json\":\"\\ude00\"") MESSAGE_STOP,
     "- tool0.0<\xEF\xBF\xBD,f\xEF\xBF\xBD>=\n"
     "- other0\n"
     "- tool0.0<,>=\xF0\x9F\x98\x80\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages", "a finish reason, and a clean end",
     TEXT_DELTA("x") STOP_REASON("end_turn"),
     "- text0=x\n"
     "- finish0=stop:end_turn\n"
     "complete"},
    {"anthropic-messages", "no finish reason", TEXT_DELTA("x") BLOCK_STOP("0"),
     "- text0=x\n"
     "- other0\n"
     "interrupted"},
    {"anthropic-messages", "the end without a blank line",
     TEXT_DELTA("x") "event: message_stop\ndata: {\"type\":\"message_stop\"}",
     "- text0=x\n"
     "complete"},
    {"anthropic-messages", "half the end",
     TEXT_DELTA("x") STOP_REASON("end_turn") "data: {\"type\":\"message_sto",
     "- text0=x\n"
     "- finish0=stop:end_turn\n"
     "interrupted"},
    {"anthropic-messages", "nothing counts behind the end",
     TEXT_DELTA("x") MESSAGE_STOP TEXT_DELTA("y") DATA("{"),
     "- text0=x\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages", "a half held at the end", TEXT_DELTA("\\ud83d") MESSAGE_STOP,
     "- other0\n"
     "- text0=\xEF\xBF\xBD\n"
     "complete"},
    {"anthropic-messages", "a pair in two deltas",
     TEXT_DELTA("\\ud83d") TEXT_DELTA("\\ude00") MESSAGE_STOP,
     "- other0\n"
     "- text0=\xF0\x9F\x98\x80\n"
     "- other0\n"
     "complete"},
    {"anthropic-messages", "an error event",
     TEXT_DELTA("x") NAMED("error", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                                    "\"message\":\"Overloaded\"},\"request_id\":\"r\"}"),
     "- text0=x\n"
     "-\n"
     "provider error 529 overloaded_error: Overloaded"},
    {"anthropic-messages", "an error without a name, nor an object",
     DATA("{\"type\":\"error\",\"message\":\"m\"}"),
     "-\n"
     "provider error 0 : m"},
    {"anthropic-messages", "an error in a cut event",
     TEXT_DELTA(
         "x") "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}",
     "- text0=x\n"
     "provider error 500 api_error: m"},
    {"anthropic-messages", "wrong shapes",
     DATA("[]") DATA("{\"type\":7,\"delta\":{\"type\":\"text_delta\",\"text\":\"no\"}}")
         BLOCK_DELTA("\"0\"", "\"type\":\"text_delta\",\"text\":[\"no\"]")
             BLOCK_DELTA("-1", "\"type\":\"odd_delta\",\"text\":\"no\"")
                 BLOCK("9", "\"type\":\"tool_use\",\"id\":{},\"name\":[]") BLOCK_STOP("9")
                     BLOCK("0", "\"type\":\"tool_use\",\"id\":\"a\"")
                         BLOCK_DELTA("0.5", "\"type\":\"input_json_delta\",\"partial_json\":\"no\"")
                             MESSAGE_STOP,
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- tool0.0<a,>=\n"
     "- other0\n"
     "- other0\n"
     "complete"},
    {"openai-responses", "a plain answer, reasoning before it",
     NAMED("response.created",
           "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r1\","
           "\"model\":\"g\",\"status\":\"in_progress\",\"error\":null,\"usage\":null}}")
         RESPONSES("response.output_item.added",
                   ",\"output_index\":0,\"item\":{\"id\":\"rs\",\"type\":\"reasoning\","
                   "\"encrypted_content\":\"e\",\"summary\":[]}")
             RESPONSES("response.reasoning_summary_text.delta", ",\"delta\":\"S\"") RESPONSES(
                 "response.reasoning_text.delta",
                 ",\"delta\":\"T\"") RESPONSES("response.output_item.done",
                                               ",\"output_index\":0,\"item\":{\"id\":\"rs\","
                                               "\"type\":\"reasoning\","
                                               "\"encrypted_content\":\"E\",\"summary\":[]}")
                 RESPONSES("response.output_item.added",
                           ",\"output_index\":1,\"item\":{\"id\":\"msg\","
                           "\"type\":\"message\",\"role\":\"assistant\"}") OUTPUT("Hel")
                     OUTPUT("lo") RESPONSES("response.refusal.delta", ",\"delta\":\"R\"")
                         RESPONSES("response.output_text.done", ",\"text\":\"Hello\"") RESPONSES(
                             "response.completed",
                             ",\"response\":{\"id\":\"r1\",\"status\":\"completed\",\"output\":[{"
                             "\"content\":[{\"text\":\"Hello\"}]}],\"usage\":{\"input_tokens\":1,"
                             "\"output_tokens\":2,\"input_tokens_details\":{\"cached_tokens\":3},"
                             "\"output_tokens_details\":{\"reasoning_tokens\":4}}}"),
     "- id:r1 model:g other0\n"
     "- other0\n"
     "- reasoning0=S\n"
     "- reasoning0=T\n"
     "- reasoning0<E>=\n"
     "- role:assistant other0\n"
     "- text0=Hel\n"
     "- text0=lo\n"
     "- refusal0=R\n"
     "- other0\n"
     "- finish0=stop:completed "
     "usage/1/2/4/3/"
     "{\"input_tokens\":1,\"output_tokens\":2,\"input_tokens_details\":{\"cached_tokens\":3},"
     "\"output_tokens_details\":{\"reasoning_tokens\":4}}\n"
     "complete"},
    {"openai-responses", "calls by output index, also where item ids change",
     RESPONSES("response.output_item.added",
               ",\"output_index\":1,\"item\":{\"id\":\"i1\",\"type\":\"function_call\",\"call_id\":"
               "\"a\",\"name\":\"f\",\"arguments\":\"\"}")
         RESPONSES("response.output_item.added",
                   ",\"output_index\":2,\"item\":{\"id\":\"i2\",\"type\":\"function_call\",\"call_"
                   "id\":\"b\",\"name\":\"g\",\"arguments\":\"\"}")
             RESPONSES("response.function_call_arguments.delta",
                       ",\"output_index\":1,\"item_id\":\"i9\",\"delta\":\"{\"")
                 RESPONSES("response.function_call_arguments.delta",
                           ",\"output_index\":2,\"item_id\":\"i1\",\"delta\":\"[]\"")
                     RESPONSES("response.function_call_arguments.delta",
                               ",\"output_index\":1,\"delta\":\"}\"")
                         RESPONSES("response.function_call_arguments.done",
                                   ",\"output_index\":1,\"item_id\":\"i1\",\"arguments\":\"{}\"")
                             RESPONSES(
                                 "response.output_item.done",
                                 ",\"output_index\":2,\"item\":{\"id\":\"i2\",\"type\":\"function_"
                                 "call\",\"call_id\":\"b\",\"name\":\"g\",\"arguments\":\"[]\"}")
                                 COMPLETED,
     "- tool0.0<a,f>=\n"
     "- tool0.1<b,g>=\n"
     "- tool0.0<,>={\n"
     "- tool0.1<,>=[]\n"
     "- tool0.0<,>=}\n"
     "- other0\n"
     "- other0\n"
     "- finish0=tool_calls:completed\n"
     "complete"},
    {"openai-responses", "a terminator does not complete what no event has completed",
     RESPONSES("response.output_text.delta", ",\"delta\":\"a\"") DONE,
     "- text0=a\n"
     "- other0\n"
     "interrupted"},
    {"openai-responses", "calls without an output index go by their item, then by what came last",
     RESPONSES("response.output_item.added", ",\"item\":{\"id\":\"i1\",\"type\":\"function_call\","
                                             "\"call_id\":\"a\",\"name\":\"f\",\"arguments\":\"\"}")
         RESPONSES("response.output_item.added",
                   ",\"item\":{\"id\":\"i2\",\"type\":\"function_call\",\"call_id\":\"a\",\"name\":"
                   "\"f\",\"arguments\":\"\"}") RESPONSES("response.function_call_arguments.delta",
                                                          ",\"item_id\":\"i1\",\"delta\":\"1\"")
             RESPONSES("response.function_call_arguments.delta",
                       ",\"item_id\":\"i2\",\"delta\":\"2\"")
                 RESPONSES("response.function_call_arguments.delta", ",\"delta\":\"3\"") RESPONSES(
                     "response.function_call_arguments.delta",
                     ",\"output_index\":7,\"item_id\":\"i1\",\"delta\":\"4\"") COMPLETED DONE,
     "- tool0.0<a,f>=\n"
     "- tool0.1<a,f>=\n"
     "- tool0.0<,>=1\n"
     "- tool0.1<,>=2\n"
     "- tool0.1<,>=3\n"
     "- tool0.0<,>=4\n"
     "- finish0=tool_calls:completed\n"
     "-\n"
     "complete"},
    {"openai-responses",
     "calls whose arguments come whole: at the beginning, at the end, with the item",
     RESPONSES("response.output_item.added",
               ",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"call_id\":\"a\","
               "\"name\":\"f\",\"arguments\":\"{}\"}")
         RESPONSES("response.function_call_arguments.delta", ",\"output_index\":0,\"delta\":\"{}\"")
             RESPONSES("response.output_item.added",
                       ",\"output_index\":1,\"item\":{\"type\":\"function_call\",\"call_id\":\"b\","
                       "\"name\":\"g\",\"arguments\":\"\"}")
                 RESPONSES("response.function_call_arguments.done",
                           ",\"output_index\":1,\"arguments\":\"[1]\"")
                     RESPONSES("response.output_item.done",
                               ",\"output_index\":1,\"item\":{\"type\":\"function_call\",\"call_"
                               "id\":\"b\",\"name\":\"g\",\"arguments\":\"[1]\"}")
                         RESPONSES("response.output_item.done",
                                   ",\"output_index\":2,\"item\":{\"type\":\"function_call\","
                                   "\"call_id\":\"c\",\"name\":\"h\",\"arguments\":\"[2]\"}")
                             RESPONSES("response.output_item.done",
                                       ",\"output_index\":3,\"item\":{\"type\":\"custom_tool_"
                                       "call\",\"call_id\":\"d\",\"name\":\"i\",\"input\":\"ls\"}")
                                 RESPONSES("response.output_item.added",
                                           ",\"output_index\":4,\"item\":{\"type\":\"custom_tool_"
                                           "call\",\"call_id\":\"e\",\"name\":\"j\"}")
                                     RESPONSES("response.custom_tool_call_input.delta",
                                               ",\"output_index\":4,\"delta\":\"pw\"")
                                         RESPONSES("response.custom_tool_call_input.done",
                                                   ",\"output_index\":4,\"input\":\"pw\"")
                                             COMPLETED DONE,
     "- tool0.0<a,f>={}\n"
     "- other0\n"
     "- tool0.1<b,g>=\n"
     "- tool0.1<,>=[1]\n"
     "- other0\n"
     "- tool0.2<c,h>=[2]\n"
     "- tool0.3<d,i>=ls\n"
     "- tool0.4<e,j>=\n"
     "- tool0.4<,>=pw\n"
     "- other0\n"
     "- finish0=tool_calls:completed\n"
     "-\n"
     "complete"},
    {"openai-responses", "the server's own tools",
     RESPONSES("response.output_item.added", ",\"output_index\":0,\"item\":{\"id\":\"m\",\"type\":"
                                             "\"mcp_call\",\"name\":\"q\",\"arguments\":\"{}\"}")
         RESPONSES("response.mcp_call_arguments.delta", ",\"output_index\":0,\"delta\":\"{}\"")
             COMPLETED DONE,
     "- other0\n"
     "- other0\n"
     "- finish0=stop:completed\n"
     "-\n"
     "complete"},
    {"openai-responses", "incomplete, and why",
     OUTPUT("x")
         RESPONSES("response.incomplete", ",\"response\":{\"incomplete_details\":{\"reason\":\"max_"
                                          "output_tokens\"},\"status\":\"incomplete\"}"),
     "- text0=x\n"
     "- finish0=length:incomplete\n"
     "complete"},
    {"openai-responses", "incomplete because of a filter",
     RESPONSES("response.incomplete", ",\"response\":{\"status\":\"incomplete\",\"incomplete_"
                                      "details\":{\"reason\":\"content_filter\"}}"),
     "- finish0=content_filter:incomplete\n"
     "complete"},
    {"openai-responses", "an end without a status",
     RESPONSES("response.completed", "") RESPONSES("response.cancelled", ""),
     "- finish0=stop:completed\n"
     "- finish0=other:cancelled\n"
     "complete"},
    {"openai-responses", "failed",
     OUTPUT("x")
         RESPONSES("response.failed", ",\"response\":{\"status\":\"failed\",\"error\":{\"code\":"
                                      "\"rate_limit_exceeded\",\"message\":\"Slow down\"}}"),
     "- text0=x\n"
     "- finish0=other:failed\n"
     "provider error 429 rate_limit_exceeded: Slow down"},
    {"openai-responses", "failed, without a blank line",
     OUTPUT("x") "data: "
                 "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\","
                 "\"message\":\"m\"}}}",
     "- text0=x\n"
     "provider error 500 server_error: m"},
    {"openai-responses", "failed for no reason", RESPONSES("response.failed", ""),
     "- finish0=other:failed\n"
     "provider error 0 : "},
    {"openai-responses", "an error event with its fields at the top",
     NAMED("error", "{\"type\":\"error\",\"code\":\"server_error\",\"message\":\"m\",\"param\":"
                    "null,\"sequence_number\":1}"),
     "-\n"
     "provider error 500 server_error: m"},
    {"openai-responses", "an error event with its fields nested, the code a number",
     DATA("{\"type\":\"error\",\"error\":{\"code\":503,\"message\":\"m\"}}"),
     "-\n"
     "provider error 503 503: m"},
    {"openai-responses", "a message and a code that are no error's",
     DATA("{\"type\":\"response.queued\",\"message\":\"m\",\"code\":400,\"status\":500}") COMPLETED,
     "- other0\n"
     "- finish0=stop:completed\n"
     "complete"},
    {"openai-responses", "no end",
     OUTPUT("x") RESPONSES("response.output_text.done", ",\"text\":\"x\""),
     "- text0=x\n"
     "- other0\n"
     "interrupted"},
    {"openai-responses", "an end that is cut",
     OUTPUT("x") "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"",
     "- text0=x\n"
     "interrupted"},
    {"openai-responses", "a terminator cut behind the end", COMPLETED "data: [DO",
     "- finish0=stop:completed\n"
     "complete"},
    {"openai-responses", "an error behind the end",
     COMPLETED DATA("{\"error\":{\"message\":\"m\"}}"),
     "- finish0=stop:completed\n"
     "-\n"
     "provider error 0 : m"},
    {"gemini", "a plain answer, thoughts before it",
     DATA("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"T\",\"thought\":true},{"
          "\"thought\":true,\"text\":\"U\"},{\"text\":\"a\",\"thought\":false}],\"role\":\"model\"}"
          "}],\"usageMetadata\":{\"trafficType\":\"ON_DEMAND\"},\"modelVersion\":\"g\","
          "\"responseId\":\"r\"}")
         DATA(
             "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\",\"thoughtSignature\":\"S\"}]"
             "},"
             "\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":1,"
             "\"candidatesTokenCount\":2,\"thoughtsTokenCount\":3,\"cachedContentTokenCount\":4}}"),
     "- id:r model:g role:model reasoning0=T reasoning0=U text0=a\n"
     "- reasoning0<S>= finish0=stop:STOP "
     "usage/1/2/3/4/"
     "{\"promptTokenCount\":1,\"candidatesTokenCount\":2,\"thoughtsTokenCount\":3,"
     "\"cachedContentTokenCount\":4}\n"
     "complete"},
    {"gemini",
     "counts that are left out are zero; several candidates, their index behind the parts",
     DATA("{\"usageMetadata\":{\"promptTokenCount\":1},\"candidates\":[{\"content\":{\"parts\":[{"
          "\"text\":\"b\"}]},\"index\":1,\"finishReason\":\"MAX_TOKENS\"},{\"content\":{\"parts\":["
          "{\"text\":\"a\"}]},\"index\":0}]}") GEMINI_STOP,
     "- text1=b finish1=length:MAX_TOKENS text0=a usage/1/0/0/0/{\"promptTokenCount\":1}\n"
     "- finish0=stop:STOP\n"
     "complete"},
    {"gemini", "calls: whole, twice the same, without arguments, without an id",
     PARTS("{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":[1, "
           "\"\\ud83d\"]}}},{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":2},\"id\":\"i\"},"
           "\"thoughtSignature\":\"S\"}") CALL("\"name\":\"f\"") CALL("\"name\":\"f\",\"args\":{}")
         GEMINI_STOP,
     "- tool0.0<,f>={\"x\":[1, \"\xEF\xBF\xBD\"]} reasoning0<S>= tool0.1<i,f>={\"x\":2}\n"
     "- tool0.2<,f>={}\n"
     "- tool0.3<,f>={}\n"
     "- finish0=tool_calls:STOP\n"
     "complete"},
    {"gemini", "a call in pieces",
     CALL("\"name\":\"f\",\"id\":\"i\",\"willContinue\":true") CALL(
         "\"partialArgs\":[{\"jsonPath\":\"$.city\",\"stringValue\":\"Bo\\\"\",\"willContinue\":"
         "true}],\"willContinue\":true") CALL("\"willContinue\":true,\"partialArgs\":[{"
                                              "\"stringValue\":\"s\\n\",\"jsonPath\":\"$.city\"}]")
         CALL("\"partialArgs\":[{\"jsonPath\":\"$.a.b[0].c\",\"numberValue\":1.5},{\"jsonPath\":\"$"
              ".a.b[0].d\",\"boolValue\":true},{\"jsonPath\":\"$.a.b[1]\",\"boolValue\":false}],"
              "\"willContinue\":true") CALL("\"partialArgs\":[{\"jsonPath\":\"$.a['x "
                                            "y']\",\"nullValue\":\"NULL_VALUE\"},{\"jsonPath\":\"$."
                                            "z\",\"stringValue\":\"\"}],\"willContinue\":true")
             CALL("") CALL("\"name\":\"g\"") GEMINI_STOP,
     "- tool0.0<i,f>=\n"
     "- tool0.0<,>={\"city\":\"Bo\\\"\n"
     "- tool0.0<,>=s\\u000a\n"
     "- tool0.0<,>=\",\"a\":{\"b\":[{\"c\":1.5,\"d\":true},false\n"
     "- tool0.0<,>=],\"x y\":null},\"z\":\"\n"
     "- tool0.0<,>=\"}\n"
     "- tool0.1<,g>={}\n"
     "- finish0=tool_calls:STOP\n"
     "complete"},
    {"gemini", "paths that lead nowhere",
     CALL("\"name\":\"f\",\"partialArgs\":[{\"jsonPath\":\"\",\"numberValue\":1},{\"jsonPath\":\"$"
          "\",\"numberValue\":1},{\"jsonPath\":\"$[0]\",\"numberValue\":1},{\"jsonPath\":\"$.a[\","
          "\"numberValue\":1},{\"jsonPath\":\"$.a[0\",\"numberValue\":1},{\"jsonPath\":\"$..a\","
          "\"numberValue\":1},{\"jsonPath\":\"$.a['b\",\"numberValue\":1},{\"numberValue\":1},{"
          "\"jsonPath\":\"$.a\"},{\"jsonPath\":\"$.a[0]\",\"numberValue\":1},{\"jsonPath\":\"$.a."
          "b\",\"numberValue\":2},{\"jsonPath\":\"$.a[0]\",\"numberValue\":3},[],7,{\"jsonPath\":"
          "\"$.a\",\"stringValue\":\"s\"},{\"jsonPath\":\"$['q\\\\'r\\\"\\\\\\\\']\","
          "\"numberValue\":4}]") GEMINI_STOP,
     "- tool0.0<,f>={\"a\":[1],\"a\":\"s\",\"q'r\\\"\\\\\":4}\n"
     "- finish0=tool_calls:STOP\n"
     "complete"},
    {"gemini", "a prompt that was not let through",
     DATA("{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{"
          "\"promptTokenCount\":1}}"),
     "- finish0=content_filter:SAFETY usage/1/0/0/0/{\"promptTokenCount\":1}\n"
     "complete"},
    {"gemini", "finish words",
     DATA("{\"candidates\":[{\"finishReason\":\"SAFETY\"},{\"finishReason\":\"RECITATION\"},{"
          "\"finishReason\":\"OTHER\"}]}"),
     "- finish0=content_filter:SAFETY finish1=content_filter:RECITATION finish2=other:OTHER\n"
     "complete"},
    {"gemini", "no finish reason", PARTS("{\"text\":\"x\"}"),
     "- text0=x\n"
     "interrupted"},
    {"gemini", "an error in an event",
     PARTS("{\"text\":\"x\"}")
         DATA("{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}"),
     "- text0=x\n"
     "-\n"
     "provider error 429 RESOURCE_EXHAUSTED: m"},
    {"gemini", "a status without a code",
     DATA("{\"error\":{\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}"),
     "-\n"
     "provider error 503 UNAVAILABLE: m"},
    {"gemini", "an error over several lines",
     PARTS("{\"text\":\"x\"}") "{\r\n  \"error\": {\r\n    \"code\": 503,\r\n    \"message\": "
                               "\"The model is overloaded.\",\r\n    \"status\": "
                               "\"UNAVAILABLE\"\r\n  }\r\n}\r\n",
     "- text0=x\n"
     "provider error 503 UNAVAILABLE: The model is overloaded."},
    {"gemini", "an error in an array, over several lines, without an end",
     "[{\n  \"error\": {\n    \"code\": 400,\n    \"message\": \"m\",\n    \"status\": "
     "\"INVALID_ARGUMENT\"\n  }\n}\n]",
     "provider error 400 INVALID_ARGUMENT: m"},
    {"gemini", "wrong shapes",
     DATA("{\"candidates\":{\"content\":{}},\"error\":[]}")
         DATA("{\"candidates\":[[{\"content\":{\"parts\":[{\"text\":\"no\"}]}}]]}")
             DATA("{\"candidates\":[{\"content\":{\"parts\":[[{\"text\":\"no\"}],{\"functionCall\":"
                  "[{\"name\":\"f\"}]},{\"functionCall\":\"f\"},{\"functionCall\":{\"args\":[1]}},{"
                  "\"text\":{\"text\":\"no\"}}]}}]}") GEMINI_STOP,
     "- other0\n"
     "- other0\n"
     "- tool0.0<,>={}\n"
     "- finish0=tool_calls:STOP\n"
     "complete"},
    {"gemini-interactions", "a plain answer, thoughts before it",
     NAMED("interaction.created", "{\"event_type\":\"interaction.created\",\"interaction\":{\"id\":"
                                  "\"v1\",\"model\":\"g\",\"status\":\"in_progress\"}}")
         DATA("{\"event_type\":\"step.start\",\"index\":0,\"step\":{\"type\":\"thought\"}}") DATA(
             "{\"event_type\":\"step.delta\",\"delta\":{\"type\":\"thought_summary\",\"content\":{"
             "\"type\":\"text\",\"text\":\"T\"}}}")
             DATA("{\"event_type\":\"step.delta\",\"delta\":{\"type\":\"thought_signature\","
                  "\"signature\":\"S\"}}") DATA("{\"delta\":{\"text\":\"x\",\"type\":\"text\"},"
                                                "\"event_type\":\"step.delta\"}")
                 DATA("{\"delta\":{\"text\":\"y\",\"type\":\"text\"},\"event_type\":\"content."
                      "delta\"}")
                     DATA("{\"interaction\":{\"status\":\"completed\",\"usage\":{\"total_input_"
                          "tokens\":1,\"total_output_tokens\":2,\"total_thought_tokens\":3,\"total_"
                          "cached_tokens\":4}},\"event_type\":\"interaction.completed\"}")
                         NAMED("done", "[DONE]"),
     "- id:v1 model:g other0\n"
     "- other0\n"
     "- reasoning0=T\n"
     "- reasoning0<S>=\n"
     "- text0=x\n"
     "- text0=y\n"
     "- finish0=stop:completed "
     "usage/1/2/3/4/"
     "{\"total_input_tokens\":1,\"total_output_tokens\":2,\"total_thought_tokens\":3,\"total_"
     "cached_tokens\":4}\n"
     "-\n"
     "complete"},
    {"gemini-interactions", "ends of other kinds",
     DATA("{\"event_type\":\"interaction.complete\",\"interaction\":{\"status\":\"incomplete\"}}")
         DATA("{\"event_type\":\"interaction.completed\",\"interaction\":{\"status\":\"requires_"
              "action\"}}"),
     "- finish0=length:incomplete\n"
     "- finish0=tool_calls:requires_action\n"
     "complete"},
    {"gemini-interactions", "a status that is no end",
     DATA("{\"event_type\":\"interaction.status_update\",\"interaction\":{\"status\":\"in_"
          "progress\"}}"),
     "- other0\n"
     "interrupted"},
    {"gemini-interactions", "failed",
     DATA("{\"event_type\":\"interaction.completed\",\"interaction\":{\"status\":\"failed\"}}"),
     "- finish0=other:failed\n"
     "provider error 0 : "},
    {"gemini-interactions", "an error event",
     NAMED("error", "{\"event_type\":\"error\",\"error\":{\"code\":\"RESOURCE_EXHAUSTED\","
                    "\"message\":\"m\"}}"),
     "-\n"
     "provider error 429 RESOURCE_EXHAUSTED: m"},
    {"cohere-v2-chat", "a plain answer, thoughts before it",
     NAMED("message-start", "{\"id\":\"c1\",\"type\":\"message-start\",\"delta\":{\"message\":{"
                            "\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\"}}}")
         COHERE_MESSAGE("content-start", "\"content\":{\"type\":\"thinking\",\"thinking\":\"T\"}")
             COHERE_MESSAGE("content-delta", "\"content\":{\"thinking\":\"U\"}")
                 COHERE_MESSAGE("content-delta", "\"content\":{\"text\":\"x\"}")
                     COHERE_MESSAGE("citation-start", "\"citations\":{\"text\":\"no\"}")
                         COHERE("content-end", ",\"index\":0") COHERE_END(
                             "\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_"
                             "tokens\":9},\"tokens\":{\"input_tokens\":1,\"output_tokens\":2,"
                             "\"reasoning_tokens\":3},\"cached_tokens\":4}") DONE,
     "- id:c1 role:assistant other0\n"
     "- reasoning0=T\n"
     "- reasoning0=U\n"
     "- text0=x\n"
     "- other0\n"
     "- other0\n"
     "- finish0=stop:COMPLETE "
     "usage/1/2/3/4/"
     "{\"billed_units\":{\"input_tokens\":9},\"tokens\":{\"input_tokens\":1,\"output_tokens\":2,"
     "\"reasoning_tokens\":3},\"cached_tokens\":4}\n"
     "-\n"
     "complete"},
    {"cohere-v2-chat", "calls, a plan before them",
     COHERE_MESSAGE("tool-plan-delta", "\"tool_plan\":\"no\"") COHERE_MESSAGE(
         "tool-call-start",
         "\"tool_calls\":{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}")
         COHERE_MESSAGE("tool-call-delta", "\"tool_calls\":{\"function\":{\"arguments\":\"{}\"}}")
             COHERE("tool-call-end", ",\"index\":0")
                 DATA("{\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"name\":\"g\"},"
                      "\"id\":\"b\"}}},\"index\":1,\"type\":\"tool-call-start\"}")
                     COHERE_END("\"finish_reason\":\"TOOL_CALL\""),
     "- other0\n"
     "- tool0.0<a,f>=\n"
     "- tool0.0<,>={}\n"
     "- other0\n"
     "- tool0.1<b,g>=\n"
     "- finish0=tool_calls:TOOL_CALL\n"
     "complete"},
    {"cohere-v2-chat", "an end for the length", COHERE_END("\"finish_reason\":\"MAX_TOKENS\""),
     "- finish0=length:MAX_TOKENS\n"
     "complete"},
    {"cohere-v2-chat", "an end that is a failure",
     COHERE_END("\"finish_reason\":\"ERROR\",\"error\":\"m\""),
     "- finish0=other:ERROR\n"
     "provider error 500 ERROR: m"},
    {"cohere-v2-chat", "a failure without a blank line",
     "data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\"}}\n",
     "provider error 500 ERROR: "},
    {"cohere-v2-chat", "an end that is a timeout", COHERE_END("\"finish_reason\":\"TIMEOUT\""),
     "- finish0=other:TIMEOUT\n"
     "provider error 504 TIMEOUT: "},
    {"cohere-v2-chat", "an error as in its error answers", DATA("{\"id\":\"e\",\"message\":\"m\"}"),
     "- id:e\n"
     "provider error 0 : m"},
    {"cohere-v2-chat", "a message of another event's",
     NAMED("debug", "{\"message\":\"m\"}") COHERE_END("\"finish_reason\":\"COMPLETE\""),
     "- other0\n"
     "- finish0=stop:COMPLETE\n"
     "complete"},
    {"cohere-v2-chat", "no end", COHERE_MESSAGE("content-delta", "\"content\":{\"text\":\"x\"}"),
     "- text0=x\n"
     "interrupted"},
    {"openai-completions", "a plain answer",
     DATA("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"text\":\"a\",\"index\":0,\"delta\":{"
          "\"content\":\"a\"},\"finish_reason\":null},{\"text\":\"b\",\"index\":1}]}")
         DATA("{\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_"
              "tokens\":1,\"completion_tokens\":2}}") DONE,
     "- id:c1 model:m text0=a text1=b\n"
     "- finish0=length:length usage/1/2/-/-/{\"prompt_tokens\":1,\"completion_tokens\":2}\n"
     "-\n"
     "complete"},
    {"openai-completions", "an error",
     DATA("{\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}"),
     "-\n"
     "provider error 500 server_error: m"},
    {"openai-completions", "no end", DATA("{\"choices\":[{\"text\":\"a\"}]}"),
     "- text0=a\n"
     "interrupted"},
    {"mistral-chat", "content as a list",
     DATA("{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":["
          "{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"T\"}]},{\"type\":"
          "\"text\",\"text\":\"x\"}]},\"finish_reason\":\"stop\"}]}") DONE,
     "- id:c1 role:assistant reasoning0=T text0=x finish0=stop:stop\n"
     "-\n"
     "complete"},
    {"mistral-chat", "an error",
     DATA("{\"object\":\"error\",\"message\":\"m\",\"type\":\"rate_limited\",\"code\":\"429\"}"),
     "-\n"
     "provider error 429 429: m"},
    {"openai-assistants", "a plain answer",
     NAMED("thread.run.created", "{\"object\":\"thread.run\",\"id\":\"run\",\"model\":\"g\","
                                 "\"status\":\"queued\",\"last_error\":null}")
         NAMED("thread.message.created", "{\"object\":\"thread.message\",\"id\":\"msg\",\"role\":"
                                         "\"assistant\",\"status\":\"in_progress\",\"content\":[]}")
             NAMED(
                 "thread.message.delta",
                 "{\"id\":\"msg\",\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{"
                 "\"index\":0,\"type\":\"text\",\"text\":{\"value\":\"a\",\"annotations\":[]}},{"
                 "\"type\":\"text\",\"text\":{\"value\":\"b\"}},{\"type\":\"refusal\",\"refusal\":"
                 "\"R\"}]}}") NAMED("thread.message.completed",
                                    "{\"object\":\"thread.message\",\"status\":\"completed\","
                                    "\"content\":[{\"text\":{\"value\":\"ab\"}}]}")
                 DATA(
                     "{\"object\":\"thread.run.step\",\"status\":\"completed\",\"usage\":{\"prompt_"
                     "tokens\":9}}")
                     RUN("\"status\":\"completed\",\"usage\":{\"prompt_tokens\":1,\"completion_"
                         "tokens\":2,\"prompt_token_details\":{\"cached_tokens\":3},\"completion_"
                         "tokens_details\":{\"reasoning_tokens\":4}}") NAMED("done", "[DONE]"),
     "- id:run model:g other0\n"
     "- role:assistant other0\n"
     "- text0=a text0=b refusal0=R\n"
     "- other0\n"
     "- other0\n"
     "- finish0=stop:completed "
     "usage/1/2/4/3/"
     "{\"prompt_tokens\":1,\"completion_tokens\":2,\"prompt_token_details\":{\"cached_tokens\":3},"
     "\"completion_tokens_details\":{\"reasoning_tokens\":4}}\n"
     "-\n"
     "complete"},
    {"openai-assistants", "calls beside the server's own",
     STEP_CALL("{\"index\":0,\"id\":\"s\",\"type\":\"code_interpreter\",\"code_interpreter\":{"
               "\"input\":\"no\"}},{\"index\":1,\"id\":\"a\",\"type\":\"function\",\"function\":{"
               "\"name\":\"f\",\"arguments\":\"\",\"output\":null}},[{\"id\":\"no\"}]")
         STEP_CALL("{\"function\":{\"arguments\":\"{}\"},\"index\":1}") STEP_CALL("{\"id\":\"no\"}")
             RUN("\"status\":\"requires_action\""),
     "- tool0.0<a,f>=\n"
     "- tool0.0<,>={}\n"
     "- other0\n"
     "- finish0=tool_calls:requires_action\n"
     "complete"},
    {"openai-assistants", "incomplete",
     RUN("\"incomplete_details\":{\"reason\":\"max_completion_tokens\"},\"status\":\"incomplete\""),
     "- finish0=length:incomplete\n"
     "complete"},
    {"openai-assistants", "failed",
     DATA("{\"object\":\"thread.run.step\",\"status\":\"failed\",\"last_error\":{\"code\":\"server_"
          "error\",\"message\":\"no\"}}") RUN("\"status\":\"failed\",\"last_error\":{\"code\":"
                                              "\"rate_limit_exceeded\",\"message\":\"m\"}"),
     "- other0\n"
     "- finish0=other:failed\n"
     "provider error 429 rate_limit_exceeded: m"},
    {"openai-assistants", "an error event",
     NAMED("error", "{\"code\":\"server_error\",\"message\":\"m\"}"),
     "-\n"
     "provider error 500 server_error: m"},
    {"openai-assistants", "statuses that are no end, or another's",
     RUN("\"status\":\"cancelling\"")
         DATA("{\"object\":\"thread.message\",\"status\":\"incomplete\"}"),
     "- other0\n"
     "- other0\n"
     "interrupted"},
    {"openai-transcription", "pieces, segments, the whole at the end",
     DATA("{\"type\":\"transcript.text.delta\",\"delta\":\"a\"}")
         DATA("{\"type\":\"transcript.text.segment\",\"text\":\"no\",\"speaker\":\"A\"}")
             DATA("{\"delta\":\"b\",\"type\":\"transcript.text.delta\"}")
                 DATA("{\"type\":\"transcript.text.done\",\"text\":\"ab\",\"usage\":{\"type\":"
                      "\"tokens\",\"input_tokens\":1,\"output_tokens\":2}}") DONE,
     "- text0=a\n"
     "- other0\n"
     "- text0=b\n"
     "- usage/1/2/-/-/{\"type\":\"tokens\",\"input_tokens\":1,\"output_tokens\":2}\n"
     "-\n"
     "complete"},
    {"openai-transcription", "no end", DATA("{\"type\":\"transcript.text.delta\",\"delta\":\"a\"}"),
     "- text0=a\n"
     "interrupted"},
    {"openai-transcription", "an error",
     DATA("{\"type\":\"error\",\"message\":\"m\",\"code\":\"429\"}"),
     "-\n"
     "provider error 429 429: m"},
    {"events", "whatever it is",
     "id: 1\n" NAMED("error", "{\"error\":{\"message\":\"m\"}}") DATA("{broken") DATA("\xFF")
         DONE NAMED("x", "") "error: no\n{\"error\":\"m\"}\n" DATA("y"),
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "complete"},
    {"events", "nothing", "", "complete"},
    {"events", "cut inside an event", DATA("x") "data: y\n",
     "- other0\n"
     "interrupted"},
    {"json", "an object, whatever it holds",
     " {\n \"error\": {\"message\": \"m\"},\n \"a\": [1, \"}\"]\n}\n",
     "- other0\n"
     "complete"},
    {"json", "each element of an array", "[{\"a\":1}, 2, \"x\"]",
     "- other0\n"
     "- other0\n"
     "- other0\n"
     "complete"},
    {"json", "cut inside the object", "{\"a\":{}", "interrupted"},
    {"json", "cut inside the array", "[1,",
     "- other0\n"
     "interrupted"},
    {"json", "nothing", "", "interrupted"},

};

enum { N_STREAMS = sizeof streams / sizeof *streams };

/* Feed a piece, again and again where the sink pauses. */
static int feed(struct mill__decoder *decoder, const char *piece, size_t len) {
  int rc;
  size_t consumed;
  for (size_t at = 0;; at += consumed) {
    rc = mill__decoder_feed(decoder, piece + at, len - at, &consumed);
    if (rc != MILL_AGAIN)
      return rc;
  }
}

static void run_stream(struct test_log *log, const struct stream *stream,
                       struct test_pieces *pieces, int answer) {
  struct mill__decoder *decoder = test_log_open(log, stream->format, &limits);
  log->answer = answer;
  int error = MILL_OK;
  const char *piece;
  size_t len;
  while (!error && (piece = test_next_piece(pieces, &len)))
    error = feed(decoder, piece, len);
  int end = mill__decoder_finish(decoder);
  CHECK(!error || end == error);
  CHECK_INT(mill__decoder_finish(decoder), end);
  CHECK(mill__decoder_complete(decoder) || !mill__decoder_terminated(decoder));
  test_log_end(log, decoder, end);
  mill__decoder_free(decoder);
}

static void test_streams(void) {
  static struct test_log log;
  for (size_t i = 0; i < N_STREAMS; i++) {
    const struct stream *stream = &streams[i];
    struct test_pieces pieces = {.bytes = stream->stream, .len = strlen(stream->stream)};
    while (test_next_run(&pieces)) {
      test_case("%s: %s, %s", stream->format, stream->name, test_run_name(&pieces));
      run_stream(&log, stream, &pieces, pieces.run % 2 ? MILL_AGAIN : MILL_OK);
      CHECK_BYTES(log.text, log.len, stream->log, strlen(stream->log));
    }
  }
}

/* Every dialect of this framing is in the list above. */
static void test_coverage(void) {
  for (const char *const *name = mill_formats(); *name; name++) {
    if (mill__dialect_find(*name)->framing != MILL__FRAMING_SSE ||
        strcmp(*name, "openai-chat") == 0)
      continue;
    test_case("%s has streams here", *name);
    size_t i = 0;
    while (i < N_STREAMS && strcmp(streams[i].format, *name) != 0)
      i++;
    CHECK(i < N_STREAMS);
  }
}

/* ---- wrong shapes ---------------------------------------------------------------------------- */

/* The types that a dialect acts upon, and a stream that says "x" and ends well. */
static const struct shaped {
  const char *format, *type_key, *types[16], *tail;
} shaped[] = {
    {"anthropic-messages",
     "type",
     {"message_start", "content_block_start", "content_block_delta", "content_block_stop",
      "message_delta", "message_stop"},
     TEXT_DELTA("x") STOP_REASON("end_turn") MESSAGE_STOP},
    {"openai-responses",
     "type",
     {"response.created", "response.output_text.delta", "response.reasoning_text.delta",
      "response.refusal.delta", "response.function_call_arguments.delta",
      "response.function_call_arguments.done", "response.custom_tool_call_input.done",
      "response.output_item.added", "response.output_item.done", "response.completed",
      "response.incomplete"},
     OUTPUT("x") COMPLETED DONE},
    {"gemini", NULL, {NULL}, PARTS("{\"text\":\"x\"}") GEMINI_STOP},
    {"gemini-interactions",
     "event_type",
     {"interaction.created", "step.start", "step.delta", "step.stop", "interaction.completed"},
     DATA("{\"event_type\":\"step.delta\",\"delta\":{\"type\":\"text\",\"text\":\"x\"}}")
         DATA("{\"event_type\":\"interaction.completed\",\"interaction\":{\"status\":"
              "\"completed\"}}") DONE},
    {"cohere-v2-chat",
     "type",
     {"message-start", "content-start", "content-delta", "tool-call-start", "tool-call-delta",
      "message-end"},
     COHERE_MESSAGE("content-delta", "\"content\":{\"text\":\"x\"}")
         COHERE_END("\"finish_reason\":\"COMPLETE\"") DONE},
    {"openai-completions",
     NULL,
     {NULL},
     DATA("{\"choices\":[{\"text\":\"x\",\"finish_reason\":\"stop\"}]}") DONE},
    {"mistral-chat",
     NULL,
     {NULL},
     DATA("{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}") DONE},
    {"openai-assistants",
     "object",
     {"thread.run", "thread.run.step", "thread.run.step.delta", "thread.message.delta"},
     DATA("{\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{\"text\":{\"value\":"
          "\"x\"}}]}}") RUN("\"status\":\"completed\"") DONE},
    {"openai-transcription",
     "type",
     {"transcript.text.delta", "transcript.text.done"},
     DATA("{\"type\":\"transcript.text.delta\",\"delta\":\"x\"}")
         DATA("{\"type\":\"transcript.text.done\"}") DONE},
};

/* What the generated documents can say. */
static const char *const values[] = {
    "null", "true", "1",      "-1.5",    "1e999",     "\"\"",     "\"s\"",     "{}",        "[]",
    "[{}]", "[[]]", "[null]", "[\"s\"]", "{\"\":{}}", "[[{}],1]", "{\"k\":1}", "[1,[2,[]]]"};

struct said {
  bool x, other; /* texts: "x"; anything but that and "s" */
};

static int on_said(void *ctx, const mill_event *event, const struct mill__meta *meta,
                   const struct mill__delta *deltas, size_t n_deltas) {
  struct said *said = ctx;
  (void)event;
  (void)meta;
  for (size_t i = 0; i < n_deltas; i++) {
    if (deltas[i].type > MILL_CHUNK_REFUSAL)
      continue;
    mill_slice text = deltas[i].signature.len ? deltas[i].signature : deltas[i].text;
    bool x = text.len == 1 && *text.ptr == 'x', s = text.len == 1 && *text.ptr == 's';
    said->x |= x && deltas[i].type == MILL_CHUNK_TEXT;
    said->other |= !x && !s;
  }
  return MILL_OK;
}

/* The event in which `value` stands at a path of the table, beside the type. */
static void put_event(struct test_log *out, const struct shaped *shape, const char *type,
                      const char *path, const char *value) {
  char closing[64];
  size_t n_closing = 0;
  out->len = 0;
  test_log_put(out, "data: ");
  for (const char *at = path; *at; at += *at == '.') {
    if (*at == '[') {
      test_log_put(out, "[");
      closing[n_closing++] = ']';
      at += 2;
      continue;
    }
    int len = (int)strcspn(at, ".[");
    test_log_put(out, "{");
    if (at == path && type)
      test_log_put(out, "\"%s\":\"%s\",", shape->type_key, type);
    test_log_put(out, "\"%.*s\":", len, at);
    closing[n_closing++] = '}';
    at += len;
  }
  test_log_put(out, "%s", value);
  while (n_closing)
    test_log_put(out, "%c", closing[--n_closing]);
  test_log_put(out, "\n\n%s", shape->tail);
}

/* An error where the path is one's, or where the document has no type and might be one. */
static bool may_fail(const char *type, const char *path) {
  return strstr(path, "error") || (!type && strncmp(path, "message", 7) == 0);
}

static void run_shape(const struct shaped *shape, const char *type, const char *path,
                      const char *value) {
  static struct test_log stream;
  put_event(&stream, shape, type, path, value);
  struct said said = {0};
  const struct mill__sink sink = {.event = on_said, .ctx = &said};
  struct mill__decoder *decoder;
  CHECK_INT(mill__decoder_new(mill__dialect_find(shape->format), &limits, &sink, &decoder),
            MILL_OK);
  CHECK_INT(feed(decoder, stream.text, stream.len), MILL_OK);
  int end = mill__decoder_finish(decoder);
  bool unfinished = strstr(path, "index") != NULL; /* a second candidate was begun */
  CHECK(end == MILL_OK || (end == MILL_E_PROVIDER && may_fail(type, path)) ||
        (end == MILL_E_INTERRUPTED && unfinished));
  bool ended = type && strcmp(type, "message_stop") == 0;
  CHECK(said.x || ended);
  CHECK(!said.other);
  mill__decoder_free(decoder);
}

/* At the path itself, and at each container on the way to it. */
static void run_path(const struct shaped *shape, const char *type, const char *full_path) {
  char path[128];
  snprintf(path, sizeof path, "%s", full_path);
  for (size_t end = strlen(path); end > 0; end--) {
    if (path[end] && path[end] != '.' && path[end] != '[')
      continue;
    path[end] = '\0';
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
      test_case("%s: %s at %s, %s", shape->format, values[i], path, type ? type : "no type");
      run_shape(shape, type, path, values[i]);
    }
  }
}

static void test_shapes(void) {
  for (size_t i = 0; i < sizeof shaped / sizeof *shaped; i++) {
    const struct mill__dialect *dialect = mill__dialect_find(shaped[i].format);
    for (size_t row = 0; row < dialect->n_paths; row++) {
      run_path(&shaped[i], NULL, dialect->paths[row].path);
      for (const char *const *type = shaped[i].types; *type; type++)
        run_path(&shaped[i], *type, dialect->paths[row].path);
    }
  }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void run_with_failing_memory(void *ctx) {
  static struct test_log log;
  const struct stream *stream = ctx;
  struct mill__decoder *decoder = test_log_open(&log, stream->format, &limits);
  if (!decoder) {
    CHECK(test_alloc_failed());
    return;
  }
  const size_t len = strlen(stream->stream), step = 61;
  int error = MILL_OK;
  for (size_t at = 0; at < len && !error; at += step)
    error = feed(decoder, stream->stream + at, at + step < len ? step : len - at);
  if (!error)
    error = mill__decoder_finish(decoder);
  CHECK(error != MILL_E_NOMEM || test_alloc_failed());
  if (!test_alloc_failed()) {
    test_log_end(&log, decoder, error);
    CHECK_BYTES(log.text, log.len, stream->log, strlen(stream->log));
  }
  mill__decoder_free(decoder);
}

static void test_memory(void) {
  for (size_t i = 0; i < N_STREAMS; i++) {
    test_case("%s: %s, memory fails", streams[i].format, streams[i].name);
    test_each_failing_allocation(run_with_failing_memory, (void *)&streams[i]);
  }
}

/* A stream in its stride takes no memory. */
/* Decoders of a stream, its bytes in turns, so that all are inside an event at the same time. */
static void check_turns(const struct stream *stream) {
  enum { N = MILL__DECODER_STORE_ARRAYS + 2 };
  static struct test_log alone, logs[N];
  struct mill__decoder *decoder = test_log_open(&alone, stream->format, &limits), *decoders[N];
  struct mill__decoder_store store;
  size_t len = strlen(stream->stream);
  int end = feed(decoder, stream->stream, len);
  mill__decoder_store_init(&store);
  for (size_t i = 0; i < N; i++) {
    decoders[i] = test_log_open(&logs[i], stream->format, &limits);
    mill__decoder_share(decoders[i], &store);
  }
  for (size_t at = 0; at < len; at++)
    for (size_t i = 0; i < N; i++)
      feed(decoders[i], stream->stream + at, 1);
  for (size_t i = 0; i < N; i++) {
    CHECK_INT(feed(decoders[i], "", 0), end);
    CHECK_BYTES(logs[i].text, logs[i].len, alone.text, alone.len);
    mill__decoder_free(decoders[i]);
  }
  mill__decoder_free(decoder);
  CHECK(store.assembly.n <= MILL__DECODER_STORE_ARRAYS);
  mill__decoder_store_fini(&store);
}

static void test_store(void) {
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
    test_case("%s %zu: decoders that share a store", streams[i].format, i);
    check_turns(&streams[i]);
  }
}

static void test_steady_state(void) {
  static const struct {
    const char *format, *event;
  } steady[] = {
      {"anthropic-messages", TEXT_DELTA("x\\n\\ud83d") BLOCK_DELTA(
                                 "1", "\"type\":\"signature_delta\",\"signature\":\"S\"")},
      {"openai-responses",
       OUTPUT("x\\n") RESPONSES("response.function_call_arguments.delta",
                                ",\"output_index\":1,\"item_id\":\"i\",\"delta\":\"{\"")},
      {"gemini", PARTS("{\"text\":\"x\"},{\"text\":\"y\",\"thought\":true}")},
      {"gemini-interactions",
       DATA("{\"event_type\":\"step.delta\",\"delta\":{\"type\":\"text\",\"text\":\"x\"}}")},
      {"cohere-v2-chat", COHERE_MESSAGE("content-delta", "\"content\":{\"text\":\"x\"}")},
      {"mistral-chat",
       DATA("{\"choices\":[{\"delta\":{\"content\":[{\"text\":\"x\"},{\"text\":\"y\"}]}}]}")},
      {"openai-assistants", DATA("{\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{"
                                 "\"text\":{\"value\":\"x\"}}]}}")},
      {"events", DATA("x")},
  };
  static struct test_log log;
  for (size_t i = 0; i < sizeof steady / sizeof *steady; i++) {
    test_case("%s: no allocation in the steady state", steady[i].format);
    struct mill__decoder *decoder = test_log_open(&log, steady[i].format, &limits);
    for (int run = 0; run < 200; run++) {
      log.len = 0;
      test_alloc_fail(run == 20, true);
      CHECK_INT(feed(decoder, steady[i].event, strlen(steady[i].event)), MILL_OK);
    }
    CHECK(!test_alloc_failed());
    test_alloc_fail(0, false);
    mill__decoder_free(decoder);
  }
}

/* ---- error answers --------------------------------------------------------------------------- */

static void check_error_body(const char *format, const char *body, const char *expected) {
  test_case("%s: %s", format, body);
  struct mill__provider_error error = {0};
  mill__buf_init(&error.message, 1000);
  mill__buf_init(&error.kind, 1000);
  size_t len = strlen(body);
  bool found =
      mill__dialect_error_body(mill__dialect_find(format), test_guarded(body, len), len, &error);
  CHECK_INT(found, expected != NULL);
  if (found) {
    static struct test_log log;
    log.len = 0;
    test_log_put(&log, "%d", error.status);
    test_log_slice(&log, " ", mill__buf_slice(&error.kind));
    test_log_slice(&log, ": ", mill__buf_slice(&error.message));
    CHECK_BYTES(log.text, log.len, expected, strlen(expected));
  }
  mill__buf_fini(&error.message);
  mill__buf_fini(&error.kind);
}

static void test_error_bodies(void) {
  check_error_body(
      "anthropic-messages",
      "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"m\"}}",
      "404 not_found_error: m");
  check_error_body(
      "openai-responses",
      "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"code\":null}}",
      "400 invalid_request_error: m");
  check_error_body("gemini",
                   "{\"error\":{\"code\":404,\"message\":\"m\",\"status\":\"NOT_FOUND\"}}",
                   "404 NOT_FOUND: m");
  check_error_body("gemini",
                   "[{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\"}}]",
                   "400 INVALID_ARGUMENT: m");
  check_error_body("cohere-v2-chat", "{\"id\":\"e\",\"message\":\"m\"}", "0 : m");
  check_error_body("mistral-chat", "{\"object\":\"error\",\"message\":\"m\",\"code\":\"1\"}",
                   "0 1: m");
  check_error_body("gemini", "{\"candidates\":[]}", NULL);
  check_error_body("events", "{\"error\":{\"message\":\"m\"}}", NULL);
  check_error_body("json", "{\"error\":{\"message\":\"m\"}}", NULL);
}

/* ---- recorded streams ------------------------------------------------------------------------ */

/* What a recording adds up to, for choice 0. */
struct answer {
  struct mill__buf text[MILL_CHUNK_REFUSAL + 1]; /* by mill_chunk_type */
  struct mill__buf finish;
  mill_usage usage;
  struct answer_tool {
    struct mill__buf name, arguments;
  } tools[16];
  size_t n_tools;
  unsigned n_events;
  bool finished; /* a finish reason came */
};

static void add_tool(struct answer *answer, const struct mill__delta *delta) {
  size_t i = (size_t)delta->tool_index;
  CHECK(i < sizeof answer->tools / sizeof *answer->tools && i <= answer->n_tools);
  struct answer_tool *tool = &answer->tools[i];
  if (i == answer->n_tools) {
    answer->n_tools++;
    mill__buf_init(&tool->name, SIZE_MAX);
    mill__buf_init(&tool->arguments, SIZE_MAX);
  }
  mill__buf_append(&tool->name, delta->tool_name.ptr, delta->tool_name.len);
  mill__buf_append(&tool->arguments, delta->text.ptr, delta->text.len);
}

static void take_count(int64_t *to, int64_t from) {
  if (from >= 0)
    *to = from;
}

static void add_delta(struct answer *answer, const struct mill__delta *delta) {
  if (delta->type == MILL_CHUNK_USAGE) {
    take_count(&answer->usage.input_tokens, delta->usage.input_tokens);
    take_count(&answer->usage.output_tokens, delta->usage.output_tokens);
  }
  if (delta->choice != 0)
    return;
  if (delta->type <= MILL_CHUNK_REFUSAL)
    mill__buf_append(&answer->text[delta->type], delta->text.ptr, delta->text.len);
  if (delta->type == MILL_CHUNK_TOOL_CALL)
    add_tool(answer, delta);
  if (delta->type == MILL_CHUNK_FINISH) {
    answer->finished = true;
    mill__buf_clear(&answer->finish);
    mill__buf_append(&answer->finish, delta->finish_raw.ptr, delta->finish_raw.len);
  }
}

static int on_recorded_event(void *ctx, const mill_event *event, const struct mill__meta *meta,
                             const struct mill__delta *deltas, size_t n_deltas) {
  struct answer *answer = ctx;
  (void)event;
  (void)meta;
  answer->n_events++;
  for (size_t i = 0; i < n_deltas; i++)
    add_delta(answer, &deltas[i]);
  return MILL_OK;
}

static long long code_points(const struct mill__buf *text) {
  long long n = 0;
  for (size_t i = 0; i < text->len; i++)
    n += ((unsigned char)text->ptr[i] & 0xC0) != 0x80;
  return n;
}

/* A text of the manifest: its length always, itself where it is short. */
static void check_text(const struct json *expected, const char *key, const struct mill__buf *text) {
  char len_key[32];
  snprintf(len_key, sizeof len_key, "%s_len", key);
  const struct json *len = json_get(expected, len_key), *whole = json_get(expected, key);
  CHECK_INT(code_points(text), len ? (long long)len->number : 0);
  if (whole)
    CHECK_BYTES(text->ptr, text->len, whole->text, whole->len);
}

static void check_tokens(const struct json *usage, const char *key, int64_t tokens) {
  const struct json *expected = usage ? json_get(usage, key) : NULL;
  CHECK_INT(tokens < 0 ? 0 : tokens, expected ? (long long)expected->number : 0);
}

static void check_answer(const struct answer *answer, const struct json *expected) {
  check_text(expected, "text", &answer->text[MILL_CHUNK_TEXT]);
  check_text(expected, "reasoning", &answer->text[MILL_CHUNK_REASONING]);
  check_text(expected, "refusal", &answer->text[MILL_CHUNK_REFUSAL]);
  const struct json *finish = json_get(expected, "finish"), *usage = json_get(expected, "usage");
  CHECK_BYTES(answer->finish.ptr, answer->finish.len, finish ? finish->text : "",
              finish ? finish->len : 0);
  check_tokens(usage, "input_tokens", answer->usage.input_tokens);
  check_tokens(usage, "output_tokens", answer->usage.output_tokens);
  const struct json *tool = json_need(expected, "tool_calls", JSON_ARRAY)->child;
  size_t i = 0;
  for (; tool; tool = tool->next, i++) {
    CHECK(i < answer->n_tools);
    const struct json *name = json_need(tool, "name", JSON_STRING),
                      *arguments = json_get(tool, "arguments");
    CHECK_BYTES(answer->tools[i].name.ptr, answer->tools[i].name.len, name->text, name->len);
    if (arguments) /* else the API has an object: tests/python compares it */
      CHECK_BYTES(answer->tools[i].arguments.ptr, answer->tools[i].arguments.len, arguments->text,
                  arguments->len);
  }
  CHECK_INT(answer->n_tools, i);
}

static void answer_init(struct answer *answer) {
  *answer = (struct answer){.usage = {-1, -1, -1, -1, {NULL, 0}}};
  for (int i = 0; i <= MILL_CHUNK_REFUSAL; i++)
    mill__buf_init(&answer->text[i], SIZE_MAX);
  mill__buf_init(&answer->finish, SIZE_MAX);
}

static void answer_fini(struct answer *answer) {
  for (int i = 0; i <= MILL_CHUNK_REFUSAL; i++)
    mill__buf_fini(&answer->text[i]);
  mill__buf_fini(&answer->finish);
  for (size_t i = 0; i < answer->n_tools; i++) {
    mill__buf_fini(&answer->tools[i].name);
    mill__buf_fini(&answer->tools[i].arguments);
  }
}

/* The format that reads a recording's API. */
static const struct mill__dialect *dialect_of(const char *api) {
  static const char *const unread[] = {"mcp", "watsonx", "replicate"};
  for (size_t i = 0; i < sizeof unread / sizeof *unread; i++)
    if (strcmp(api, unread[i]) == 0)
      api = "events";
  const struct mill__dialect *dialect = mill__dialect_find(api);
  CHECK(dialect != NULL);
  return dialect;
}

static struct mill__decoder_store store; /* of all that are replayed */

/* Feed the first `len` bytes in steps; what finish() says of that. */
static int replay(const struct mill__dialect *dialect, const char *bytes, size_t len, size_t step,
                  struct answer *answer) {
  const struct mill__sink sink = {.event = on_recorded_event, .ctx = answer};
  struct mill__decoder *decoder;
  CHECK_INT(mill__decoder_new(dialect, &limits, &sink, &decoder), MILL_OK);
  mill__decoder_share(decoder, &store);
  for (size_t at = 0, n; at < len; at += n) {
    n = len - at < step ? len - at : step;
    CHECK_INT(feed(decoder, test_guarded(bytes + at, n), n), MILL_OK);
  }
  int end = mill__decoder_finish(decoder);
  mill__decoder_free(decoder);
  return end;
}

static void check_whole(const struct mill__dialect *dialect, const char *bytes, size_t len,
                        size_t step, const struct json *expected) {
  struct answer answer;
  answer_init(&answer);
  bool error = json_get(expected, "error") != NULL;
  CHECK_INT(replay(dialect, bytes, len, step, &answer), error ? MILL_E_PROVIDER : MILL_OK);
  CHECK_INT(answer.n_events, json_need(expected, "n_events", JSON_NUMBER)->number);
  if (dialect->value)
    check_answer(&answer, expected);
  answer_fini(&answer);
}

/* Cut before its finish reason, a stream is not whole. */
static void check_cut(const struct mill__dialect *dialect, const char *bytes, size_t len) {
  struct answer answer;
  answer_init(&answer);
  int end = replay(dialect, bytes, len, len, &answer);
  CHECK(end == MILL_E_INTERRUPTED || end == MILL_E_PROVIDER || (end == MILL_OK && answer.finished));
  answer_fini(&answer);
}

static void check_recording(const struct json *entry, uint64_t *random) {
  const char *file = json_need(entry, "file", JSON_STRING)->text;
  const struct json *expected = json_need(entry, "expected", JSON_OBJECT);
  const struct mill__dialect *dialect = dialect_of(json_need(entry, "api", JSON_STRING)->text);
  char path[256];
  snprintf(path, sizeof path, "streams/%s", file);
  size_t len;
  char *bytes = test_read_file(test_shared(path), &len);
  for (size_t step = len; step; step /= 11) {
    test_case("%s in steps of %zu", file, step);
    check_whole(dialect, bytes, len, step, expected);
  }
  const bool has_finish = json_get(expected, "finish") != NULL;
  for (int i = 0; i < 10 && dialect->value && has_finish; i++) {
    size_t cut = test_random(random) % len;
    test_case("%s cut at %zu", file, cut);
    check_cut(dialect, bytes, cut);
  }
  free(bytes);
}

static bool test_recordings(void) {
  const char *manifest = test_shared("streams/manifest.json");
  if (!manifest)
    return false;
  struct json *all = json_read(manifest);
  mill__decoder_store_init(&store);
  uint64_t random = 1;
  size_t n_replayed = 0;
  for (const struct json *entry = all->child; entry; entry = entry->next)
    if (strcmp(json_need(entry, "framing", JSON_STRING)->text, "sse") == 0) {
      check_recording(entry, &random);
      n_replayed++;
    }
  json_free(all);
  mill__decoder_store_fini(&store);
  CHECK(n_replayed >= 196);
  return true;
}

int main(void) {
  test_alloc_install();
  test_coverage();
  test_streams();
  test_shapes();
  test_memory();
  test_store();
  test_steady_state();
  test_error_bodies();
  return test_recordings() ? 0 : test_skipped("streams");
}
