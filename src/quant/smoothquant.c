/* quant/smoothquant.c – scales from the ranges of activations and weights. */
#include "quant/smoothquant.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>

typedef struct ranges {
    lb_site site;
    float *w_max;                /* [d_model] largest |W_ij| of the readers of the site */
} ranges;

static void widen(float *w_max, const lb_qlinear *l)
{
    for (int i = 0; i < l->n; i++) {
        const float *w = l->w + (size_t)i * (size_t)l->k;
        for (int j = 0; j < l->k; j++) w_max[j] = fmaxf(w_max[j], fabsf(w[j]));
    }
}

static bool see(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)err;
    const ranges *r = arg;
    if (site == r->site) widen(r->w_max, l);
    return true;
}

/* s [d] for one site, through the maxima of its weights. The router stays in 16 bits, so its range does not count. */
static bool scales(lb_qblock *b, lb_site site, const float *x_max, float alpha, float *s, lb_err *err)
{
    int d = b->cfg->d_model;
    ranges r = {site, s};
    for (int j = 0; j < d; j++) {
        if (!(x_max[j] >= 0 && isfinite(x_max[j])))
            return lb_fail(err, LB_ENUMERIC, "layer %d: the largest activation of channel %d before %s is %g", b->layer,
                           j, site == LB_SITE_QKV ? "q, k, v" : "the MLP", (double)x_max[j]);
        s[j] = 0;
    }
    lb_qblock_linears(b, see, &r, NULL);
    for (int j = 0; j < d; j++) {
        float w_max = s[j];
        s[j] = x_max[j] > 0 && w_max > 0 ? fmaxf(powf(x_max[j], alpha) / powf(w_max, 1 - alpha), 1e-5f) : 1;
    }
    return true;
}

bool lb_smoothquant_block(lb_qblock *b, const float *qkv_max, const float *mlp_max, float alpha, lb_err *err)
{
    if (!(alpha >= 0 && alpha <= 1))
        return lb_fail(err, LB_EUSAGE, "SmoothQuant's alpha is %g, wanted 0 to 1", (double)alpha);
    size_t d = (size_t)b->cfg->d_model;
    float *s = lb_alloc(2 * d, sizeof *s, "SmoothQuant's scales", err);
    bool ok = s && scales(b, LB_SITE_QKV, qkv_max, alpha, s, err) &&
              scales(b, LB_SITE_MLP, mlp_max, alpha, s + d, err) && lb_qblock_fold_scale(b, LB_SITE_QKV, s, err) &&
              lb_qblock_fold_scale(b, LB_SITE_MLP, s + d, err);
    free(s);
    return ok;
}
