/* Records: random events and deltas go through a queue and come out as they were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/record.h"
#include "support.h"

#define N_EVENTS 20000
#define MAX_DELTAS 5

static struct mill__queue_store store;

static void open_queue(struct mill__queue *queue) {
  mill__queue_store_init(&store);
  mill__queue_init(queue, &store);
}

static void close_queue(struct mill__queue *queue) {
  mill__queue_fini(queue);
  mill__queue_store_fini(&store);
}

/* An event with all that belongs to it; the bytes are the case's own. */
struct sample {
  mill_event event;
  struct mill__meta meta;
  struct mill__delta deltas[MAX_DELTAS];
  size_t n_deltas;
};

/* Bytes of any value, NUL among them; most are short, some empty, a few long. */
static mill_slice random_slice(uint64_t *seed) {
  static char pool[9000];
  if (!pool[0])
    for (size_t i = 0; i < sizeof(pool); i++)
      pool[i] = (char)(i * 7 + i / 251 + 1);
  uint64_t random = test_random(seed);
  size_t len = random % 8 == 0 ? 0 : random % 97 == 0 ? random % 6000 : random % 60;
  return (mill_slice){pool + test_random(seed) % (sizeof(pool) - 6000), len};
}

static int random_int(uint64_t *seed) {
  return (int)(unsigned)test_random(seed);
}

static int64_t random_count(uint64_t *seed) {
  return test_random(seed) % 3 ? (int64_t)(test_random(seed) >> 1) : -1;
}

static void make_delta(struct mill__delta *delta, uint64_t *seed) {
  *delta = (struct mill__delta){
      .type = (enum mill_chunk_type)(test_random(seed) % (MILL_CHUNK_OTHER + 1)),
      .choice = random_int(seed),
      .text = random_slice(seed),
      .signature = random_slice(seed),
      .tool_index = random_int(seed),
      .tool_id = random_slice(seed),
      .tool_name = random_slice(seed),
      .finish = (enum mill_finish)(test_random(seed) % (MILL_FINISH_OTHER + 1)),
      .finish_raw = random_slice(seed),
      .usage = {random_count(seed), random_count(seed), random_count(seed), random_count(seed),
                random_slice(seed)},
  };
}

static void make_sample(struct sample *sample, uint64_t *seed) {
  sample->event =
      (mill_event){.type = test_random(seed) % 2 ? (mill_slice){"message", 7} : random_slice(seed),
                   .data = random_slice(seed),
                   .id = random_slice(seed),
                   .number = test_random(seed)};
  if (!sample->event.type.len) /* the decoder gives "message" in its place */
    sample->event.type = (mill_slice){"messages", 8};
  sample->meta = (struct mill__meta){random_slice(seed), random_slice(seed), random_slice(seed)};
  sample->n_deltas = test_random(seed) % (MAX_DELTAS + 1);
  for (size_t i = 0; i < sample->n_deltas; i++)
    make_delta(&sample->deltas[i], seed);
}

static bool put(struct mill__queue *queue, const struct sample *sample) {
  int code =
      mill__record_put(queue, &sample->event, &sample->meta, sample->deltas, sample->n_deltas);
  CHECK_INT(code, code == MILL_OK ? MILL_OK : MILL_E_NOMEM);
  return code == MILL_OK;
}

static void check_slice(mill_slice slice, mill_slice expected) {
  CHECK_BYTES(slice.ptr, slice.len, expected.ptr, expected.len);
}

static void check_usage(const mill_usage *usage, const struct mill__delta *delta) {
  static const mill_usage none = {-1, -1, -1, -1, {"", 0}};
  const mill_usage *expected = delta->type == MILL_CHUNK_USAGE ? &delta->usage : &none;
  CHECK_INT(usage->input_tokens, expected->input_tokens);
  CHECK_INT(usage->output_tokens, expected->output_tokens);
  CHECK_INT(usage->reasoning_tokens, expected->reasoning_tokens);
  CHECK_INT(usage->cached_tokens, expected->cached_tokens);
  check_slice(usage->raw, expected->raw);
}

static void check_delta(const mill_chunk *chunk, const struct mill__delta *delta) {
  CHECK_INT(chunk->type, delta->type);
  CHECK_INT(chunk->choice, delta->choice);
  CHECK_INT(chunk->tool_index, delta->tool_index);
  CHECK_INT(chunk->finish, delta->finish);
  check_slice(chunk->text, delta->text);
  check_slice(chunk->signature, delta->signature);
  check_slice(chunk->tool_id, delta->tool_id);
  check_slice(chunk->tool_name, delta->tool_name);
  check_slice(chunk->finish_raw, delta->finish_raw);
  check_usage(&chunk->usage, delta);
}

/* Reads the first `n_read` deltas only: a reader may stop in the middle. */
static void check_record(struct mill__queue *queue, const struct sample *sample, size_t n_read) {
  struct mill__record_reader reader;
  mill_event event;
  struct mill__meta meta;
  const void *record = mill__queue_peek(queue);
  CHECK(record != NULL);
  mill__record_open(&reader, record, &event, &meta);
  CHECK_INT(event.number, sample->event.number);
  CHECK_INT(event.n_chunks, sample->n_deltas);
  check_slice(event.type, sample->event.type);
  check_slice(event.data, sample->event.data);
  check_slice(event.id, sample->event.id);
  check_slice(meta.id, sample->meta.id);
  check_slice(meta.model, sample->meta.model);
  check_slice(meta.role, sample->meta.role);
  for (size_t i = 0; i < n_read; i++) {
    mill_chunk chunk;
    CHECK_INT(reader.left, sample->n_deltas - i);
    mill__record_next(&reader, &chunk);
    check_delta(&chunk, &sample->deltas[i]);
  }
  CHECK_INT(reader.left, sample->n_deltas - n_read);
  mill__queue_pop(queue);
}

/* Up to some records lie in the queue at a time. */
static void test_round_trip(void) {
  struct mill__queue queue;
  struct sample sample;
  uint64_t put_seed = 11, check_seed = 11, seed = 12;
  size_t n_put = 0, n_checked = 0;
  open_queue(&queue);
  while (n_checked < N_EVENTS) {
    for (size_t n = test_random(&seed) % 4; n > 0 && n_put < N_EVENTS; n--, n_put++) {
      make_sample(&sample, &put_seed);
      CHECK(put(&queue, &sample));
    }
    for (size_t n = test_random(&seed) % 4; n > 0 && n_checked < n_put; n--, n_checked++) {
      make_sample(&sample, &check_seed);
      test_case("event %zu", n_checked);
      check_record(&queue, &sample, test_random(&seed) % (sample.n_deltas + 1));
    }
  }
  CHECK(mill__queue_peek(&queue) == NULL);
  CHECK_INT(mill__queue_bytes(&queue), 0);
  close_queue(&queue);
}

/* A type that the event names itself, and one that is as long as the default. */
static void test_types(void) {
  static const char *const types[] = {"message", "messagf", "essage", "m", "MESSAGE"};
  struct mill__queue queue;
  open_queue(&queue);
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
    struct sample sample = {.event = {.type = {types[i], strlen(types[i])}}};
    CHECK(put(&queue, &sample));
    check_record(&queue, &sample, 0);
  }
  close_queue(&queue);
}

/* ---- notes ----------------------------------------------------------------------------------- */

static void check_text(const char *text, const char *expected) {
  CHECK((text == NULL) == (expected == NULL));
  if (expected)
    CHECK_STR(text, expected);
}

static void check_note(const struct mill__note *note, const struct mill__note *expected) {
  const mill_error *error = &note->error, *wanted = &expected->error;
  CHECK_INT(note->kind, expected->kind);
  CHECK_INT(note->number, expected->number);
  CHECK_BYTES(note->text.ptr, note->text.len, expected->text.ptr, expected->text.len);
  CHECK_INT(error->code, wanted->code);
  CHECK_INT(error->status, wanted->status);
  CHECK_INT(error->retry_after_ms, wanted->retry_after_ms);
  CHECK_INT(error->byte_offset, wanted->byte_offset);
  check_text(error->text, wanted->text);
  check_text(error->kind, wanted->kind);
  check_text(error->request_id, wanted->request_id);
  CHECK_BYTES(error->body, error->body_len, wanted->body, wanted->body_len);
}

/* Notes stand between events, in order; what they point to is their own. */
static void test_notes(void) {
  char text[] = "too many", kind[] = "quota", id[] = "r-1", body[] = "<\0>";
  const struct mill__note notes[] = {
      {.kind = MILL__RECORD_OPENED},
      {.kind = MILL__RECORD_COMMENT, .text = {BYTES("a\0comment")}},
      {.kind = MILL__RECORD_COMMENT, .text = {"", 0}},
      {.kind = MILL__RECORD_ID, .text = {BYTES("17")}},
      {.kind = MILL__RECORD_RETRY, .number = UINT64_MAX},
      {.kind = MILL__RECORD_LOST, .error = {.code = MILL_OK, .retry_after_ms = -1}},
      {.kind = MILL__RECORD_LOST,
       .error = {.code = MILL_E_STATUS,
                 .status = 429,
                 .retry_after_ms = 1500,
                 .byte_offset = -1,
                 .text = text,
                 .kind = kind,
                 .request_id = id,
                 .body = body,
                 .body_len = 3}},
  };
  struct mill__queue queue;
  struct sample sample;
  uint64_t seed = 5;
  open_queue(&queue);
  for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
    CHECK_INT(mill__record_put_note(&queue, &notes[i]), MILL_OK);
    make_sample(&sample, &seed);
    CHECK(put(&queue, &sample));
  }
  struct mill__note copies[sizeof(notes) / sizeof(notes[0])];
  memcpy(copies, notes, sizeof(notes));
  char found_text[] = "too many"; /* the writer's own strings are gone by now */
  memset(text, 'x', sizeof(text) - 1);
  copies[6].error.text = found_text;
  seed = 5;
  for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
    const void *record = mill__queue_peek(&queue);
    CHECK_INT(mill__record_kind(record), notes[i].kind);
    check_note(mill__record_note(record), &copies[i]);
    mill__queue_pop(&queue);
    CHECK_INT(mill__record_kind(mill__queue_peek(&queue)), MILL__RECORD_EVENT);
    make_sample(&sample, &seed);
    check_record(&queue, &sample, sample.n_deltas);
  }
  CHECK(mill__queue_peek(&queue) == NULL);
  close_queue(&queue);
}

static void run_starved(void *ctx) {
  (void)ctx;
  struct mill__queue queue;
  struct sample sample;
  bool is_in[50];
  uint64_t seed = 13, check_seed = 13;
  open_queue(&queue);
  for (size_t i = 0; i < 50; i++) {
    make_sample(&sample, &seed);
    is_in[i] = put(&queue, &sample);
  }
  for (size_t i = 0; i < 50; i++) {
    make_sample(&sample, &check_seed);
    if (is_in[i])
      check_record(&queue, &sample, sample.n_deltas);
  }
  CHECK(mill__queue_peek(&queue) == NULL);
  close_queue(&queue);
}

int main(void) {
  test_alloc_install();
  test_round_trip();
  test_types();
  test_notes();
  test_each_failing_allocation(run_starved, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
