/*
 * Every allocation of the core, of yajl and of libcurl fails, and every system call that can: the
 * first, the second, ..., each once and each with all that follow. What comes of it is success or a
 * clean error; nothing is left behind, and the engine's next stream is whole.
 */
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "scenarios.h"
#include "shim.h"

#define HANG_S 10
#define EVERY_ONE 3000 /* of the Nth calls; behind these a sample */
#define SAMPLES 200

/* ---- what fails ------------------------------------------------------------------------------ */

enum { ALLOCATION = -1 }; /* in place of an enum shim_call */

struct fault {
  int call; /* ALLOCATION or an enum shim_call */
  int error;
  bool for_ever;
  size_t n;
};

static void arm(const struct fault *fault) {
  if (fault->call == ALLOCATION)
    test_alloc_fail(fault->n, fault->for_ever);
  else
    shim_fail((enum shim_call)fault->call, fault->error, fault->n, fault->for_ever);
}

static void disarm(void) {
  test_alloc_fail(0, false);
  shim_fail(SHIM_poll, 0, 0, false);
}

static bool has_struck(const struct fault *fault) {
  return fault->call == ALLOCATION ? test_alloc_failed() : shim_failed();
}

static const char *name_of(const struct fault *fault) {
  return fault->call == ALLOCATION ? "allocation" : shim_name((enum shim_call)fault->call);
}

/* ---- one run --------------------------------------------------------------------------------- */

struct run {
  const struct scenario *scenario;
  struct world *world;
  struct fault fault;
  int code;
  bool struck;
};

static void *run_main(void *user) {
  struct run *run = user;
  struct world *world = run->world;
  world->engine = NULL;
  atomic_store(&world->n_refusals, 1);
  shim_begin();
  arm(&run->fault);
  run->code = mill_engine_new(&world->engine);
  if (run->code == MILL_OK)
    run->code = run->scenario->run(world);
  run->struck = has_struck(&run->fault);
  disarm();
  if (world->engine)
    scenario_check_next(world);
  mill_engine_free(world->engine);
  return NULL;
}

static size_t n_entries(const char *path) {
  size_t n = 0;
  DIR *folder = opendir(path);
  CHECK(folder != NULL);
  while (readdir(folder) != NULL)
    n++;
  closedir(folder);
  return n;
}

struct holdings {
  size_t blocks, descriptors, threads;
};

static struct holdings holdings_now(struct server *server) {
  server_wait_idle(server);
  return (struct holdings){test_alloc_live(), n_entries("/proc/self/fd"),
                           n_entries("/proc/self/task")};
}

/* A look-up's thread may outlive its stream, and a connection's at the server its client. */
static void check_nothing_left(struct server *server, struct holdings before) {
  struct holdings now = holdings_now(server);
  while (memcmp(&now, &before, sizeof(now)) != 0) {
    usleep(200);
    now = holdings_now(server);
  }
}

static struct holdings saved;

static void run_in_thread(struct run *run) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run_main, run) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
}

static void run_one(struct run *run) {
  const struct fault *fault = &run->fault;
  test_case("%s: %s %zu fails with %s %s", run->scenario->name, name_of(fault), fault->n,
            strerrorname_np(fault->error), fault->for_ever ? "for ever" : "once");
  struct holdings before = holdings_now(run->world->server);
  alarm(HANG_S);
  saved = before;
  run_in_thread(run);
  check_nothing_left(run->world->server, before);
  alarm(0);
  if (getenv("TORTURE_VERBOSE"))
    printf("%s: %s %zu %s %s: %s\n", run->scenario->name, name_of(fault), fault->n,
           strerrorname_np(fault->error), fault->for_ever ? "for ever" : "once",
           run->struck ? mill_error_name(run->code) : "not struck");
  CHECK(run->struck || run->code == MILL_OK);
}

static void on_hang(int number) {
  (void)number;
  struct holdings now = {test_alloc_live(), n_entries("/proc/self/fd"), n_entries("/proc/self/task")};
  fprintf(stderr, "now %zu %zu %zu before %zu %zu %zu\n", now.blocks, now.descriptors, now.threads, saved.blocks, saved.descriptors, saved.threads);
  CHECK(!"it hangs");
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  static const mill_allocator unused;
  (void)unused;
  struct sigaction action = {.sa_handler = on_hang};
  sigaction(SIGALRM, &action, NULL);
  test_alloc_install();
  CHECK(!curl_global_init_mem(CURL_GLOBAL_DEFAULT, mill__malloc, mill__free, mill__realloc,
                              mill__strdup, mill__calloc));
  struct world world = {.engine = NULL};
  world.server = server_start(scenario_answer, &world);
  size_t only = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
  for (const struct scenario *scenario = SCENARIOS; scenario->name; scenario++) {
    if (argc > 1 && strcmp(argv[1], scenario->name))
      continue;
    for (int call = ALLOCATION; call < SHIM_N_CALLS; call++) {
      struct fault fault = {.call = call};
      if (argc > 2 && strcmp(argv[2], name_of(&fault)))
        continue;
      for (size_t e = 0; e == 0 || (call != ALLOCATION && shim_error(call, e)); e++) {
        fault.error = call == ALLOCATION ? ENOMEM : shim_error(call, e);
        for (int for_ever = 0; for_ever <= 1; for_ever++) {
          if (argc > 3 && atoi(argv[3]) != for_ever)
            continue;
          struct run run = {.scenario = scenario, .world = &world, .fault = fault};
          run_in_thread(&run);
          run.struck = true;
          for (size_t n = only ? only : 1; run.struck; n++) {
            fault.for_ever = for_ever;
            fault.n = n;
            run = (struct run){.scenario = scenario, .world = &world, .fault = fault};
            run_one(&run);
            if (only)
              break;
          }
        }
      }
    }
  }
  server_stop(world.server);
  return 0;
}
