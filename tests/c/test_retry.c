/* Whether and when to try again: Retry-After in all its forms, and the table of delays. */
#include <string.h>

#include "net/retry.h"
#include "support.h"

#define NOW INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 */
#define DAY_MS INT64_C(86400000)

static int64_t after(const char *value, int64_t now) {
  CHECK(value != NULL); /* which the compiler cannot see */
  test_case("Retry-After: %s", value);
  return mill__retry_after_ms((mill_slice){value, strlen(value)}, now);
}

static void test_seconds(void) {
  static const struct {
    const char *value;
    int64_t ms;
  } cases[] = {
      {"0", 0},
      {"1", 1000},
      {"120", 120000},
      {" 7\t", 7000},
      {"1.5", 1500},
      {"0.0019", 1},
      {"1.", 1000},
      {"007", 7000},
      {"86400", DAY_MS},
      {"86401", DAY_MS},
      {"99999999999999999999999999", DAY_MS},
      {"9223372036854775807", DAY_MS},
      {"1152921504606846976", DAY_MS},
      {"1125899906842623", DAY_MS},
      {"11258999068426239", DAY_MS},
      {"", -1},
      {" ", -1},
      {"-1", -1},
      {"+1", -1},
      {"1s", -1},
      {"1 2", -1},
      {".5", -1},
      {"1e3", -1},
      {"0x10", -1},
      {"soon", -1},
      {"inf", -1},
      {"0000000000000000000000000000000000000000000000000000000000000000000000001", -1},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    CHECK_INT(after(cases[i].value, NOW), cases[i].ms);
  CHECK_INT(mill__retry_after_ms((mill_slice){"1\0", 2}, NOW), -1);
  CHECK_INT(mill__retry_after_ms((mill_slice){"", 0}, NOW), -1);
  char guarded[] = "12"; /* nothing behind the slice is read */
  CHECK_INT(mill__retry_after_ms((mill_slice){test_guarded(guarded, 2), 2}, NOW), 12000);
}

static void test_dates(void) {
  static const char *const same[] = {
      "Sun, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994",
  };
  for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
    CHECK_INT(after(same[i], NOW), 0);
    CHECK_INT(after(same[i], NOW - 90), 90000);
    CHECK_INT(after(same[i], NOW + 90), 0); /* over already */
    CHECK_INT(after(same[i], NOW - 90000), DAY_MS);
  }
  CHECK_INT(after("Thu, 29 Feb 2024 23:59:60 GMT", 1709251200 - 10), 10000); /* a leap second */
  CHECK_INT(after("Fri, 01 Mar 2024 00:00:00 GMT", 1709251200 - 10), 10000);
  CHECK_INT(after("Sat, 01 Jan 2000 00:00:00 GMT", 946684800 - 1), 1000);
  CHECK_INT(after("Thursday, 01-Jan-70 00:00:05 GMT", 0), 5000);
  CHECK_INT(after("Friday, 31-Dec-69 23:59:59 GMT", 3155759999 - 3), 3000); /* 2069 */
}

static void test_no_dates(void) {
  static const char *const cases[] = {
      "Sun, 06 Nov 1994 08:49:37",
      "Sun, 06 Nov 1994 08:49:37 PST",
      "Sun, 06 Nov 1994 08:49:37 +0100",
      "Sun, 06 Nov 1994 08:49:37 GMT and more",
      "Sun, 06 Nov 1994 08:49 GMT",
      "Sun, 06 Nov 1994 24:49:37 GMT",
      "Sun, 06 Nov 1994 08:60:37 GMT",
      "Sun, 06 Nov 1994 08:49:61 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT",
      "Sun, 32 Nov 1994 08:49:37 GMT",
      "Sun, 06 nov 1994 08:49:37 GMT",
      "Sun, 06 Xyz 1994 08:49:37 GMT",
      "Sun, 06 ovD 1994 08:49:37 GMT",
      "Sun, 06 Nov -994 08:49:37 GMT",
      "Sun, 06 Nov 1994 -8:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37",
      "Sun Nov  6 08:49:37 1994 GMT",
      "06 Nov 1994 08:49:37 GMT",
      "1994-11-06T08:49:37Z",
      ", ",
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    CHECK_INT(after(cases[i], NOW), -1);
}

static void test_milliseconds(void) {
  static const struct {
    const char *value;
    int64_t ms;
  } cases[] = {
      {"0", 0},
      {"1", 1},
      {"1500", 1500},
      {"12.9", 12},
      {" 5 ", 5},
      {"86400001", DAY_MS},
      {"-1", -1},
      {"", -1},
      {"x", -1},
      {"99999999999999999999999", DAY_MS},
      {"Sun, 06 Nov 1994 08:49:37 GMT", -1},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    test_case("retry-after-ms: %s", cases[i].value);
    mill_slice value = {cases[i].value, strlen(cases[i].value)};
    CHECK_INT(mill__retry_after_ms_field(value), cases[i].ms);
  }
}

/* ---- the decision ---------------------------------------------------------------------------- */

static mill_error error_of(int code, int status) {
  return (mill_error){.code = code, .status = status, .retry_after_ms = -1};
}

static int64_t delay(mill_error error, unsigned attempt, int64_t left_ms, uint64_t random) {
  return mill__retry_delay_ms(attempt, 10, &error, left_ms, random);
}

static void test_which_errors(void) {
  static const struct {
    int code, status;
    enum mill_phase phase;
    bool again;
  } cases[] = {
      {MILL_E_CONNECT, 0, MILL_PHASE_NONE, true},
      {MILL_E_TIMEOUT, 0, MILL_PHASE_CONNECT, true},
      {MILL_E_TIMEOUT, 0, MILL_PHASE_FIRST_CHUNK, false},
      {MILL_E_TIMEOUT, 0, MILL_PHASE_IDLE, false},
      {MILL_E_TIMEOUT, 0, MILL_PHASE_TOTAL, false},
      {MILL_E_STATUS, 400, MILL_PHASE_NONE, false},
      {MILL_E_STATUS, 401, MILL_PHASE_NONE, false},
      {MILL_E_STATUS, 408, MILL_PHASE_NONE, true},
      {MILL_E_STATUS, 409, MILL_PHASE_NONE, true},
      {MILL_E_STATUS, 429, MILL_PHASE_NONE, true},
      {MILL_E_STATUS, 499, MILL_PHASE_NONE, false},
      {MILL_E_STATUS, 500, MILL_PHASE_NONE, true},
      {MILL_E_STATUS, 599, MILL_PHASE_NONE, true},
      {MILL_E_STATUS, 600, MILL_PHASE_NONE, false},
      {MILL_E_PROVIDER, 0, MILL_PHASE_NONE, false},
      {MILL_E_PROVIDER, 529, MILL_PHASE_NONE, true},
      {MILL_E_INTERRUPTED, 0, MILL_PHASE_NONE, false},
      {MILL_E_PROTOCOL, 500, MILL_PHASE_NONE, false},
      {MILL_E_LIMIT, 0, MILL_PHASE_NONE, false},
      {MILL_E_CANCELLED, 0, MILL_PHASE_NONE, false},
      {MILL_E_NOMEM, 0, MILL_PHASE_NONE, false},
      {MILL_E_ARG, 0, MILL_PHASE_NONE, false},
      {MILL_E_SYSTEM, 0, MILL_PHASE_NONE, false},
      {MILL_E_FORKED, 0, MILL_PHASE_NONE, false},
      {MILL_OK, 0, MILL_PHASE_NONE, false},
      {MILL_AGAIN, 0, MILL_PHASE_NONE, false},
      {MILL_END, 0, MILL_PHASE_NONE, false},
      {-99, 0, MILL_PHASE_NONE, false},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    test_case("%s, status %d, phase %d", mill_error_name(cases[i].code), cases[i].status,
              (int)cases[i].phase);
    mill_error error = error_of(cases[i].code, cases[i].status);
    error.phase = cases[i].phase;
    CHECK_INT(delay(error, 0, -1, 0) >= 0, cases[i].again);
  }
}

static void test_delays(void) {
  static const int64_t ceilings[] = {500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000, 8000};
  mill_error error = error_of(MILL_E_CONNECT, 0);
  for (unsigned attempt = 0; attempt < 10; attempt++) {
    test_case("attempt %u", attempt);
    int64_t ceiling = ceilings[attempt];
    CHECK_INT(delay(error, attempt, -1, 0), 0);
    CHECK_INT(delay(error, attempt, -1, (uint64_t)ceiling), ceiling);
    CHECK_INT(delay(error, attempt, -1, (uint64_t)ceiling + 1), 0);
    uint64_t seed = attempt + 1;
    for (int i = 0; i < 1000; i++) {
      int64_t found = delay(error, attempt, -1, test_random(&seed));
      CHECK(found >= 0 && found <= ceiling);
    }
  }
  CHECK_INT(delay(error, 10, -1, 0), -1); /* that was the last */
  CHECK_INT(mill__retry_delay_ms(0, 0, &error, -1, 0), -1);
  CHECK_INT(mill__retry_delay_ms(4000000000U, 4294967295U, &error, -1, 8000), 8000);
}

/* What the server asks for is obeyed up to a minute, and never past the total clock. */
static void test_server_decides(void) {
  mill_error error = error_of(MILL_E_STATUS, 429);
  error.retry_after_ms = 0;
  CHECK_INT(delay(error, 0, -1, 123456), 0);
  error.retry_after_ms = 60000;
  CHECK_INT(delay(error, 0, -1, 123456), 60000);
  error.retry_after_ms = 60001;
  CHECK_INT(delay(error, 0, -1, 123456), -1);
  error.retry_after_ms = 700;
  CHECK_INT(delay(error, 0, 701, 0), 700);
  CHECK_INT(delay(error, 0, 700, 0), -1);
  CHECK_INT(delay(error, 0, 0, 0), -1);
  error.retry_after_ms = -1;
  CHECK_INT(delay(error, 0, 400, 400), -1);
  CHECK_INT(delay(error, 0, 401, 400), 400);
}

/* ---- event sources: reconnecting -------------------------------------------------------------- */

static void test_which_connections_are_followed(void) {
  static const struct {
    int code, status;
    enum mill_phase phase;
    bool helps, helps_opened;
  } cases[] = {
      {MILL_OK, 0, MILL_PHASE_NONE, true, true},
      {MILL_E_INTERRUPTED, 0, MILL_PHASE_NONE, true, true},
      {MILL_E_CONNECT, 0, MILL_PHASE_NONE, true, true},
      {MILL_E_TIMEOUT, 0, MILL_PHASE_CONNECT, true, true},
      {MILL_E_TIMEOUT, 0, MILL_PHASE_FIRST_CHUNK, true, true},
      {MILL_E_TIMEOUT, 0, MILL_PHASE_IDLE, true, true},
      {MILL_E_TIMEOUT, 0, MILL_PHASE_TOTAL, false, false},
      {MILL_E_STATUS, 301, MILL_PHASE_NONE, false, false},
      {MILL_E_STATUS, 400, MILL_PHASE_NONE, false, false},
      {MILL_E_STATUS, 407, MILL_PHASE_NONE, false, false},
      {MILL_E_STATUS, 408, MILL_PHASE_NONE, true, true},
      {MILL_E_STATUS, 409, MILL_PHASE_NONE, false, false},
      {MILL_E_STATUS, 428, MILL_PHASE_NONE, false, false},
      {MILL_E_STATUS, 429, MILL_PHASE_NONE, true, true},
      {MILL_E_STATUS, 499, MILL_PHASE_NONE, false, false},
      {MILL_E_STATUS, 500, MILL_PHASE_NONE, true, true},
      {MILL_E_STATUS, 599, MILL_PHASE_NONE, true, true},
      {MILL_E_STATUS, 600, MILL_PHASE_NONE, false, false},
      {MILL_E_PROTOCOL, 0, MILL_PHASE_NONE, false, true},
      {MILL_E_PROVIDER, 503, MILL_PHASE_NONE, false, false},
      {MILL_E_LIMIT, 0, MILL_PHASE_NONE, false, false},
      {MILL_E_NOMEM, 0, MILL_PHASE_NONE, false, false},
      {MILL_E_SYSTEM, 0, MILL_PHASE_NONE, false, false},
      {MILL_E_ARG, 0, MILL_PHASE_NONE, false, false},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    test_case("%s, status %d, phase %d", mill_error_name(cases[i].code), cases[i].status,
              (int)cases[i].phase);
    mill_error error = error_of(cases[i].code, cases[i].status);
    error.phase = cases[i].phase;
    CHECK_INT(mill__reconnect_helps(&error, false), cases[i].helps);
    CHECK_INT(mill__reconnect_helps(&error, true), cases[i].helps_opened);
    error.permanent = true;
    CHECK(!mill__reconnect_helps(&error, true));
  }
}

/* Every delay lies between `least` and `most`, and both are met. */
static void check_delays(struct mill__reconnect reconnect, int64_t least, int64_t most) {
  uint64_t seed = 7;
  test_case("initial %lld, max %lld, asked %lld, after %lld, attempt %u",
            (long long)reconnect.initial_ms, (long long)reconnect.max_ms,
            (long long)reconnect.asked_ms, (long long)reconnect.retry_after_ms, reconnect.attempts);
  for (int i = 0; i < 300; i++) {
    int64_t delay_ms = mill__reconnect_delay_ms(&reconnect, test_random(&seed));
    CHECK(delay_ms >= least && delay_ms <= most);
  }
  int64_t lowest = reconnect.asked_ms > 0 ? reconnect.asked_ms : 0;
  if (lowest > DAY_MS)
    lowest = DAY_MS;
  CHECK_INT(mill__reconnect_delay_ms(&reconnect, 0), least);
  CHECK_INT(mill__reconnect_delay_ms(&reconnect, (uint64_t)(most - lowest)), most);
}

static void test_reconnect_delays(void) {
  static const int64_t far = INT64_MAX;
  static const struct {
    int64_t initial, max, asked, after;
    unsigned attempts;
    int64_t least, most;
  } cases[] = {
      /* full jitter that doubles up to the maximum */
      {3000, 30000, -1, -1, 0, 0, 3000},
      {3000, 30000, -1, -1, 1, 0, 6000},
      {3000, 30000, -1, -1, 3, 0, 24000},
      {3000, 30000, -1, -1, 4, 0, 30000},
      {3000, 30000, -1, -1, 4000000000, 0, 30000},
      {3000, 1000, -1, -1, 0, 0, 1000},
      /* at once, but not for ever */
      {0, 30000, -1, -1, 0, 0, 0},
      {0, 30000, -1, -1, 1, 0, 100},
      {0, 30000, -1, -1, 2, 0, 200},
      {0, 50, -1, -1, 1, 0, 50},
      {0, 0, -1, -1, 9, 0, 0},
      /* what the server asked for is the least, and what doubles */
      {3000, 30000, 500, -1, 0, 500, 500},
      {3000, 30000, 500, -1, 2, 500, 2000},
      {3000, 30000, 50000, -1, 5, 50000, 50000},
      {3000, 30000, 0, -1, 0, 0, 0},
      {3000, 30000, far, -1, 3, DAY_MS, DAY_MS},
      {0, 0, 700, -1, 2, 700, 700},
      /* Retry-After too */
      {3000, 30000, -1, 10000, 0, 10000, 10000},
      {3000, 30000, -1, 1000, 0, 1000, 3000},
      {3000, 30000, 500, 100, 0, 500, 500},
      {0, 30000, -1, DAY_MS, 0, DAY_MS, DAY_MS},
      /* nobody makes anything overflow */
      {far, far, -1, -1, 4000000000, 0, DAY_MS},
      {1, far, -1, -1, 4000000000, 0, DAY_MS},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    check_delays((struct mill__reconnect){.initial_ms = cases[i].initial,
                                          .max_ms = cases[i].max,
                                          .asked_ms = cases[i].asked,
                                          .retry_after_ms = cases[i].after,
                                          .attempts = cases[i].attempts},
                 cases[i].least, cases[i].most);
}

int main(void) {
  test_seconds();
  test_dates();
  test_no_dates();
  test_milliseconds();
  test_which_errors();
  test_delays();
  test_server_decides();
  test_which_connections_are_followed();
  test_reconnect_delays();
  return 0;
}
