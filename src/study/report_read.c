/* study/report_read.c – getters with a default for what is absent. */
#include "study/report_read.h"
#include <math.h>

bool lb_rep_number(const json_t *o, const char *key, double *out, const char *where, lb_err *err)
{
    *out = NAN;
    return lb_json_opt_real(o, key, -1e300, 1e300, out, where, err);
}

bool lb_rep_text(const json_t *o, const char *key, const char **out, const char *where, lb_err *err)
{
    *out = "";
    return lb_json_opt_str(o, key, out, where, err);
}

bool lb_rep_whole(const json_t *o, const char *key, int *out, const char *where, lb_err *err)
{
    int64_t v = 0;
    bool ok = lb_json_opt_int(o, key, 0, 1 << 30, &v, where, err);
    *out = (int)v;
    return ok;
}

bool lb_rep_object(const json_t *o, const char *key, const json_t **out, const char *where, lb_err *err)
{
    *out = json_object_get(o, key);
    return !*out || json_is_object(*out) ||
           lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted an object", where, key, lb_json_kind(*out));
}

const json_t *lb_rep_list(const json_t *o, const char *key, const char *where, lb_err *err)
{
    const json_t *a = json_object_get(o, key);
    if (json_is_array(a)) return a;
    return lb_fail_null(err, LB_EFORMAT, "%s: '%s' is %s, wanted an array", where, key, lb_json_kind(a));
}
