/*
 * What the files of the extension share. One file a heap type; wait.c is the only one that releases
 * the GIL.
 */
#ifndef MILL_EXT_CORE_H
#define MILL_EXT_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <millstream/millstream.h>
#include <millstream/partial.h>
#include <stdatomic.h>

/* Critical sections do nothing where the GIL is there, and are not in older headers. */
#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* What this extension did with the GIL: of a client, and of the process. */
struct gil_stats {
  atomic_uint_fast64_t takes;   /* taken back after a wait */
  atomic_uint_fast64_t wait_ns; /* spent in taking it back */
  atomic_uint_fast64_t hold_ns; /* from there to the return to Python */
  atomic_uint_fast64_t hold_ns_histogram[MILL_HISTOGRAM_BUCKETS]; /* bucket i: below 2^i ns */
};

enum partial_change { PARTIAL_SET, PARTIAL_REPLACE, PARTIAL_GROW, PARTIAL_END, PARTIAL_CHANGES };

typedef struct {
  PyTypeObject *chunk_type, *event_type, *base_stream_type, *stream_type, *stats_type, *waiter_type;
  PyTypeObject *take_type, *loop_event_type;
  PyTypeObject *comment_type, *base_event_stream_type, *event_stream_type;
  PyTypeObject *tool_call_type, *usage_type, *choice_type, *message_type, *timing_type;
  PyTypeObject *partial_type, *change_type, *repair_type;
  PyObject *chunk_types[MILL_CHUNK_OTHER + 1]; /* the words, interned */
  PyObject *finish_reasons[MILL_FINISH_OTHER + 1];
  PyObject *change_kinds[PARTIAL_CHANGES];
  PyObject *repair_kinds[MILL_REPAIR_COUNT];
  PyObject *empty;         /* "" */
  PyObject *gevent_monkey; /* "gevent.monkey" */
  PyObject *make_error;    /* set by the package: builds an exception from its facts */
  PyObject *current_waiter, *running_loop; /* set by _hub.py */
  PyObject *done_name, *set_result_name, *trio_name;
} core_state;

extern struct PyModuleDef core_module;

/* The module's state from a type of it or a subclass of one; NULL with an exception. */
core_state *core_state_of_type(PyTypeObject *type);

/* ---- stats.c: counters of a client ------------------------------------------------------------ */

typedef struct {
  PyObject_HEAD
  mill_stats *stats;
  struct gil_stats gil;
} StatsObject;

extern PyType_Spec stats_spec;
extern struct gil_stats process_gil_stats;
/* The metrics of `stats`, or of the process where it is NULL, as a dict. */
PyObject *stats_to_dict(StatsObject *stats);

/* ---- engine.c: the process's engine ----------------------------------------------------------- */

/* mill_stream_start on it, after starting it where it does not run; -1 with an exception. */
int engine_start_stream(core_state *state, const mill_request *request, mill_stream **ret_stream);
/* Its counters; untouched where it does not run. */
void engine_metrics(mill_metrics *ret_metrics);
long engine_memory_blocks(void);
/* Before a stream's error is raised: a daemon thread does not return from here at exit. */
void engine_hold_daemon(void);
PyObject *engine_shutdown(PyObject *module, PyObject *unused);
PyObject *engine_before_fork(PyObject *module, PyObject *unused);
PyObject *engine_after_fork_parent(PyObject *module, PyObject *unused);
PyObject *engine_after_fork_child(PyObject *module, PyObject *unused);

/* ---- stream.c --------------------------------------------------------------------------------- */

typedef struct {
  PyObject_HEAD
  mill_stream *stream; /* NULL before __init__ */
  core_state *state;
  StatsObject *stats; /* the client's; may be NULL */
  PyObject *event;    /* the Event that several chunks share, by its number; may be NULL */
  uint64_t event_number;
  PyThread_type_lock wait_lock; /* one thread waits on the stream at a time */
  atomic_bool closed;           /* an end by close() raises nothing */
  const void *loop;             /* the Waiter that reports it, of the loop where a task waits */
  bool armed_in_loop;           /* with that */
  struct take *takes;           /* those that wait in that loop; borrowed */
  PyObject *last_waiter;        /* of the loop where the last take waited; may be NULL */
} StreamObject;

extern PyType_Spec base_stream_spec, stream_spec;
void stream_dealloc(PyObject *self);
/* _head(): what stream_poll_head gives, after a wait for it. */
PyObject *stream_head(PyObject *self, PyObject *unused);
/* wait(streams, timeout): those of a tuple of different streams that are ready. */
PyObject *stream_wait_any(PyObject *module, PyObject *args);

/* ---- event_stream.c: event sources ------------------------------------------------------------ */

extern PyType_Spec comment_spec, base_event_stream_spec, event_stream_spec;

/* ---- wait.c ----------------------------------------------------------------------------------- */

/* A stream to wait for. The other two are wait.c's, false between waits. */
struct wait_entry {
  StreamObject *stream;
  bool mine;  /* this thread has the turn to wait for it */
  bool armed; /* its waiter hears of it */
};

/* On the clock of wait_clock_ns; -1 where `timeout_s` is negative: no limit. */
int64_t wait_deadline_ns(double timeout_s);
/*
 * Wait until there is something: 0, or -1 with an exception (a signal handler's, or of the
 * system). 1 when the deadline has passed.
 */
int wait_for_stream(StreamObject *self, enum mill_wait what, int64_t deadline_ns);
/* For any of `n` (at least one) different streams; of more than one only MILL_WAIT_CHUNK. */
int wait_for_any(struct wait_entry *entries, Py_ssize_t n, enum mill_wait what,
                 int64_t deadline_ns);
bool wait_on_main_thread(void);
void wait_after_fork_child(void); /* the thread that forked is the main thread now */
/* Called on the way back to Python after a wait: how long the GIL was held. */
void wait_handed_over(StreamObject *self, int64_t taken_ns);
int64_t wait_clock_ns(void);
/* Run something that takes or may block for a moment without the GIL. */
void wait_detached(void (*function)(void *), void *argument);
/* For a lock that is held for moments only: 0, or -1 with a signal handler's exception. */
int wait_for_lock(PyThread_type_lock lock);

/* ---- waiter.c: many streams behind one descriptor, for event loops --------------------------- */

extern PyType_Spec waiter_spec;
/* Whether it is a Waiter; false with an exception. */
bool waiter_check(core_state *state, PyObject *object);
/* What a take is to await, which wake() sets. */
PyObject *waiter_new_event(PyObject *waiter);
bool waiter_is_of(PyObject *waiter, PyObject *loop);
/*
 * Report the stream to who waits for it, once, when it has something: 0 where it has already, -1
 * where another Waiter reports it. In the stream's critical section.
 */
int waiter_arm(PyObject *waiter, StreamObject *stream, enum mill_wait what);
/* The exception for that -1. */
void waiter_raise_foreign(void);
/* Not any more. In the stream's critical section. */
void waiter_disarm(PyObject *waiter, StreamObject *stream);

/* ---- take.c: what event loops await ---------------------------------------------------------- */

/* Takes what is there: an object, NotImplemented where there is nothing yet, or NULL. */
typedef PyObject *(*take_poll)(PyObject *stream, PyObject *unused);
enum take_kind { TAKE_ITEM /* None ends an async iterator */, TAKE_VALUE, TAKE_HEAD };

extern PyType_Spec take_spec;
PyObject *take_new(StreamObject *stream, take_poll poll, enum take_kind kind);
/* One that gives None: it only waits, until there is something or `event` is set. */
PyObject *take_new_wait(StreamObject *stream, PyObject *event);
/*
 * Set the events of the takes that wait for the stream with this waiter; -1 with an exception, after
 * all are set. `at_once` as with loop_event_set.
 */
int take_wake(StreamObject *stream, const PyObject *waiter, bool at_once);

/* ---- loop_event.c: an event of asyncio's loops -------------------------------------------------- */

extern PyType_Spec loop_event_spec;
PyObject *loop_event_new(core_state *state, PyObject *loop);
bool loop_event_check(const core_state *state, const PyObject *object);
/*
 * Let the task that awaits it go on: in the loop's next turn, or `at_once`, where the loop itself
 * calls and no task runs; -1 with the exception that the task left by then. Does nothing twice.
 */
int loop_event_set(PyObject *event, bool at_once);

/* ---- chunk.c, event.c, records.c, error.c ----------------------------------------------------- */

extern PyType_Spec chunk_spec, event_spec;
/* `event`: the shared Event of a chunk that is not alone in its event, or NULL. */
PyObject *chunk_new(core_state *state, const mill_chunk *chunk, PyObject *event);
PyObject *event_new(core_state *state, const mill_event *event);
/* What is new in a chunk: text, reasoning, refusal, a call's arguments; borrowed from it. */
mill_slice chunk_text(PyObject *chunk);
PyObject *chunk_answer_text(PyObject *chunk); /* None: it is no text */

int records_init(PyObject *module, core_state *state);
PyObject *records_tool_call(core_state *state, int index, mill_slice id, mill_slice name,
                            mill_slice arguments);
PyObject *records_usage(core_state *state, const mill_usage *usage);
PyObject *records_message(core_state *state, const mill_message *message);
PyObject *records_timing(core_state *state, const mill_timing *timing);

/* The exception of a stream's error; NULL with one where it cannot be made. */
PyObject *error_new(StreamObject *self, const mill_error *error);
/* The same, raised. Always returns NULL. */
PyObject *error_raise(StreamObject *self, const mill_error *error);
/* One without a stream. Always returns NULL. */
PyObject *error_raise_code(core_state *state, int code, const char *text);
/* The same, with the byte that it is about. */
PyObject *error_raise_at(core_state *state, int code, const char *text, int64_t byte_offset);

/* ---- frame.c: events for browsers ------------------------------------------------------------- */

/* frame(head, text, tail, number=-1) */
PyObject *frame_new(PyObject *module, PyObject *const *args, Py_ssize_t n);

/* ---- partial.c: growing JSON ------------------------------------------------------------------ */

extern PyType_Spec partial_spec;
/* Adds Change and Repair. */
int partial_init(PyObject *module, core_state *state);

/* ---- tape.c: changes of growing JSON, made without the GIL ------------------------------------ */

/* Begins as zeros. */
struct tape {
  struct tape_entry *entries;
  size_t count, capacity;
  char *bytes; /* of the changes' slices */
  size_t len, room;
};

/* Needs no GIL. MILL_OK or MILL_E_NOMEM. */
int tape_record(struct tape *tape, const mill_partial_change *change);
/* Calls `fn` for each change until one fails; what that returned. The tape is empty then. */
int tape_play(struct tape *tape, mill_partial_fn *fn, void *ctx);
void tape_free(struct tape *tape);

/* ---- strings ---------------------------------------------------------------------------------- */

/* UTF-8 to str; what is not valid becomes U+FFFD, as the WHATWG decoder gives. */
static inline PyObject *slice_to_str(mill_slice slice) {
  return PyUnicode_DecodeUTF8(slice.ptr, (Py_ssize_t)slice.len, "replace");
}

static inline PyObject *slice_to_bytes(mill_slice slice) {
  return PyBytes_FromStringAndSize(slice.ptr, (Py_ssize_t)slice.len);
}

PyObject *slice_to_json(mill_slice json); /* json.loads */

#endif
