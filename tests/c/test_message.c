/* Chunks -> the message they add up to: against a plain model of it, and at its limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/message.h"
#include "support.h"

static mill_slice text_of(const char *text) {
  return (mill_slice){text, strlen(text)};
}

static void check_slice(mill_slice slice, const char *expected) {
  CHECK_BYTES(slice.ptr, slice.len, expected, strlen(expected));
}

static mill_chunk chunk_of(enum mill_chunk_type type, int choice, const char *text) {
  return (mill_chunk){
      .type = type, .choice = choice, .text = text_of(text), .usage = {-1, -1, -1, -1, {NULL, 0}}};
}

static void add(struct mill__message *message, mill_chunk chunk) {
  CHECK_INT(mill__message_add(message, &chunk), MILL_OK);
}

static mill_chunk tool_chunk(int choice, int index, const char *id, const char *name,
                             const char *arguments) {
  mill_chunk chunk = chunk_of(MILL_CHUNK_TOOL_CALL, choice, arguments);
  chunk.tool_index = index;
  chunk.tool_id = text_of(id);
  chunk.tool_name = text_of(name);
  return chunk;
}

static mill_message view_of(struct mill__message *message) {
  mill_message view;
  CHECK_INT(mill__message_view(message, &view), MILL_OK);
  return view;
}

static void test_empty(void) {
  struct mill__message message;
  mill__message_init(&message);
  mill_message view = view_of(&message);
  CHECK_INT(view.n_choices, 0);
  CHECK(!view.has_usage);
  CHECK_INT(view.usage.input_tokens, -1);
  check_slice(view.id, "");
  check_slice(view.model, "");
  check_slice(view.role, "");
  add(&message, chunk_of(MILL_CHUNK_OTHER, 3, "x")); /* says nothing of the message */
  CHECK_INT(view_of(&message).n_choices, 0);
  mill__message_fini(&message);
  mill__message_fini(&message);
}

static void test_texts(void) {
  struct mill__message message;
  mill__message_init(&message);
  static const enum mill_chunk_type types[] = {MILL_CHUNK_TEXT, MILL_CHUNK_REASONING,
                                               MILL_CHUNK_REFUSAL};
  for (int i = 0; i < 300; i++) {
    char piece[8];
    snprintf(piece, sizeof(piece), "%d,", i % 10);
    add(&message, chunk_of(types[i % 3], 0, piece));
    view_of(&message); /* any number of times in between */
  }
  add(&message, (mill_chunk){.type = MILL_CHUNK_TEXT, .text = {"a\0b", 3}});
  mill_message view = view_of(&message);
  CHECK_INT(view.n_choices, 1);
  CHECK_INT(view.choices[0].text.len, 203);
  CHECK_BYTES(view.choices[0].text.ptr, 10, "0,3,6,9,2,", 10);
  CHECK_BYTES(view.choices[0].text.ptr + 200, 3, "a\0b", 3);
  CHECK_BYTES(view.choices[0].reasoning.ptr, 10, "1,4,7,0,3,", 10);
  CHECK_BYTES(view.choices[0].refusal.ptr, 10, "2,5,8,1,4,", 10);
  CHECK_INT(view.choices[0].finish, MILL_FINISH_NONE);
  check_slice(view.choices[0].finish_raw, "");
  mill__message_fini(&message);
}

/* Choices stand in the order of their index, whatever the order they came in. */
static void test_choices(void) {
  static const int order[] = {5, 0, 9, 3, 5, 1000000, 0, 9};
  struct mill__message message;
  mill__message_init(&message);
  for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
    char text[8];
    snprintf(text, sizeof(text), "%zu;", i);
    add(&message, chunk_of(MILL_CHUNK_TEXT, order[i], text));
  }
  mill_chunk finish = chunk_of(MILL_CHUNK_FINISH, 3, "");
  finish.finish = MILL_FINISH_LENGTH;
  finish.finish_raw = text_of("max_tokens");
  add(&message, finish);
  static const int indexes[] = {0, 3, 5, 9, 1000000};
  static const char *const texts[] = {"1;6;", "3;", "0;4;", "2;7;", "5;"};
  mill_message view = view_of(&message);
  CHECK_INT(view.n_choices, 5);
  for (size_t i = 0; i < 5; i++) {
    CHECK_INT(view.choices[i].index, indexes[i]);
    check_slice(view.choices[i].text, texts[i]);
    CHECK_INT(view.choices[i].finish, i == 1 ? MILL_FINISH_LENGTH : MILL_FINISH_NONE);
    check_slice(view.choices[i].finish_raw, i == 1 ? "max_tokens" : "");
  }
  finish.finish = MILL_FINISH_STOP; /* the last word holds */
  finish.finish_raw = text_of("stop");
  add(&message, finish);
  check_slice(view_of(&message).choices[1].finish_raw, "stop");
  mill__message_fini(&message);
}

/* A signature is assigned, not appended; one without text makes the choice all the same. */
static void test_signatures(void) {
  struct mill__message message;
  mill__message_init(&message);
  mill_chunk chunk = chunk_of(MILL_CHUNK_REASONING, 0, "a");
  add(&message, chunk);
  check_slice(view_of(&message).choices[0].signature, "");
  chunk.text.len = 0;
  chunk.signature = text_of("longer");
  add(&message, chunk);
  chunk.choice = 1;
  chunk.signature = text_of("other");
  add(&message, chunk);
  add(&message, chunk_of(MILL_CHUNK_REASONING, 0, "b"));
  check_slice(view_of(&message).choices[0].signature, "longer");
  chunk.choice = 0;
  chunk.signature = text_of("last");
  add(&message, chunk);
  mill_message view = view_of(&message);
  CHECK_INT(view.n_choices, 2);
  check_slice(view.choices[0].reasoning, "ab");
  check_slice(view.choices[0].signature, "last");
  check_slice(view.choices[1].reasoning, "");
  check_slice(view.choices[1].signature, "other");
  mill__message_fini(&message);
}

static void check_call(const mill_tool_call *call, const char *id, const char *name,
                       const char *arguments) {
  check_slice(call->id, id);
  check_slice(call->name, name);
  check_slice(call->arguments, arguments);
}

static void test_tool_calls(void) {
  struct mill__message message;
  mill__message_init(&message);
  add(&message, tool_chunk(0, 0, "c1", "f", ""));
  add(&message, tool_chunk(0, 0, "", "", "{\"a\""));
  add(&message, tool_chunk(0, 3, "c4", "k", "{}")); /* those between never came */
  add(&message, tool_chunk(0, 0, "", "", ":1}"));
  add(&message, tool_chunk(0, 1, "c2", "g", "[]"));
  add(&message, tool_chunk(1, 0, "d1", "h", "1"));
  mill_message view = view_of(&message);
  CHECK_INT(view.n_choices, 2);
  CHECK_INT(view.choices[0].n_tool_calls, 4);
  check_call(&view.choices[0].tool_calls[0], "c1", "f", "{\"a\":1}");
  check_call(&view.choices[0].tool_calls[1], "c2", "g", "[]");
  check_call(&view.choices[0].tool_calls[2], "", "", "");
  check_call(&view.choices[0].tool_calls[3], "c4", "k", "{}");
  CHECK_INT(view.choices[1].n_tool_calls, 1);
  check_call(&view.choices[1].tool_calls[0], "d1", "h", "1");
  mill__message_fini(&message);
}

static void test_usage_and_meta(void) {
  struct mill__message message;
  mill__message_init(&message);
  mill_chunk usage = chunk_of(MILL_CHUNK_USAGE, 0, "");
  usage.usage = (mill_usage){7, -1, -1, 0, {"{\"a\":1,\"b\":2}", 13}};
  add(&message, usage);
  usage.usage = (mill_usage){-1, 9, 2, -1, {"{}", 2}};
  add(&message, usage);
  struct mill__meta meta = {{"i1", 2}, {"m1", 2}, {"", 0}};
  CHECK_INT(mill__message_meta(&message, &meta), MILL_OK);
  meta = (struct mill__meta){{"", 0}, {"longer", 6}, {"assistant", 9}};
  CHECK_INT(mill__message_meta(&message, &meta), MILL_OK);
  mill_message view = view_of(&message);
  CHECK(view.has_usage);
  CHECK_INT(view.usage.input_tokens, 7); /* the last number that was sent of each */
  CHECK_INT(view.usage.output_tokens, 9);
  CHECK_INT(view.usage.reasoning_tokens, 2);
  CHECK_INT(view.usage.cached_tokens, 0);
  check_slice(view.usage.raw, "{}");
  check_slice(view.id, "i1");
  check_slice(view.model, "longer");
  check_slice(view.role, "assistant");
  CHECK_INT(view.n_choices, 0); /* usage makes no choice */
  mill__message_fini(&message);
}

static void test_limits(void) {
  struct mill__message message;
  mill__message_init(&message);
  mill_chunk chunk = tool_chunk(0, MILL__MESSAGE_PARTS, "x", "y", "z");
  CHECK_INT(mill__message_add(&message, &chunk), MILL_E_LIMIT);
  chunk.tool_index = -1;
  CHECK_INT(mill__message_add(&message, &chunk), MILL_E_LIMIT);
  chunk.tool_index = MILL__MESSAGE_PARTS - 1;
  CHECK_INT(mill__message_add(&message, &chunk), MILL_OK);
  CHECK_INT(view_of(&message).choices[0].n_tool_calls, MILL__MESSAGE_PARTS);
  for (int i = 1; i < MILL__MESSAGE_PARTS; i++)
    add(&message, chunk_of(MILL_CHUNK_TEXT, i, "t"));
  chunk = chunk_of(MILL_CHUNK_TEXT, MILL__MESSAGE_PARTS, "t");
  CHECK_INT(mill__message_add(&message, &chunk), MILL_E_LIMIT);
  chunk.choice = 1;
  CHECK_INT(mill__message_add(&message, &chunk), MILL_OK);
  CHECK_INT(view_of(&message).n_choices, MILL__MESSAGE_PARTS);
  mill__message_fini(&message);
}

/* What a failure leaves behind is a message that can be looked at, added to and freed. */
static void run_starved(void *ctx) {
  (void)ctx;
  struct mill__message message;
  mill__message_init(&message);
  const struct mill__meta meta = {{"i1", 2}, {"m1", 2}, {"r", 1}};
  mill_chunk usage = chunk_of(MILL_CHUNK_USAGE, 0, "");
  usage.usage.raw = text_of("{}");
  mill_chunk chunks[] = {
      chunk_of(MILL_CHUNK_TEXT, 1, "a"),      tool_chunk(1, 2, "i", "n", "{}"),
      chunk_of(MILL_CHUNK_REASONING, 0, "b"), usage,
      chunk_of(MILL_CHUNK_FINISH, 1, ""),     chunk_of(MILL_CHUNK_REFUSAL, 2, "c")};
  chunks[2].signature = text_of("s");
  chunks[4].finish_raw = text_of("stop");
  int code = mill__message_meta(&message, &meta);
  mill_message view;
  for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
    int result = mill__message_add(&message, &chunks[i]);
    code = code ? code : result;
    result = mill__message_view(&message, &view);
    code = code ? code : result;
  }
  CHECK_INT(code, test_alloc_failed() ? MILL_E_NOMEM : MILL_OK);
  mill__message_fini(&message);
}

int main(void) {
  test_alloc_install();
  test_empty();
  test_texts();
  test_choices();
  test_signatures();
  test_tool_calls();
  test_usage_and_meta();
  test_limits();
  test_each_failing_allocation(run_starved, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
