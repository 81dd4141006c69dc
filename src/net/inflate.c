/* gzip and deflate, as they arrive; see inflate.h. */
#include "net/inflate.h"

#include <limits.h>

#define ZLIB_CONST /* what is read is not written to */
#include <zlib.h>

#include "base/alloc.h"

/* How zlib is told what it reads: the size of the window, and a sign or a sum. */
#define BITS_ZLIB MAX_WBITS
#define BITS_RAW (-MAX_WBITS)
#define BITS_GZIP (MAX_WBITS + 16)

enum place { AT_BEGIN, INSIDE, AT_END };

struct mill__inflate {
  z_stream zlib;
  enum mill__coding coding;
  enum place place;
  int error;
  char block[MILL__INFLATE_BYTES];
};

static void *allocate(void *opaque, unsigned count, unsigned size) {
  (void)opaque;
  return mill__calloc(count, size);
}

static void release(void *opaque, void *block) {
  (void)opaque;
  mill__free(block);
}

int mill__inflate_new(enum mill__coding coding, struct mill__inflate **ret_inflater) {
  struct mill__inflate *inflater = mill__calloc(1, sizeof *inflater);
  if (!inflater)
    return MILL_E_NOMEM;
  inflater->coding = coding;
  inflater->zlib.zalloc = allocate;
  inflater->zlib.zfree = release;
  if (inflateInit2(&inflater->zlib, coding == MILL__CODING_GZIP ? BITS_GZIP : BITS_ZLIB) != Z_OK) {
    mill__free(inflater);
    return MILL_E_NOMEM;
  }
  *ret_inflater = inflater;
  return MILL_OK;
}

void mill__inflate_free(struct mill__inflate *inflater) {
  if (!inflater)
    return;
  inflateEnd(&inflater->zlib);
  mill__free(inflater);
}

/* RFC 1950, 2.2: "CM = 8". No packer begins a bare stream of RFC 1951 with these four bits. */
static bool begins_as_zlib(char first) {
  return (first & 0x0f) == 8;
}

/* The first byte of all, or one behind an end; false: nothing may stand there. */
static bool begin(struct mill__inflate *inflater, char first) {
  if (inflater->place == AT_END && inflater->coding != MILL__CODING_GZIP) {
    inflater->zlib.msg = "bytes behind its end";
    return false;
  }
  if (inflater->place == AT_END)
    inflateReset(&inflater->zlib); /* RFC 1952, 2.2: several files, one behind the other */
  else if (inflater->coding == MILL__CODING_DEFLATE && !begins_as_zlib(first))
    inflateReset2(&inflater->zlib, BITS_RAW);
  inflater->place = INSIDE;
  return true;
}

/* One call of zlib's. False: it can do no more, which is no error if inflater->error says so. */
static bool advance(struct mill__inflate *inflater, mill_slice *rest) {
  z_stream *zlib = &inflater->zlib;
  zlib->next_in = (const Bytef *)rest->ptr;
  zlib->avail_in = rest->len < UINT_MAX ? (unsigned)rest->len : UINT_MAX;
  int code = inflate(zlib, Z_SYNC_FLUSH);
  rest->len -= (size_t)((const char *)zlib->next_in - rest->ptr);
  rest->ptr = (const char *)zlib->next_in;
  if (code == Z_STREAM_END)
    inflater->place = AT_END;
  else if (code != Z_OK && code != Z_BUF_ERROR) /* that: nothing to read, or no room */
    inflater->error = code == Z_MEM_ERROR ? MILL_E_NOMEM : MILL_E_PROTOCOL;
  return code == Z_OK || code == Z_STREAM_END;
}

int mill__inflate_next(struct mill__inflate *inflater, mill_slice *rest, mill_slice *ret_block) {
  z_stream *zlib = &inflater->zlib;
  zlib->next_out = (Bytef *)inflater->block;
  zlib->avail_out = sizeof inflater->block;
  while (!inflater->error && zlib->avail_out > 0) {
    if (inflater->place != INSIDE && rest->len == 0)
      break;
    if (inflater->place != INSIDE && !begin(inflater, *rest->ptr))
      inflater->error = MILL_E_PROTOCOL;
    else if (!advance(inflater, rest))
      break;
  }
  *ret_block = (mill_slice){inflater->block, sizeof inflater->block - zlib->avail_out};
  /* What comes before a fault is handed out before it is told. */
  return ret_block->len > 0 ? MILL_OK : inflater->error;
}

bool mill__inflate_is_whole(const struct mill__inflate *inflater) {
  return inflater->place != INSIDE;
}

const char *mill__inflate_why(const struct mill__inflate *inflater) {
  return inflater->zlib.msg ? inflater->zlib.msg : "it needs a dictionary";
}
