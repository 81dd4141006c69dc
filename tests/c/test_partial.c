/*
 * Growing JSON: every case is fed whole, in all splits and piece sizes, and must give the changes
 * beside it. As a line of them: where the value goes ("key=" or "#index="), what it is, "@" and its
 * offset; "+" and the text by which a string grows; "." for an end; "!" for a repair.
 */
#include "millstream/partial.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "support.h"

#define LOG_BYTES ((size_t)1 << 20)
#define FFFD "\xEF\xBF\xBD"
#define SMILE "\xF0\x9F\x98\x80" /* U+1F600 */
#define MAX_DEPTH 6

enum { LENIENT = 1, OBJECTS = 2, SHORT = 4 }; /* SHORT: at most 8 bytes */

struct partial_case {
  const char *name;
  mill_slice input;
  const char *changes;
  const char *error; /* NULL: none */
  uint64_t error_offset;
  unsigned mode;
};

#define GIVES(name, input, changes)                                                                \
  { (name), {BYTES(input)}, (changes), NULL, 0, 0 }
#define REFUSED(name, input, changes, error, offset)                                               \
  { (name), {BYTES(input)}, (changes), (error), (offset), 0 }
#define REPAIRED(name, input, changes)                                                             \
  { (name), {BYTES(input)}, (changes), NULL, 0, LENIENT }
#define NO_VALUE "no JSON value in the text"
#define IS_CUT "the JSON value is cut"

/* ---- the log ---------------------------------------------------------------------------------- */

struct log {
  struct mill__buf text;
  size_t depth;
  bool in_string, grows;

  size_t n_changes, stop_at; /* the callback fails at this change; 0: never */
};

static void add(struct log *log, const char *bytes, size_t len) {
  if (log->stop_at == 0)
    CHECK_INT(mill__buf_append(&log->text, bytes, len), MILL_OK);
}

static void add_text(struct log *log, const char *text) {
  add(log, text, strlen(text));
}

static void add_number(struct log *log, const char *before, uint64_t number, const char *after) {
  char text[64];
  snprintf(text, sizeof text, "%s%llu%s", before, (unsigned long long)number, after);
  add_text(log, text);
}

static void add_place(struct log *log, const mill_partial_change *change) {
  CHECK_INT(change->depth, log->depth);
  if (change->depth == 0)
    return;
  if (change->key.ptr == NULL) {
    add_number(log, "#", change->index, "=");
    return;
  }
  add(log, change->key.ptr, change->key.len);
  add_text(log, "=");
}

static void log_growth(struct log *log, const mill_partial_change *change) {
  CHECK(log->in_string && change->text.len > 0);
  CHECK_INT(mill__utf8_valid_prefix(change->text.ptr, change->text.len), change->text.len);
  if (!log->grows)
    add_text(log, "+");
  log->grows = true;
  add(log, change->text.ptr, change->text.len);
}

static void log_end(struct log *log, const mill_partial_change *change) {
  if (!log->in_string)
    log->depth--;
  log->in_string = false;
  CHECK_INT(change->depth, log->depth);
  add_text(log, ".");
}

static void log_value(struct log *log, const mill_partial_change *change) {
  static const char *const words[] = {"{", "[", "\"", "", "", "true", "false", "null"};
  CHECK(!log->in_string);
  add_place(log, change);
  add_text(log, words[change->kind]);
  if (change->kind == MILL_PARTIAL_NUMBER)
    add(log, change->text.ptr, change->text.len);
  log->in_string = change->kind == MILL_PARTIAL_STRING;
  log->depth += change->kind == MILL_PARTIAL_OBJECT || change->kind == MILL_PARTIAL_ARRAY;
}

static int on_change(void *ctx, const mill_partial_change *change) {
  struct log *log = ctx;
  log->n_changes++;
  if (log->stop_at != 0)
    return log->n_changes == log->stop_at ? MILL_E_CANCELLED : MILL_OK;
  if (change->kind == MILL_PARTIAL_TEXT) {
    log_growth(log, change);
    return MILL_OK;
  }
  add_text(log, log->grows ? " " : "");
  log->grows = false;
  if (change->kind == MILL_PARTIAL_END)
    log_end(log, change);
  else if (change->kind != MILL_PARTIAL_REPAIR)
    log_value(log, change);
  else {
    add_text(log, "!");
    add_text(log, mill_repair_name(change->repair));
  }
  add_number(log, "@", change->offset, " ");
  return MILL_OK;
}

static void log_clear(struct log *log) {
  mill__buf_clear(&log->text);
  log->depth = 0;
  log->in_string = log->grows = false;
  log->n_changes = 0;
}

/* ---- cases ------------------------------------------------------------------------------------ */

static const struct partial_case cases[] = {
    /* JSON */
    GIVES("an object", "{\"a\":1,\"b\":[true]}", "{@0 a=1@5 b=[@11 #0=true@12 .@17 .@18 "),
    GIVES("white space", " \r\n{ \"a\"\t: 1 }\n", "{@3 a=1@11 .@14 "),
    GIVES("nothing inside", "[[],\"\",{}]", "[@0 #0=[@1 .@3 #1=\"@4 .@6 #2={@7 .@9 .@10 "),
    GIVES("an object in an array waits for its first member", "[{\"a\":{\"b\":[{}]}}]",
          "[@0 #0={@1 a={@6 b=[@11 #0={@12 .@14 .@15 .@16 .@17 .@18 "),
    GIVES("numbers", "[0,-0,-1.5e+3,12E7,1e-1 ]",
          "[@0 #0=0@1 #1=-0@3 #2=-1.5e+3@6 #3=12E7@14 #4=1e-1@19 .@25 "),
    GIVES("numbers with a zero before the dot", "[0.5,0e1,1.5e3]",
          "[@0 #0=0.5@1 #1=0e1@5 #2=1.5e3@9 .@15 "),
    GIVES("literals", "[null,false]", "[@0 #0=null@1 #1=false@6 .@12 "),
    GIVES("a key again", "{\"a\":1,\"a\":2}", "{@0 a=1@5 a=2@11 .@13 "),
    GIVES("an empty key", "{\"\":\"\"}", "{@0 =\"@4 .@6 .@7 "),
    GIVES("an escaped key", "{\"\\u0061\\n\":1}", "{@0 a\n=1@12 .@14 "),
    GIVES("a string as root", "\"a b\"", "\"@0 +a b .@5 "),
    GIVES("a number as root", " 12\n", "12@1 "),
    GIVES("a literal as root", "null", "null@0 "),
    /* strings */
    GIVES("escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"@0 +\"\\/\b\f\n\r\t .@18 "),
    GIVES("\\u", "\"\\u0041\\u00e9\\u20AC\"", "\"@0 +A\xC3\xA9\xE2\x82\xAC .@20 "),
    GIVES("a pair", "\"\\ud83d\\ude00x\"", "\"@0 +" SMILE "x .@15 "),
    GIVES("lone halves", "\"\\ud83dA\\ude00\\ud83d\\ud83d\\ude00\\ud83d\\n\\ud83d\"",
          "\"@0 +" FFFD "A" FFFD FFFD SMILE FFFD "\n" FFFD " .@47 "),
    GIVES("a pair in a key", "{\"\\ud83d\\ude00\\ud83d\":1}", "{@0 " SMILE FFFD "=1@22 .@24 "),
    GIVES("characters cut anywhere", "\"\xC3\xA9\xE2\x82\xAC" SMILE "\"",
          "\"@0 +\xC3\xA9\xE2\x82\xAC" SMILE " .@11 "),
    GIVES("no UTF-8", "\"\xC3\x28\xFF\xED\xA0\xBD\xF0\x9F\x98\\n\xE2\x82\"",
          "\"@0 +" FFFD "(" FFFD FFFD FFFD FFFD FFFD "\n" FFFD " .@15 "),
    GIVES("half a pair before half a character", "\"\\ud83d\xE2\x82\"",
          "\"@0 +" FFFD FFFD " .@10 "),
    GIVES("delete is no control character", "\"\x7F\"", "\"@0 +\x7F .@3 "),
    /* text around */
    GIVES("prose", "Here it is:\n{\"a\":1}\nHope [it] {helps}.", "{@12 a=1@17 .@19 "),
    GIVES("prose in the line", "Sure (see [note] and {x, y}): {\"a\":1} done", "{@30 a=1@35 .@37 "),
    GIVES("a bracket, its line's last", "Result: [\n  {}]", "[@8 #0={@12 .@14 .@15 "),
    GIVES("every value that can follow a bracket", "a [{}]", "[@2 #0={@3 .@5 .@6 "),
    GIVES("a list of lists", "a [[]]", "[@2 #0=[@3 .@5 .@6 "),
    GIVES("a list of strings", "a [\"b\"]", "[@2 #0=\"@3 +b .@6 .@7 "),
    GIVES("an empty list in the line", "a []", "[@2 .@4 "),
    GIVES("an empty object in the line", "a {}", "{@2 .@4 "),
    GIVES("other letters in brackets", "a [\xC3\xA9] {'b'} [1]", "[@13 #0=1@14 .@16 "),
    GIVES("half a word before it", "nul [1]", "[@4 #0=1@5 .@7 "),
    GIVES("names before it", "$_a.b-2 Zz [1]", "[@11 #0=1@12 .@14 "),
    GIVES("a fence with other letters", "```\xC3\xA9\n[1]\n```", "[@6 #0=1@7 .@9 "),
    GIVES("a fence of four", "````json\n[1]\n````", "[@9 #0=1@10 .@12 "),
    GIVES("a number before a tag", "42</json>", "42@0 "),
    GIVES("a list in the line", "a [ -1]", "[@2 #0=-1@4 .@7 "),
    REFUSED("no brackets but text", "[abc", "[@0 ", "a word that is no literal of JSON", 1),
    GIVES("a fence", "Text:\n```json\n[1]\n```\nMore {text}.", "[@14 #0=1@15 .@17 "),
    GIVES("a fence of tildes", "~~~\n\"a\"\n~~~\n", "\"@4 +a .@7 "),
    GIVES("a fence with a number", "```json\n42\n```", "42@8 "),
    GIVES("a fence in one line", "```json {\"a\":1}```", "{@8 a=1@13 .@15 "),
    GIVES("a fence whose words have a bracket", "```{.json}\n[]\n```", "[@11 .@13 "),
    REFUSED("two backticks are no fence", "``json\n42\n``", "", NO_VALUE, 12),
    GIVES("a tag", "<json>[1]</json>", "[@6 #0=1@7 .@9 "),
    GIVES("a BOM", "\xEF\xBB\xBF{}", "{@3 .@5 "),
    GIVES("a BOM, a number",
          "\xEF\xBB\xBF"
          "7",
          "7@3 "),
    REFUSED("half a BOM", "\xEF\xBB{}", "", "the text around the value is no UTF-8", 2),
    GIVES("prose in other letters", "\xE7\xAD\x94\xEF\xBC\x9A[1]", "[@6 #0=1@7 .@9 "),
    REFUSED("prose that is no UTF-8", "\xE7\xAD\xE7\xAD[1]", "",
            "the text around the value is no UTF-8", 3),
    GIVES("words before it", "true enough: [1]", "[@13 #0=1@14 .@16 "),
    GIVES("a number before it", "2 lists: [1]", "[@9 #0=1@10 .@12 "),
    {"only objects", {BYTES("[1] {\"a\":1}")}, "{@4 a=1@9 .@11 ", NULL, 0, OBJECTS},
    {"only objects, and no string",
     {BYTES("\"{}\"")},
     "{@1 .@3 ",
     "a second value in the text",
     3,
     OBJECTS},
    GIVES("text behind", "[] and so on", "[@0 .@2 "),
    GIVES("a list behind in a later line", "{}\nSee [1].", "{@0 .@2 "),
    /* what is refused */
    REFUSED("nothing", "", "", NO_VALUE, 0),
    REFUSED("white space only", " \n", "", NO_VALUE, 2),
    REFUSED("prose only", "I cannot do that.", "", NO_VALUE, 17),
    REFUSED("a cut object", "{\"a\":1", "{@0 ", IS_CUT, 6),
    REFUSED("a cut string", "\"ab", "\"@0 +ab", IS_CUT, 3),
    REFUSED("a cut literal as root", "tru", "", NO_VALUE, 3),
    REFUSED("a cut number as root", "-", "", NO_VALUE, 1),
    REFUSED("a second value", "[1] [2]", "[@0 #0=1@1 .@3 ", "a second value in the text", 4),
    REFUSED("a second string", "{} \"x\"", "{@0 .@2 ", "a second value in the text", 3),
    REFUSED("a second value in a later line", "{}\nand\n {}", "{@0 .@2 ",
            "a second value in the text", 8),
    REFUSED("a second fence", "```\n{}\n```\n\n```\n{}\n```", "{@4 .@6 ",
            "a second value in the text", 16),
    REFUSED("glued", "[]x", "[@0 .@2 ", "text at the end of the value", 2),
    REFUSED("a comma behind", "[] ,", "[@0 .@2 ", "text at the end of the value", 3),
    REFUSED("a closer of another kind", "[}", "[@0 ", "a closing bracket where none can be", 1),
    REFUSED("a trailing comma", "[1,]", "[@0 #0=1@1 ", "a closing bracket where none can be", 3),
    REFUSED("two commas", "[1,,2]", "[@0 #0=1@1 ", "a comma where none can be", 3),
    REFUSED("a comma behind a key", "{\"a\",1}", "{@0 ", "a comma where none can be", 4),
    REFUSED("no comma", "[1 2]", "[@0 #0=1@1 ", "no comma and no closing bracket behind a value",
            3),
    REFUSED("no colon", "{\"a\" 1}", "{@0 ", "no colon behind a key", 5),
    REFUSED("no key", "{1:2}", "{@0 ", "no key in quotes where one must be", 1),
    REFUSED("no value", "[*]", "[@0 ", "no value where one must be", 1),
    REFUSED("other letters behind", "[]\xC3\xA9", "[@0 .@2 ", "text at the end of the value", 2),
    REFUSED("a sign before a dot", "[-.5]", "[@0 ", "a number that JSON does not have", 2),
    REFUSED("a sign before a word", "[-Infinity]", "[@0 ", "a number that is not whole", 2),
    REFUSED("a leading zero", "[01]", "[@0 ", "a number that JSON does not have", 2),
    REFUSED("a plus", "[1,+1]", "[@0 #0=1@1 ", "no value where one must be", 3),
    REFUSED("two signs", "[--1]", "[@0 ", "a number that JSON does not have", 2),
    REFUSED("a dot without digits", "[1.]", "[@0 ", "a number that is not whole", 3),
    REFUSED("a dot before an e", "[1.e1]", "[@0 ", "a number that JSON does not have", 3),
    REFUSED("two dots", "[1.0.0]", "[@0 ", "a number that JSON does not have", 4),
    REFUSED("an e without digits", "[1e+]", "[@0 ", "a number that is not whole", 4),
    REFUSED("another word", "[nule]", "[@0 ", "a word that is no literal of JSON", 4),
    REFUSED("a word with more behind", "[truex]", "[@0 ", "a word that is no literal of JSON", 5),
    REFUSED("half a word", "[nul]", "[@0 ", "a word that is no literal of JSON", 4),
    REFUSED("a control character", "\"a\nb\"", "\"@0 +a", "a control character in a string", 2),
    REFUSED("an escape", "\"\\x\"", "\"@0 ", "an escape that JSON does not have", 2),
    REFUSED("an escape without digits", "\"\\u00g0\"", "\"@0 ", "an escape that JSON does not have",
            5),
    REFUSED("a comment", "[/**/]", "[@0 ", "no value where one must be", 1),
    REFUSED("single quotes", "['a']", "[@0 ", "no value where one must be", 1),
    REFUSED("too deep", "[[[[[[[]]]]]]]", "[@0 #0=[@1 #0=[@2 #0=[@3 #0=[@4 #0=[@5 ",
            "containers are nested too deeply", 6),
    GIVES("deep enough", "[[[[[[]]]]]]",
          "[@0 #0=[@1 #0=[@2 #0=[@3 #0=[@4 #0=[@5 .@7 .@8 .@9 .@10 .@11 .@12 "),
    {"too long",
     {BYTES("[\"a\",\"b\"]")},
     "[@0 #0=\"@1 +a .@4 #1=\"@5 +b .@8 ",
     "the text is too long",
     8,
     SHORT},
    {"long enough", {BYTES("[1,2,30]")}, "[@0 #0=1@1 #1=2@3 #2=30@5 .@8 ", NULL, 0, SHORT},
    /* what is repaired */
    REPAIRED("trailing commas", "[1,{\"a\":2,},]",
             "[@0 #0=1@1 #1={@3 a=2@8 !trailing_comma@10 .@11 !trailing_comma@12 .@13 "),
    REPAIRED("extra commas", "[,1,,{,\"a\":2}]",
             "[@0 !extra_comma@1 #0=1@2 !extra_comma@4 !extra_comma@6 #1={@5 a=2@11 .@13 .@14 "),
    REPAIRED("no commas", "[1 \"a\" {\"a\":1 \"b\":2}]",
             "[@0 #0=1@1 !missing_comma@3 #1=\"@3 +a .@6 !missing_comma@7 #2={@7 a=1@12 "
             "!missing_comma@14 b=2@18 .@20 .@21 "),
    REPAIRED("no colon, repaired", "{\"a\" 1}", "{@0 !missing_colon@5 a=1@5 .@7 "),
    REPAIRED("no values", "{\"a\":,\"b\",\"c\":}",
             "{@0 !missing_value@5 !missing_value@9 !missing_value@14 .@15 "),
    REPAIRED("a key alone", "{\"a\"}", "{@0 !missing_value@4 .@5 "),
    REPAIRED("closers are missing inside", "{\"a\":[{\"b\":1}",
             "{@0 a=[@5 #0={@6 b=1@11 .@13 !missing_closer@13 .@13 !missing_closer@13 .@13 "),
    REPAIRED("a closer of an outer container", "[{\"a\":[1},2]",
             "[@0 #0={@1 a=[@6 #0=1@7 !missing_closer@8 .@8 .@9 #1=2@10 .@12 "),
    REPAIRED("a stray closer", "[1}]", "[@0 #0=1@1 !stray_closer@2 .@4 "),
    REPAIRED("comments", "{//a\n\"a\"/*b*/:#c\n1/***/}",
             "{@0 !comment@1 !comment@8 !comment@14 a=1@17 !comment@18 .@24 "),
    REPAIRED("a star in a comment", "[/*a*b**/1]", "[@0 !comment@1 #0=1@9 .@11 "),
    REPAIRED("words with dots and dashes", "{\"a\":x-y.z1}",
             "{@0 !bare_string@5 a=\"@5 +x-y.z1 .@11 .@12 "),
    REPAIRED("single quotes, repaired", "{'a':'\"\\'\"'}",
             "{@0 !single_quotes@1 !single_quotes@5 a=\"@5 +\" !escape@8 +'\" .@11 .@12 "),
    REPAIRED("quotes in a string", "[\"a \"b\" c\",\"\"d\"\" ]",
             "[@0 #0=\"@1 +a  !inner_quote@4 +\"b !inner_quote@6 +\" c .@10 #1=\"@11 "
             "!inner_quote@12 +\"d !inner_quote@14 +\" .@16 .@18 "),
    REPAIRED("a quote in a string, far from its word", "[\"a\" \t b\"\n]",
             "[@0 #0=\"@1 +a !inner_quote@3 +\" \t b .@9 .@11 "),
    REPAIRED("no quote in a string", "[\"a\" \"b\"\nc, \"d\"",
             "[@0 #0=\"@1 +a .@4 !missing_comma@5 #1=\"@5 +b .@8 !missing_comma@9 !bare_string@9 "
             "#2=\"@9 +c .@10 #3=\"@12 +d .@15 !missing_closer@15 .@15 "),
    REPAIRED("numbers as keys", "{1:2,a:3}", "{@0 !bare_key@1 1=2@3 !bare_key@5 a=3@7 .@9 "),
    REPAIRED("keys without quotes", "{a:1, b_2 :2}",
             "{@0 !bare_key@1 a=1@3 !bare_key@6 b_2=2@11 .@13 "),
    REPAIRED("literals of Python", "[True,False,None,NaN,-Infinity,undefined]",
             "[@0 !literal@1 #0=true@1 !literal@6 #1=false@6 !literal@12 #2=null@12 !literal@17 "
             "#3=NaN@17 "
             "!literal@21 #4=-Infinity@21 !literal@31 #5=null@31 .@41 "),
    REPAIRED("words", "{\"a\":positive,\"b\":truer}",
             "{@0 !bare_string@5 a=\"@5 +positive .@13 !bare_string@18 b=\"@18 +truer .@23 .@24 "),
    REPAIRED("numbers, repaired", "[+1,.5,5.,01,-.5e1,1.5]",
             "[@0 !number@1 #0=+1@1 !number@4 #1=.5@4 !number@7 #2=5.@7 !number@10 #3=01@10 "
             "!number@13 #4=-.5e1@13 #5=1.5@19 .@23 "),
    REPAIRED("numbers as they are", "[0,0.5,-0,1.e5,-.5]",
             "[@0 #0=0@1 #1=0.5@3 #2=-0@7 !number@10 #3=1.e5@10 !number@15 #4=-.5@15 .@19 "),
    REPAIRED("keys of one letter", "{$:1,_:2,'c':3}",
             "{@0 !bare_key@1 $=1@3 !bare_key@5 _=2@7 !single_quotes@9 c=3@13 .@15 "),
    REPAIRED("single quotes in the line", "a {'b':1}", "{@2 !single_quotes@3 b=1@7 .@9 "),
    REPAIRED("escapes, repaired", "\"\\q\\u12\\u'\\\xC3\xA9\"",
             "\"@0 !escape@2 +\\q !escape@7 +\\u12 !escape@9 +\\u' !escape@11 +\\\xC3\xA9 .@14 "),
    REPAIRED("control characters", "\"a\nb\"", "\"@0 +a !control@2 +\nb .@5 "),
    REPAIRED("text behind, repaired", "[]x{", "[@0 .@2 !trailing_text@2 "),
    REPAIRED("a second value, repaired", "[] {\"a\":1}\n[]",
             "[@0 .@2 !second_root@3 !second_root@11 "),
    REPAIRED("no UTF-8 around, repaired", "\xFF[1]\n\xFF\xFF\xFF\xFF\n\xC3",
             "!encoding@1 [@1 #0=1@2 .@4 !encoding@8 !encoding@11 "),
    REPAIRED("a cut string, repaired", "[\"a\\ud83d",
             "[@0 #0=\"@1 +a !missing_closer@9 +" FFFD " .@9 !missing_closer@9 .@9 "),
    REPAIRED("a cut escape, repaired", "\"a\\u00", "\"@0 +a !missing_closer@6 .@6 "),
    REPAIRED("a cut key, repaired", "{\"a", "{@0 !missing_value@3 !missing_closer@3 .@3 "),
    REPAIRED("a cut bare key, repaired", "{a",
             "{@0 !bare_key@1 !missing_value@2 !missing_closer@2 .@2 "),
    REPAIRED("a cut number, repaired", "[1,2", "[@0 #0=1@1 #1=2@3 !missing_closer@4 .@4 "),
    REPAIRED("half a number, left out", "[1e", "[@0 !missing_value@1 !missing_closer@3 .@3 "),
    REPAIRED("half a literal, left out", "[tru", "[@0 !missing_value@1 !missing_closer@4 .@4 "),
    REPAIRED("a cut member, repaired", "[{\"a\":",
             "[@0 !missing_value@6 !missing_closer@6 #0={@1 .@6 !missing_closer@6 .@6 "),
    REPAIRED("cut in a comment", "[1,/*",
             "[@0 #0=1@1 !comment@3 !trailing_comma@5 !missing_closer@5 .@5 "),
    {"nothing to repair", {BYTES("Nothing.")}, "", NO_VALUE, 8, LENIENT},
    {"beyond repair",
     {BYTES("[1;2]")},
     "[@0 #0=1@1 !missing_comma@2 ",
     "no value where one must be",
     2,
     LENIENT},
    {"no key, beyond repair",
     {BYTES("{;}")},
     "{@0 ",
     "no key in quotes where one must be",
     1,
     LENIENT},
    {"half a number, beyond repair",
     {BYTES("[-;]")},
     "[@0 ",
     "a number that is not whole",
     2,
     LENIENT},
    {"words beyond repair",
     {BYTES("{\"a\":b c}")},
     "{@0 !bare_string@5 a=\"@5 +b .@6 ",
     "no comma and no closing bracket behind a value",
     7,
     LENIENT},
    {"no comment", {BYTES("[/x")}, "[@0 !comment@1 ", "a slash that begins no comment", 2, LENIENT},
};

static mill_partial *make(const struct partial_case *c, struct log *log) {
  mill_partial_options options;
  mill_partial *partial;
  mill_partial_options_init(&options);
  options.max_depth = MAX_DEPTH;
  options.lenient = c->mode & LENIENT;
  if (c->mode & OBJECTS)
    options.roots = MILL_PARTIAL_ROOT_OBJECT;
  if (c->mode & SHORT)
    options.text_bytes = 8;
  CHECK_INT(mill_partial_new(&options, on_change, log, &partial), MILL_OK);
  return partial;
}

static int feed_run(mill_partial *partial, struct test_pieces *pieces) {
  int rc = MILL_OK;
  const char *piece;
  size_t len;
  while ((piece = test_next_piece(pieces, &len)) != NULL)
    rc = mill_partial_feed(partial, piece, len);
  return rc;
}

/* All errors but these two come with the byte that is wrong. */
static bool is_known_in_feed(const struct partial_case *c) {
  return c->error != NULL && strcmp(c->error, NO_VALUE) != 0 && strcmp(c->error, IS_CUT) != 0;
}

static void check_end(const struct partial_case *c, mill_partial *partial) {
  uint64_t offset = 0;
  const bool limit = c->error && (strstr(c->error, "too ") != NULL);
  const int expected = c->error == NULL ? MILL_OK : limit ? MILL_E_LIMIT : MILL_E_PROTOCOL;
  CHECK_INT(mill_partial_finish(partial), expected);
  CHECK_INT(mill_partial_finish(partial), expected);
  CHECK_INT(mill_partial_feed(partial, "1", 1), expected == MILL_OK ? MILL_E_ARG : expected);
  CHECK_STR(mill_partial_error(partial, &offset), c->error);
  CHECK_INT(offset, c->error_offset);
  if (c->error == NULL)
    CHECK(mill_partial_done(partial));
}

static void run_case(const struct partial_case *c, struct log *log) {
  mill_partial *partial = make(c, log);
  struct test_pieces pieces = {.bytes = c->input.ptr, .len = c->input.len};
  while (test_next_run(&pieces)) {
    test_case("%s, %s", c->name, test_run_name(&pieces));
    mill_partial_reset(partial);
    log_clear(log);
    int rc = feed_run(partial, &pieces);
    CHECK((rc != MILL_OK) == is_known_in_feed(c));
    check_end(c, partial);
    CHECK_BYTES(log->text.ptr, log->text.len, c->changes, strlen(c->changes));
  }
  mill_partial_free(partial);
}

/* ---- more than a case can say ----------------------------------------------------------------- */

/* Numbers, literals and the root as they become known. */
static void test_when(struct log *log) {
  static const struct partial_case plain = {.name = "when"};
  static const struct {
    const char *piece, *changes;
  } steps[] = {
      {"[1", "[@0 "}, {"2", ""},   {",", "#0=12@1 "}, {"true", ""},     {" ", "#1=true@4 "},
      {",{", ""},     {"\"a", ""}, {"\"", ""},        {":", ""},        {"\"", "#2={@10 a=\"@15 "},
      {"x\\", "+x"},  {"u00", ""}, {"41", "A"},       {"\"", " .@24 "}, {"}", ".@25 "},
      {"]", ".@26 "},
  };
  mill_partial *partial = make(&plain, log);
  log_clear(log);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    test_case("when, step %zu", i);
    CHECK(!mill_partial_done(partial));
    mill__buf_clear(&log->text);
    CHECK_INT(mill_partial_feed(partial, steps[i].piece, strlen(steps[i].piece)), MILL_OK);
    CHECK_BYTES(log->text.ptr, log->text.len, steps[i].changes, strlen(steps[i].changes));
  }
  CHECK(mill_partial_done(partial));
  mill_partial_free(partial);
}

/* The limits of a key and of a number, and what stands at them. */
static void test_long_tokens(struct log *log, const char *before, const char *after, size_t limit) {
  static const struct partial_case plain = {.name = "long"};
  mill_partial *partial = make(&plain, log);
  for (size_t over = 0; over < 2; over++) {
    test_case("%s of %zu bytes", before, limit + over);
    mill_partial_reset(partial);
    log_clear(log);
    CHECK_INT(mill_partial_feed(partial, before, strlen(before)), MILL_OK);
    int rc = MILL_OK;
    for (size_t i = 0; i < limit + over; i++)
      rc = mill_partial_feed(partial, "1", 1);
    CHECK_INT(rc, over ? MILL_E_LIMIT : MILL_OK);
    CHECK_INT(mill_partial_feed(partial, after, strlen(after)), rc);
  }
  mill_partial_free(partial);
}

/* What the callback returns stops the parser for good, at any change. */
static void test_stopped(struct log *log) {
  static const struct partial_case plain = {.name = "stopped", .mode = LENIENT};
  static const char text[] = "{a:[{\"b\":\"c\"},1,null],}";
  const size_t n_changes = 13;
  mill_partial *partial = make(&plain, log);
  for (size_t stop_at = 1; stop_at <= n_changes + 1; stop_at++) {
    test_case("stopped at change %zu", stop_at);
    const int expected = stop_at <= n_changes ? MILL_E_CANCELLED : MILL_OK;
    mill_partial_reset(partial);
    log_clear(log);
    log->stop_at = stop_at;
    CHECK_INT(mill_partial_feed(partial, text, sizeof text - 1), expected);
    CHECK_INT(mill_partial_finish(partial), expected);
    CHECK_INT(log->n_changes, stop_at <= n_changes ? stop_at : n_changes);
  }
  log->stop_at = 0;
  mill_partial_free(partial);
}

/* After the first of its kind nothing is allocated any more. */
static void test_steady(struct log *log) {
  static const struct partial_case plain = {.name = "steady"};
  static const char element[] = "{\"key\":[\"\\ud83d\\ude00\\n\xE2\x82\xAC\",12.5,true]},";
  mill_partial *partial = make(&plain, log);
  test_case("steady");
  log_clear(log);
  CHECK_INT(mill_partial_feed(partial, "[", 1), MILL_OK);
  for (size_t i = 0; i < 100; i++) {
    log->stop_at = SIZE_MAX; /* the log would allocate */
    for (size_t at = 0; at < sizeof element - 1; at++)
      CHECK_INT(mill_partial_feed(partial, element + at, 1), MILL_OK);
    test_alloc_fail(1, true);
  }
  CHECK(!test_alloc_failed());
  test_alloc_fail(0, false);
  log->stop_at = 0;
  mill_partial_free(partial);
}

static void run_without_memory(void *ctx) {
  static const char text[] = "\xC3\xA9: [[[[[[{\"k\":\"\\ud83d\\n\xE2\",\"l\":1}]]]]]]";
  struct log *log = ctx;
  mill_partial_options options;
  mill_partial *partial = NULL;
  mill_partial_options_init(&options);
  log_clear(log);
  log->stop_at = SIZE_MAX;
  int rc = mill_partial_new(&options, on_change, log, &partial);
  for (size_t i = 0; i < sizeof text - 1 && rc == MILL_OK; i++)
    rc = mill_partial_feed(partial, text + i, 1);
  CHECK_INT(rc, test_alloc_failed() ? MILL_E_NOMEM : MILL_OK);
  mill_partial_free(partial);
  log->stop_at = 0;
}

/* Deeper than the first levels that are allocated. */
static void test_deep(struct log *log) {
  mill_partial_options options;
  mill_partial *partial;
  mill_partial_options_init(&options);
  options.max_depth = 1000;
  log_clear(log);
  test_case("deep");
  CHECK_INT(mill_partial_new(&options, on_change, log, &partial), MILL_OK);
  for (size_t i = 0; i < options.max_depth; i++)
    CHECK_INT(mill_partial_feed(partial, "[", 1), MILL_OK);
  CHECK_INT(log->depth, options.max_depth);
  CHECK_INT(mill_partial_feed(partial, "[", 1), MILL_E_LIMIT);
  mill_partial_free(partial);
}

static void test_arguments(void) {
  mill_partial_options options;
  mill_partial *partial = NULL;
  test_case("arguments");
  for (int i = 0; i < 4; i++) {
    mill_partial_options_init(&options);
    if (i == 0)
      options.roots = 0;
    else if (i == 1)
      options.roots = 8;
    else if (i == 2)
      options.max_depth = 0;
    else
      options.text_bytes = 0;
    CHECK_INT(mill_partial_new(&options, on_change, NULL, &partial), MILL_E_ARG);
    CHECK(partial == NULL);
  }
  CHECK(mill_repair_name(MILL_REPAIR_COUNT) == NULL);
  mill_partial_free(NULL);
}

int main(void) {
  struct log log = {0};
  test_alloc_install();
  mill__buf_init(&log.text, LOG_BYTES);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    run_case(&cases[i], &log);
  test_when(&log);
  test_long_tokens(&log, "{\"", "\"", MILL_PARTIAL_KEY_BYTES);
  test_long_tokens(&log, "[", ",", MILL_PARTIAL_TOKEN_BYTES);
  test_stopped(&log);
  test_steady(&log);
  test_deep(&log);
  test_arguments();
  test_each_failing_allocation(run_without_memory, &log);
  mill__buf_fini(&log.text);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
