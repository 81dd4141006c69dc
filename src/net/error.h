/*
 * Building and moving a mill_error. It travels with the stream that failed, across threads.
 * Owns: its strings. Thread: the owner's. Errors: out of memory loses a detail, never the code.
 */
#ifndef MILL_NET_ERROR_H
#define MILL_NET_ERROR_H

#include "base/buf.h"

#define MILL__ERROR_TEXT_BYTES 1024  /* longer texts are cut */
#define MILL__ERROR_BODY_BYTES 65536 /* of an unusable answer that is kept */

void mill__error_init(mill_error *error);
void mill__error_fini(mill_error *error);
/* Set code and text (printf form); what else is known is set by the caller. */
void mill__error_set(mill_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void mill__error_set_kind(mill_error *error, const char *kind, size_t len);
void mill__error_set_request_id(mill_error *error, mill_slice id);
void mill__error_set_body(mill_error *error, mill_slice body);
/* Move: `from` is empty afterwards. */
void mill__error_move(mill_error *to, mill_error *from);

#endif
