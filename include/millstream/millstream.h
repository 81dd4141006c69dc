/*
 * millstream: streams of server-sent events and language-model answers, decoded off the caller's
 * thread. This is the whole public C API.
 *
 * Threads: a mill_engine runs one thread of its own, the only one that touches sockets. All
 * functions here may be called from any thread; those of one mill_stream marked [consumer] from
 * one thread at a time (the caller's own lock or rule), the others at any time.
 * Strings in are UTF-8 and copied; slices out are borrowed, with the lifetime said beside them.
 * Functions that can fail return MILL_OK or a negative MILL_E_* code and write their results
 * (ret_...) on success only.
 */
#ifndef MILLSTREAM_H
#define MILLSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "millstream/error.h"

#if defined(__GNUC__)
#define MILL_API __attribute__((visibility("default")))
#else
#define MILL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mill_engine mill_engine;
typedef struct mill_stream mill_stream;
typedef struct mill_waiter mill_waiter;
typedef struct mill_stats mill_stats;

/* Bytes that somebody else owns; not terminated, may hold NUL. */
typedef struct mill_slice {
  const char *ptr;
  size_t len;
} mill_slice;

/* ---- library ---------------------------------------------------------------------------------- */

/* Allocation functions with the contracts of malloc, realloc and free. */
typedef struct mill_allocator {
  void *(*malloc)(size_t size);
  void *(*realloc)(void *block, size_t size);
  void (*free)(void *block);
} mill_allocator;

/*
 * Replace the allocator. Call before anything else of this library, or not at all. libcurl's own is
 * the program's to replace: curl_global_init_mem before the first engine.
 */
MILL_API void mill_set_allocator(const mill_allocator *allocator);

/* Blocks that the library, libcurl apart, holds at this moment for all its engines. Thread: any. */
MILL_API long mill_memory_blocks(void);

MILL_API const char *mill_version(void);         /* "MAJOR.MINOR.PATCH" */
MILL_API const char *mill_curl_version(void);    /* libcurl's own description, with its TLS */
MILL_API const char *mill_error_name(int code);  /* "MILL_E_TIMEOUT" */
MILL_API const char *mill_error_text(int code);  /* "a time limit was reached" */
MILL_API const char *mill_error_class(int code); /* the Python exception: "Timeout" */
MILL_API const char *mill_phase_name(enum mill_phase phase); /* "first_chunk" */
/* The NULL-terminated names of the wire formats that mill_request.format takes. */
MILL_API const char *const *mill_formats(void);

/* ---- engine ----------------------------------------------------------------------------------- */

/* Start an engine and its thread. MILL_E_SYSTEM where a thread or a descriptor cannot be had. */
MILL_API int mill_engine_new(mill_engine **ret_engine);
/*
 * Stop the thread, end every live stream with MILL_E_CANCELLED and free. Blocks until the thread is
 * gone (well under a second). Streams may outlive it and only report their end. NULL is allowed.
 */
MILL_API void mill_engine_free(mill_engine *engine);
/*
 * Around a fork, in the thread that forks: before it, wait for the end of the engine's turn (it
 * never blocks in one) and hold it there; let it go on in the parent. For a fork whose child does
 * not exec. Without the two a descriptor opened at that moment may stay open in the child.
 */
MILL_API void mill_engine_before_fork(mill_engine *engine);
MILL_API void mill_engine_after_fork_parent(mill_engine *engine);
/*
 * In the child of a fork: close the descriptors inherited from the parent's engine, without a call
 * into libcurl or a byte on the wire, and mark its streams MILL_E_FORKED. The engine is dead then.
 */
MILL_API void mill_engine_after_fork_child(mill_engine *engine);

/* ---- counters --------------------------------------------------------------------------------- */

#define MILL_HISTOGRAM_BUCKETS 32 /* bucket i counts durations below 2^i microseconds */

typedef struct mill_metrics {
  uint64_t streams_started;
  uint64_t streams_open; /* started, and neither ended nor freed */
  uint64_t streams_ok, streams_failed, streams_cancelled;
  uint64_t retries;
  uint64_t chunks;      /* deltas put into queues */
  uint64_t events;      /* events seen on the wire */
  uint64_t bytes_in;    /* body bytes, decoded */
  uint64_t bytes_out;   /* body bytes sent */
  uint64_t wakeups;     /* notifications of waiting consumers */
  uint64_t pauses;      /* transfers stopped by a full queue */
  uint64_t connections; /* sockets opened */
  uint64_t cpu_ns;      /* CPU time of the engine's thread; 0 in a mill_stats */
  uint64_t first_chunk_us[MILL_HISTOGRAM_BUCKETS]; /* start to first chunk */
  uint64_t inter_chunk_us[MILL_HISTOGRAM_BUCKETS]; /* between two arrivals of data with chunks */
  uint64_t first_chunk_total_ns, inter_chunk_total_ns; /* the sums of the two */
} mill_metrics;

/* A set of counters that streams report to beside the engine's own. Reference counted. */
MILL_API mill_stats *mill_stats_new(void); /* NULL: out of memory */
MILL_API mill_stats *mill_stats_ref(mill_stats *stats);
MILL_API void mill_stats_unref(mill_stats *stats);
MILL_API void mill_stats_read(const mill_stats *stats, mill_metrics *ret_metrics);
MILL_API void mill_engine_metrics(mill_engine *engine, mill_metrics *ret_metrics);
/* Of mill_memory_blocks() those that this engine keeps for its next streams. Thread: any. */
MILL_API long mill_engine_spare_blocks(mill_engine *engine);

/* ---- requests --------------------------------------------------------------------------------- */

typedef struct mill_header {
  const char *name, *value;
} mill_header;

/* Times in milliseconds; 0 means no limit. docs/howto/timeouts.md says what each is for. */
typedef struct mill_timeouts {
  int64_t connect_ms, first_chunk_ms, idle_ms, total_ms;
  bool idle_counts_comments; /* comment keep-alives feed the idle clock */
} mill_timeouts;

typedef struct mill_limits {
  size_t event_bytes;    /* one event's data, or one line */
  size_t buffered_bytes; /* chunks waiting for the consumer; the transfer pauses above it */
  size_t header_bytes;   /* all headers of one answer */
  unsigned json_depth;   /* nested arrays and objects */
} mill_limits;

enum mill_http2 { MILL_HTTP2_AUTO, MILL_HTTP2_ON, MILL_HTTP2_OFF };

/*
 * What makes a stream an event source (WHATWG HTML, section 9.2): it follows redirects and goes on
 * over connections that are lost, from the last event id. Fill with mill_event_source_init first.
 */
typedef struct mill_event_source {
  bool reconnect;            /* default true; false: the end of the body is the end */
  int64_t initial_retry_ms;  /* the wait before reconnecting, until a server's `retry` says another;
                                default 3000; 0: none */
  int64_t max_retry_ms;      /* what it grows to while connections give no event; default 30000 */
  unsigned max_redirects;    /* a connection; default 10 */
  bool comments;             /* hand them out as items */
  const char *last_event_id; /* to begin with; NULL or "": none */
} mill_event_source;

MILL_API void mill_event_source_init(mill_event_source *source);

/* Everything is copied by mill_stream_start. Fill with mill_request_init first. */
typedef struct mill_request {
  const char *url;    /* http or https */
  const char *method; /* default "POST" */
  const mill_header *headers;
  size_t n_headers;
  const void *body; /* NULL: none */
  size_t body_len;
  const char *format; /* one of mill_formats(); default "openai-chat" */
  mill_timeouts timeouts;
  mill_limits limits;
  unsigned max_retries;             /* before the first content only; default 2 */
  const char *proxy;                /* URL; "" for none; NULL: libcurl's environment variables */
  const char *no_proxy;             /* hosts that go direct, comma separated; with `proxy` only */
  const char *unix_socket;          /* path; the URL's host goes into the Host header only */
  const char *ca_file, *ca_dir;     /* PEM bundle, hashed folder; NULL: libcurl's built-in store */
  bool insecure;                    /* no certificate check */
  const char *cert_file, *key_file; /* client certificate, PEM */
  enum mill_http2 http2;            /* AUTO: on where the running libcurl is >= 8.14.1 */
  bool compression;                 /* ask for gzip and deflate */
  /* NULL: an answer of `format`. Else an event source: `format` and `max_retries` do not count, and
   * comments always feed the idle clock, which runs from the answer's head on. */
  const mill_event_source *events;
  mill_stats *stats; /* counted there too; NULL: the engine's counters only */
} mill_request;

MILL_API void mill_request_init(mill_request *request);

/* ---- streams ---------------------------------------------------------------------------------- */

/*
 * Check the request and hand it to the engine; does not wait. On MILL_E_ARG `ret_why`, where not
 * NULL, gets a static text that names the field. Release with mill_stream_free.
 */
MILL_API int mill_stream_start(mill_engine *engine, const mill_request *request,
                               mill_stream **ret_stream, const char **ret_why);

enum mill_chunk_type {
  MILL_CHUNK_TEXT,
  MILL_CHUNK_REASONING,
  MILL_CHUNK_REFUSAL,
  MILL_CHUNK_TOOL_CALL,
  MILL_CHUNK_USAGE,
  MILL_CHUNK_FINISH,
  MILL_CHUNK_OTHER /* an event without a delta that we know: read `event` */
};

enum mill_finish {
  MILL_FINISH_NONE,
  MILL_FINISH_STOP,
  MILL_FINISH_LENGTH,
  MILL_FINISH_TOOL_CALLS,
  MILL_FINISH_CONTENT_FILTER,
  MILL_FINISH_OTHER /* a word of the provider's own: finish_raw has it */
};

/* Token counts; -1 where the provider sent none. */
typedef struct mill_usage {
  int64_t input_tokens, output_tokens; /* as the provider counts them */
  int64_t reasoning_tokens, cached_tokens;
  mill_slice raw; /* the provider's usage object, JSON */
} mill_usage;

/* One server-sent event (WHATWG HTML, section 9.2), or one record of another framing. */
typedef struct mill_event {
  mill_slice type;   /* "message" where the event names none */
  mill_slice data;   /* bytes as they came; lines joined by LF */
  mill_slice id;     /* the last event id, sticky */
  uint64_t number;   /* 0 for the first event of the stream */
  unsigned n_chunks; /* how many chunks it carries */
} mill_event;

/* One delta. The slices stay valid until the next call of mill_stream_next or _free. */
typedef struct mill_chunk {
  enum mill_chunk_type type;
  int choice;      /* index of the answer this belongs to */
  mill_slice text; /* text, reasoning, refusal: the piece, UTF-8; tool call: a piece of arguments */
  mill_slice
      signature;  /* reasoning: what its provider wants back with it; text may be empty then */
  int tool_index; /* tool call: its number in the message, from 0 */
  mill_slice tool_id, tool_name; /* tool call: empty after its first piece */
  enum mill_finish finish;
  mill_slice finish_raw; /* finish: the provider's word */
  mill_usage usage;      /* usage only */
  mill_event event;      /* the event that carried it */
} mill_chunk;

/*
 * [consumer] Take the next chunk: MILL_OK, MILL_AGAIN (nothing yet), MILL_END, or the error that
 * ended the stream. All chunks that arrived before an error come first; the error is returned once,
 * MILL_END after it. Never blocks.
 */
MILL_API int mill_stream_next(mill_stream *stream, mill_chunk *ret_chunk);
/* [consumer] The same, an event at a time; events without chunks ("[DONE]") are there too. */
MILL_API int mill_stream_next_event(mill_stream *stream, mill_event *ret_event);
/* [consumer] Something can be taken without waiting: a chunk, the end, or an error. */
MILL_API bool mill_stream_ready(mill_stream *stream);
/* [consumer] What can be taken is a chunk: mill_stream_next would give MILL_OK. */
MILL_API bool mill_stream_has_chunk(mill_stream *stream);
/*
 * [consumer] Block until mill_stream_ready. MILL_OK; MILL_AGAIN after `timeout_ms` (-1: none) or
 * when a signal handler ran.
 */
MILL_API int mill_stream_wait(mill_stream *stream, int64_t timeout_ms);
/* [consumer] Block until the final status and headers are there or the stream failed; as above. */
MILL_API int mill_stream_wait_response(mill_stream *stream, int64_t timeout_ms);
/* End it now, from any thread, any number of times: what is queued is dropped, waiters wake. */
MILL_API void mill_stream_cancel(mill_stream *stream);
/* Give the consumer's reference back; a transfer still running is cancelled. NULL is allowed. */
MILL_API void mill_stream_free(mill_stream *stream);
/* Why it ended. code is MILL_OK while it runs and after success. Valid until _free. */
MILL_API const mill_error *mill_stream_error(mill_stream *stream);

/* ---- event sources ---------------------------------------------------------------------------- */

enum mill_item_type {
  MILL_ITEM_EVENT,
  MILL_ITEM_COMMENT, /* only where asked for */
  MILL_ITEM_OPENED,  /* an answer began that is an event stream */
  MILL_ITEM_LOST     /* no connection (any more); the next is on its way */
};

/* What an event source hands out. All of it is valid until the next call with this stream. */
typedef struct mill_item {
  enum mill_item_type type;
  mill_event event;        /* EVENT */
  mill_slice comment;      /* COMMENT: what stands behind the colon, nothing stripped */
  const mill_error *error; /* LOST: what a source without `reconnect` would have ended with; MILL_OK
                              where its body had ended or mill_stream_restart was called */
} mill_item;

/*
 * [consumer] As mill_stream_next, an item at a time; the only call that gives all of them. After
 * mill_stream_ready it may still be MILL_AGAIN.
 */
MILL_API int mill_stream_next_item(mill_stream *stream, mill_item *ret_item);
/* Drop the connection and reconnect at once, from any thread; an ended source stays ended. */
MILL_API void mill_stream_restart(mill_stream *stream);

enum mill_source_state { MILL_SOURCE_CONNECTING, MILL_SOURCE_OPEN, MILL_SOURCE_CLOSED };

/* As the items taken so far left it. */
typedef struct mill_source_status {
  enum mill_source_state state;
  mill_slice last_event_id;
  int64_t retry_ms; /* mill_event_source.initial_retry_ms, or what the server said last */
} mill_source_status;

/* [consumer] Valid until the next call with this stream. */
MILL_API void mill_stream_source_status(mill_stream *stream, mill_source_status *ret_status);

/* ---- answers ---------------------------------------------------------------------------------- */

typedef struct mill_tool_call {
  mill_slice id, name, arguments; /* arguments: JSON text as concatenated */
} mill_tool_call;

typedef struct mill_choice {
  int index;
  mill_slice text, reasoning, refusal, finish_raw;
  mill_slice signature; /* of the reasoning: the last one that came */
  enum mill_finish finish;
  const mill_tool_call *tool_calls;
  size_t n_tool_calls;
} mill_choice;

/* What the chunks taken so far add up to. */
typedef struct mill_message {
  mill_slice id, model, role;
  const mill_choice *choices; /* in order of their index */
  size_t n_choices;
  bool has_usage;
  mill_usage usage;   /* the last numbers sent */
  const char *format; /* the wire format that it came in: a signature is good in no other */
} mill_message;

/* [consumer] Valid until the next call with this stream. MILL_E_NOMEM is the only error. */
MILL_API int mill_stream_message(mill_stream *stream, mill_message *ret_message);

typedef struct mill_response {
  int status;         /* 0: no answer yet */
  int http_version;   /* 10, 11, 20; 0 where unknown */
  mill_slice headers; /* "Name: value\r\n" lines of the final answer */
} mill_response;

/*
 * Valid until _free once status is not 0 and the stream is not retried (see timing). Of an event
 * source: the first answer that was an event stream.
 */
MILL_API void mill_stream_response(mill_stream *stream, mill_response *ret_response);

/* Nanoseconds since mill_stream_start; -1 where it has not happened. */
typedef struct mill_timing {
  int64_t connect_ns, first_byte_ns, first_chunk_ns, total_ns;
  uint64_t chunks;
  unsigned retries;
} mill_timing;

MILL_API void mill_stream_timing(mill_stream *stream, mill_timing *ret_timing);

/* An attempt that another followed. */
typedef struct mill_retry {
  int64_t at_ns;    /* when it failed, since mill_stream_start */
  int64_t delay_ms; /* the wait before the next attempt */
  int code;         /* of its error, see error.h */
  int status;       /* of its answer; 0: there was none */
} mill_retry;

/*
 * What the retry `number`, from 0, was made for; of those that timing counts. MILL_END: it is not
 * known, there was no memory to keep it, or the stream is an event source. Any thread.
 */
MILL_API int mill_stream_retry(mill_stream *stream, unsigned number, mill_retry *ret_retry);

/* ---- waiting for many ------------------------------------------------------------------------- */

/*
 * What to be told of a stream: something to take (or the end), the answer's head (or the end), or
 * half of limits.buffered_bytes (or the end), for who wants the whole and need not see each chunk.
 */
enum mill_wait { MILL_WAIT_CHUNK = 1, MILL_WAIT_RESPONSE, MILL_WAIT_HALF };

/*
 * A waiter collects the streams that became ready: one for a thread that waits, or one for an event
 * loop, behind a descriptor that the loop polls. A stream belongs to at most one waiter.
 */
MILL_API int mill_waiter_new(mill_waiter **ret_waiter);
MILL_API void mill_waiter_free(mill_waiter *waiter); /* detaches what is attached */
/* The calling thread's own, made at first use and freed with the thread. */
MILL_API int mill_waiter_of_thread(mill_waiter **ret_waiter);
/* Readable while a ready stream was not taken yet. -1: a thread's own waiter, which needs none. */
MILL_API int mill_waiter_fd(const mill_waiter *waiter);
/*
 * [consumer] Ask for one notification of this stream, `tag` with it. MILL_OK; MILL_END where it is
 * ready at this moment (then nothing changes: what was armed before stays so).
 */
MILL_API int mill_waiter_arm(mill_waiter *waiter, mill_stream *stream, enum mill_wait what,
                             void *tag);
/* The tag of one stream that became ready, or NULL. Clears the descriptor when none is left. */
MILL_API void *mill_waiter_take(mill_waiter *waiter);
/* Take a stream's notification back; it is not reported after this. */
MILL_API void mill_waiter_disarm(mill_waiter *waiter, mill_stream *stream);
/*
 * Block until an armed stream is ready: MILL_OK, or MILL_AGAIN as mill_stream_wait. Touches no
 * stream, so that others may use them meanwhile.
 */
MILL_API int mill_waiter_wait(mill_waiter *waiter, int64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
