/*
 * Every allocation of the core, of yajl and of libcurl fails, and every system call that can: the
 * first, the second, ..., each once and each with all that follow. What comes of it is success or a
 * clean error; nothing is left behind, and the engine's next stream is whole.
 *
 * torture [SCENARIO [CALL]]: only these.
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

#define HANG_S 100     /* for one run; a stream ends by its own clock before */
#define LONG_MS 20000  /* a stream's clock; behind it a test finds that it hangs */
#define SHORT_MS 300   /* where nothing can go on */
#define EVERY_ONE 3000 /* of the Nth calls; behind these, one in 1 to STRIDE */
#define STRIDE 97

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

static const char *name_of(int call) {
  return call == ALLOCATION ? "allocation" : shim_name((enum shim_call)call);
}

static int error_of(int call, size_t i) {
  return call == ALLOCATION ? i == 0 ? ENOMEM : 0 : shim_error((enum shim_call)call, i);
}

/* ---- libcurl's memory ------------------------------------------------------------------------ */

/*
 * Before it had integer sets libcurl kept the transfers of a socket in a hash. Where an entry or the
 * table of that cannot be had, it destroys the hash and divides by its size later. No caller can
 * prevent it, so that these two do not fail.
 */
#define SETS_SINCE 0x080e00
#define HASH_TABLE_BYTES 416
#define HASH_ENTRY_BYTES 56

static bool spares_curl;
static atomic_size_t n_spared;
static atomic_bool curl_was_refused;

static bool is_spared(size_t size) {
  bool spared = spares_curl && (size == HASH_TABLE_BYTES || size == HASH_ENTRY_BYTES);
  n_spared += spared;
  return spared;
}

static void *handed(void *block) {
  if (!block)
    atomic_store(&curl_was_refused, true);
  return block;
}

static void *curl_malloc(size_t size) {
  return is_spared(size) ? test_alloc_spared(size) : handed(mill__malloc(size));
}

static void *curl_realloc(void *block, size_t size) {
  return handed(mill__realloc(block, size));
}

static char *curl_strdup(const char *text) {
  return handed(mill__strdup(text));
}

static void *curl_calloc(size_t count, size_t size) {
  return handed(mill__calloc(count, size));
}

static void init_curl(void) {
  spares_curl = curl_version_info(CURLVERSION_NOW)->version_num < SETS_SINCE;
  CHECK(!curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, mill__free, curl_realloc,
                              curl_strdup, curl_calloc));
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
  atomic_store(&curl_was_refused, false);
  world->most_ms = run->fault.for_ever && run->fault.call != ALLOCATION ? SHORT_MS : LONG_MS;
  shim_begin();
  arm(&run->fault);
  run->code = mill_engine_new(&world->engine);
  if (run->code == MILL_OK)
    run->code = run->scenario->run(world);
  run->struck = has_struck(&run->fault);
  disarm();
  world->most_ms = LONG_MS; /* nothing is in the way of the next stream but a busy machine */
  if (world->engine)
    scenario_check_next(world);
  mill_engine_free(world->engine);
  return NULL;
}

/* On a thread of its own, so that what belongs to a thread goes with it. */
static void run_in_thread(struct run *run) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run_main, run) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
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

static struct holdings holdings_of(struct server *server) {
  server_wait_idle(server);
  return (struct holdings){test_alloc_live(), n_entries("/proc/self/fd"),
                           n_entries("/proc/self/task")};
}

/* The thread of a look-up may outlive its stream, and one of the server its connection. */
static void wait_until_left(struct server *server, const struct holdings *expected) {
  struct holdings now = holdings_of(server);
  while (memcmp(&now, expected, sizeof(now)) != 0) {
    usleep(200);
    now = holdings_of(server);
  }
}

/* What libcurl makes of a refusal: no address, no connection, too large a head, a broken answer. */
static bool is_misnamed(int code) {
  return code == MILL_E_CONNECT || code == MILL_E_LIMIT || code == MILL_E_INTERRUPTED ||
         code == MILL_E_PROTOCOL;
}

/* A clock may end only what cannot go on: a call that never works again. */
static bool is_clean(const struct run *run) {
  if (run->code == MILL_OK || run->code == MILL_E_NOMEM)
    return true;
  if (run->fault.call == ALLOCATION)
    return atomic_load(&curl_was_refused) && is_misnamed(run->code);
  return run->code != MILL_E_TIMEOUT || run->fault.for_ever;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static size_t n_runs, n_by_code[32];

static void run_one(struct run *run, const struct holdings *clean) {
  const struct fault *fault = &run->fault;
  test_case("%s: %s %zu fails with %s %s", run->scenario->name, name_of(fault->call), fault->n,
            strerrorname_np(fault->error), fault->for_ever ? "for ever" : "once");
  alarm(HANG_S);
  run_in_thread(run);
  wait_until_left(run->world->server, clean);
  alarm(0);
  CHECK(run->struck || run->code == MILL_OK);
  if (!is_clean(run))
    CHECK_STR(mill_error_name(run->code), "a clean error");
  n_runs += run->struck;
  n_by_code[-run->code] += run->struck;
}

static void run_each(struct run *run, const struct holdings *clean) {
  static uint64_t random = 1;
  struct fault *fault = &run->fault;
  run->struck = true;
  for (fault->n = 1; run->struck; fault->n++) {
    run_one(run, clean);
    if (fault->n >= EVERY_ONE)
      fault->n += test_random(&random) % STRIDE;
  }
  CHECK(fault->n > 2 || fault->call != ALLOCATION); /* a run without any shows nothing */
}

static void run_call(struct run *run, int call, const struct holdings *clean) {
  int error;
  for (size_t i = 0; (error = error_of(call, i)) != 0; i++)
    for (int for_ever = 0; for_ever <= (error != EINTR); for_ever++) { /* signals do not last */
      run->fault = (struct fault){call, error, for_ever, 1};
      run_each(run, clean);
    }
}

static void run_scenario(const struct scenario *scenario, struct world *world, const char *call) {
  struct run run = {.scenario = scenario, .world = world, .fault = {.call = ALLOCATION}};
  test_case("%s: nothing fails", scenario->name);
  run_in_thread(&run); /* what is made once and kept is made here */
  CHECK_INT(run.code, MILL_OK);
  while (n_entries("/proc/self/task") > 4) /* ".", "..", this thread and the server's */
    usleep(200);
  struct holdings clean = holdings_of(world->server);
  n_runs = 0;
  memset(n_by_code, 0, sizeof(n_by_code));
  for (int i = ALLOCATION; i < (int)SHIM_N_CALLS; i++)
    if (!call || !strcmp(call, name_of(i)))
      run_call(&run, i, &clean);
  printf("%-10s %6zu faults:", scenario->name, n_runs);
  for (int code = 0; code < 32; code++)
    if (n_by_code[code])
      printf(" %zu %s", n_by_code[code], mill_error_name(-code));
  printf("\n");
}

static void on_hang(int number) {
  (void)number;
  CHECK(!"it ends and leaves nothing behind");
}

int main(int argc, char **argv) {
  struct world world = {.engine = NULL};
  const char *name = argc > 1 ? argv[1] : NULL, *call = argc > 2 ? argv[2] : NULL;
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_hang}, NULL);
  test_alloc_install();
  init_curl();
  world.server = server_start(scenario_answer, &world);
  for (const struct scenario *scenario = SCENARIOS; scenario->name; scenario++)
    if (!name || !strcmp(name, scenario->name))
      run_scenario(scenario, &world, call);
  server_stop(world.server);
  if (n_spared > 0)
    printf("%s does not survive some of its own allocations: %zu were spared\n",
           curl_version_info(CURLVERSION_NOW)->version, atomic_load(&n_spared));
  return 0;
}
