/* quant/method.c – the list of methods, chains of them, and their options. */
#include "quant/method.h"
#include "base/buf.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LB_METHOD(m) extern const lb_method lb_method_##m;
#include "quant/methods.def"
#undef LB_METHOD
#define LB_METHOD(m) &lb_method_##m,
const lb_method *const lb_methods[] = {
#include "quant/methods.def"
    NULL};

const lb_method *lb_method_find(const char *name, lb_err *err)
{
    lb_buf b = {0};
    for (int i = 0; lb_methods[i]; i++) {
        if (strcmp(lb_methods[i]->name, name) == 0) {
            lb_buf_free(&b);
            return lb_methods[i];
        }
        lb_buf_fmt(&b, "%s%s", i ? ", " : "", lb_methods[i]->name);
    }
    lb_fail(err, LB_EUSAGE, "method '%s' is not known; there are %s", name, lb_buf_cstr(&b));
    lb_buf_free(&b);
    return NULL;
}

bool lb_chain_parse(const char *text, lb_chain *out, lb_err *err)
{
    char copy[128];
    *out = (lb_chain){0};
    if (strlen(text) >= sizeof copy) return lb_fail(err, LB_EUSAGE, "method '%.40s…' is not known", text);
    memcpy(copy, text, strlen(text) + 1);
    for (char *at = copy, *next; at; at = next) {
        next = strchr(at, '+');
        if (next) *next++ = 0;
        const lb_method *m = lb_method_find(at, err);
        if (!m) return false;
        bool solves = m->solve || m->solve_block;
        if (out->solver)
            return lb_fail(err, LB_EUSAGE, "method '%s': nothing can follow %s, which gives the codes", text,
                           out->solver->name);
        if (solves) out->solver = m;
        else if (out->n_transform == LB_MAX_CHAIN)
            return lb_fail(err, LB_EUSAGE, "method '%s' chains more than %d transforms", text, LB_MAX_CHAIN);
        else out->transform[out->n_transform++] = m;
        out->needs |= m->needs;
    }
    if (!out->solver) out->solver = lb_method_find("rtn", err);
    return out->solver != NULL;
}

static const lb_method_option *find_option(const lb_method *m, const char *name, size_t n)
{
    for (const lb_method_option *o = m->options; o && o->name; o++)
        if (strlen(o->name) == n && strncmp(o->name, name, n) == 0) return o;
    return NULL;
}

static void list_options(lb_buf *b, const lb_method *m)
{
    for (const lb_method_option *o = m->options; o && o->name; o++)
        lb_buf_fmt(b, "%s%s.%s", lb_buf_cstr(b)[0] ? ", " : "", m->name, o->name);
}

bool lb_options_add(lb_options *o, const lb_chain *c, const char *text, lb_err *err)
{
    const char *eq = strchr(text, '=');
    char *end;
    if (!eq || eq == text || !eq[1])
        return lb_fail(err, LB_EUSAGE, "--opt '%s' is not NAME=VALUE, such as damp=0.02", text);
    const lb_method_option *found = find_option(c->solver, text, (size_t)(eq - text));
    for (int i = 0; !found && i < c->n_transform; i++)
        found = find_option(c->transform[i], text, (size_t)(eq - text));
    if (!found) {
        lb_buf b = {0};
        for (int i = 0; i < c->n_transform; i++) list_options(&b, c->transform[i]);
        list_options(&b, c->solver);
        const char *have = lb_buf_cstr(&b);
        lb_fail(err, LB_EUSAGE, "--opt '%s': no such option; %s%s", text, *have ? "there are " : "the method has none",
                have);
        lb_buf_free(&b);
        return false;
    }
    double v = strtod(eq + 1, &end);
    if (*end || !isfinite(v) || v < found->min || v > found->max)
        return lb_fail(err, LB_EUSAGE, "--opt '%s': wanted a number from %g to %g", text, found->min, found->max);
    if (o->n == LB_MAX_OPTIONS) return lb_fail(err, LB_EUSAGE, "more than %d --opt", LB_MAX_OPTIONS);
    o->name[o->n] = found->name;
    o->value[o->n++] = v;
    return true;
}

double lb_option(const lb_options *o, const lb_method *m, const char *name)
{
    for (int i = o ? o->n - 1 : -1; i >= 0; i--)
        if (strcmp(o->name[i], name) == 0) return o->value[i];
    const lb_method_option *found = find_option(m, name, strlen(name));
    return found ? found->def : NAN;
}
