/* base/jsonl.h – JSON lines: one object a line, from a stranger.
 *
 * Blank lines, CRLF, a BOM and a missing last newline are fine; everything else that is not an object is LB_EFORMAT
 * naming file and line. */
#ifndef LB_BASE_JSONL_H
#define LB_BASE_JSONL_H
#include "base/json.h"

enum { LB_JSONL_MAX_ROWS = 1 << 20, LB_JSONL_MAX_LINE = 64 << 20, LB_JSONL_WHERE = 600 };

/* Takes over `row`, also when it fails. `where` ("NAME:LINE") is for messages. */
typedef bool (*lb_jsonl_fn)(void *arg, json_t *row, const char *where, lb_err *err);

/* Calls fn for each object of text [n], in order, stopping after `limit` of them (0: all) or at the first failure.
 * *n_row (optional) is how many there were. */
bool lb_jsonl_each(const char *text, size_t n, const char *name, int limit, lb_jsonl_fn fn, void *arg, int *n_row,
                   lb_err *err);

/* The lines alone, unparsed: fn gets each line of text that is not blank, without what ends it (and the BOM that begins
 * a file), and its number from 1. Stops at the first false. */
typedef bool (*lb_line_fn)(void *arg, const char *line, size_t n, size_t line_no, lb_err *err);
bool lb_jsonl_lines(const char *text, size_t n, lb_line_fn fn, void *arg, lb_err *err);

/* How much of text [n] is whole lines: the last one of a file that is being written, or of a killed writer, may be torn. */
size_t lb_jsonl_whole(const void *text, size_t n);

/* Copies the rows of file `from` in which every key of `where` has its value to file `to`: the first `limit` (0: all) of
 * them. LB_EFORMAT if there is none. */
bool lb_jsonl_select(const char *from, const json_t *where, int limit, const char *to, lb_err *err);
#endif
