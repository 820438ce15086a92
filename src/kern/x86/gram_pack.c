/* kern/x86/gram_pack.c – the packed form of x that gram.inc reads: copies only, so one version serves every vector
 * width. */
#include "kern/x86/gram_x86.h"
#include <stdint.h>
#include <string.h>

size_t lb_gram_scratch(const void *args)
{
    const lb_gram *a = args;
    return (size_t)lb_gram_panels(a->k) * LB_GRAM_PANEL * sizeof(float) * (size_t)a->n_tok;
}

void lb_gram_prep(const void *args, int t0, int t1, lb_exec *ex)
{
    const lb_gram *a = args;
    float *packed = lb_exec_scratch(ex);
    for (int p = 0; p < lb_gram_panels(a->k); p++) {
        int k0 = p * LB_GRAM_PANEL, n = a->k - k0 < LB_GRAM_PANEL ? a->k - k0 : LB_GRAM_PANEL;
        for (int t = t0; t < t1; t++) {
            float *out = packed + ((size_t)p * (size_t)a->n_tok + (size_t)t) * LB_GRAM_PANEL;
            memcpy(out, a->x + (size_t)t * (size_t)a->k + k0, (size_t)n * sizeof(float));
            memset(out + n, 0, (size_t)(LB_GRAM_PANEL - n) * sizeof(float));
        }
    }
}
