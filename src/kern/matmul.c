/* kern/matmul.c – the definition of the matrix product, and its table. */
#include "kern/matmul.h"

enum { CHUNK = 1024 };

static void ref(const void *args, int row0, int row1, lb_exec *ex)
{
    (void)ex;
    const lb_matmul *a = args;
    float w[CHUNK];
    for (int n = row0; n < row1; n++) {
        for (int t = 0; t < a->n_tok; t++) {
            double sum = 0;
            for (int k0 = 0; k0 < a->w.k; k0 += CHUNK) {
                int k1 = k0 + CHUNK < a->w.k ? k0 + CHUNK : a->w.k;
                a->w.num->decode(&a->w, n, k0, k1, w);
                for (int k = k0; k < k1; k++) sum += (double)a->x[(size_t)t * (size_t)a->w.k + (size_t)k] * (double)w[k - k0];
            }
            a->y[(size_t)t * (size_t)a->ldy + (size_t)n] = (float)(sum + (a->bias ? (double)a->bias[n] : 0));
        }
    }
}

const lb_impl lb_matmul_impls[] = { /* slowest first */
    {"ref", 0, NULL, ref, NULL, NULL},
    {0},
};

static int units(const void *args) { return ((const lb_matmul *)args)->w.n; }
/* Pieces of whole row blocks, and large enough that a thread's start is paid back. */
static int grain(const void *args)
{
    const lb_matmul *a = args;
    return (int64_t)a->w.n * a->w.k * a->n_tok < 65536 ? (a->w.n + 15) / 16 * 16 : 16;
}
static int prep_units(const void *args) { return ((const lb_matmul *)args)->n_tok; }

const lb_op lb_op_matmul = {"matmul", lb_matmul_impls, units, grain, prep_units};
