/* kern/gptq_step.c – the definitions of GPTQ's inner loops, and their tables. */
#include "kern/gptq_step.h"
#include "kern/x86/solve_x86.h"

enum { W = LB_TILE_W };

static void step_ref(const void *args, int u0, int u1, lb_exec *ex)
{
    (void)ex;
    const lb_gptq_step *a = args;
    for (int r = u0 * LB_TILE_UNIT; r < u1 * LB_TILE_UNIT; r++)
        for (int c = a->c0; c < a->c1; c++) {
            const float *u = a->u + (size_t)c * (size_t)a->ldu;
            int code;
            float w = a->w[c * W + r], v = lb_snap(a->kind, w, a->scale[c][r], a->zero[c][r], a->max, &code);
            float e = (w - v) / u[c];
            a->code[c * W + r] = (uint8_t)code;
            a->err[c * W + r] = e;
            for (int j = c + 1; j < a->n_col; j++) a->w[j * W + r] = fmaf(-e, u[j], a->w[j * W + r]);
        }
}

static void update_ref(const void *args, int u0, int u1, lb_exec *ex)
{
    (void)ex;
    const lb_gptq_update *a = args;
    for (int j = u0 * W; j < u1 * W && j < a->n_next; j++)
        for (int r = 0; r < W; r++) {
            float w = a->w[j * W + r];
            for (int c = 0; c < a->n_col; c++) w = fmaf(-a->u[(j / W * a->n_col + c) * W + j % W], a->err[c * W + r], w);
            a->w[j * W + r] = w;
        }
}

static const lb_impl step_impls[] = {
    {"ref", 0, NULL, step_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_gptq_step_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_gptq_step_avx512, NULL, NULL})
    {0},
};
static const lb_impl update_impls[] = {
    {"ref", 0, NULL, update_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_gptq_update_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_gptq_update_avx512, NULL, NULL})
    {0},
};

static int step_units(const void *a) { (void)a; return W / LB_TILE_UNIT; }
static int step_grain(const void *a) { (void)a; return W / LB_TILE_UNIT; }
static int update_units(const void *a) { return (((const lb_gptq_update *)a)->n_next + W - 1) / W; }
static int update_grain(const void *a) { (void)a; return 4; }

const lb_op lb_op_gptq_step = {"gptq_step", step_impls, step_units, step_grain, NULL};
const lb_op lb_op_gptq_update = {"gptq_update", update_impls, update_units, update_grain, NULL};
