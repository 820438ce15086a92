/* cli/args.c – parsing of flags. */
#include "cli/args.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dash(char c) { return c == '_' ? '-' : c; }

static bool same(const char *a, const char *b, size_t n_b)
{
    size_t i = 0;
    for (; i < n_b && a[i]; i++)
        if (dash(a[i]) != dash(b[i])) return false;
    return i == n_b && !a[i];
}

/* Edit distance, for suggestions; names are short. */
static int distance(const char *a, const char *b, size_t n_b)
{
    int row[64];
    size_t n_a = strlen(a);
    if (n_a >= 64 || n_b >= 64) return 99;
    for (size_t i = 0; i <= n_a; i++) row[i] = (int)i;
    for (size_t j = 1; j <= n_b; j++) {
        int diag = row[0];
        row[0] = (int)j;
        for (size_t i = 1; i <= n_a; i++) {
            int next = diag + (dash(a[i - 1]) != dash(b[j - 1]));
            if (row[i] + 1 < next) next = row[i] + 1;
            if (row[i - 1] + 1 < next) next = row[i - 1] + 1;
            diag = row[i];
            row[i] = next;
        }
    }
    return row[n_a];
}

static bool unknown(const lb_arg *table, const char *name, size_t n, lb_err *err)
{
    const char *best = NULL;
    int least = n < 6 ? (int)n / 2 + 1 : 4; /* a suggestion shares at least half of a short name */
    for (const lb_arg *a = table; a->name; a++) {
        int d = distance(a->name, name, n);
        if (d < least) least = d, best = a->name;
    }
    if (best) return lb_fail(err, LB_EUSAGE, "unknown flag --%.*s; did you mean --%s?", (int)n, name, best);
    return lb_fail(err, LB_EUSAGE, "unknown flag --%.*s; --help lists them", (int)n, name);
}

static bool set(lb_arg *a, const char *v, const char *shown, lb_err *err)
{
    char *end;
    errno = 0;
    switch (a->type) {
    case LB_ARG_FLAG: *(bool *)a->dst = true; break;
    case LB_ARG_STR: *(const char **)a->dst = v; break;
    case LB_ARG_LIST: {
        lb_list *l = a->dst;
        if (l->n == LB_MAX_LIST) return lb_fail(err, LB_EUSAGE, "%s is given more than %d times", shown, LB_MAX_LIST);
        l->p[l->n++] = v;
        break;
    }
    case LB_ARG_INT: {
        long long i = strtoll(v, &end, 10);
        if (end == v || *end || errno) return lb_fail(err, LB_EUSAGE, "%s: '%s' is not a whole number", shown, v);
        if ((double)i < a->min || (double)i > a->max)
            return lb_fail(err, LB_EUSAGE, "%s is %lld, wanted %.0f to %.0f", shown, i, a->min, a->max);
        *(int64_t *)a->dst = i;
        break;
    }
    case LB_ARG_REAL: {
        double d = strtod(v, &end);
        if (end == v || *end || !isfinite(d)) return lb_fail(err, LB_EUSAGE, "%s: '%s' is not a number", shown, v);
        if (d < a->min || d > a->max)
            return lb_fail(err, LB_EUSAGE, "%s is %g, wanted %g to %g", shown, d, a->min, a->max);
        *(double *)a->dst = d;
        break;
    }
    }
    a->given = true;
    return true;
}

static bool from_environment(lb_arg *table, lb_err *err)
{
    for (lb_arg *a = table; a->name; a++) {
        char var[96] = "LOWBIT_";
        size_t n = strlen(var);
        for (const char *p = a->name; *p && n + 1 < sizeof var; p++)
            var[n++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
        var[n] = 0;
        const char *v = a->given ? NULL : getenv(var); /* the command line wins */
        if (!v || !*v || (a->type == LB_ARG_FLAG && strcmp(v, "0") == 0)) continue;
        if (a->type == LB_ARG_FLAG && strcmp(v, "1") != 0)
            return lb_fail(err, LB_EUSAGE, "%s is '%.40s', wanted 0 or 1", var, v);
        if (!set(a, v, var, err)) return false;
    }
    return true;
}

bool lb_args_parse(lb_arg *table, int argc, char **argv, const char **rest, int max_rest, int *n_rest, lb_err *err)
{
    *n_rest = 0;
    bool flags = true;
    for (int i = 1; i < argc; i++) {
        const char *w = argv[i];
        if (!flags || w[0] != '-' || (w[1] != '-' && !isalpha((unsigned char)w[1]))) { /* -5 is a number */
            if (*n_rest == max_rest) return lb_fail(err, LB_EUSAGE, "unexpected '%s'", w);
            rest[(*n_rest)++] = w;
            continue;
        }
        if (strcmp(w, "--") == 0) {
            flags = false;
            continue;
        }
        bool is_long = w[1] == '-';
        const char *name = w + 1 + is_long, *eq = is_long ? strchr(name, '=') : NULL;
        size_t n = eq ? (size_t)(eq - name) : is_long ? strlen(name) : 1;
        lb_arg *a = table;
        while (a->name && !(is_long ? same(a->name, name, n) : a->letter == name[0])) a++;
        if (!a->name)
            return is_long ? unknown(table, name, n, err)
                           : lb_fail(err, LB_EUSAGE, "unknown flag %.2s; --help lists them", w);
        const char *v = eq ? eq + 1 : !is_long && name[1] ? name + 1 : NULL;
        if (a->type == LB_ARG_FLAG) {
            if (v) return lb_fail(err, LB_EUSAGE, "--%s takes no value", a->name);
        } else if (!v) {
            if (i + 1 == argc) return lb_fail(err, LB_EUSAGE, "--%s wants %s", a->name, a->meta);
            v = argv[++i];
        }
        char shown[96];
        snprintf(shown, sizeof shown, "--%s", a->name);
        if (!set(a, v, shown, err)) return false;
    }
    return from_environment(table, err);
}

bool lb_args_given(const lb_arg *table, const char *name)
{
    for (const lb_arg *a = table; a->name; a++)
        if (strcmp(a->name, name) == 0) return a->given;
    return false;
}

void lb_args_help(const lb_arg *table)
{
    for (const lb_arg *a = table; a->name; a++) {
        char left[64], letter[8] = "    ";
        if (a->letter) snprintf(letter, sizeof letter, "-%c, ", a->letter);
        snprintf(left, sizeof left, "%s--%s %s", letter, a->name, a->meta ? a->meta : "");
        printf("  %-30s %s\n", left, a->help);
    }
}
