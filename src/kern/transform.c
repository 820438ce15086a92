/* kern/transform.c – the definition of the input transforms, and their table. */
#include "kern/transform.h"
#ifdef LB_WITH_CUDA
#include "kern/cuda/rows.h"
#endif
#include "kern/x86/transform_x86.h"
#include <math.h>
#include <stdlib.h>

/* ---- what a transform may be ---- */

static bool is_power_of_2(int n) { return n > 0 && (n & (n - 1)) == 0; }

bool lb_transform_check(const lb_transform *t, int k, const char *name, lb_err *err)
{
    if (t->k != k || k < 1)
        return lb_fail(err, LB_EFORMAT, "%s: the input transform is for rows of %d, wanted %d", name, t->k, k);
    switch (t->kind) {
    case LB_TRANSFORM_NONE:
        return true;
    case LB_TRANSFORM_SCALE:
        return t->scale || lb_fail(err, LB_EFORMAT, "%s: an input scale without numbers", name);
    case LB_TRANSFORM_HADAMARD:
        if (t->block < 1 || t->block > LB_TRANSFORM_MAX || k % t->block)
            return lb_fail(err, LB_EFORMAT, "%s: a Hadamard block of %d in rows of %d, wanted a divisor up to %d", name,
                           t->block, k, LB_TRANSFORM_MAX);
        if (t->m < 1 || t->m > LB_TRANSFORM_MAX_M || t->block % t->m || !is_power_of_2(t->block / t->m))
            return lb_fail(err, LB_EFORMAT,
                           "%s: a Hadamard block of %d with a dense factor of %d, wanted block = m·2^p, m ≤ %d", name,
                           t->block, t->m, LB_TRANSFORM_MAX_M);
        return t->m == 1 || t->had || lb_fail(err, LB_EFORMAT, "%s: no Hadamard matrix of order %d", name, t->m);
    case LB_TRANSFORM_KRON:
        if (t->na < 1 || t->nb < 1 || (int64_t)t->na * t->nb != k || k > LB_TRANSFORM_MAX)
            return lb_fail(err, LB_EFORMAT, "%s: a Kronecker transform of %d × %d in rows of %d, wanted na·nb = k ≤ %d",
                           name, t->na, t->nb, k, LB_TRANSFORM_MAX);
        return true;
    }
    return lb_fail(err, LB_EFORMAT, "%s: input transform of unknown kind %d", name, (int)t->kind);
}

double lb_transform_cost(const lb_transform *t)
{
    double n = t->scale ? 1 : 0;
    if (t->kind == LB_TRANSFORM_HADAMARD) n += 1 + log2((double)t->block / t->m) + (t->m > 1 ? t->m : 0);
    if (t->kind == LB_TRANSFORM_KRON) n += (t->a ? t->na : 0) + (t->b ? t->nb : 0);
    return n * t->k;
}

/* ---- the reference ---- */

/* v = (H_m ⊗ S) v / √block, through `tmp` of m numbers. */
static void hadamard_ref(const lb_transform *t, double *v, double *tmp)
{
    int p2 = t->block / t->m;
    double c = 1 / sqrt((double)t->block);
    for (int h = 1; h < p2; h *= 2)
        for (int i = 0; i < t->block; i++) {
            if (i % p2 & h) continue;
            double a = v[i], b = v[i + h];
            v[i] = a + b;
            v[i + h] = a - b;
        }
    for (int j = 0; j < p2; j++) {
        for (int i = 0; i < t->m; i++) tmp[i] = v[i * p2 + j];
        for (int i = 0; i < t->m; i++) {
            double sum = 0;
            for (int l = 0; l < t->m; l++) sum += (t->m > 1 ? (double)t->had[i * t->m + l] : 1) * tmp[l];
            v[i * p2 + j] = sum * c;
        }
    }
}

/* v = Aᵀ · V · B: one row of V, then one column, through `tmp`. */
static void kron_ref(const lb_transform *t, double *v, double *tmp)
{
    int na = t->na, nb = t->nb;
    for (int i = 0; t->b && i < na; i++) {
        double *row = v + i * nb;
        for (int j = 0; j < nb; j++) {
            tmp[j] = 0;
            for (int l = 0; l < nb; l++) tmp[j] += row[l] * (double)t->b[l * nb + j];
        }
        for (int j = 0; j < nb; j++) row[j] = tmp[j];
    }
    for (int j = 0; t->a && j < nb; j++) {
        for (int i = 0; i < na; i++) {
            tmp[i] = 0;
            for (int l = 0; l < na; l++) tmp[i] += (double)t->a[l * na + i] * v[l * nb + j];
        }
        for (int i = 0; i < na; i++) v[i * nb + j] = tmp[i];
    }
}

static void ref(const void *args, int r0, int r1, lb_exec *ex)
{
    (void)ex;
    const lb_transform_args *a = args;
    const lb_transform *t = &a->t;
    double v[LB_TRANSFORM_MAX], tmp[LB_TRANSFORM_MAX];
    int piece = t->kind == LB_TRANSFORM_HADAMARD ? t->block : t->kind == LB_TRANSFORM_KRON ? t->k : 1;
    for (int r = r0; r < r1; r++) {
        const float *x = a->x + (size_t)r * (size_t)t->k;
        float *y = a->y + (size_t)r * (size_t)t->k;
        for (int k0 = 0; k0 < t->k; k0 += piece) {
            for (int i = 0; i < piece; i++) v[i] = (double)x[k0 + i] * (t->scale ? (double)t->scale[k0 + i] : 1);
            if (t->kind == LB_TRANSFORM_HADAMARD) hadamard_ref(t, v, tmp);
            if (t->kind == LB_TRANSFORM_KRON) kron_ref(t, v, tmp);
            for (int i = 0; i < piece; i++) y[k0 + i] = (float)v[i];
        }
    }
}

/* ---- table, and units ---- */

static bool fits(const void *args)
{
    const lb_transform *t = &((const lb_transform_args *)args)->t;
    return lb_transform_check(t, t->k, "", NULL);
}

static const lb_impl impls[] = {
    {"ref", 0, fits, ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, fits, lb_transform_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, fits, lb_transform_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, fits, lb_transform_cuda, lb_transform_cuda_scratch, NULL})
    {0},
};

static int units(const void *args) { return ((const lb_transform_args *)args)->n_row; }
/* Rows that make about 262,144 multiplications: less is not worth waking a thread for. */
static int grain(const void *args)
{
    const lb_transform *t = &((const lb_transform_args *)args)->t;
    double cost = lb_transform_cost(t) + t->k;
    return cost >= 262144 ? 1 : (int)(262144 / cost);
}

const lb_op lb_op_transform = {"transform", impls, units, grain, NULL};
