/* base/json.h – reading JSON that a stranger wrote: Jansson with limits, and getters that name the key.
 *
 * Duplicate keys, bad UTF-8, trailing text and NaN are errors. Depth is limited to LB_JSON_DEPTH levels, checked before
 * parsing. Values are borrowed from the document. */
#ifndef LB_BASE_JSON_H
#define LB_BASE_JSON_H
#include "base/err.h"
#include <jansson.h>

enum { LB_JSON_DEPTH = 64 };
#define LB_JSON_MAX_BYTES ((size_t)256 << 20)

/* Parses text; `where` names it in messages. Integers above 2^63 become reals. NULL with LB_EFORMAT; release with
 * json_decref. */
json_t *lb_json_parse(const char *text, size_t n, const char *where, lb_err *err);
json_t *lb_json_load(const char *path, lb_err *err);      /* a file of at most LB_JSON_MAX_BYTES */

/* Getters: false with LB_EFORMAT "where: 'key' is …, wanted …" for a wrong type or range, and for a missing (or null)
 * key unless a default was given. */
bool lb_json_get_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *out, const char *where,
                     lb_err *err);
bool lb_json_get_real(const json_t *o, const char *key, double min, double max, double *out, const char *where,
                      lb_err *err);
bool lb_json_get_str(const json_t *o, const char *key, const char **out, const char *where, lb_err *err);
/* The same, leaving *out alone when the key is absent or null. */
bool lb_json_opt_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *out, const char *where,
                     lb_err *err);
bool lb_json_opt_real(const json_t *o, const char *key, double min, double max, double *out, const char *where,
                      lb_err *err);
bool lb_json_opt_bool(const json_t *o, const char *key, bool *out, const char *where, lb_err *err);
bool lb_json_opt_str(const json_t *o, const char *key, const char **out, const char *where, lb_err *err);
/* LB_EFORMAT for what is no object, or has a key that is not in the list (NULL ends it): the message has the list. */
bool lb_json_keys(const json_t *o, const char *const *keys, const char *where, lb_err *err);
/* "a string", "an object", …: for messages. */
const char *lb_json_kind(const json_t *v);
/* Writes the document atomically, indented, keys in insertion order, with a final newline. */
bool lb_json_save(const char *path, const json_t *v, lb_err *err);
#endif
