/* Base64: four letters of six bits each are three bytes. */
#include "base/base64.h"

/* The six bits of a letter; -1 for what is none. */
static int bits_of(char letter) {
  if (letter >= 'A' && letter <= 'Z')
    return letter - 'A';
  if (letter >= 'a' && letter <= 'z')
    return letter - 'a' + 26;
  if (letter >= '0' && letter <= '9')
    return letter - '0' + 52;
  return letter == '+' ? 62 : letter == '/' ? 63 : -1;
}

static mill_slice without_padding(mill_slice text) {
  if (text.len % 4)
    return text;
  for (int i = 0; i < 2 && text.len && text.ptr[text.len - 1] == '='; i++)
    text.len--;
  return text;
}

int mill__base64_append(struct mill__buf *buf, mill_slice text) {
  text = without_padding(text);
  if (text.len % 4 == 1)
    return MILL_E_PROTOCOL;
  int error = mill__buf_reserve(buf, text.len / 4 * 3 + text.len % 4 * 3 / 4);
  if (error)
    return error;
  unsigned group = 0;
  for (size_t i = 0; i < text.len; i++) {
    int bits = bits_of(text.ptr[i]);
    if (bits < 0)
      return MILL_E_PROTOCOL;
    group = group << 6 | (unsigned)bits;
    /* The first letter of four completes no byte; each other one does. */
    if (i % 4)
      buf->ptr[buf->len++] = (char)(group >> (6 - i % 4 * 2));
  }
  return MILL_OK;
}
