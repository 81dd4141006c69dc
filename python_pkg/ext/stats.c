/* Stats: the counters of one client, and the dict that metrics() returns. */
#include "core.h"

struct gil_stats process_gil_stats;

static PyObject *stats_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {NULL};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Stats", names))
    return NULL;
  StatsObject *self = (StatsObject *)type->tp_alloc(type, 0);
  if (!self)
    return NULL;
  self->stats = mill_stats_new();
  if (!self->stats) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  return (PyObject *)self;
}

static void stats_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  mill_stats_unref(((StatsObject *)self)->stats);
  type->tp_free(self);
  Py_DECREF(type);
}

/*
 * Takes `value` over. PyDict_SetItemString would intern the name, which free-threaded CPython 3.13
 * gets wrong when two threads do it at once.
 */
static int put(PyObject *dict, const char *name, PyObject *value) {
  PyObject *key = PyUnicode_FromString(name);
  int result = key && value ? PyDict_SetItem(dict, key, value) : -1;
  Py_XDECREF(key);
  Py_XDECREF(value);
  return result;
}

static int put_count(PyObject *dict, const char *name, uint64_t count) {
  return put(dict, name, PyLong_FromUnsignedLongLong(count));
}

static int put_seconds(PyObject *dict, const char *name, uint64_t ns) {
  return put(dict, name, PyFloat_FromDouble((double)ns / 1e9));
}

/* A histogram as {upper bound in seconds: count}, empty buckets left out. */
static PyObject *histogram(const uint64_t *buckets, double unit_s) {
  PyObject *dict = PyDict_New();
  for (int i = 0; dict && i < MILL_HISTOGRAM_BUCKETS; i++) {
    if (!buckets[i])
      continue;
    PyObject *bound = PyFloat_FromDouble((double)(UINT64_C(1) << i) * unit_s);
    PyObject *count = PyLong_FromUnsignedLongLong(buckets[i]);
    if (!bound || !count || PyDict_SetItem(dict, bound, count))
      Py_CLEAR(dict);
    Py_XDECREF(bound);
    Py_XDECREF(count);
  }
  return dict;
}

static int put_core(PyObject *dict, const mill_metrics *metrics) {
  const struct {
    const char *name;
    uint64_t count;
  } counts[] = {
      {"streams_started", metrics->streams_started},
      {"streams_open", metrics->streams_open},
      {"streams_ok", metrics->streams_ok},
      {"streams_failed", metrics->streams_failed},
      {"streams_cancelled", metrics->streams_cancelled},
      {"retries", metrics->retries},
      {"connections", metrics->connections},
      {"chunks", metrics->chunks},
      {"events", metrics->events},
      {"bytes_received", metrics->bytes_in},
      {"bytes_sent", metrics->bytes_out},
      {"wakeups", metrics->wakeups},
      {"pauses", metrics->pauses},
  };
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    if (put_count(dict, counts[i].name, counts[i].count))
      return -1;
  if (put_seconds(dict, "first_chunk_total", metrics->first_chunk_total_ns) ||
      put_seconds(dict, "inter_chunk_total", metrics->inter_chunk_total_ns) ||
      put(dict, "first_chunk_seconds", histogram(metrics->first_chunk_us, 1e-6)))
    return -1;
  return put(dict, "inter_chunk_seconds", histogram(metrics->inter_chunk_us, 1e-6));
}

static uint64_t get(const atomic_uint_fast64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

static int put_gil(PyObject *dict, const struct gil_stats *gil) {
  uint64_t buckets[MILL_HISTOGRAM_BUCKETS];
  for (int i = 0; i < MILL_HISTOGRAM_BUCKETS; i++)
    buckets[i] = get(&gil->hold_ns_histogram[i]);
  if (put_count(dict, "gil_takes", get(&gil->takes)) ||
      put_seconds(dict, "gil_wait_total", get(&gil->wait_ns)) ||
      put_seconds(dict, "gil_hold_total", get(&gil->hold_ns)))
    return -1;
  return put(dict, "gil_hold_seconds", histogram(buckets, 1e-9));
}

PyObject *stats_to_dict(StatsObject *stats) {
  mill_metrics metrics = {.streams_started = 0};
  if (stats)
    mill_stats_read(stats->stats, &metrics);
  else
    engine_metrics(&metrics);
  PyObject *dict = PyDict_New();
  if (dict && (put_core(dict, &metrics) || put_gil(dict, stats ? &stats->gil : &process_gil_stats)))
    Py_CLEAR(dict);
  if (dict && !stats && put_seconds(dict, "engine_cpu_total", metrics.cpu_ns))
    Py_CLEAR(dict);
  return dict;
}

static PyObject *stats_read(PyObject *self, PyObject *unused) {
  return stats_to_dict((StatsObject *)self);
}

static PyMethodDef stats_methods[] = {
    {"read", stats_read, METH_NOARGS, "read($self, /)\n--\n\nThe counters as a dict."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stats_slots[] = {
    {Py_tp_doc, "Stats()\n--\n\nCounters that the streams of one client add to."},
    {Py_tp_new, stats_new},
    {Py_tp_dealloc, stats_dealloc},
    {Py_tp_methods, stats_methods},
    {0, NULL},
};

PyType_Spec stats_spec = {
    .name = "millstream._core.Stats",
    .basicsize = sizeof(StatsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = stats_slots,
};
