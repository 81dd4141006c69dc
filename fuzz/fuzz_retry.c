/*
 * Fuzz target: when to try again. What a server may write is read as it is meant or refused, and no
 * wait is outside of its bounds. Nothing here comes in pieces.
 *
 * Behind the settings stand eight bytes for a date, eight for a clock, and a header's value.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/retry.h"
#include "support.h"

#define NUMBER_BYTES 8

static uint64_t number_at(const char *bytes) {
  uint64_t number;
  memcpy(&number, bytes, sizeof number);
  return number;
}

static int64_t clamped(int64_t ms) {
  return ms < 0 ? 0 : ms > MILL__RETRY_AFTER_CAP_MS ? MILL__RETRY_AFTER_CAP_MS : ms;
}

/* Every date of a form that RFC 9110 names is read, and as that date. */
static void check_date(int64_t date, int64_t now) {
  static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                      "%a %b %e %H:%M:%S %Y"};
  const time_t seconds = (time_t)date;
  struct tm parts;
  require(gmtime_r(&seconds, &parts) != NULL);
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    char text[64];
    size_t len = strftime(text, sizeof text, forms[i], &parts);
    require(len > 0);
    int64_t ms = mill__retry_after_ms((mill_slice){text, len}, now);
    require(ms == clamped((date - now) * 1000));
  }
}

/* Digits, few enough for an exact answer. */
static bool is_short_number(mill_slice value) {
  for (size_t i = 0; i < value.len; i++)
    if (value.ptr[i] < '0' || value.ptr[i] > '9')
      return false;
  return value.len > 0 && value.len < 10;
}

static void check_value(mill_slice value, int64_t now) {
  int64_t after_ms = mill__retry_after_ms(value, now);
  int64_t field_ms = mill__retry_after_ms_field(value);
  require(after_ms >= -1 && after_ms <= MILL__RETRY_AFTER_CAP_MS);
  require(field_ms >= -1 && field_ms <= MILL__RETRY_AFTER_CAP_MS);
  if (is_short_number(value)) {
    char text[16] = "";
    memcpy(text, value.ptr, value.len);
    require(after_ms == clamped(atoll(text) * 1000));
    require(field_ms == clamped(atoll(text)));
  }
  struct fuzz_bytes spaced = {0};
  fuzz_append(&spaced, " \t", 2);
  fuzz_append(&spaced, value.ptr, value.len);
  fuzz_append(&spaced, "\t ", 2);
  const mill_slice same = {spaced.ptr, spaced.len};
  require(mill__retry_after_ms(same, now) == after_ms);
  require(mill__retry_after_ms_field(same) == field_ms);
  free(spaced.ptr);
}

static void check_delay(const struct fuzz_input *input, int64_t after_ms, uint64_t random) {
  const unsigned attempt = input->bits & 7u, max_retries = input->bits >> 3 & 7u;
  const mill_error error = {.code = -(int)(input->seed % 13),
                            .status = (int)(input->seed >> 4),
                            .phase = (enum mill_phase)(input->bits >> 6),
                            .retry_after_ms = after_ms};
  const int64_t left_ms = input->limit < 128 ? (int64_t)input->limit * 100 : -1;
  int64_t delay = mill__retry_delay_ms(attempt, max_retries, &error, left_ms, random);
  if (delay < 0) {
    require(delay == -1);
    return;
  }
  require(attempt < max_retries);
  require(left_ms < 0 || delay < left_ms);
  require(after_ms < 0 ? delay <= MILL__RETRY_MAX_MS : delay == after_ms);
  require(delay <= MILL__RETRY_AFTER_MAX_MS);
}

static void check_reconnect(const struct fuzz_input *input, int64_t after_ms, uint64_t random) {
  const struct mill__reconnect reconnect = {
      .initial_ms = (int64_t)input->limit,
      .max_ms = (int64_t)(input->seed % 100000),
      .asked_ms = input->bits & 1 ? (int64_t)(random >> 2) : -1,
      .retry_after_ms = after_ms,
      .attempts = input->bits,
  };
  int64_t delay = mill__reconnect_delay_ms(&reconnect, random);
  require(delay >= 0 && delay <= MILL__RECONNECT_MAX_MS);
  require(delay >= after_ms || delay == MILL__RECONNECT_MAX_MS);
  require(delay >= reconnect.asked_ms || delay == MILL__RECONNECT_MAX_MS);
  if (after_ms < 0 && reconnect.asked_ms < 0)
    require(delay <= reconnect.max_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (!fuzz_read_input(data, size, &input) || input.len < 2 * NUMBER_BYTES)
    return 0;
  const uint64_t random = number_at(input.bytes);
  const int64_t now = (int64_t)(number_at(input.bytes + NUMBER_BYTES) >> 24);
  const mill_slice value = {input.bytes + 2 * NUMBER_BYTES, input.len - 2 * NUMBER_BYTES};
  check_date((int64_t)(random % UINT64_C(3155760000)), now); /* 1970 to 2069, as two digits say */
  check_value(value, now);
  int64_t after_ms = mill__retry_after_ms(value, now);
  check_delay(&input, after_ms, random);
  check_reconnect(&input, after_ms, random);
  return 0;
}
