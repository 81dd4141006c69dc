/*
 * Fuzz target: the parser of AWS event streams, and its header reader, which stays within the
 * headers; see support.h. Bit 2: the checksums are put right first.
 */
#include <stdlib.h>

#include "frames.h"
#include "parse/awsev.h"
#include "support.h"

#define BIT_SEAL 2u

static void tell_headers(struct fuzz_run *run, mill_slice headers) {
  struct mill__awsev_header header;
  int rc;
  while ((rc = mill__awsev_next_header(&headers, &header)) == MILL_OK) {
    fuzz_tell_slice(run, 'n', header.name);
    fuzz_tell_slice(run, (char)('0' + header.type), header.value);
  }
  require(rc == MILL_END && headers.len == 0); /* broken ones are not told */
}

static int on_event(void *run, const struct mill__awsev_message *message) {
  fuzz_tell_number(run, 'k', message->kind);
  fuzz_tell_slice(run, 'e', message->event_type);
  fuzz_tell_slice(run, 'x', message->exception_type);
  fuzz_tell_slice(run, 'c', message->error_code);
  fuzz_tell_slice(run, 'm', message->error_message);
  fuzz_tell_slice(run, 't', message->content_type);
  tell_headers(run, message->headers);
  return fuzz_verdict(run);
}

static int feed(void *awsev, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__awsev_feed(awsev, bytes, len, ret_consumed);
}

static void tell_stream(struct fuzz_run *run, size_t limit, const char *bytes, size_t len) {
  static const struct mill__awsev_callbacks callbacks = {fuzz_tell_data, on_event};
  struct mill__awsev awsev;
  run->memory_bytes = 2 * (MILL__AWSEV_HEADER_BYTES + FUZZ_FRAME_BYTES);
  mill__awsev_init(&awsev, limit, &callbacks, run);
  int rc = fuzz_feed_all(run, feed, &awsev, bytes, len);
  fuzz_tell_number(run, 'F', rc == MILL_OK && mill__awsev_finish(&awsev));
  mill__awsev_fini(&awsev);
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  if (!(input->bits & BIT_SEAL)) {
    tell_stream(run, input->limit, input->bytes, input->len);
    return;
  }
  char *sealed = fuzz_sealed_frames(input->bytes, input->len);
  tell_stream(run, input->limit, sealed, input->len);
  free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
