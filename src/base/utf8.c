/*
 * The UTF-8 decoder of the WHATWG Encoding standard, section 8.1.1, as a repair: an ill-formed
 * sequence becomes one U+FFFD for its longest beginning that could have been a character.
 */
#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

enum verdict { WHOLE, CUT, ILL_FORMED };

/* What a lead byte asks for: the length in all, and the range of the second byte. */
struct lead {
  uint8_t len; /* 0: no lead byte */
  unsigned char low, high;
};

static struct lead lead_of(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF)
    return (struct lead){2, 0x80, 0xBF};
  if (byte >= 0xE0 && byte <= 0xEF) /* no overlongs below U+0800, no surrogates */
    return (struct lead){3, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF};
  if (byte >= 0xF0 && byte <= 0xF4) /* no overlongs below U+10000, nothing above U+10FFFF */
    return (struct lead){4, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF};
  return (struct lead){0, 0, 0};
}

/*
 * Judge the sequence that begins with the non-ASCII byte at `p`. `ret_len` gets its length: all of
 * a whole character, what is there of a cut one, or the part that one U+FFFD stands for.
 */
static enum verdict judge(const unsigned char *p, size_t avail, size_t *ret_len) {
  struct lead lead = lead_of(p[0]);
  *ret_len = 1;
  if (lead.len == 0)
    return ILL_FORMED;
  for (size_t i = 1; i < lead.len; i++) {
    *ret_len = i;
    if (i == avail)
      return CUT;
    if (p[i] < lead.low || p[i] > lead.high)
      return ILL_FORMED;
    lead.low = 0x80;
    lead.high = 0xBF;
  }
  *ret_len = lead.len;
  return WHOLE;
}

static size_t ascii_prefix(const unsigned char *p, size_t len) {
  size_t i = 0;
  for (; len - i >= 16; i += 16) {
    uint64_t words[2];
    memcpy(words, p + i, 16);
    if (((words[0] | words[1]) & UINT64_C(0x8080808080808080)) != 0)
      break;
  }
  while (i < len && p[i] < 0x80)
    i++;
  return i;
}

size_t mill__utf8_valid_prefix(const char *bytes, size_t len) {
  const unsigned char *p = (const unsigned char *)bytes;
  size_t i = 0;
  while (i < len) {
    if (p[i] < 0x80) {
      i += ascii_prefix(p + i, len - i);
      continue;
    }
    size_t n;
    if (judge(p + i, len - i, &n) != WHOLE)
      break;
    i += n;
  }
  return i;
}

void mill__utf8_init(struct mill__utf8 *utf8) {
  *utf8 = (struct mill__utf8){.n_held = 0};
}

static int append_replacement(struct mill__buf *out) {
  return mill__buf_append(out, replacement, sizeof(replacement) - 1);
}

static void hold(struct mill__utf8 *utf8, const void *bytes, size_t len) {
  memcpy(utf8->held, bytes, len);
  utf8->n_held = (uint8_t)len;
}

/* Go on with the held beginning. `ret_used` gets how many bytes of the new piece belong to it. */
static int repair_held(struct mill__utf8 *utf8, const char *bytes, size_t len,
                       struct mill__buf *out, size_t *ret_used) {
  unsigned char joined[sizeof(utf8->held) * 2];
  size_t n_held = utf8->n_held;
  size_t n_new = len < sizeof(utf8->held) ? len : sizeof(utf8->held);
  memcpy(joined, utf8->held, n_held);
  memcpy(joined + n_held, bytes, n_new);

  size_t n;
  enum verdict verdict = judge(joined, n_held + n_new, &n);
  *ret_used = n - n_held; /* what is held was a good beginning: n is never less */
  if (verdict == CUT) {
    hold(utf8, joined, n);
    return MILL_OK;
  }
  utf8->n_held = 0;
  return verdict == WHOLE ? mill__buf_append(out, joined, n) : append_replacement(out);
}

int mill__utf8_repair(struct mill__utf8 *utf8, const char *bytes, size_t len,
                      struct mill__buf *out) {
  size_t i = 0;
  int rc = MILL_OK;
  if (utf8->n_held > 0 && len > 0)
    rc = repair_held(utf8, bytes, len, out, &i);
  while (i < len && rc == MILL_OK) {
    size_t n = mill__utf8_valid_prefix(bytes + i, len - i);
    rc = mill__buf_append(out, bytes + i, n);
    i += n;
    if (i == len || rc != MILL_OK)
      break;
    if (judge((const unsigned char *)bytes + i, len - i, &n) == CUT)
      hold(utf8, bytes + i, n);
    else
      rc = append_replacement(out);
    i += n;
  }
  return rc;
}

int mill__utf8_repair_end(struct mill__utf8 *utf8, struct mill__buf *out) {
  if (utf8->n_held == 0)
    return MILL_OK;
  utf8->n_held = 0;
  return append_replacement(out);
}
