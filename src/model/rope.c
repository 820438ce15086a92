/* model/rope.c – rope types: parsing and frequencies. */
#include "model/rope.h"
#include <math.h>
#include <string.h>

static const double TWO_PI = 6.283185307179586;

/* 0.1·m·ln(factor) + 1: yarn's temperature correction (arXiv 2309.00071, eq. 22). */
static double yarn_scale(double factor, double m)
{
    return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

static bool parse_yarn(lb_rope_spec *r, const json_t *o, const char *where, lb_err *err)
{
    double mscale = 0, mscale_all = 0, given = 0;
    r->beta_fast = 32, r->beta_slow = 1, r->truncate = true;
    if (!lb_json_opt_real(o, "beta_fast", 1e-3, 1e6, &r->beta_fast, where, err) ||
        !lb_json_opt_real(o, "beta_slow", 1e-3, 1e6, &r->beta_slow, where, err) ||
        !lb_json_opt_real(o, "mscale", 0, 100, &mscale, where, err) ||
        !lb_json_opt_real(o, "mscale_all_dim", 0, 100, &mscale_all, where, err) ||
        !lb_json_opt_real(o, "attention_factor", 1e-3, 1e3, &given, where, err) ||
        !lb_json_opt_bool(o, "truncate", &r->truncate, where, err))
        return false;
    if (given > 0) r->attention_factor = given;
    else if (mscale > 0 && mscale_all > 0)
        r->attention_factor = yarn_scale(r->factor, mscale) / yarn_scale(r->factor, mscale_all);
    else r->attention_factor = yarn_scale(r->factor, 1);
    return true;
}

bool lb_rope_parse(lb_rope_spec *r, const json_t *config, int n_ctx, const char *where, lb_err *err)
{
    *r = (lb_rope_spec){.theta = 10000, .factor = 1, .attention_factor = 1, .n_ctx_original = n_ctx};
    const json_t *o = json_object_get(config, "rope_parameters");
    if (!json_is_object(o)) o = json_object_get(config, "rope_scaling");
    if (o && !json_is_object(o) && !json_is_null(o))
        return lb_fail(err, LB_EFORMAT, "%s: 'rope_scaling' is %s, wanted an object", where, lb_json_kind(o));
    if (!lb_json_opt_real(config, "rope_theta", 1, 1e12, &r->theta, where, err)) return false;
    double partial = 1;
    if (!lb_json_opt_real(config, "partial_rotary_factor", 0, 1, &partial, where, err)) return false;
    const char *type = "default";
    if (json_is_object(o) &&
        (!lb_json_opt_str(o, "type", &type, where, err) || !lb_json_opt_str(o, "rope_type", &type, where, err) ||
         !lb_json_opt_real(o, "rope_theta", 1, 1e12, &r->theta, where, err) ||
         !lb_json_opt_real(o, "partial_rotary_factor", 0, 1, &partial, where, err) ||
         !lb_json_opt_real(o, "original_max_position_embeddings", 1, 1e9, &r->n_ctx_original, where, err)))
        return false;
    if (partial != 1)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: partial_rotary_factor is %g; lowbit rotates whole heads only", where,
                       partial);
    if (strcmp(type, "default") == 0) return true;
    if (!lb_json_get_real(o, "factor", 1e-3, 1e6, &r->factor, where, err)) return false;
    if (strcmp(type, "linear") == 0) {
        r->type = LB_ROPE_LINEAR;
        return true;
    }
    if (strcmp(type, "llama3") == 0) {
        r->type = LB_ROPE_LLAMA3;
        if (!lb_json_get_real(o, "low_freq_factor", 1e-6, 1e6, &r->low_freq, where, err) ||
            !lb_json_get_real(o, "high_freq_factor", 1e-6, 1e6, &r->high_freq, where, err))
            return false;
        if (r->high_freq > r->low_freq) return true;
        return lb_fail(err, LB_EFORMAT, "%s: rope high_freq_factor %g is not above low_freq_factor %g", where,
                       r->high_freq, r->low_freq);
    }
    if (strcmp(type, "yarn") == 0) {
        r->type = LB_ROPE_YARN;
        return parse_yarn(r, o, where, err);
    }
    return lb_fail(err, LB_EUNSUPPORTED,
                   "%s: rope type '%s' is not known; lowbit does default, linear, llama3 and yarn", where, type);
}

static double llama3_freq(const lb_rope_spec *r, double f)
{
    double wavelen = TWO_PI / f;
    if (wavelen < r->n_ctx_original / r->high_freq) return f;
    if (wavelen > r->n_ctx_original / r->low_freq) return f / r->factor;
    double smooth = (r->n_ctx_original / wavelen - r->low_freq) / (r->high_freq - r->low_freq);
    return (1 - smooth) * f / r->factor + smooth * f;
}

/* The (fractional) dimension whose wave turns `rotations` times within the original context. */
static double yarn_dim(const lb_rope_spec *r, double rotations, int d_head)
{
    return d_head * log(r->n_ctx_original / (rotations * TWO_PI)) / (2 * log(r->theta));
}

static double yarn_freq(const lb_rope_spec *r, double f, int i, int d_head)
{
    double low = yarn_dim(r, r->beta_fast, d_head), high = yarn_dim(r, r->beta_slow, d_head);
    if (r->truncate) low = floor(low), high = ceil(high);
    low = fmax(low, 0), high = fmin(high, d_head - 1);
    if (low == high) high += 0.001;
    double ramp = fmin(fmax((i - low) / (high - low), 0), 1); /* 0: keep the frequency; 1: interpolate */
    return f * (1 - ramp) + f / r->factor * ramp;
}

void lb_rope_inv_freq(const lb_rope_spec *r, int d_head, float *inv_freq)
{
    for (int i = 0; i < d_head / 2; i++) {
        double f = (double)(1.0f / powf((float)r->theta, (float)(2 * i) / (float)d_head));
        switch (r->type) {
        case LB_ROPE_LINEAR: f /= r->factor; break;
        case LB_ROPE_LLAMA3: f = llama3_freq(r, f); break;
        case LB_ROPE_YARN: f = yarn_freq(r, f, i, d_head); break;
        case LB_ROPE_DEFAULT: break;
        }
        inv_freq[i] = (float)f;
    }
}
