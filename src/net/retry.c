/* Whether and when to try again; see retry.h. */
#include "net/retry.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What the list of errors says; it leaves the rest to the details. */
static bool code_is_retriable(int code) {
  switch (code) {
#define MILL_ERROR_RETRIABLE(number, name, class_, retriable, text)                                \
  case number:                                                                                     \
    return retriable;
    MILL_ERRORS(MILL_ERROR_RETRIABLE)
#undef MILL_ERROR_RETRIABLE
  default:
    return false;
  }
}

static bool error_is_retriable(const mill_error *error) {
  if (error->permanent)
    return false;
  if (error->code == MILL_E_TIMEOUT && error->phase != MILL_PHASE_CONNECT)
    return false;
  if (error->code == MILL_E_STATUS || error->code == MILL_E_PROVIDER)
    return mill__retry_status(error->status);
  return code_is_retriable(error->code);
}

bool mill__retry_status(int status) {
  return status == 408 || status == 409 || status == 429 || (status >= 500 && status <= 599);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_from_civil(int64_t year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

static int month_number(const char *name) {
  static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const char *found = strlen(name) == 3 ? strstr(names, name) : NULL;
  return found && (found - names) % 3 == 0 ? (int)(found - names) / 3 + 1 : 0;
}

/* The three forms of an HTTP date, RFC 9110 section 5.6.7; seconds since the epoch or -1. */
static int64_t parse_http_date(const char *text) {
  char month[4];
  int day, year, hour, minute, second;
  int end = 0; /* set where a form matches to its end */
  sscanf(text, "%*3[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n", &day, month, &year, &hour, &minute,
         &second, &end);
  if (!end)
    sscanf(text, "%*3[A-Za-z] %3s %2d %2d:%2d:%2d %4d%n", month, &day, &hour, &minute, &second,
           &year, &end);
  if (!end) {
    sscanf(text, "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &day, month, &year, &hour,
           &minute, &second, &end);
    if (end)
      year += year < 70 ? 2000 : 1900;
  }
  if (!end || text[end])
    return -1;
  int month_of_year = month_number(month);
  if (!month_of_year || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 ||
      hour < 0 || minute < 0 || second < 0)
    return -1;
  return days_from_civil(year, month_of_year, day) * 86400 + hour * 3600 + minute * 60 + second;
}

/* A decimal number, in thousandths; -1 where it is none. */
static int64_t parse_thousandths(const char *text) {
  int64_t value = 0, scale = 1000;
  if (!isdigit((unsigned char)*text))
    return -1;
  for (; isdigit((unsigned char)*text); text++)
    if (value < INT64_C(1) << 40) /* far above every cap, and no overflow below */
      value = value * 10 + (*text - '0');
  value *= 1000;
  if (*text == '.')
    for (text++; isdigit((unsigned char)*text); text++)
      value += (*text - '0') * (scale /= 10);
  return *text ? -1 : value;
}

/* A header value as a string without white space around it; false where it is none of ours. */
static bool header_text(mill_slice value, char *ret_text, size_t size) {
  while (value.len && (*value.ptr == ' ' || *value.ptr == '\t'))
    value.ptr++, value.len--;
  while (value.len && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
    value.len--;
  if (!value.len || value.len >= size || memchr(value.ptr, 0, value.len))
    return false;
  memcpy(ret_text, value.ptr, value.len);
  ret_text[value.len] = '\0';
  return true;
}

static int64_t clamp_ms(int64_t ms) {
  return ms < 0 ? 0 : ms > MILL__RETRY_AFTER_CAP_MS ? MILL__RETRY_AFTER_CAP_MS : ms;
}

int64_t mill__retry_after_ms(mill_slice value, int64_t now) {
  char text[64];
  if (!header_text(value, text, sizeof text))
    return -1;
  int64_t ms = parse_thousandths(text);
  if (ms >= 0)
    return clamp_ms(ms);
  int64_t date = parse_http_date(text);
  return date < 0 ? -1 : clamp_ms((date - now) * 1000);
}

int64_t mill__retry_after_ms_field(mill_slice value) {
  char text[64];
  if (!header_text(value, text, sizeof text))
    return -1;
  int64_t thousandths = parse_thousandths(text);
  return thousandths < 0 ? -1 : clamp_ms(thousandths / 1000);
}

int64_t mill__retry_delay_ms(unsigned attempt, unsigned max_retries, const mill_error *error,
                             int64_t left_ms, uint64_t random) {
  if (attempt >= max_retries || !error_is_retriable(error))
    return -1;
  int64_t delay = error->retry_after_ms;
  if (delay > MILL__RETRY_AFTER_MAX_MS)
    return -1;
  if (delay < 0) {
    int64_t ceiling = MILL__RETRY_MAX_MS;
    if (attempt < 4)
      ceiling = (int64_t)MILL__RETRY_BASE_MS << attempt;
    delay = (int64_t)(random % (uint64_t)(ceiling + 1));
  }
  return left_ms >= 0 && delay >= left_ms ? -1 : delay;
}

/* ---- event sources: reconnecting ------------------------------------------------------------- */

bool mill__reconnect_helps(const mill_error *error, bool opened) {
  if (error->permanent)
    return false;
  switch (error->code) {
  case MILL_OK:
  case MILL_E_INTERRUPTED:
  case MILL_E_CONNECT:
    return true;
  case MILL_E_TIMEOUT:
    return error->phase != MILL_PHASE_TOTAL;
  case MILL_E_STATUS:
    return error->status == 408 || error->status == 429 ||
           (error->status >= 500 && error->status <= 599);
  case MILL_E_PROTOCOL: /* damage on the way; before the stream, the server speaks another */
    return opened;
  default:
    return false;
  }
}

static int64_t within(int64_t ms, int64_t least, int64_t most) {
  return ms < least ? least : ms > most ? most : ms;
}

/* What `ms` has become, without a bound that is lower than itself. */
static int64_t grown(int64_t ms, int64_t max_ms, unsigned attempts) {
  for (; attempts && ms < max_ms; attempts--)
    ms = ms ? ms * 2 : MILL__RECONNECT_BASE_MS;
  return ms;
}

int64_t mill__reconnect_delay_ms(const struct mill__reconnect *reconnect, uint64_t random) {
  int64_t max_ms = within(reconnect->max_ms, 0, MILL__RECONNECT_MAX_MS);
  int64_t least = within(reconnect->asked_ms, 0, MILL__RECONNECT_MAX_MS);
  int64_t initial = reconnect->asked_ms >= 0 ? least : reconnect->initial_ms;
  int64_t most = grown(within(initial, 0, max_ms), max_ms, reconnect->attempts);
  most = within(within(most, 0, max_ms), least, MILL__RECONNECT_MAX_MS);
  int64_t delay = least + (int64_t)(random % (uint64_t)(most - least + 1));
  return within(delay, reconnect->retry_after_ms, MILL__RECONNECT_MAX_MS);
}
