/* Deltas -> the message they add up to; see message.h. */
#include "provider/message.h"

#include <string.h>

#include "base/alloc.h"

struct tool_call {
  struct mill__buf id, name, arguments;
};

struct mill__message_choice {
  int index;
  struct mill__buf text, reasoning, signature, refusal, finish_raw;
  enum mill_finish finish;
  struct tool_call *tool_calls;
  mill_tool_call *view;
  size_t n_tool_calls;
};

static void buf_init(struct mill__buf *buf) {
  mill__buf_init(buf, MILL__MESSAGE_BYTES);
}

static int assign(struct mill__buf *buf, mill_slice value) {
  mill__buf_clear(buf);
  return mill__buf_append(buf, value.ptr, value.len);
}

void mill__message_init(struct mill__message *message) {
  *message = (struct mill__message){.usage = {-1, -1, -1, -1, {NULL, 0}}};
  buf_init(&message->id);
  buf_init(&message->model);
  buf_init(&message->role);
  buf_init(&message->usage_raw);
}

static void fini_choice(struct mill__message_choice *choice) {
  for (size_t i = 0; i < choice->n_tool_calls; i++) {
    mill__buf_fini(&choice->tool_calls[i].id);
    mill__buf_fini(&choice->tool_calls[i].name);
    mill__buf_fini(&choice->tool_calls[i].arguments);
  }
  mill__free(choice->tool_calls);
  mill__free(choice->view);
  mill__buf_fini(&choice->text);
  mill__buf_fini(&choice->reasoning);
  mill__buf_fini(&choice->signature);
  mill__buf_fini(&choice->refusal);
  mill__buf_fini(&choice->finish_raw);
}

void mill__message_fini(struct mill__message *message) {
  for (size_t i = 0; i < message->n_choices; i++)
    fini_choice(&message->choices[i]);
  mill__free(message->choices);
  mill__free(message->view);
  mill__buf_fini(&message->id);
  mill__buf_fini(&message->model);
  mill__buf_fini(&message->role);
  mill__buf_fini(&message->usage_raw);
  mill__message_init(message);
}

int mill__message_meta(struct mill__message *message, const struct mill__meta *meta) {
  int result = MILL_OK;
  if (meta->id.len)
    result = assign(&message->id, meta->id);
  if (!result && meta->model.len)
    result = assign(&message->model, meta->model);
  if (!result && meta->role.len)
    result = assign(&message->role, meta->role);
  return result;
}

/* The choice of that index, made where it is new. */
static int get_choice(struct mill__message *message, int index,
                      struct mill__message_choice **ret_choice) {
  size_t at = message->n_choices;
  while (at > 0 && message->choices[at - 1].index > index)
    at--;
  if (at > 0 && message->choices[at - 1].index == index) {
    *ret_choice = &message->choices[at - 1];
    return MILL_OK;
  }
  if (message->n_choices == MILL__MESSAGE_PARTS)
    return MILL_E_LIMIT;
  struct mill__message_choice *choices =
      mill__realloc(message->choices, (message->n_choices + 1) * sizeof *choices);
  if (!choices)
    return MILL_E_NOMEM;
  message->choices = choices;
  memmove(&choices[at + 1], &choices[at], (message->n_choices - at) * sizeof *choices);
  message->n_choices++;
  struct mill__message_choice *choice = &choices[at];
  *choice = (struct mill__message_choice){.index = index};
  buf_init(&choice->text);
  buf_init(&choice->reasoning);
  buf_init(&choice->signature);
  buf_init(&choice->refusal);
  buf_init(&choice->finish_raw);
  *ret_choice = choice;
  return MILL_OK;
}

/* The tool call of that number; those before it that never came are empty. */
static int get_tool_call(struct mill__message_choice *choice, int index,
                         struct tool_call **ret_call) {
  if (index < 0 || index >= MILL__MESSAGE_PARTS)
    return MILL_E_LIMIT;
  if ((size_t)index >= choice->n_tool_calls) {
    size_t count = (size_t)index + 1;
    struct tool_call *calls = mill__realloc(choice->tool_calls, count * sizeof *calls);
    if (!calls)
      return MILL_E_NOMEM;
    choice->tool_calls = calls;
    for (; choice->n_tool_calls < count; choice->n_tool_calls++) {
      buf_init(&calls[choice->n_tool_calls].id);
      buf_init(&calls[choice->n_tool_calls].name);
      buf_init(&calls[choice->n_tool_calls].arguments);
    }
  }
  *ret_call = &choice->tool_calls[index];
  return MILL_OK;
}

static int add_tool_call(struct mill__message_choice *choice, const mill_chunk *chunk) {
  struct tool_call *call;
  int result = get_tool_call(choice, chunk->tool_index, &call);
  if (!result && chunk->tool_id.len)
    result = assign(&call->id, chunk->tool_id);
  if (!result && chunk->tool_name.len)
    result = assign(&call->name, chunk->tool_name);
  if (!result)
    result = mill__buf_append(&call->arguments, chunk->text.ptr, chunk->text.len);
  return result;
}

static void take_number(int64_t *to, int64_t from) {
  if (from >= 0)
    *to = from;
}

static int add_usage(struct mill__message *message, const mill_usage *usage) {
  take_number(&message->usage.input_tokens, usage->input_tokens);
  take_number(&message->usage.output_tokens, usage->output_tokens);
  take_number(&message->usage.reasoning_tokens, usage->reasoning_tokens);
  take_number(&message->usage.cached_tokens, usage->cached_tokens);
  message->has_usage = true;
  return assign(&message->usage_raw, usage->raw);
}

static int add_reasoning(struct mill__message_choice *choice, const mill_chunk *chunk) {
  int result = mill__buf_append(&choice->reasoning, chunk->text.ptr, chunk->text.len);
  if (!result && chunk->signature.len)
    result = assign(&choice->signature, chunk->signature);
  return result;
}

static int add_to_choice(struct mill__message_choice *choice, const mill_chunk *chunk) {
  switch (chunk->type) {
  case MILL_CHUNK_TEXT:
    return mill__buf_append(&choice->text, chunk->text.ptr, chunk->text.len);
  case MILL_CHUNK_REASONING:
    return add_reasoning(choice, chunk);
  case MILL_CHUNK_REFUSAL:
    return mill__buf_append(&choice->refusal, chunk->text.ptr, chunk->text.len);
  case MILL_CHUNK_TOOL_CALL:
    return add_tool_call(choice, chunk);
  default: /* FINISH: the callers pass no other type */
    choice->finish = chunk->finish;
    return assign(&choice->finish_raw, chunk->finish_raw);
  }
}

int mill__message_add(struct mill__message *message, const mill_chunk *chunk) {
  if (chunk->type == MILL_CHUNK_OTHER)
    return MILL_OK;
  if (chunk->type == MILL_CHUNK_USAGE)
    return add_usage(message, &chunk->usage);
  struct mill__message_choice *choice;
  int result = get_choice(message, chunk->choice, &choice);
  return result ? result : add_to_choice(choice, chunk);
}

static int view_choice(struct mill__message_choice *choice, mill_choice *ret_choice) {
  if (choice->n_tool_calls) {
    mill_tool_call *view = mill__realloc(choice->view, choice->n_tool_calls * sizeof *view);
    if (!view)
      return MILL_E_NOMEM;
    choice->view = view;
    for (size_t i = 0; i < choice->n_tool_calls; i++)
      view[i] = (mill_tool_call){mill__buf_slice(&choice->tool_calls[i].id),
                                 mill__buf_slice(&choice->tool_calls[i].name),
                                 mill__buf_slice(&choice->tool_calls[i].arguments)};
  }
  *ret_choice = (mill_choice){
      .index = choice->index,
      .text = mill__buf_slice(&choice->text),
      .reasoning = mill__buf_slice(&choice->reasoning),
      .signature = mill__buf_slice(&choice->signature),
      .refusal = mill__buf_slice(&choice->refusal),
      .finish_raw = mill__buf_slice(&choice->finish_raw),
      .finish = choice->finish,
      .tool_calls = choice->view,
      .n_tool_calls = choice->n_tool_calls,
  };
  return MILL_OK;
}

int mill__message_view(struct mill__message *message, mill_message *ret_message) {
  if (message->n_choices) {
    mill_choice *view = mill__realloc(message->view, message->n_choices * sizeof *view);
    if (!view)
      return MILL_E_NOMEM;
    message->view = view;
  }
  for (size_t i = 0; i < message->n_choices; i++) {
    int result = view_choice(&message->choices[i], &message->view[i]);
    if (result)
      return result;
  }
  mill_usage usage = message->usage;
  usage.raw = mill__buf_slice(&message->usage_raw);
  *ret_message = (mill_message){
      .id = mill__buf_slice(&message->id),
      .model = mill__buf_slice(&message->model),
      .role = mill__buf_slice(&message->role),
      .choices = message->view,
      .n_choices = message->n_choices,
      .has_usage = message->has_usage,
      .usage = usage,
  };
  return MILL_OK;
}
