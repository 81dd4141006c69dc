/*
 * Fuzz target: the decoders of AWS event streams; see decoder.h. Random bytes are no frames, so an
 * input is lines: "name payload" is an event, "!name payload" an exception, "?name" an error, and
 * "=document" an event that carries the document in base64.
 *
 * The first byte chooses the format; three bytes of settings follow, as decoder.h has them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crc32.h"
#include "decoder.h"

#define SETTINGS_BYTES 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct mill__buf *buf, const void *bytes, size_t len) {
  if (mill__buf_append(buf, bytes, len) != MILL_OK)
    abort();
}

static void put_number(struct mill__buf *buf, size_t number, int n_bytes) {
  for (int i = n_bytes - 1; i >= 0; i--)
    put(buf, &(char){(char)(number >> i * 8)}, 1);
}

static void put_header(struct mill__buf *headers, const char *name, mill_slice value) {
  put_number(headers, strlen(name), 1);
  put(headers, name, strlen(name));
  put_number(headers, 7, 1);
  put_number(headers, value.len & 0xFFFF, 2);
  put(headers, value.ptr, value.len & 0xFFFF);
}

static void put_frame(struct mill__buf *wire, mill_slice headers, mill_slice payload) {
  size_t from = wire->len;
  put_number(wire, 16 + headers.len + payload.len, 4);
  put_number(wire, headers.len, 4);
  put_number(wire, mill__crc32(0, wire->ptr + from, 8), 4);
  put(wire, headers.ptr, headers.len);
  put(wire, payload.ptr, payload.len);
  put_number(wire, mill__crc32(0, wire->ptr + from, wire->len - from), 4);
}

/* {"bytes":"..."} */
static void put_document(struct mill__buf *payload, mill_slice document) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  put(payload, "{\"bytes\":\"", 10);
  for (size_t i = 0; i < document.len; i += 3) {
    unsigned group = 0;
    for (size_t j = 0; j < 3; j++)
      group = group << 8 | (i + j < document.len ? (unsigned char)document.ptr[i + j] : 0);
    for (size_t j = 0; j < 4; j++)
      put(payload, i + j > document.len ? "=" : &letters[group >> (18 - 6 * j) & 63], 1);
  }
  put(payload, "\"}", 2);
}

static void put_line(struct mill__buf *wire, mill_slice line) {
  struct mill__buf headers, payload;
  mill__buf_init(&headers, SIZE_MAX);
  mill__buf_init(&payload, SIZE_MAX);
  const char sign = line.len ? line.ptr[0] : ' ';
  const char *space = line.len ? memchr(line.ptr, ' ', line.len) : NULL;
  mill_slice name = {line.ptr, space ? (size_t)(space - line.ptr) : line.len};
  if (sign == '=')
    put_document(&payload, (mill_slice){line.ptr + 1, line.len - 1});
  else
    put(&payload, name.ptr + name.len, line.len - name.len);
  const char *kind = sign == '!' ? "exception" : sign == '?' ? "error" : "event";
  const char *header = sign == '!'   ? ":exception-type"
                       : sign == '?' ? ":error-code"
                                     : ":event-type";
  if ((sign == '!' || sign == '?') && name.len)
    name = (mill_slice){name.ptr + 1, name.len - 1};
  put_header(&headers, ":message-type", (mill_slice){kind, strlen(kind)});
  put_header(&headers, header, name);
  put_frame(wire, mill__buf_slice(&headers), mill__buf_slice(&payload));
  mill__buf_fini(&headers);
  mill__buf_fini(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 + SETTINGS_BYTES)
    return 0;
  struct mill__buf wire;
  mill__buf_init(&wire, SIZE_MAX);
  put(&wire, data + 1, SETTINGS_BYTES);
  const char *at = (const char *)data + 1 + SETTINGS_BYTES, *end = (const char *)data + size;
  while (at < end) {
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    size_t len = lf ? (size_t)(lf - at) : (size_t)(end - at);
    put_line(&wire, (mill_slice){at, len});
    at += len + (lf != NULL);
  }
  fuzz_decoder(data[0] & 1 ? "bedrock-invoke" : "bedrock-converse", (const uint8_t *)wire.ptr,
               wire.len);
  mill__buf_fini(&wire);
  return 0;
}
