/* What a redirect makes of a request; see redirect.h. */
#include "net/redirect.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"

/* The URL may name a user and a password. */
static void free_address(struct mill__redirect *redirect) {
  mill__free_secret(redirect->url, redirect->url ? strlen(redirect->url) : 0);
  mill__free(redirect->lookup_key);
}

void mill__redirect_fini(struct mill__redirect *redirect) {
  free_address(redirect);
  *redirect = (struct mill__redirect){.url = NULL};
}

bool mill__redirect_is(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool becomes_get(const char *method, int status) {
  if (status == 303)
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
  return (status == 301 || status == 302) && !strcmp(method, "POST");
}

void mill__redirect_to(struct mill__redirect *redirect, const char *method, int status, char *url,
                       char *lookup_key, bool same_origin) {
  free_address(redirect);
  redirect->url = url;
  redirect->lookup_key = lookup_key;
  redirect->count++;
  redirect->as_get = redirect->as_get || becomes_get(method, status);
  redirect->foreign = redirect->foreign || !same_origin;
}

static bool is_one_of(const char *name, const char *const *names) {
  for (; *names; names++)
    if (!strcasecmp(name, *names))
      return true;
  return false;
}

/* Names of keys differ between servers ("X-Api-Key", "api-key", "X-Auth-Token"): words tell. */
static bool is_credential(const char *name) {
  static const char *const words[] = {"auth",     "cookie", "credential", "key",
                                      "password", "secret", "signature",  "token"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcasestr(name, words[i]))
      return true;
  return false;
}

bool mill__redirect_keeps(const struct mill__redirect *redirect, const char *name) {
  static const char *const of_body[] = {"Content-Encoding",
                                        "Content-Language",
                                        "Content-Location",
                                        "Content-Type",
                                        "Content-Length",
                                        "Transfer-Encoding",
                                        NULL};
  if (redirect->as_get && is_one_of(name, of_body))
    return false;
  return !redirect->foreign || (strcasecmp(name, "Host") != 0 && !is_credential(name));
}
