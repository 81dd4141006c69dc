/*
 * The short way through a JSON document that is like the one before: the same bytes but for the
 * texts of its strings and its numbers (its holes).
 *
 * Successive events of a stream are like that. Where every hole of the new document holds a plain
 * string body (no quote, backslash or control character, valid UTF-8) or a number, a parse would
 * give the same tree with those texts: so what the last parse reported is reported again with them.
 * Anything else takes the full parse. fuzz_json holds the short way to the long one.
 *
 * Owns: a copy of the document, its holes, what was reported of it. Thread: the owner's.
 * Limits: MILL__JSON_TEMPLATE_*; a document beyond them becomes no template. Errors: none; without
 * memory there is no template.
 */
#ifndef MILL_PARSE_JSON_TEMPLATE_H
#define MILL_PARSE_JSON_TEMPLATE_H

#include "parse/json.h"

#define MILL__JSON_TEMPLATE_BYTES 4096 /* of a document */
#define MILL__JSON_TEMPLATE_HOLES 64
#define MILL__JSON_TEMPLATE_VALUES 64 /* reports of one document */
#define MILL__JSON_TEMPLATE_MISSES 4  /* documents in a row that did not match, see learns() */
#define MILL__JSON_TEMPLATE_PATIENCE 64

struct mill__json_template {
  struct mill__buf document, holes, values;
  bool good;        /* there is one */
  bool recording;   /* the parse under way may become one */
  unsigned n_holes; /* seen in it so far */
  unsigned misses;  /* documents since the last match */
  bool odd;         /* the last one had the template's shape up to a hole that was not plain */
};

void mill__json_template_init(struct mill__json_template *template);
void mill__json_template_fini(struct mill__json_template *template);

/*
 * The texts of the holes, in order, into `ret_texts` (room for MILL__JSON_TEMPLATE_HOLES) where the
 * document matches.
 */
bool mill__json_template_match(struct mill__json_template *template, mill_slice document,
                               mill_slice *ret_texts);
/* Report what was reported of the template, with these texts; what `fn` returned. */
int mill__json_template_replay(const struct mill__json_template *template, const mill_slice *texts,
                               mill__json_fn fn, void *ctx);

/* A full parse begins: it becomes the template, unless it is too large or that is not worth it. */
void mill__json_template_begin(struct mill__json_template *template, mill_slice document);
/* The parse has come to a string (no key) or a number. */
void mill__json_template_hole(struct mill__json_template *template);
/* The parse has reported this: where it is a string or a number, the one it has come to. */
void mill__json_template_report(struct mill__json_template *template,
                                const struct mill__json_value *value);
/* The parse is over. */
void mill__json_template_end(struct mill__json_template *template, bool whole);

#endif
