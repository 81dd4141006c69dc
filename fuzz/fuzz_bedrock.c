/*
 * Fuzz target: the decoders of AWS event streams; see decoder.h. Random bytes are no frames, so an
 * input is lines: "name payload" is an event, "!name payload" an exception, "?name" an error, and
 * "=document" an event that carries the document in base64. Bit 4 chooses the format.
 */
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include "frames.h"

#define BIT_INVOKE 4u

static void put_number(struct fuzz_bytes *bytes, size_t number, int n_bytes) {
  char text[4];
  fuzz_put_number(text, number, n_bytes);
  fuzz_append(bytes, text, (size_t)n_bytes);
}

static void put_header(struct fuzz_bytes *headers, const char *name, mill_slice value) {
  const size_t len = value.len & 0xFFFF;
  put_number(headers, strlen(name), 1);
  fuzz_append(headers, name, strlen(name));
  put_number(headers, 7, 1);
  put_number(headers, len, 2);
  fuzz_append(headers, value.ptr, len);
}

/* Without its checksums. */
static void put_frame(struct fuzz_bytes *wire, const struct fuzz_bytes *headers,
                      const struct fuzz_bytes *payload) {
  put_number(wire, FUZZ_FRAME_BYTES + headers->len + payload->len, 4);
  put_number(wire, headers->len, 4);
  put_number(wire, 0, 4);
  fuzz_append(wire, headers->ptr, headers->len);
  fuzz_append(wire, payload->ptr, payload->len);
  put_number(wire, 0, 4);
}

/* {"bytes":"..."} */
static void put_document(struct fuzz_bytes *payload, mill_slice document) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  fuzz_append(payload, "{\"bytes\":\"", 10);
  for (size_t i = 0; i < document.len; i += 3) {
    unsigned group = 0;
    for (size_t j = 0; j < 3; j++)
      group = group << 8 | (i + j < document.len ? (unsigned char)document.ptr[i + j] : 0);
    for (size_t j = 0; j < 4; j++)
      fuzz_append(payload, i + j > document.len ? "=" : &letters[group >> (18 - 6 * j) & 63], 1);
  }
  fuzz_append(payload, "\"}", 2);
}

static void put_line(struct fuzz_bytes *wire, mill_slice line) {
  struct fuzz_bytes headers = {0}, payload = {0};
  const char sign = line.len ? line.ptr[0] : ' ';
  const char *space = line.len ? memchr(line.ptr, ' ', line.len) : NULL;
  mill_slice name = {line.ptr, space ? (size_t)(space - line.ptr) : line.len};
  if (sign == '=')
    put_document(&payload, (mill_slice){line.ptr + 1, line.len - 1});
  else
    fuzz_append(&payload, name.ptr + name.len, line.len - name.len);
  const char *kind = sign == '!' ? "exception" : sign == '?' ? "error" : "event";
  const char *header = sign == '!'   ? ":exception-type"
                       : sign == '?' ? ":error-code"
                                     : ":event-type";
  if ((sign == '!' || sign == '?') && name.len)
    name = (mill_slice){name.ptr + 1, name.len - 1};
  put_header(&headers, ":message-type", (mill_slice){kind, strlen(kind)});
  put_header(&headers, header, name);
  put_frame(wire, &headers, &payload);
  free(headers.ptr);
  free(payload.ptr);
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  struct fuzz_bytes wire = {0};
  const char *at = input->bytes, *end = at + input->len;
  while (at < end) {
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    size_t len = lf ? (size_t)(lf - at) : (size_t)(end - at);
    put_line(&wire, (mill_slice){at, len});
    at += len + (lf != NULL);
  }
  fuzz_seal_frames(wire.ptr, wire.len);
  fuzz_tell_decoder(run, input, input->bits & BIT_INVOKE ? "bedrock-invoke" : "bedrock-converse",
                    (mill_slice){wire.ptr, wire.len});
  free(wire.ptr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
