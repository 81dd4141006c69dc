/*
 * The face of the library. The public functions stand with the code that does their work: engine.c,
 * stream.c, waiter.c, stats.c, request.c, error.c, base/alloc.c, provider/registry.c.
 */
#include "millstream/millstream.h"

const char *mill_version(void) {
  return MILL_VERSION;
}
