/*
 * Fuzz target: a compressed body, cut anywhere; see support.h. What comes out is the same however it
 * is cut, a block at a time, and the memory does not grow with it.
 * Bits: 2 deflate, else gzip.
 */
#include "net/inflate.h"

#include "support.h"

#define BIT_DEFLATE 2u
#define MOST_BYTES ((size_t)1 << 18) /* of what comes out: a bomb is not read to its end */
#define MEMORY_BYTES ((size_t)80 << 10)

struct reader {
  struct fuzz_run *run;
  struct mill__inflate *inflater;
  size_t len; /* of what came out */
};

static int feed(void *user, const char *bytes, size_t len, size_t *ret_consumed) {
  struct reader *reader = user;
  mill_slice rest = {bytes, len}, block = {0};
  int rc = MILL_OK;
  while (rc == MILL_OK && reader->len < MOST_BYTES) {
    rc = mill__inflate_next(reader->inflater, &rest, &block);
    require(block.len <= MILL__INFLATE_BYTES);
    if (rc != MILL_OK || block.len == 0)
      break;
    size_t room = MOST_BYTES - reader->len;
    fuzz_tell_data(reader->run, block.ptr, block.len < room ? block.len : room);
    reader->len += block.len;
  }
  require(rc != MILL_OK || rest.len == 0 || reader->len >= MOST_BYTES);
  *ret_consumed = len;
  return rc;
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  struct reader reader = {.run = run};
  run->memory_bytes = MEMORY_BYTES;
  const bool is_deflate = (input->bits & BIT_DEFLATE) != 0;
  require(mill__inflate_new(is_deflate ? MILL__CODING_DEFLATE : MILL__CODING_GZIP,
                            &reader.inflater) == MILL_OK);
  fuzz_feed_all(run, feed, &reader, input->bytes, input->len);
  if (reader.len < MOST_BYTES)
    fuzz_tell_number(run, 'W', mill__inflate_is_whole(reader.inflater));
  mill__inflate_free(reader.inflater);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
