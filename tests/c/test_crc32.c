/* CRC-32 and base64: published vectors, and the checksum in any split. */
#include <string.h>

#include "base/base64.h"
#include "base/crc32.h"
#include "support.h"

/* The check value of the catalogue of CRCs, and values that zlib gives. */
static const struct {
  mill_slice bytes;
  uint32_t crc;
} crcs[] = {
    {{BYTES("")}, 0x00000000},
    {{BYTES("123456789")}, 0xCBF43926},
    {{BYTES("a")}, 0xE8B7BE43},
    {{BYTES("abc")}, 0x352441C2},
    {{BYTES("\0")}, 0xD202EF8D},
    {{BYTES("\xff\xff\xff\xff")}, 0xFFFFFFFF},
    {{BYTES("The quick brown fox jumps over the lazy dog")}, 0x414FA339},
};

static void test_crcs(void) {
  for (size_t i = 0; i < sizeof crcs / sizeof *crcs; i++) {
    const mill_slice bytes = crcs[i].bytes;
    for (size_t cut = 0; cut <= bytes.len; cut++) {
      const char *copy = test_guarded(bytes.ptr, bytes.len);
      uint32_t crc = mill__crc32(0, copy, cut);
      CHECK_INT(mill__crc32(crc, copy + cut, bytes.len - cut), crcs[i].crc);
    }
  }
}

/* The definition, a bit at a time, for every byte. */
static void test_crc_entries(void) {
  for (int byte = 0; byte < 256; byte++) {
    uint32_t crc = ~UINT32_C(0) ^ (uint32_t)byte;
    for (int bit = 0; bit < 8; bit++)
      crc = crc & 1 ? crc >> 1 ^ UINT32_C(0xEDB88320) : crc >> 1;
    CHECK_INT(mill__crc32(0, &(char){(char)byte}, 1), ~crc);
  }
}

/* The vectors of RFC 4648, section 10, and what is no base64. */
static const struct {
  mill_slice text;
  mill_slice bytes; /* NULL: refused */
} base64s[] = {
    {{BYTES("")}, {BYTES("")}},
    {{BYTES("Zg==")}, {BYTES("f")}},
    {{BYTES("Zm8=")}, {BYTES("fo")}},
    {{BYTES("Zm9v")}, {BYTES("foo")}},
    {{BYTES("Zm9vYg==")}, {BYTES("foob")}},
    {{BYTES("Zm9vYmE=")}, {BYTES("fooba")}},
    {{BYTES("Zm9vYmFy")}, {BYTES("foobar")}},
    {{BYTES("Zg")}, {BYTES("f")}},
    {{BYTES("Zm8")}, {BYTES("fo")}},
    {{BYTES("+/+/AAD/")}, {BYTES("\xfb\xff\xbf\x00\x00\xff")}},
    {{BYTES("Z")}, {NULL, 0}},
    {{BYTES("Zg=")}, {NULL, 0}},
    {{BYTES("=")}, {NULL, 0}},
    {{BYTES("====")}, {NULL, 0}},
    {{BYTES("Z===")}, {NULL, 0}},
    {{BYTES("Zm9v====")}, {NULL, 0}},
    {{BYTES("Zg==Zg==")}, {NULL, 0}},
    {{BYTES("Zm9-")}, {NULL, 0}},
    {{BYTES("Zm\nv")}, {NULL, 0}},
    {{BYTES("Zm9\xff")}, {NULL, 0}},
    {{BYTES("Zm\09v")}, {NULL, 0}},
};

static void test_base64s(void) {
  for (size_t i = 0; i < sizeof base64s / sizeof *base64s; i++) {
    const mill_slice text = base64s[i].text, bytes = base64s[i].bytes;
    test_case("base64 %zu", i);
    struct mill__buf buf;
    mill__buf_init(&buf, 64);
    CHECK_INT(mill__buf_append(&buf, ">", 1), MILL_OK);
    int rc = mill__base64_append(&buf, (mill_slice){test_guarded(text.ptr, text.len), text.len});
    CHECK_INT(rc, bytes.ptr ? MILL_OK : MILL_E_PROTOCOL);
    if (bytes.ptr)
      CHECK_BYTES(buf.ptr + 1, buf.len - 1, bytes.ptr, bytes.len);
    CHECK_INT(buf.ptr[0], '>');
    mill__buf_fini(&buf);
  }
}

static void test_base64_limits(void) {
  struct mill__buf buf;
  mill__buf_init(&buf, 5);
  CHECK_INT(mill__base64_append(&buf, (mill_slice){BYTES("Zm9vYmE=")}), MILL_OK);
  CHECK_INT(mill__base64_append(&buf, (mill_slice){BYTES("Zg==")}), MILL_E_LIMIT);
  CHECK_BYTES(buf.ptr, buf.len, "fooba", 5);
  mill__buf_fini(&buf);
  test_alloc_fail(1, true);
  CHECK_INT(mill__base64_append(&buf, (mill_slice){BYTES("Zg==")}), MILL_E_NOMEM);
  test_alloc_fail(0, false);
  CHECK_INT(test_alloc_live(), 0);
}

int main(void) {
  test_alloc_install();
  test_crcs();
  test_crc_entries();
  test_base64s();
  test_base64_limits();
  return 0;
}
