/* Time that only goes forward, in nanoseconds: a step of the wall clock does nothing. */
#ifndef MILL_BASE_CLOCK_H
#define MILL_BASE_CLOCK_H

#include <stdint.h>

#define MILL_NS_PER_MS INT64_C(1000000)
#define MILL_NS_PER_US INT64_C(1000)

int64_t mill__clock_ns(void);

#endif
