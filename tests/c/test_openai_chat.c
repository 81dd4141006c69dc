/*
 * provider/openai_chat through the decoder: streams and what is told of them, in any split; how
 * they end; memory. (Recorded streams: test_dialects.)
 */
#include <stdio.h>
#include <string.h>

#include "provider/decoder.h"
#include "provider/dialect.h"
#include "provider_log.h"
#include "support.h"

#define DATA(json) "data: " json "\n\n"
#define CHOICE(json) DATA("{\"choices\":[{\"index\":0," json "}]}")
#define DELTA(json) CHOICE("\"delta\":{" json "}")
#define TOOLS(json) DELTA("\"tool_calls\":[" json "]")
#define DONE DATA("[DONE]")

static const mill_limits limits = {.event_bytes = 1 << 20, .json_depth = 64};

static struct mill__decoder *open_chat(struct test_log *log) {
  return test_log_open(log, "openai-chat", &limits);
}

/* ---- streams and what is told of them -------------------------------------------------------- */

static const struct {
  const char *name, *stream, *log;
} streams[] = {
    {"a plain answer",
     DATA("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
          "\"assistant\","
          "\"content\":\"\"},\"finish_reason\":null}]}")
         DATA("{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
              "\"Hel\"}}]}") DELTA("\"role\":\"assistant\",\"content\":\"lo\"")
             CHOICE("\"delta\":{},\"finish_reason\":\"stop\"")
                 DATA("{\"id\":\"c2\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_"
                      "tokens\":2}}") DONE,
     "- id:c1 model:m role:assistant other0\n- text0=Hel\n- text0=lo\n- finish0=stop:stop\n"
     "- id:c2 usage/3/2/-/-/{\"prompt_tokens\":3,\"completion_tokens\":2}\n-\ncomplete"},
    {"all kinds of deltas, in one order",
     CHOICE("\"finish_reason\":\"length\",\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"i\"}],"
            "\"refusal\":\"R\",\"content\":\"C\",\"reasoning\":\"T\"},\"usage\":1")
         DATA("{\"usage\":{\"prompt_tokens\":1},\"choices\":[{\"delta\":{\"content\":\"C\"},"
              "\"index\":1}]}") DONE,
     "- reasoning0=T text0=C refusal0=R tool0.0<i,>= finish0=length:length\n"
     "- text1=C usage/1/-/-/-/{\"prompt_tokens\":1}\n-\ncomplete"},
    {"reasoning under two names, and as a list",
     DELTA("\"reasoning_content\":\"a\"") DELTA("\"reasoning\":\"b\"")
         DELTA("\"reasoning_content\":\"c\",\"reasoning\":\"c\"")
             DELTA("\"reasoning\":\"d\",\"reasoning_content\":\"e\"")
                 DELTA("\"reasoning_details\":[{\"text\":\"f\"}],\"reasoning\":\"f\"")
                     DELTA("\"reasoning_details\":[{\"text\":\"g\"},{\"type\":\"x\"},{\"summary\":"
                           "\"h\"}],\"content\":\"\"")
                         DELTA("\"reasoning_details\":[{\"text\":\"i\"}],\"content\":\"!\","
                               "\"reasoning_details\":[{\"text\":\"j\"}]")
                             DELTA("\"reasoning\":\"\",\"reasoning_content\":null") DONE,
     "- reasoning0=a\n- reasoning0=b\n- reasoning0=c\n- reasoning0=d reasoning0=e\n- reasoning0=f\n"
     "- reasoning0=gh\n- reasoning0=ij text0=!\n- other0\n-\ncomplete"},
    {"reasoning that is signed or withheld: each signature is one of its own",
     DELTA("\"reasoning_details\":[{\"signature\":\"S\",\"text\":\"a\"},{\"data\":\"D\"},{"
           "\"signature\":null,\"data\":{\"data\":\"no\"}}],\"content\":\"\"")
         DELTA(
             "\"reasoning_details\":[{\"signature\":\"T\"}],\"reasoning\":\"b\",\"content\":\"c\"")
             DELTA("\"reasoning_details\":{\"signature\":\"no\"}") DONE,
     "- reasoning0=a reasoning0<S>= reasoning0<D>=\n- reasoning0=b text0=c reasoning0<T>=\n"
     "- other0\n-\ncomplete"},
    {"nothing in it",
     DELTA("\"content\":null") DELTA("\"content\":\"\"") DELTA("") DATA("{}")
         DATA("{\"choices\":null}") DATA(
             "{\"usage\":null,\"error\":null}") "data:\n\n"
                                                "data:  \ndata:\n\n" DATA("7") DATA("\"x\"") DONE,
     "- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n- other0\n"
     "- other0\n-\ncomplete"},
    {"the last of two equal keys", DELTA("\"content\":\"a\",\"content\":\"b\"") DONE,
     "- text0=b\n-\ncomplete"},
    {"several choices, their index behind the delta",
     DATA("{\"choices\":[{\"delta\":{\"content\":\"b\"},\"index\":1},{\"delta\":{\"content\":\"a\"}"
          ",\"index\":0}]}") DATA("{\"choices\":[{\"delta\":{\"content\":\"p\"}},{\"delta\":{"
                                  "\"content\":\"q\"},\"index\":\"x\"}]}")
         DATA("{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"index\":1}]}") DATA(
             "{\"choices\":[{\"delta\":{},\"finish_reason\":\"content_filter\",\"index\":0}]}"),
     "- text1=b text0=a\n- text0=p text1=q\n- finish1=stop:stop\n"
     "- finish0=content_filter:content_filter\ncomplete"},
    {"choices of a wrong shape are not there",
     DATA("{\"choices\":[[],7,\"x\"]}") DATA("{\"choices\":{\"index\":1}}")
         DATA("{\"choices\":[{},{\"index\":-1,\"delta\":{\"content\":\"x\"}}]}")
             DATA("{\"choices\":[{\"finish_reason\":\"stop\"},{\"finish_reason\":\"stop\"}]}"),
     "- other0\n- other0\n- text1=x\n- finish0=stop:stop finish1=stop:stop\ncomplete"},
    {"an array is no choice",
     DATA("{\"choices\":[[]]}") DATA("{\"choices\":[0,{\"finish_reason\":\"stop\"}]}"),
     "- other0\n- finish1=stop:stop\ncomplete"},
    {"finish words",
     CHOICE("\"finish_reason\":\"tool_calls\"") CHOICE("\"finish_reason\":\"function_call\"")
         CHOICE("\"finish_reason\":\"eos\"") CHOICE("\"finish_reason\":\"\"")
             CHOICE("\"finish_reason\":null"),
     "- finish0=tool_calls:tool_calls\n- finish0=tool_calls:function_call\n- finish0=other:eos\n"
     "- other0\n- other0\ncomplete"},
    {"usage in all its forms",
     DATA("{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"completion_tokens_details\":"
          "{\"reasoning_tokens\":3},\"prompt_tokens_details\":{\"cached_tokens\":4}}}")
         DATA("{\"x_groq\":{\"usage\":{\"prompt_tokens\":5,\"prompt_cache_hit_tokens\":6}}}")
             DATA("{\"usage\":{\"prompt_tokens\":\"7\",\"completion_tokens\":-1}}") DATA(
                 "{\"usage\":{\"completion_tokens\":99999999999999999999,\"s\":\"\\ud83d\"}}") DONE,
     "- usage/1/2/3/4/{\"prompt_tokens\":1,\"completion_tokens\":2,\"completion_tokens_details\":"
     "{\"reasoning_tokens\":3},\"prompt_tokens_details\":{\"cached_tokens\":4}}\n"
     "- usage/5/-/-/6/{\"prompt_tokens\":5,\"prompt_cache_hit_tokens\":6}\n- other0\n"
     "- "
     "usage/-/9223372036854775807/-/-/"
     "{\"completion_tokens\":99999999999999999999,\"s\":\"\xEF\xBF\xBD\"}\n"
     "-\ncomplete"},
    {"content as a list of parts",
     DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"T\"},"
           "{\"text\":\"U\"}],\"closed\":true},{\"type\":\"text\",\"text\":\"a\"},"
           "{\"text\":\"b\"}]") DELTA("\"content\":[]")
         DELTA("\"content\":[{\"type\":\"reference\"}]") DELTA("\"content\":\"c\"") DONE,
     "- reasoning0=TU text0=ab\n- other0\n- other0\n- text0=c\n-\ncomplete"},
    {"an old message beside the delta",
     CHOICE("\"message\":{\"content\":\"no\"},\"delta\":{\"content\":\"yes\"}") DONE,
     "- text0=yes\n-\ncomplete"},

    {"tool calls: id and name first, arguments in pieces",
     TOOLS("{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
           "\"arguments\":\"\"}}")
         TOOLS("{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}")
             TOOLS("{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}")
                 TOOLS("{\"index\":0,\"function\":{\"arguments\":\":1}\"}}")
                     TOOLS("{\"index\":1,\"function\":{\"arguments\":\"}\"}}") DONE,
     "- tool0.0<a,f>=\n- tool0.0<,>={\"x\"\n- tool0.1<b,g>={\n- tool0.0<,>=:1}\n- "
     "tool0.1<,>=}\n-\ncomplete"},
    {"tool calls: several in a chunk, two fragments of one call",
     TOOLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
           "{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"[\"}},"
           "{\"index\":1,\"function\":{\"arguments\":\"]\"}}") DONE,
     "- tool0.0<a,f>={} tool0.1<b,g>=[ tool0.1<,>=]\n-\ncomplete"},
    {"tool calls: no index",
     TOOLS("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
         TOOLS("{\"function\":{\"arguments\":\"}\"}}")
             TOOLS("{\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}}")
                 TOOLS("{\"id\":\"b\",\"function\":{\"arguments\":\"2\"}}")
                     TOOLS("{\"function\":{\"arguments\":\"3\"}}") DONE,
     "- tool0.0<a,f>={\n- tool0.0<,>=}\n- tool0.1<b,f>=1\n- tool0.1<,>=2\n- "
     "tool0.1<,>=3\n-\ncomplete"},
    {"tool calls: the same index, another id",
     TOOLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}},"
           "{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"2\"}}")
         TOOLS("{\"index\":0,\"function\":{\"arguments\":\"3\"}}") TOOLS(
             "{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"4\"}}") DONE,
     "- tool0.0<a,f>=1 tool0.1<b,g>=2\n- tool0.1<,>=3\n- tool0.0<,>=4\n-\ncomplete"},
    {"tool calls: index above 0 first, id late, name repeated",
     TOOLS("{\"index\":4,\"function\":{\"name\":\"f\"}}") TOOLS(
         "{\"index\":4,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}}")
         TOOLS("{\"function\":{\"name\":\"f\"},\"id\":\"a\",\"index\":4},{},{\"index\":9}") DONE,
     "- tool0.0<,f>=\n- tool0.0<a,>=1\n- other0\n-\ncomplete"},
    {"tool calls: each choice has its own",
     DATA("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\"}]}},"
          "{\"index\":1,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\"},{\"function\":{"
          "\"arguments\":\"1\"}}]}}]}") DONE,
     "- tool0.0<a,>= tool1.0<a,>= tool1.0<,>=1\n-\ncomplete"},

    {"tool calls: no index, and the call before has no id",
     TOOLS("{\"function\":{\"name\":\"f\"}}") TOOLS("{\"id\":\"a\",\"function\":{\"name\":\"g\"}}")
         DONE,
     "- tool0.0<,f>=\n- tool0.1<a,g>=\n-\ncomplete"},

    {"a pair cut between two deltas",
     DELTA("\"content\":\"a\\ud83d\"") DELTA("\"content\":\"\\ude00b\"")
         DELTA("\"reasoning\":\"\\ud83d\",\"content\":\"\\ud83d\"")
             DELTA("\"reasoning\":\"\\ude00\",\"content\":\"\\ude01\"") DONE,
     "- text0=a\n- text0=\xF0\x9F\x98\x80"
     "b\n- other0\n- reasoning0=\xF0\x9F\x98\x80 text0=\xF0\x9F\x98\x81\n"
     "-\ncomplete"},
    {"lone halves",
     DELTA("\"content\":\"\\ud83dA\\ude00\"") DELTA("\"content\":\"\\ud83d\"")
         DELTA("\"content\":\"B\"")
             CHOICE("\"delta\":{\"content\":\"\\ud83d\"},\"finish_reason\":\"stop\""),
     "- text0=\xEF\xBF\xBD"
     "A\xEF\xBF\xBD\n- other0\n- text0=\xEF\xBF\xBD"
     "B\n"
     "- text0=\xEF\xBF\xBD finish0=stop:stop\ncomplete"},
    {"a half held at the terminator",
     TOOLS("{\"index\":0,\"id\":\"\\ud83d\",\"function\":{\"name\":\"f\",\"arguments\":\"\\ud83d\"}"
           "}") DATA("{\"model\":\"\\ude00\",\"choices\":[{\"index\":3,\"delta\":{\"refusal\":"
                     "\"\\ud83d\"}}]}") DONE,
     "- tool0.0<\xEF\xBF\xBD,f>=\n- model:\xEF\xBF\xBD other0\n- tool0.0<,>=\xEF\xBF\xBD "
     "refusal3=\xEF\xBF\xBD\ncomplete"},
    {"halves held for two choices",
     DATA("{\"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":"
          "\"\\ud83d\"}}]}},"
          "{\"index\":0,\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"\\ud83d\"}}]}}]}")
         CHOICE("\"finish_reason\":\"stop\"") DONE,
     "- other0\n- tool0.0<,>=\xEF\xBF\xBD finish0=stop:stop\n- tool1.0<,>=\xEF\xBF\xBD\ncomplete"},
    {"each call joins its own halves",
     TOOLS("{\"index\":0,\"id\":\"a\",\"function\":{\"arguments\":\"\\ud83d\"}},"
           "{\"index\":1,\"id\":\"b\",\"function\":{\"arguments\":\"\\ud83d\"}}")
         TOOLS("{\"index\":1,\"function\":{\"arguments\":\"\\ude01\"}},{\"index\":0,\"function\":{"
               "\"arguments\":\"\\ude00\"}}") DONE,
     "- tool0.0<a,>= tool0.1<b,>=\n- tool0.1<,>=\xF0\x9F\x98\x81 "
     "tool0.0<,>=\xF0\x9F\x98\x80\n-\ncomplete"},
    {"bytes that are no UTF-8, and odd characters kept",
     DELTA("\"content\":\"\xFFx\"")
         DELTA("\"content\":\"\xE2\x80\xA8\xC2\x85\xEF\xBB\xBF data: [DONE]\\u0001\"") DONE,
     "- text0=\xEF\xBF\xBDx\n- text0=\xE2\x80\xA8\xC2\x85\xEF\xBB\xBF data: "
     "[DONE]\x01\n-\ncomplete"},

    {"nothing counts after the terminator", DONE DELTA("\"content\":\"x\"") DATA("{broken") DONE,
     "-\ncomplete"},
    {"white space around the terminator", "data:   [DONE] \t \r\n\r\n", "-\ncomplete"},
    {"a terminator over two lines", "data: \ndata: [DONE]\ndata:\n\n", "-\ncomplete"},
    {"the terminator without a blank line", DELTA("\"content\":\"x\"") "data: [DONE]",
     "- text0=x\ncomplete"},
    {"data that only begins like the terminator", DATA("[1]") DATA("[DONE"),
     "- other0\nprotocol error at 17"},
    {"data that goes on behind the terminator", DATA("[DONE]]"), "protocol error at 6"},
    {"an event over two lines",
     "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"x\"}}]}\n\n" DONE,
     "- text0=x\n-\ncomplete"},
    {"an empty body", "", "interrupted"},
    {"no end at all", DELTA("\"content\":\"x\""), "- text0=x\ninterrupted"},
    {"a finish reason for one of two choices",
     DATA("{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"},{\"index\":1}]}"),
     "- finish0=stop:stop\ninterrupted"},
    {"cut inside an event behind the finish reason",
     CHOICE("\"finish_reason\":\"stop\"") "data: {\"usa", "- finish0=stop:stop\ninterrupted"},
    {"broken JSON", DELTA("\"content\":\"x\"") ": ping\n" DATA("{\"a\":}") DONE,
     "- text0=x\nprotocol error at 70"},
    {"text that is no JSON", DATA("Internal Server Error"), "protocol error at 6"},
    {"two documents in one event", "data: {}\ndata: {}\n\n", "protocol error at 6"},

    {"an error object",
     DELTA("\"content\":\"x\"")
         DATA("{\"error\":{\"message\":\"no\",\"type\":\"server_error\",\"code\":null}}"),
     "- text0=x\n-\nprovider error 500 server_error: no"},
    {"an error beside choices and usage, then the terminator",
     DATA("{\"error\":{\"code\":400,\"message\":\"Too "
          "long\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},"
          "\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":1}}")
         CHOICE("\"finish_reason\":\"length\"") DONE,
     "- text0=x usage/1/-/-/-/{\"prompt_tokens\":1}\n- finish0=length:length\n-\nprovider error "
     "400 400: Too long"},
    {"a code in words",
     DATA("{\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\",\"type\":\"x\"}}"),
     "-\nprovider error 429 insufficient_quota: m"},
    {"a type in words, a code of their own",
     DATA("{\"error\":{\"message\":\"m\",\"code\":\"1301\",\"type\":\"overloaded_error\"}}"),
     "-\nprovider error 529 1301: m"},
    {"a code as a string", DATA("{\"error\":{\"message\":\"m\",\"code\":\"429\"}}"),
     "-\nprovider error 429 429: m"},
    {"a status of its own", DATA("{\"error\":{\"message\":\"m\",\"code\":\"x\",\"status\":503}}"),
     "-\nprovider error 503 x: m"},
    {"a status that is none",
     DATA("{\"error\":{\"message\":\"m\",\"status\":200,\"code\":[],\"type\":{}}}"),
     "-\nprovider error 0 : m"},
    {"an error that is a string", DATA("{\"error\":\"out of memory\"}"),
     "-\nprovider error 0 : out of memory"},
    {"an error without a message", DATA("{\"error\":{\"why\":1}}"),
     "-\nprovider error 0 : {\"why\":1}"},
    {"an empty error object", DATA("{\"error\":{}}"), "-\nprovider error 0 : {}"},
    {"errors that are none",
     DATA("{\"error\":null}") DATA("{\"error\":\"\"}") DATA("{\"error\":false}")
         DATA("{\"error\":[]}") DONE,
     "- other0\n- other0\n- other0\n- other0\n-\ncomplete"},
    {"the first of two errors", DATA("{\"error\":\"one\"}") DATA("{\"error\":\"two\"}"),
     "-\n-\nprovider error 0 : one"},
    {"a code that was no error's",
     DATA("{\"code\":429,\"message\":\"fine\"}") DATA("{\"error\":{\"x\":1}}"),
     "- other0\n-\nprovider error 0 : {\"x\":1}"},
    {"old vLLM",
     DATA("{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"param\":null,"
          "\"code\":400}"),
     "-\nprovider error 400 400: m"},
    {"an event named error",
     "event: error\n" DATA("{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\","
                           "\"code\":\"c\",\"status_code\":400}}"),
     "-\nprovider error 400 c: m"},
    {"an event named error in other words", "event: error\n" DATA("{\"detail\":\"\xFF\"}"),
     "-\nprovider error 0 : {\"detail\":\"\xEF\xBF\xBD\"}"},
    {"an event named error that is no JSON", "event: error\n" DATA("boom"),
     "-\nprovider error 0 : boom"},
    {"old llama.cpp: a field named error",
     DELTA("\"content\":\"x\"") "error: "
                                "{\"code\":500,\"message\":\"m\",\"type\":\"server_error\"}\n\n",
     "- text0=x\nprovider error 500 500: m"},
    {"a field named error inside an event",
     "data: {\"choices\":[{\"delta\":\nerror: {\"code\":503,\"message\":\"m\"}\n"
     "data: {\"content\":\"x\"}}]}\n\n",
     "- text0=x\nprovider error 503 503: m"},
    {"a field named error that is no JSON", "error: x\n" DONE, "-\ncomplete"},
    {"an error glued onto half an event",
     DELTA("\"content\":\"x\"") DATA("{\"id\":\"y\",\"choices\":[{\"delta\":{\"conte{\"error\":{"
                                     "\"code\":500,\"message\":\"m\"}}"),
     "- text0=x\nprovider error 500 500: m"},
    {"an error glued onto half a string",
     DATA("{\"choices\":[{\"delta\":{\"content\":\"{\\\"error\\\"{\"error\":{\"message\":\"m\","
          "\"in\":{\"error\":1}}}"),
     "provider error 0 : m"},
    {"an error glued on, without a blank line",
     DATA("{\"id\":1}") "data: {\"id\":\"y\",\"choices\":[{\"error\":{\"message\":\"m\"}}\n",
     "- other0\nprovider error 0 : m"},
    {"an error without a blank line", "data: {\"id\":\"x\",\"error\":{\"message\":\"m\"}}",
     "provider error 0 : m"},
    {"an error over several lines, outside of events",
     DELTA("\"content\":\"x\"") "{\n  \"error\": {\n    \"code\": 503,\r\n    \"message\": \"a "
                                "}\\\" b\"\n"
                                "  }\n}\n",
     "- text0=x\nprovider error 503 503: a }\" b"},
    {"an error outside of events, without a line end", "{\"error\":\"m\"}", "provider error 0 : m"},
    {"an error outside of events, cut", "{\"error\":\n{\"message\":\"m\"}", "interrupted"},
    {"lines outside of events that are no error",
     "{}\n[\nx\n]\n{\"a\":1}\nerror\n{\"error\":null}\n" DONE, "-\ncomplete"},
    {"half an error glued on", DATA("{\"id\":\"y{\"error\":{\"message\":\"m\"}"),
     "protocol error at 6"},
};

static void run_stream(struct test_log *log, struct test_pieces *pieces) {
  struct mill__decoder *decoder = open_chat(log);
  int error = MILL_OK;
  const char *piece;
  size_t len, consumed;
  while (!error && (piece = test_next_piece(pieces, &len))) {
    error = mill__decoder_feed(decoder, piece, len, &consumed);
    CHECK(consumed == len || error);
  }
  if (error)
    CHECK_INT(mill__decoder_feed(decoder, "x", 1, &consumed), error);
  error = mill__decoder_finish(decoder);
  CHECK_INT(mill__decoder_finish(decoder), error);
  test_log_end(log, decoder, error);
  mill__decoder_free(decoder);
}

static void test_streams(void) {
  static struct test_log log;
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
    struct test_pieces pieces = {.bytes = streams[i].stream, .len = strlen(streams[i].stream)};
    while (test_next_run(&pieces)) {
      test_case("%s, %s", streams[i].name, test_run_name(&pieces));
      run_stream(&log, &pieces);
      CHECK_BYTES(log.text, log.len, streams[i].log, strlen(streams[i].log));
    }
  }
}

/* ---- wrong shapes ---------------------------------------------------------------------------- */

/* The document in which `value` stands at a path of the table. */
static void put_document(struct test_log *log, const char *path, const char *value) {
  char closing[64];
  size_t n_closing = 0;
  for (const char *at = path; *at; at += *at == '.') {
    if (*at == '[') {
      test_log_put(log, "[");
      closing[n_closing++] = ']';
      at += 2;
    } else {
      int len = (int)strcspn(at, ".[");
      test_log_put(log, "{\"%.*s\":", len, at);
      closing[n_closing++] = '}';
      at += len;
    }
  }
  test_log_put(log, "%s", value);
  while (n_closing)
    test_log_put(log, "%c", closing[--n_closing]);
}

static void test_shapes(void) {
  static const char *const values[] = {
      "null",   "true",    "1",        "-1.5",         "1e999",     "\"\"",
      "\"s\"",  "{}",      "[]",       "{\"k\":[{}]}", "[{}]",      "[[]]",
      "[null]", "[\"s\"]", "[[{}],1]", "{\"\":{}}",    "[1,[2,[]]]"};
  const struct mill__dialect *dialect = mill__dialect_find("openai-chat");
  static struct test_log log, stream;
  for (size_t i = 0; i < dialect->n_paths; i++)
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
      /* The path itself, and each container on the way to it. */
      char path[128];
      snprintf(path, sizeof path, "%s", dialect->paths[i].path);
      for (size_t end = strlen(path); end > 0; end--) {
        if (path[end] && path[end] != '.' && path[end] != '[')
          continue;
        path[end] = '\0';
        test_case("%s at %s", values[k], path);
        stream.len = 0;
        test_log_put(&stream, "data: ");
        put_document(&stream, path, values[k]);
        test_log_put(&stream, "\n\n" DELTA("\"content\":\"x\"") DONE);
        struct mill__decoder *decoder = open_chat(&log);
        size_t consumed;
        CHECK_INT(mill__decoder_feed(decoder, stream.text, stream.len, &consumed), MILL_OK);
        CHECK_INT(log.n_events, 3);
        CHECK(log.len > 13 && memcmp(log.text + log.len - 13, "\n- text0=x\n-\n", 13) == 0);
        bool error = strncmp(path, "error", 5) == 0;
        int end_code = mill__decoder_finish(decoder);
        CHECK(end_code == MILL_OK || (error && end_code == MILL_E_PROVIDER));
        mill__decoder_free(decoder);
      }
    }
}

/* ---- pauses, limits, memory ------------------------------------------------------------------ */

static void test_pause(void) {
  test_case("%s", "a sink that pauses behind every event");
  static const char stream[] =
      ": c\n\n" DELTA("\"content\":\"a\"") DELTA("\"content\":\"b\"") DONE ": d\n\n";
  static const char told[] = "- text0=a\n- text0=b\n-\n";
  static struct test_log log;
  struct mill__decoder *decoder = open_chat(&log);
  log.answer = MILL_AGAIN;
  log.n_comments = 0;
  unsigned n_pauses = 0;
  const size_t len = sizeof stream - 1;
  for (size_t at = 0, consumed; at < len; at += consumed) {
    int rc = mill__decoder_feed(decoder, test_guarded(stream + at, len - at), len - at, &consumed);
    n_pauses += rc == MILL_AGAIN;
    CHECK(rc == MILL_AGAIN || (rc == MILL_OK && at + consumed == len));
    CHECK_INT(log.n_events, n_pauses);
  }
  CHECK_INT(n_pauses, 3);
  CHECK_INT(log.n_comments, 1); /* none behind the terminator */
  CHECK_BYTES(log.text, log.len, told, sizeof told - 1);
  CHECK(mill__decoder_terminated(decoder));
  CHECK_INT(mill__decoder_finish(decoder), MILL_OK);
  mill__decoder_free(decoder);
}

static void test_comments_behind_the_end(void) {
  test_case("%s", "comments are told up to the terminator");
  static const char stream[] = ": a\n\n:\n\n" DONE ": b\n\n";
  static struct test_log log;
  struct mill__decoder *decoder = open_chat(&log);
  log.n_comments = 0;
  size_t consumed;
  CHECK_INT(mill__decoder_feed(decoder, stream, sizeof stream - 1, &consumed), MILL_OK);
  CHECK_INT(consumed, sizeof stream - 1);
  CHECK_INT(log.n_comments, 2);
  mill__decoder_free(decoder);
}

/* Data that goes too deep ends the stream there: what stands behind it in the event is not told. */
static void test_comment_behind_a_fault(void) {
  static const char stream[] = "data: [[[[\n: comment\nunknown\n\n";
  const mill_limits flat = {.event_bytes = 1 << 20, .json_depth = 3};
  static struct test_log log;
  struct test_pieces pieces = {.bytes = stream, .len = sizeof stream - 1};
  while (test_next_run(&pieces)) {
    test_case("%s", test_run_name(&pieces));
    struct mill__decoder *decoder = test_log_open(&log, "openai-chat", &flat);
    const char *piece;
    size_t len, consumed;
    int error = MILL_OK;
    while (!error && (piece = test_next_piece(&pieces, &len)) != NULL)
      error = mill__decoder_feed(decoder, piece, len, &consumed);
    CHECK_INT(error, MILL_E_LIMIT);
    CHECK_INT(log.n_comments, 0);
    mill__decoder_free(decoder);
  }
}

static void check_sink_error(const char *stream) {
  test_case("the sink's own error stays: %s", stream);
  static struct test_log log;
  struct mill__decoder *decoder = open_chat(&log);
  log.answer = MILL_E_CANCELLED;
  size_t consumed;
  for (int i = 0; i < 2; i++)
    CHECK_INT(mill__decoder_feed(decoder, stream, strlen(stream), &consumed), MILL_E_CANCELLED);
  CHECK_INT(mill__decoder_finish(decoder), MILL_E_CANCELLED);
  CHECK_INT(log.n_events, 1);
  mill__decoder_free(decoder);
}

static void test_sink_error(void) {
  check_sink_error(DELTA("\"content\":\"a\"") DELTA("\"content\":\"b\""));
  check_sink_error(DONE);
}

/* Feed one event made of `unit` many times over, between a start and an end. */
static int feed_repeated(const char *start, const char *unit, size_t times, const char *end) {
  static struct test_log log;
  struct mill__decoder *decoder = open_chat(&log);
  size_t consumed;
  int error = mill__decoder_feed(decoder, start, strlen(start), &consumed);
  for (size_t i = 0; i < times && !error; i++)
    error = mill__decoder_feed(decoder, unit, strlen(unit), &consumed);
  if (!error)
    error = mill__decoder_feed(decoder, end, strlen(end), &consumed);
  mill__decoder_free(decoder);
  return error;
}

static void test_limits(void) {
  test_case("%s", "limits");
  CHECK_INT(feed_repeated("data: ", "[", 65, "\n\n"), MILL_E_LIMIT);
  CHECK_INT(feed_repeated("data: \"", "many bytes", 105000, "\"\n\n"), MILL_E_LIMIT);
  CHECK_INT(feed_repeated("data: ", "many bytes", 105000, "\n\n"), MILL_E_LIMIT);
  CHECK_INT(feed_repeated("data: [1", "0", 1024, "]\n\n"), MILL_E_LIMIT);
  CHECK_INT(feed_repeated("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{}", ",{}", 70000,
                          "]}}]}\n\n"),
            MILL_E_LIMIT);
  CHECK_INT(feed_repeated("data: {\"choices\":[{}", ",{}", 256, "]}\n\n"), MILL_E_LIMIT);
  CHECK_INT(feed_repeated("data: {\"choices\":[{\"index\":0}", ",{\"index\":0}", 70000, "]}\n\n"),
            MILL_OK);
}

static void test_too_many_tool_calls(void) {
  test_case("%s", "too many tool calls");
  static struct test_log log;
  struct mill__decoder *decoder = open_chat(&log);
  int error = MILL_OK;
  unsigned n = 0;
  for (; !error && n < 5000; n++) {
    char event[128];
    int len =
        snprintf(event, sizeof event,
                 "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"%u\"}]}}]}\n\n", n);
    size_t consumed;
    log.len = 0;
    error = mill__decoder_feed(decoder, event, (size_t)len, &consumed);
  }
  CHECK_INT(error, MILL_E_LIMIT);
  CHECK_INT(n, 1025);
  mill__decoder_free(decoder);
}

static const char memory_stream[] = DATA("{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,"
                                         "\"delta\":{\"role\":\"a\",\"content\":"
                                         "\"x\\ud83d\\u00e9\xFF\",\"reasoning_details\":[{\"text\":"
                                         "\"r\"}]}},{\"index\":1,\"delta\":"
                                         "{\"tool_calls\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":"
                                         "\"c\"},{\"id\":\"d\",\"function\":{\"arguments\":"
                                         "\"\\ud83d\"}}]},\"finish_reason\":\"stop\"}],\"usage\":{"
                                         "\"prompt_tokens\":1}}") "error: "
                                                                  "{\"code\":500,\"message\":\"m\"}"
                                                                  "\n" DATA("{\"id\":\"y\","
                                                                            "\"choices\":[{"
                                                                            "\"delta\":{\"conte{"
                                                                            "\"error\":{"
                                                                            "\"message\":\"m\"}}");

static void run_with_failing_memory(void *ctx) {
  struct test_log *log = ctx;
  struct mill__decoder *decoder = open_chat(log);
  if (!decoder) {
    CHECK(test_alloc_failed());
    return;
  }
  int error = MILL_OK;
  const size_t len = sizeof memory_stream - 1, step = 11;
  size_t consumed;
  for (size_t at = 0; at < len && !error; at += step)
    error = mill__decoder_feed(decoder, memory_stream + at, at + step < len ? step : len - at,
                               &consumed);
  if (!error)
    error = mill__decoder_finish(decoder);
  CHECK(error == MILL_E_PROVIDER || (error == MILL_E_NOMEM && test_alloc_failed()));
  mill__decoder_free(decoder);
}

static const char steady_stream[] = DATA(
    "{\"id\":\"chatcmpl-1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
    "\"assistant\",\"content\":\" wor\\nld\",\"reasoning\":\"\\ud83d\"},\"logprobs\":null,"
    "\"finish_reason\":null}]}") TOOLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
                                       "\"arguments\":\"\xFF\\ude00\"}}")
    DATA("{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}") ": ping\n\n";

/* The three events of the stream, `times` over, cut in two at one place after the other. */
static void feed_steady(struct mill__decoder *decoder, struct test_log *log, size_t times,
                        bool cut) {
  const size_t len = sizeof steady_stream - 1;
  for (size_t i = 0; i < times; i++) {
    size_t first = cut ? i % len : 0, consumed;
    log->len = 0;
    CHECK_INT(mill__decoder_feed(decoder, steady_stream, first, &consumed), MILL_OK);
    CHECK_INT(mill__decoder_feed(decoder, steady_stream + first, len - first, &consumed), MILL_OK);
  }
}

/* A stream in its stride takes no memory. */
static void test_steady_state(void) {
  test_case("%s", "no allocation in the steady state");
  static struct test_log log;
  struct mill__decoder *decoder = open_chat(&log);
  const size_t len = sizeof steady_stream - 1;
  feed_steady(decoder, &log, 10, false);
  test_alloc_fail(1, true);
  feed_steady(decoder, &log, 1000, false);
  CHECK(!test_alloc_failed());
  test_alloc_fail(0, false);
  feed_steady(decoder, &log, len, true);
  test_alloc_fail(1, true);
  feed_steady(decoder, &log, len, true);
  CHECK(!test_alloc_failed());
  test_alloc_fail(0, false);
  CHECK_INT(log.n_events, 3 * (1010 + 2 * len));
  mill__decoder_free(decoder);
}

/* ---- error answers --------------------------------------------------------------------------- */

static void check_error_body(const char *body, const char *expected) {
  test_case("%s", body);
  struct mill__provider_error error = {0};
  mill__buf_init(&error.message, 1000);
  mill__buf_init(&error.kind, 1000);
  size_t len = strlen(body);
  bool found = mill__dialect_error_body(mill__dialect_find("openai-chat"), test_guarded(body, len),
                                        len, &error);
  CHECK_INT(found, expected != NULL);
  CHECK_INT(error.seen, found);
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
      "{\"error\":{\"message\":\"Bad key\",\"type\":\"invalid_request_error\",\"code\":"
      "\"invalid_api_key\"}}\n",
      "401 invalid_api_key: Bad key");
  check_error_body("{\"object\":\"error\",\"message\":\"m\",\"code\":404}", "404 404: m");
  check_error_body("{\"error\":\"m\"}", "0 : m");
  check_error_body("{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[]}", NULL);
  check_error_body("<html></html>", NULL);
  check_error_body("{\"error\":{\"message\":\"m\"}", NULL);
  check_error_body("", NULL);
}

static void test_formats(void) {
  test_case("%s", "every format has its dialect");
  const char *const *names = mill_formats();
  CHECK_STR(names[0], "openai-chat");
  for (; *names; names++)
    CHECK_STR(mill__dialect_find(*names)->name, *names);
  CHECK(mill__dialect_find("no-such-format") == NULL);
}

int main(void) {
  test_alloc_install();
  test_formats();
  test_streams();
  test_shapes();
  test_pause();
  test_comments_behind_the_end();
  test_comment_behind_a_fault();
  test_sink_error();
  test_limits();
  test_too_many_tool_calls();
  test_error_bodies();
  test_steady_state();
  static struct test_log log;
  test_each_failing_allocation(run_with_failing_memory, &log);
  return 0;
}
