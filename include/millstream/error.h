/* The error list of millstream: one place gives number, name, text, Python class and retry rule. */
#ifndef MILLSTREAM_ERROR_H
#define MILLSTREAM_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * X(number, NAME, "PythonClass", retriable, "what happened")
 *
 * Positive numbers are not errors: MILL_AGAIN (nothing ready yet) and MILL_END (the stream is over).
 * "retriable" says whether the engine may try again while no content was handed out; for
 * MILL_E_STATUS and MILL_E_PROVIDER it depends on the status too, for MILL_E_TIMEOUT on the phase.
 */
#define MILL_ERRORS(X)                                                                             \
  X(0, OK, "", 0, "no error")                                                                      \
  X(1, AGAIN, "", 0, "nothing is ready yet")                                                       \
  X(2, END, "", 0, "the stream is over")                                                           \
  X(-1, E_NOMEM, "MemoryError", 0, "out of memory")                                                \
  X(-2, E_ARG, "ValueError", 0, "an argument is not acceptable")                                   \
  X(-3, E_SYSTEM, "Error", 0, "the operating system refused a resource")                           \
  X(-4, E_CONNECT, "ConnectError", 1, "no connection to the server")                               \
  X(-5, E_TIMEOUT, "Timeout", 1, "a time limit was reached")                                       \
  X(-6, E_STATUS, "StatusError", 1, "the server answered with an error status")                    \
  X(-7, E_PROVIDER, "ProviderError", 1, "the server sent an error inside the stream")              \
  X(-8, E_INTERRUPTED, "StreamInterrupted", 0, "the stream ended before its terminator")           \
  X(-9, E_PROTOCOL, "ProtocolError", 0, "the answer is not what its protocol allows")              \
  X(-10, E_LIMIT, "LimitExceeded", 0, "a size limit was reached")                                  \
  X(-11, E_CANCELLED, "Cancelled", 0, "the stream was cancelled")                                  \
  X(-12, E_FORKED, "ForkedError", 0, "the stream belongs to the parent process")

enum {
#define MILL_ERROR_ENUM(number, name, class_, retriable, text) MILL_##name = (number),
  MILL_ERRORS(MILL_ERROR_ENUM)
#undef MILL_ERROR_ENUM
};

/* Which of the four clocks ran out (mill_error.phase). */
enum mill_phase {
  MILL_PHASE_NONE,
  MILL_PHASE_CONNECT,     /* name look-up, TCP, proxy and TLS */
  MILL_PHASE_FIRST_CHUNK, /* from the request on the wire to the first event */
  MILL_PHASE_IDLE,        /* between two events */
  MILL_PHASE_TOTAL        /* from mill_stream_start to the end, retries included */
};

/*
 * One failure, with all that is known about it. Strings are owned by the object that hands the
 * error out, end in NUL and are NULL where nothing is known. No secret is ever in `text`.
 */
typedef struct mill_error {
  int code;              /* MILL_E_*, MILL_OK while nothing failed */
  bool permanent;        /* the same request would fail the same way: no retry */
  int status;            /* HTTP status; for MILL_E_PROVIDER the status its code stands for, or 0 */
  enum mill_phase phase; /* MILL_E_TIMEOUT only */
  int64_t retry_after_ms; /* as the server asked, capped; -1 where it did not */
  int64_t byte_offset;    /* MILL_E_PROTOCOL: offset into the body; -1 where unknown */
  char *text;             /* what happened and what to do, one or two sentences */
  char *kind;       /* machine-readable: "dns", "refused", "tls", "proxy", a provider's code */
  char *request_id; /* the server's request id header */
  char *body;       /* the first bytes of an unusable answer, at most 64 KiB, may hold NUL */
  size_t body_len;
} mill_error;

#ifdef __cplusplus
}
#endif
#endif
