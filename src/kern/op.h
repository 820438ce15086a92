/* kern/op.h – what an operator is: an argument struct, a scalar reference, and a table of implementations.
 *
 * The table is the dispatch, the test list and the bench list. Row 0 is plain C that accumulates in double and
 * *defines* the operator; it is in every build. Later rows are faster; the last one whose needs the exec meets and that
 * fits the arguments wins. A row computes units [i0,i1) of the output on one thread; loops over threads live once, in
 * lb_op_run. A CUDA row gets all units in one call and queues its work on the exec's stream. Kernels do not fail:
 * fits() settled the shapes.
 *
 * Results of a unit do not depend on how units are split or on what else is in the call: that is promise 2 of the
 * design (same text in any batch), and tests/kern checks it for every row. */
#ifndef LB_KERN_OP_H
#define LB_KERN_OP_H
#include "kern/exec.h"

typedef struct lb_impl {
    const char *name;                            /* "ref", "avx2", "avx512", "cuda" … */
    unsigned needs;                              /* LB_AVX2 | … */
    bool (*fits)(const void *args);              /* NULL: any arguments */
    void (*run)(const void *args, int i0, int i1, lb_exec *ex);
    /* Optional first stage, for work shared by all units (say, quantizing the activations): units of its own, run to
     * the end before run() starts; it leaves its result in lb_exec_scratch(). */
    size_t (*scratch)(const void *args);         /* bytes; NULL: none */
    void (*prep)(const void *args, int i0, int i1, lb_exec *ex);
} lb_impl;

typedef struct lb_op {
    const char *name;
    const lb_impl *impls;                        /* ends with a row of name NULL */
    int (*units)(const void *args);              /* how many units the output has */
    int (*grain)(const void *args);              /* smallest piece worth a thread */
    int (*prep_units)(const void *args);         /* for rows with prep; NULL if no row has one */
} lb_op;

extern const lb_op *const lb_ops[];              /* every operator of the forward pass, NULL-terminated; those of
                                                    training and calibration have no CUDA rows */

/* The row that ex would take for these arguments, or NULL if none fits (a GPU without such a row). */
const lb_impl *lb_op_pick(const lb_op *op, const lb_exec *ex, const void *args);
/* Runs a row. Its scratch must have been reserved. */
void lb_op_run(const lb_op *op, const lb_impl *impl, const void *args, lb_exec *ex);
/* Picks and runs; the caller knows from load time that a row fits. */
void lb_op_do(const lb_op *op, const void *args, lb_exec *ex);

/* Rows that only some builds have. */
#if defined(__x86_64__)
#define LB_X86(...) __VA_ARGS__,
#else
#define LB_X86(...)
#endif
#ifdef LB_WITH_CUDA
#define LB_GPU(...) __VA_ARGS__,
#else
#define LB_GPU(...)
#endif
#endif
