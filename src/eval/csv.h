/* eval/csv.h – CSV (RFC 4180) as rows: the first record names the fields of the others.
 *
 * Fields may be quoted, and then hold commas, line ends and doubled quotes; records end with LF or CRLF; a BOM, blank
 * lines and a missing last line end are fine. Everything else is LB_EFORMAT naming file and line: a quote within a
 * field that is not quoted, text behind a closing quote, a quote that never closes, a record with more or fewer fields
 * than the header, a name that the header has twice, bytes that are not UTF-8, NUL. */
#ifndef LB_EVAL_CSV_H
#define LB_EVAL_CSV_H
#include "base/jsonl.h"

enum { LB_CSV_MAX_FIELD = 4096 }; /* fields of a record */

/* Calls fn with each record of text [n] as a JSON object of strings (a field without a name is left out), in order,
 * until it fails. fn takes over the row; `where` is "NAME:LINE", the line where the record begins. */
bool lb_csv_each(const char *text, size_t n, const char *name, lb_jsonl_fn fn, void *arg, lb_err *err);
#endif
