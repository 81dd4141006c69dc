/*
 * Base64 with the standard alphabet (RFC 4648, section 4), to bytes. Padding may be left out.
 * Thread: the buffer owner's. Errors: MILL_E_PROTOCOL (not base64), MILL_E_NOMEM, MILL_E_LIMIT;
 * the buffer then holds a part of the bytes.
 */
#ifndef MILL_BASE_BASE64_H
#define MILL_BASE_BASE64_H

#include "base/buf.h"

/* Append what `text` stands for. */
int mill__base64_append(struct mill__buf *buf, mill_slice text);

#endif
