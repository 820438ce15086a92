/* quant/plan.c – rules, modules, and where their weights lie. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "quant/plan.h"
#include "base/mem.h"
#include "model/config.h"
#include "model/model.h"
#include "store/ct_config.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

typedef struct maker {
    lb_plan *x;
    const lb_quantize_opt *o;
} maker;

static bool compile_rules(lb_plan *x, const lb_quantize_opt *o, lb_err *err)
{
    x->rules = lb_alloc((size_t)o->n_rule, sizeof *x->rules, "the rules", err);
    if (!x->rules) return false;
    x->n_rule = o->n_rule;
    for (int i = 0; i < o->n_rule; i++) {
        int code;
        PCRE2_SIZE at;
        const char *text = o->rules[i].pattern;
        x->rules[i] = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
        if (x->rules[i]) continue;
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        return lb_fail(err, LB_EUSAGE, "--tensor '%s' is not a regular expression: %s at %zu", text, (char *)why,
                       (size_t)at);
    }
    return true;
}

/* *out: the scheme of the first rule that matches, or NULL. */
static bool rule_for(const maker *m, const char *name, const lb_scheme **out, lb_err *err)
{
    *out = NULL;
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    if (!md) return lb_fail_mem(err, 0, "the rules");
    bool ok = true;
    for (int i = 0; ok && !*out && i < m->o->n_rule; i++) {
        int rc = pcre2_match(m->x->rules[i], (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0, md, NULL);
        if (rc >= 0) *out = &m->o->rules[i].scheme;
        else if (rc != PCRE2_ERROR_NOMATCH)
            ok = lb_fail(err, LB_EUSAGE, "--tensor '%s' takes too many steps on '%s'", m->o->rules[i].pattern, name);
    }
    pcre2_match_data_free(md);
    return ok;
}

lb_ct_scheme lb_plan_ct(const lb_scheme *s, int k)
{
    static const lb_ct_format formats[] = {
        [LB_W_INT] = LB_CT_INT, [LB_W_MXFP4] = LB_CT_MXFP4, [LB_W_NVFP4] = LB_CT_NVFP4};
    lb_ct_scheme ct = {.bits = s->w_bits, .group = s->group > 0 ? s->group : 0, .symmetric = s->sym,
                       .format = s->half ? LB_CT_HALF : formats[s->format]};
    if (s->half && ct.group == 0) ct.group = k;
    return ct;
}

static bool add_module(lb_plan *x, const char *name, int layer, int n, int k, const lb_scheme *s, lb_err *err)
{
    if (s->w_bits < 16 && s->format != LB_W_INT && k % s->group != 0)
        return lb_fail(err, LB_EUSAGE, "%s: rows of %d columns are no multiple of the block of %d that the format has",
                       name, k, s->group);
    if (s->w_bits < 16 && s->group > k)
        return lb_fail(
            err, LB_EUSAGE,
            "%s: group %d is longer than the row of %d columns; choose a smaller group, or g-1 for the whole row", name,
            s->group, k);
    if (!lb_grow(&x->p, &x->cap, x->n + 1, sizeof *x->p, "the plan", err)) return false;
    lb_plan_module *m = &x->p[x->n];
    *m = (lb_plan_module){.name = strdup(name), .layer = layer, .n = n, .k = k, .scheme = *s};
    if (!m->name) return lb_fail_mem(err, strlen(name), "the plan");
    m->ct = lb_plan_ct(s, k);
    x->n++;
    x->n_quantized += s->w_bits < 16;
    return true;
}

static bool add_linear(void *arg, const char *name, int layer, int n, int k, lb_err *err)
{
    const maker *m = arg;
    const lb_scheme *s;
    return rule_for(m, name, &s, err) && add_module(m->x, name, layer, n, k, s ? s : &m->o->scheme, err);
}

bool lb_plan_make(lb_plan *x, const lb_config *c, const lb_quantize_opt *o, bool nothing_is_fine, lb_err *err)
{
    *x = (lb_plan){0};
    maker m = {x, o};
    if (!compile_rules(x, o, err) || !lb_config_linears(c, add_linear, &m, err)) return false;
    const char *head = c->arch->names->lm_head;
    const lb_scheme *s, none = {.w_bits = 16, .a_bits = 16, .kv_bits = 16};
    if (!rule_for(&m, head, &s, err) || !add_module(x, head, -1, c->n_vocab, c->d_model, s ? s : &none, err))
        return false;
    if (x->n_quantized == 0 && !nothing_is_fine)
        return lb_fail(err, LB_EUSAGE, "the scheme leaves every layer at 16 bits: there is nothing to quantize");
    return true;
}

void lb_plan_free(lb_plan *x)
{
    for (size_t i = 0; i < x->n; i++) free(x->p[i].name);
    for (int i = 0; x->rules && i < x->n_rule; i++) pcre2_code_free(x->rules[i]);
    free(x->rules);
    free(x->p);
    *x = (lb_plan){0};
}

lb_plan_module *lb_plan_module_of(lb_plan *x, const char *name)
{
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->p[i].name, name) == 0) return &x->p[i];
    return NULL;
}

/* Where a module's weight lies in the input; a tied head is the embedding. */
static bool find_source(lb_plan_module *m, const lb_store *s, const lb_config *c, lb_err *err)
{
    char name[600];
    snprintf(name, sizeof name, "%s.weight", m->name);
    m->src = lb_store_find(s, name);
    if (!m->src && c->tied && strcmp(m->name, c->arch->names->lm_head) == 0) {
        snprintf(name, sizeof name, "%s.weight", c->arch->names->embed);
        m->src = lb_store_find(s, name);
    }
    if (!m->src) return lb_store_need(s, name, err) != NULL;
    int64_t want[2] = {m->n, m->k};
    if (!lb_tensor_check_shape(m->src, want, 2, "config.json", err)) return false;
    if (m->src->dtype != LB_BF16 && m->src->dtype != LB_F16 && m->src->dtype != LB_F32)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: tensor '%s' is %s, wanted BF16, F16 or F32", m->src->file, name,
                       lb_dtype_name(m->src->dtype));
    return lb_tensor_need_finite(m->src, err);
}

bool lb_plan_find(lb_plan *x, const lb_store *s, const lb_config *c, bool all, lb_err *err)
{
    for (size_t i = 0; i < x->n; i++) {
        lb_plan_module *m = &x->p[i];
        if ((all || m->scheme.w_bits < 16) && !find_source(m, s, c, err)) return false;
    }
    return true;
}

json_t *lb_plan_ct_json(const lb_plan *x, const lb_config *c, lb_err *err)
{
    lb_ct_module *list = lb_alloc(x->n, sizeof *list, "the config", err);
    const char **ignore = lb_alloc(x->n + (size_t)c->n_layer, sizeof *ignore, "the config", err);
    char *routers = lb_alloc((size_t)c->n_layer, 512, "the config", err);
    size_t n = 0, n_ignore = 0;
    for (size_t i = 0; list && ignore && i < x->n; i++) {
        if (x->p[i].scheme.w_bits == 16) ignore[n_ignore++] = x->p[i].name;
        else list[n++] = (lb_ct_module){.name = x->p[i].name, .scheme = x->p[i].ct};
    }
    for (int i = 0; ignore && routers && i < c->n_layer; i++) {
        if (!lb_config_is_moe_layer(c, i)) continue;
        snprintf(routers + 512 * i, 512, "%s.%d.%s", c->arch->names->layers, i, c->arch->names->router);
        ignore[n_ignore++] = routers + 512 * i;
    }
    json_t *qc = list && ignore && routers ? lb_ct_config_build(list, n, ignore, n_ignore, err) : NULL;
    free(routers);
    free(ignore);
    free(list);
    return qc;
}
