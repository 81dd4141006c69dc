/*
 * Compressed bodies: every coding in all splits, every cut, every flipped byte, bytes behind the end;
 * what is flushed comes at once; a block at a time; memory.
 */
#include "net/inflate.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "support.h"

#define TEXT "data: one\n\ndata: two\n\ndata: a longer one, a longer one, a longer one\n\n"
#define MANY_BYTES ((size_t)10 << 20)

/* ---- packing --------------------------------------------------------------------------------- */

enum form { GZIP = 16 + MAX_WBITS, ZLIB = MAX_WBITS, RAW = -MAX_WBITS };

static const struct {
  const char *name;
  enum form form;
  enum mill__coding coding;
} forms[] = {
    {"gzip", GZIP, MILL__CODING_GZIP},
    {"deflate", ZLIB, MILL__CODING_DEFLATE},
    {"deflate without a header", RAW, MILL__CODING_DEFLATE},
};
#define N_FORMS (sizeof forms / sizeof *forms)

struct packed {
  char bytes[32768];
  size_t len;
};

static void begin_packing(z_stream *zlib, enum form form, int level) {
  *zlib = (z_stream){0};
  CHECK_INT(deflateInit2(zlib, level, Z_DEFLATED, form, 8, Z_DEFAULT_STRATEGY), Z_OK);
}

static void pack(z_stream *zlib, struct packed *packed, const char *bytes, size_t len, int flush) {
  zlib->next_in = (Bytef *)(uintptr_t)bytes;
  zlib->avail_in = (unsigned)len;
  zlib->next_out = (Bytef *)packed->bytes + packed->len;
  zlib->avail_out = (unsigned)(sizeof packed->bytes - packed->len);
  CHECK_INT(deflate(zlib, flush), flush == Z_FINISH ? Z_STREAM_END : Z_OK);
  CHECK(zlib->avail_in == 0 && zlib->avail_out > 0);
  packed->len = sizeof packed->bytes - zlib->avail_out;
}

/* One more behind what is packed already. */
static void pack_all(struct packed *packed, enum form form, int level, const char *bytes,
                     size_t len) {
  z_stream zlib;
  begin_packing(&zlib, form, level);
  pack(&zlib, packed, bytes, len, Z_FINISH);
  deflateEnd(&zlib);
}

static struct packed packed_text(enum form form) {
  struct packed packed = {.len = 0};
  pack_all(&packed, form, 9, BYTES(TEXT));
  return packed;
}

/* ---- unpacking ------------------------------------------------------------------------------- */

struct unpacked {
  char bytes[4096]; /* the first of them */
  size_t len;
};

/* Feed a piece. What comes is written down, and is never more than a block. */
static int unpack(struct mill__inflate *inflater, const char *bytes, size_t len,
                  struct unpacked *unpacked) {
  mill_slice rest = {bytes, len}, block;
  int code;
  while ((code = mill__inflate_next(inflater, &rest, &block)) == MILL_OK && block.len > 0) {
    CHECK(block.len <= MILL__INFLATE_BYTES);
    for (size_t i = 0; i < block.len && unpacked->len + i < sizeof unpacked->bytes; i++)
      unpacked->bytes[unpacked->len + i] = block.ptr[i];
    unpacked->len += block.len;
  }
  CHECK(code != MILL_OK || rest.len == 0);
  return code;
}

static struct mill__inflate *new_inflater(enum mill__coding coding) {
  struct mill__inflate *inflater;
  CHECK_INT(mill__inflate_new(coding, &inflater), MILL_OK);
  return inflater;
}

static void check_pieces(enum mill__coding coding, const struct packed *packed, const char *text) {
  struct test_pieces pieces = {.bytes = packed->bytes, .len = packed->len};
  const char *piece;
  size_t len;
  while (test_next_run(&pieces)) {
    struct mill__inflate *inflater = new_inflater(coding);
    struct unpacked unpacked = {.len = 0};
    CHECK(mill__inflate_is_whole(inflater));
    while ((piece = test_next_piece(&pieces, &len)) != NULL)
      CHECK_INT(unpack(inflater, piece, len, &unpacked), MILL_OK);
    CHECK_BYTES(unpacked.bytes, unpacked.len, text, strlen(text));
    CHECK(mill__inflate_is_whole(inflater));
    mill__inflate_free(inflater);
  }
}

static void test_every_form(void) {
  for (size_t i = 0; i < N_FORMS; i++)
    for (int level = 0; level <= 9; level += 3) {
      test_case("%s, level %d", forms[i].name, level);
      struct packed packed = {.len = 0};
      pack_all(&packed, forms[i].form, level, BYTES(TEXT));
      check_pieces(forms[i].coding, &packed, TEXT);
    }
}

static void test_files_one_behind_the_other(void) {
  test_case("%s", "three gzip files, one of them empty");
  struct packed packed = packed_text(GZIP);
  pack_all(&packed, GZIP, 9, "", 0);
  pack_all(&packed, GZIP, 1, BYTES("x"));
  check_pieces(MILL__CODING_GZIP, &packed, TEXT "x");
}

/* Wherever it is cut: not whole, and no error. */
static void test_every_cut(void) {
  for (size_t i = 0; i < N_FORMS; i++) {
    struct packed packed = packed_text(forms[i].form);
    for (size_t len = 1; len < packed.len; len++) {
      test_case("%s, %zu bytes of %zu", forms[i].name, len, packed.len);
      struct mill__inflate *inflater = new_inflater(forms[i].coding);
      struct unpacked unpacked = {.len = 0};
      CHECK_INT(unpack(inflater, test_guarded(packed.bytes, len), len, &unpacked), MILL_OK);
      CHECK(!mill__inflate_is_whole(inflater));
      CHECK_BYTES(unpacked.bytes, unpacked.len, TEXT, unpacked.len);
      mill__inflate_free(inflater);
    }
  }
}

/* The second file of two is cut. */
static void test_a_cut_behind_a_whole_file(void) {
  struct packed packed = packed_text(GZIP);
  size_t whole = packed.len;
  pack_all(&packed, GZIP, 9, BYTES(TEXT));
  struct mill__inflate *inflater = new_inflater(MILL__CODING_GZIP);
  struct unpacked unpacked = {.len = 0};
  CHECK_INT(unpack(inflater, packed.bytes, whole, &unpacked), MILL_OK);
  CHECK(mill__inflate_is_whole(inflater));
  CHECK_INT(unpack(inflater, packed.bytes + whole, 1, &unpacked), MILL_OK);
  CHECK(!mill__inflate_is_whole(inflater));
  mill__inflate_free(inflater);
}

/* `why`: of the words that are not zlib's. */
static void check_damage(enum mill__coding coding, const char *bytes, size_t len, const char *why) {
  struct mill__inflate *inflater = new_inflater(coding);
  struct unpacked unpacked = {.len = 0};
  CHECK_INT(unpack(inflater, test_guarded(bytes, len), len, &unpacked), MILL_E_PROTOCOL);
  CHECK(*mill__inflate_why(inflater) != '\0');
  if (why)
    CHECK_STR(mill__inflate_why(inflater), why);
  size_t before = unpacked.len; /* the error sticks, and nothing comes any more */
  CHECK_INT(unpack(inflater, bytes, len, &unpacked), MILL_E_PROTOCOL);
  CHECK_INT(unpacked.len, before);
  mill__inflate_free(inflater);
}

static void test_damage(void) {
  test_case("%s", "damage");
  struct packed gzip = packed_text(GZIP), zlib = packed_text(ZLIB), raw = packed_text(RAW);
  check_damage(MILL__CODING_GZIP, BYTES("data: x\n\n"), NULL);
  check_damage(MILL__CODING_GZIP, zlib.bytes, zlib.len, NULL);
  check_damage(MILL__CODING_GZIP, BYTES("\x1f\x8b\x08\xff"), NULL);
  check_damage(MILL__CODING_DEFLATE, BYTES("data: x\n\n"), NULL);
  check_damage(MILL__CODING_DEFLATE, BYTES("\xff"), NULL);
  check_damage(MILL__CODING_DEFLATE, BYTES("\x78\xbb\0\0\0\0"), "it needs a dictionary");
  gzip.bytes[gzip.len] = zlib.bytes[zlib.len] = raw.bytes[raw.len] = 0;
  check_damage(MILL__CODING_GZIP, gzip.bytes, gzip.len + 2 /* of a header */, NULL);
  check_damage(MILL__CODING_DEFLATE, zlib.bytes, zlib.len + 1, "bytes behind its end");
  check_damage(MILL__CODING_DEFLATE, raw.bytes, raw.len + 1, "bytes behind its end");
  gzip.bytes[gzip.len - 1] ^= 1;
  check_damage(MILL__CODING_GZIP, gzip.bytes, gzip.len, NULL);
  gzip.bytes[gzip.len - 5] ^= 1;
  check_damage(MILL__CODING_GZIP, gzip.bytes, gzip.len, NULL);
  zlib.bytes[zlib.len - 1] ^= 1;
  check_damage(MILL__CODING_DEFLATE, zlib.bytes, zlib.len, NULL);
}

/* An event that the server has flushed comes with its last byte. */
static void test_what_is_flushed_comes_at_once(void) {
  for (size_t i = 0; i < N_FORMS; i++) {
    test_case("%s, flushed", forms[i].name);
    struct mill__inflate *inflater = new_inflater(forms[i].coding);
    z_stream zlib;
    begin_packing(&zlib, forms[i].form, 9);
    for (size_t n = 0; n < 100; n++) {
      struct packed packed = {.len = 0};
      struct unpacked unpacked = {.len = 0};
      pack(&zlib, &packed, BYTES(TEXT), Z_SYNC_FLUSH);
      CHECK_INT(unpack(inflater, packed.bytes, packed.len, &unpacked), MILL_OK);
      CHECK_BYTES(unpacked.bytes, unpacked.len, TEXT, sizeof TEXT - 1);
      CHECK(!mill__inflate_is_whole(inflater));
    }
    deflateEnd(&zlib);
    mill__inflate_free(inflater);
  }
}

/* Ten megabytes in ten kilobytes: a block at a time, and no more memory than for the first. */
static void test_a_bomb(void) {
  test_case("%s", "a bomb");
  char *zeros = calloc(1, MANY_BYTES);
  CHECK(zeros != NULL);
  struct packed packed = {.len = 0};
  pack_all(&packed, GZIP, 9, zeros, MANY_BYTES);
  free(zeros);
  struct mill__inflate *inflater = new_inflater(MILL__CODING_GZIP);
  struct unpacked unpacked = {.len = 0};
  mill_slice rest = {packed.bytes, packed.len}, block;
  CHECK_INT(mill__inflate_next(inflater, &rest, &block), MILL_OK);
  CHECK_INT(block.len, MILL__INFLATE_BYTES);
  size_t live = test_alloc_live();
  test_alloc_fail(1, true); /* nothing is allocated from here on */
  CHECK_INT(unpack(inflater, rest.ptr, rest.len, &unpacked), MILL_OK);
  CHECK(!test_alloc_failed());
  test_alloc_fail(0, false);
  CHECK_INT(unpacked.len, MANY_BYTES - MILL__INFLATE_BYTES);
  CHECK_INT(test_alloc_live(), live);
  mill__inflate_free(inflater);
}

static void run_starved(void *ctx) {
  const struct packed *packed = ctx;
  struct mill__inflate *inflater;
  struct unpacked unpacked = {.len = 0};
  if (mill__inflate_new(MILL__CODING_GZIP, &inflater) != MILL_OK)
    return;
  int code = MILL_OK;
  for (size_t i = 0; i < packed->len && code == MILL_OK; i++)
    code = unpack(inflater, packed->bytes + i, 1, &unpacked);
  CHECK(code == MILL_OK || (code == MILL_E_NOMEM && test_alloc_failed()));
  mill__inflate_free(inflater);
}

int main(void) {
  test_alloc_install();
  test_every_form();
  test_files_one_behind_the_other();
  test_every_cut();
  test_a_cut_behind_a_whole_file();
  test_damage();
  test_what_is_flushed_comes_at_once();
  test_a_bomb();
  struct packed packed = packed_text(GZIP);
  test_each_failing_allocation(run_starved, &packed);
  mill__inflate_free(NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
