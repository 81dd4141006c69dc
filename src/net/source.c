/* An event source; see source.h. */
#include "net/source.h"

#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "net/engine.h"
#include "net/retry.h"

int mill__source_init(struct mill__source *source, const mill_request *set) {
  *source = (struct mill__source){.asked_ms = -1};
  mill__buf_init(&source->last_id, set->limits.event_bytes);
  const char *id = set->events ? set->events->last_event_id : NULL;
  return id ? mill__buf_append(&source->last_id, id, strlen(id)) : MILL_OK;
}

void mill__source_fini(struct mill__source *source) {
  mill__buf_fini(&source->last_id);
  mill__redirect_fini(&source->redirect);
}

int mill__source_last_event_id(const struct mill__source *source, struct mill__buf *ret_text) {
  struct mill__utf8 utf8;
  mill__utf8_init(&utf8);
  if (!source->last_id.len)
    return MILL_OK;
  int result = mill__utf8_repair(&utf8, source->last_id.ptr, source->last_id.len, ret_text);
  if (!result)
    result = mill__utf8_repair_end(&utf8, ret_text);
  return result ? result : mill__buf_append_byte(ret_text, '\0');
}

/* ---- what the body says ---------------------------------------------------------------------- */

static int put_note(mill_stream *stream, const struct mill__note *note) {
  int result = mill__record_put_note(&stream->queue, note);
  if (!result)
    mill__engine_touch(stream->engine, stream);
  return result;
}

/* Whether the id is another one; -1 is an error. */
static int set_last_id(struct mill__source *source, mill_slice id) {
  struct mill__buf *last = &source->last_id;
  if (last->len == id.len && (!id.len || !memcmp(last->ptr, id.ptr, id.len)))
    return 0;
  mill__buf_clear(last);
  return mill__buf_append(last, id.ptr, id.len) ? -1 : 1;
}

int mill__source_on_event(mill_stream *stream, const mill_event *event) {
  struct mill__source *source = &stream->transfer.source;
  static const struct mill__meta none = {{"", 0}, {"", 0}, {"", 0}};
  if (set_last_id(source, event->id) < 0)
    return MILL_E_NOMEM;
  source->attempts = 0;
  return mill__record_put(&stream->queue, event, &none, NULL, 0);
}

int mill__source_on_comment(mill_stream *stream, mill_slice text) {
  if (!stream->request.source.comments)
    return MILL_OK;
  return put_note(stream, &(struct mill__note){.kind = MILL__RECORD_COMMENT, .text = text});
}

int mill__source_on_id(mill_stream *stream, mill_slice id) {
  int changed = set_last_id(&stream->transfer.source, id);
  if (changed <= 0)
    return changed < 0 ? MILL_E_NOMEM : MILL_OK;
  return put_note(stream, &(struct mill__note){.kind = MILL__RECORD_ID, .text = id});
}

int mill__source_on_retry(mill_stream *stream, uint64_t retry_ms) {
  struct mill__source *source = &stream->transfer.source;
  if (source->asked_ms == (int64_t)retry_ms)
    return MILL_OK;
  source->asked_ms = (int64_t)retry_ms; /* MILL__SSE_RETRY_MAX_MS at most */
  return put_note(stream, &(struct mill__note){.kind = MILL__RECORD_RETRY, .number = retry_ms});
}

/* ---- connections ----------------------------------------------------------------------------- */

bool mill__source_accepts(const mill_stream *stream) {
  const struct mill__response *head = stream->transfer.head;
  return head->status == 200 &&
         mill__slice_equals_nocase(mill__response_media_type(head), "text/event-stream");
}

int mill__source_opened(mill_stream *stream) {
  stream->transfer.source.opened = true;
  return put_note(stream, &(struct mill__note){.kind = MILL__RECORD_OPENED});
}

/* Tell the consumer that there is no connection, and begin anew: at the address of the request. */
static int put_lost(mill_stream *stream, const mill_error *error) {
  struct mill__source *source = &stream->transfer.source;
  source->opened = false;
  mill__redirect_fini(&source->redirect);
  return put_note(stream, &(struct mill__note){.kind = MILL__RECORD_LOST, .error = *error});
}

int mill__source_restarts(mill_stream *stream) {
  struct mill__source *source = &stream->transfer.source;
  mill_error none;
  mill__error_init(&none);
  source->attempts = 0;
  if (source->opened)
    return put_lost(stream, &none);
  mill__redirect_fini(&source->redirect); /* that it is connecting was told */
  return MILL_OK;
}

static int follow(mill_stream *stream, mill_slice location, int status) {
  const mill_request *set = &stream->request.set;
  struct mill__redirect *redirect = &stream->transfer.source.redirect;
  char *url, *lookup_key;
  bool same_origin;
  int result = mill__http_resolve_url(redirect->url ? redirect->url : set->url, location,
                                      redirect->foreign, &url, &same_origin);
  if (result)
    return result;
  result = mill__request_lookup_key(set, url, &lookup_key);
  if (result) {
    mill__free(url);
    return result;
  }
  mill__redirect_to(redirect, set->method, status, url, lookup_key, same_origin);
  return MILL_OK;
}

static enum mill__source_next redirected(mill_stream *stream, mill_error *error) {
  const struct mill__response *head = stream->transfer.head;
  const unsigned most = stream->request.source.max_redirects;
  mill_slice location = mill__response_field(head, "Location");
  if (!location.len)
    mill__error_set(error, MILL_E_STATUS, "the server redirects (%d) without a Location",
                    head->status);
  else if (stream->transfer.source.redirect.count >= most)
    mill__error_set(error, MILL_E_STATUS,
                    "the server redirects (%d) once more than max_redirects (%u) allows",
                    head->status, most);
  else
    switch (follow(stream, location, head->status)) {
    case MILL_OK:
      return MILL__SOURCE_REDIRECTS;
    case MILL_E_NOMEM:
      mill__error_set(error, MILL_E_NOMEM, "out of memory while a redirect was followed");
      break;
    default:
      mill__error_set(error, MILL_E_STATUS, "the server redirects (%d) to what is no http address",
                      head->status);
    }
  error->status = head->status;
  return MILL__SOURCE_ENDS;
}

static enum mill__source_next lost(mill_stream *stream, mill_error *error, int64_t *ret_delay_ms) {
  const mill_event_source *set = &stream->request.source;
  struct mill__source *source = &stream->transfer.source;
  const struct mill__reconnect reconnect = {
      .initial_ms = set->initial_retry_ms,
      .max_ms = set->max_retry_ms,
      .asked_ms = source->asked_ms,
      .retry_after_ms = error->retry_after_ms,
      .attempts = source->attempts++,
  };
  if (put_lost(stream, error)) {
    mill__error_set(error, MILL_E_NOMEM, "out of memory while a lost connection was told");
    return MILL__SOURCE_ENDS;
  }
  *ret_delay_ms = mill__reconnect_delay_ms(&reconnect, mill__engine_random(stream->engine));
  return MILL__SOURCE_RECONNECTS;
}

enum mill__source_next mill__source_next(mill_stream *stream, mill_error *error,
                                         int64_t *ret_delay_ms) {
  const struct mill__transfer *transfer = &stream->transfer;
  bool opened = transfer->source.opened;
  int status = !error->code && !opened ? transfer->head->status : 0;
  if (mill__redirect_is(status))
    return redirected(stream, error);
  if (status == 204 || !stream->request.source.reconnect || !mill__reconnect_helps(error, opened))
    return MILL__SOURCE_ENDS;
  return lost(stream, error, ret_delay_ms);
}
