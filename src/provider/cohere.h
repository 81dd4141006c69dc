/* What Cohere's two APIs have in common: why an answer ends. */
#ifndef MILL_PROVIDER_COHERE_H
#define MILL_PROVIDER_COHERE_H

#include "provider/dialect.h"
#include "provider/fields.h"

extern const struct mill__finish_word mill__cohere_finish_words[];

/* Some of the reasons to finish are failures: then the event is an error. */
int mill__cohere_failure(struct mill__assembly *assembly, mill_slice word);

#endif
