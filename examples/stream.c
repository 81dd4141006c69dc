/*
 * Streams a chat answer to standard output:
 *
 *   stream http://localhost:8080/v1 MODEL "What is a mill?"
 *
 * Any server that speaks OpenAI's chat format will do. The key, where one is needed, is taken from
 * OPENAI_API_KEY. Built by meson; against an installed library:
 *
 *   cc stream.c $(pkg-config --cflags --libs millstream) -o stream
 */
#include <millstream/millstream.h>
#include <stdio.h>
#include <stdlib.h>

/* Write `text` as a JSON string. */
static void put_json_string(FILE *out, const char *text) {
  fputc('"', out);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      fprintf(out, "\\%c", *text);
    else if ((unsigned char)*text < 0x20)
      fprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
    else
      fputc(*text, out);
  }
  fputc('"', out);
}

static char *make_body(const char *model, const char *prompt, size_t *ret_len) {
  char *body = NULL;
  FILE *out = open_memstream(&body, ret_len);
  if (!out)
    return NULL;
  fputs("{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"model\":", out);
  put_json_string(out, model);
  fputs(",\"messages\":[{\"role\":\"user\",\"content\":", out);
  put_json_string(out, prompt);
  fputs("}]}", out);
  fclose(out);
  return body;
}

/* Print chunks until the stream ends; the error that ended it, or MILL_END. */
static int print_answer(mill_stream *stream) {
  for (;;) {
    mill_chunk chunk;
    int result = mill_stream_next(stream, &chunk);
    if (result == MILL_AGAIN) {
      fflush(stdout);
      mill_stream_wait(stream, -1);
    } else if (result != MILL_OK) {
      return result;
    } else if (chunk.type == MILL_CHUNK_TEXT) {
      fwrite(chunk.text.ptr, 1, chunk.text.len, stdout);
    }
  }
}

static void print_facts(mill_stream *stream) {
  mill_timing timing;
  mill_message message;
  mill_stream_timing(stream, &timing);
  printf("\n-- %llu chunks, the first after %.1f ms", (unsigned long long)timing.chunks,
         (double)timing.first_chunk_ns / 1e6);
  if (mill_stream_message(stream, &message) == MILL_OK && message.has_usage)
    printf(", %lld tokens", (long long)message.usage.output_tokens);
  putchar('\n');
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s BASE_URL MODEL PROMPT\n", argv[0]);
    return 2;
  }
  char url[1024], authorization[1024];
  const char *key = getenv("OPENAI_API_KEY");
  snprintf(url, sizeof url, "%s/chat/completions", argv[1]);
  snprintf(authorization, sizeof authorization, "Bearer %s", key ? key : "");
  mill_header header = {"Authorization", authorization};

  mill_request request;
  mill_request_init(&request);
  request.url = url;
  request.headers = key ? &header : NULL;
  request.n_headers = key ? 1 : 0;
  char *body = make_body(argv[2], argv[3], &request.body_len);
  request.body = body;

  int status = EXIT_FAILURE;
  const char *why = "";
  mill_engine *engine = NULL;
  mill_stream *stream = NULL;
  int result = body ? mill_engine_new(&engine) : MILL_E_NOMEM;
  if (!result)
    result = mill_stream_start(engine, &request, &stream, &why);
  if (result) {
    fprintf(stderr, "%s %s\n", mill_error_text(result), why);
  } else if (print_answer(stream) == MILL_END) {
    print_facts(stream);
    status = EXIT_SUCCESS;
  } else {
    fprintf(stderr, "\n%s\n", mill_stream_error(stream)->text);
  }
  mill_stream_free(stream);
  mill_engine_free(engine);
  free(body);
  return status;
}
