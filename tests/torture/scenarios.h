/*
 * What is done while something fails: each scenario drives an engine through one kind of stream, and
 * knows what is right where nothing failed.
 */
#ifndef MILL_TESTS_SCENARIOS_H
#define MILL_TESTS_SCENARIOS_H

#include "net_support.h"

/* The scripted server's answers, by the last part of the path. */
enum server_then scenario_answer(const struct server_request *request, void *ctx);

struct world {
  struct server *server;
  atomic_size_t n_refusals; /* how often the server still refuses on the path "busy" */
  mill_engine *engine;      /* NULL after a scenario that ends it */
  int64_t most_ms;          /* the clock of each stream */
};

struct scenario {
  const char *name;
  /* MILL_OK where all went as it should, else the error that ended it. */
  int (*run)(struct world *world);
};

extern const struct scenario SCENARIOS[]; /* behind the last one: a name of NULL */

/* The next stream of the same engine: whole and right. */
void scenario_check_next(struct world *world);

#endif
