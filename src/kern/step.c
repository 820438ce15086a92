/* kern/step.c – definitions and tables of optimizer steps. */
#include "kern/step.h"
#include "kern/step.inc"
#include "kern/x86/step_x86.h"

static void adamw_ref(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; adamw(args, i0, i1); }
static void sign_step_ref(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; sign_step(args, i0, i1); }
static void squares_ref(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; squares(args, i0, i1); }
static void times_ref(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; times(args, i0, i1); }

static const lb_impl adamw_impls[] = {
    {"ref", 0, NULL, adamw_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_adamw_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_adamw_avx512, NULL, NULL})
    {0},
};
static const lb_impl sign_step_impls[] = {
    {"ref", 0, NULL, sign_step_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_sign_step_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_sign_step_avx512, NULL, NULL})
    {0},
};
static const lb_impl squares_impls[] = {
    {"ref", 0, NULL, squares_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_squares_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_squares_avx512, NULL, NULL})
    {0},
};
static const lb_impl times_impls[] = {
    {"ref", 0, NULL, times_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_times_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_times_avx512, NULL, NULL})
    {0},
};

static int step_units(const void *a) { return (int)lb_step_pieces(((const lb_step *)a)->n); }
static int squares_units(const void *a) { return (int)lb_step_pieces(((const lb_squares *)a)->n); }
static int times_units(const void *a) { return (int)lb_step_pieces(((const lb_times *)a)->n); }
static int grain(const void *a) { (void)a; return 4; }

const lb_op lb_op_adamw = {"adamw", adamw_impls, step_units, grain, NULL};
const lb_op lb_op_sign_step = {"sign_step", sign_step_impls, step_units, grain, NULL};
const lb_op lb_op_squares = {"squares", squares_impls, squares_units, grain, NULL};
const lb_op lb_op_times = {"times", times_impls, times_units, grain, NULL};
