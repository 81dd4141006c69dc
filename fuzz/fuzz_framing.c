/*
 * Fuzz target: the framings behind their one face; see support.h. Bits 2 and 4 choose the framing;
 * frames have their checksums put right first, and bit 8 sets an id beforehand.
 */
#include <stdlib.h>

#include "frames.h"
#include "provider/framing.h"
#include "support.h"

#define BIT_ID 8u

static int on_event(void *run, const struct mill__framed *framed) {
  fuzz_tell_slice(run, 't', framed->type);
  fuzz_tell_slice(run, 'i', framed->id);
  fuzz_tell_number(run, 'f', framed->failed);
  fuzz_tell_slice(run, 'c', framed->code);
  fuzz_tell_slice(run, 'm', framed->message);
  return fuzz_verdict(run);
}

static int on_comment(void *run, mill_slice text) {
  fuzz_tell_slice(run, 'k', text);
  return MILL_OK;
}

static int on_unknown(void *run, mill_slice name, mill_slice value) {
  fuzz_tell_slice(run, 'n', name);
  fuzz_tell_slice(run, 'v', value);
  return MILL_OK;
}

static int on_id(void *run, mill_slice id) {
  fuzz_tell_slice(run, 'j', id);
  return MILL_OK;
}

static int on_retry(void *run, uint64_t retry_ms) {
  fuzz_tell_number(run, 'r', (int64_t)retry_ms);
  return MILL_OK;
}

static int feed(void *framer, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__framer_feed(framer, bytes, len, ret_consumed);
}

static void tell_end(struct fuzz_run *run, struct mill__framer *framer) {
  int rc = mill__framer_finish(framer);
  fuzz_tell_number(run, 'F', rc == MILL_AGAIN ? MILL_OK : rc);
  fuzz_tell_number(run, 'C', mill__framer_cut(framer));
  fuzz_tell_slice(run, 'L', mill__framer_line(framer));
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  static const struct mill__framer_callbacks callbacks = {
      .data = fuzz_tell_data,
      .event = on_event,
      .comment = on_comment,
      .unknown = on_unknown,
      .id = on_id,
      .retry = on_retry,
  };
  const enum mill__framing framing = (enum mill__framing)(input->bits >> 1 & 3u);
  char *sealed = NULL;
  if (framing == MILL__FRAMING_AWSEV)
    sealed = fuzz_sealed_frames(input->bytes, input->len);
  run->memory_bytes = 8 * input->limit + 2 * (MILL__AWSEV_HEADER_BYTES + FUZZ_FRAME_BYTES);
  struct mill__framer framer;
  mill__framer_init(&framer, framing, input->limit, &callbacks, run);
  if (framing == MILL__FRAMING_SSE && input->bits & BIT_ID)
    fuzz_tell_number(run, 'S', mill__framer_set_last_event_id(&framer, (mill_slice){"before", 6}));
  if (fuzz_feed_all(run, feed, &framer, sealed ? sealed : input->bytes, input->len) == MILL_OK)
    tell_end(run, &framer);
  mill__framer_fini(&framer);
  free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
