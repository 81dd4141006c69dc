/* Errors: what is told of one is printable and bounded, and without memory its code is left. */
#include <stdlib.h>
#include <string.h>

#include "net/error.h"
#include "support.h"

static mill_error error;

static void test_names(void) {
  CHECK_STR(mill_error_name(MILL_E_TIMEOUT), "MILL_E_TIMEOUT");
  CHECK_STR(mill_error_class(MILL_E_STATUS), "StatusError");
  CHECK_STR(mill_error_text(MILL_AGAIN), "nothing is ready yet");
  CHECK_STR(mill_error_name(-99), "MILL_E_UNKNOWN");
  CHECK_STR(mill_error_class(-99), "Error");
  CHECK_STR(mill_error_text(-99), "unknown error");
  CHECK_STR(mill_phase_name(MILL_PHASE_IDLE), "idle");
  CHECK_STR(mill_phase_name((enum mill_phase)99), "");
}

static void test_text(void) {
  mill__error_set(&error, MILL_E_STATUS, "%s", "");
  CHECK_STR(error.text, "");
  mill__error_set(&error, MILL_E_STATUS, "a\r\nb\tc\x1b[0m %s", "\xFF\xE2\x82");
  CHECK_STR(error.text, "a  b c [0m \xEF\xBF\xBD\xEF\xBF\xBD");
  char text[2 * MILL__ERROR_TEXT_BYTES];
  memset(text, 'x', sizeof text);
  memcpy(text + MILL__ERROR_TEXT_BYTES - 3, "\xE2\x82\xAC", 3); /* cut in its middle */
  text[sizeof text - 1] = '\0';
  mill__error_set(&error, MILL_E_PROTOCOL, "%s", text);
  CHECK_INT(error.code, MILL_E_PROTOCOL);
  CHECK_INT(strlen(error.text), MILL__ERROR_TEXT_BYTES - 3 + 3);
  CHECK_STR(error.text + MILL__ERROR_TEXT_BYTES - 4, "x\xEF\xBF\xBD");
}

static void test_details(void) {
  char *many = malloc(2 * MILL__ERROR_BODY_BYTES);
  CHECK(many != NULL);
  memset(many, 'y', 2 * MILL__ERROR_BODY_BYTES);
  mill__error_set_kind(&error, "kind", 4);
  CHECK_STR(error.kind, "kind");
  mill__error_set_kind(&error, many, MILL__ERROR_TEXT_BYTES);
  CHECK_INT(strlen(error.kind), 64);
  mill__error_set_kind(&error, many, 0);
  CHECK(error.kind == NULL);
  mill__error_set_request_id(&error, (mill_slice){"r1", 2});
  CHECK_STR(error.request_id, "r1");
  mill__error_set_request_id(&error, (mill_slice){many, MILL__ERROR_TEXT_BYTES});
  CHECK_INT(strlen(error.request_id), 64);
  mill__error_set_request_id(&error, (mill_slice){many, 0});
  CHECK(error.request_id == NULL);
  mill__error_set_body(&error, (mill_slice){"b\0c", 3});
  CHECK_BYTES(error.body, error.body_len, "b\0c", 3);
  mill__error_set_body(&error, (mill_slice){many, 2 * MILL__ERROR_BODY_BYTES});
  CHECK_INT(error.body_len, MILL__ERROR_BODY_BYTES);
  mill__error_set_body(&error, (mill_slice){many, 0});
  CHECK(error.body == NULL);
  CHECK_INT(error.body_len, 0);
  free(many);
}

static void test_move(void) {
  mill_error from;
  mill__error_init(&from);
  mill__error_set(&from, MILL_E_LIMIT, "moved");
  from.status = 7;
  mill__error_move(&error, &from);
  CHECK_INT(error.code, MILL_E_LIMIT);
  CHECK_INT(error.status, 7);
  CHECK_STR(error.text, "moved");
  CHECK_INT(from.code, MILL_OK);
  CHECK(from.text == NULL);
  CHECK_INT(from.retry_after_ms, -1);
}

static void run_starved(void *ctx) {
  mill_error starved;
  mill__error_init(&starved);
  mill__error_set(&starved, MILL_E_STATUS, "text %s \xFF", "of it");
  mill__error_set_kind(&starved, "kind", 4);
  mill__error_set_request_id(&starved, (mill_slice){"r1", 2});
  mill__error_set_body(&starved, (mill_slice){"body", 4});
  CHECK_INT(starved.code, MILL_E_STATUS);
  CHECK_INT(starved.body_len, starved.body ? 4 : 0);
  CHECK(test_alloc_failed() || (starved.text && starved.kind && starved.request_id));
  mill__error_fini(&starved);
  CHECK(starved.text == NULL);
}

int main(void) {
  test_alloc_install();
  mill__error_init(&error);
  test_names();
  test_text();
  test_details();
  test_move();
  mill__error_fini(&error);
  CHECK_INT(test_alloc_live(), 0);
  test_each_failing_allocation(run_starved, NULL);
  return 0;
}
