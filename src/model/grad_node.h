/* model/grad_node.h – what the tape's operators know of the tape; for model/ only. */
#ifndef LB_MODEL_GRAD_NODE_H
#define LB_MODEL_GRAD_NODE_H
#include "kern/op.h"
#include "model/grad.h"

enum { LB_NODE_INPUTS = 5 };

typedef struct lb_node lb_node;
struct lb_node {
    lb_var var;                              /* first: an lb_var of the tape is its node */
    lb_node *in[LB_NODE_INPUTS];             /* what the way back adds to; NULL: unused */
    void (*back)(lb_grad *g, lb_node *n);    /* var.d is there; NULL for leaves */
    lb_node *view_of;                        /* values and gradients live there */
    bool lent;                               /* a leaf whose gradient belongs to somebody else */
    void *aux;                               /* the operator's own, in the step's memory */
    lb_node *before;                         /* the node made before this one */
};

static inline lb_node *lb_node_of(lb_var *v) { return (lb_node *)(void *)v; }

/* The first error stays; returns NULL. */
lb_var *lb_node_fail(lb_grad *g, lb_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* False if the tape has failed already. */
bool lb_node_ready(const lb_grad *g);
/* Floats of the step, not zeroed; NULL (and the tape has failed) if there are none left. */
float *lb_node_floats(lb_grad *g, size_t n);
/* n integers of the step in device memory: a copy of host's, or not filled if it is NULL. */
int *lb_node_ints(lb_grad *g, const int *host, size_t n);
/* Zeroed host memory of the step. */
void *lb_node_aux(lb_grad *g, size_t size_bytes);
/* A new [n,k] whose inputs are in[0…n_in) (NULL among them allowed); v: its values, or NULL to get room for them. */
lb_node *lb_node_new(lb_grad *g, int n, int k, float *v, void (*back)(lb_grad *, lb_node *), lb_var *const *in,
                     int n_in);
/* Where the way back adds the gradient of n: zeros at first. NULL if n is NULL, needs none, or memory ran out. */
float *lb_node_grad(lb_grad *g, lb_node *n);
/* The same for an operator that can write as well as add: *fresh says that nothing is there yet, not even zeros, and all
 * of it must be written. */
float *lb_node_grad_or_fresh(lb_grad *g, lb_node *n, bool *fresh);
/* Memory for the duration of one back(): lb_node_give takes it back. */
float *lb_node_take(lb_grad *g, size_t n);
void lb_node_give(lb_grad *g, float *p, size_t n);
/* y = x, or zeros if x is NULL. */
void lb_node_copy(lb_grad *g, float *y, const float *x, size_t n);
/* Picks the operator's row, reserves its scratch and runs it; on a dry tape it only notes the scratch. Operators that
 * touch numbers in another way do nothing on a dry tape (lb_grad_is_dry). */
void lb_node_run(lb_grad *g, const lb_op *op, const void *args);
/* Where device memory x [n] has its first number that is not finite; n if there is none. False: no memory to look with. */
bool lb_find_not_finite(lb_exec *ex, const float *x, size_t n, size_t *at, lb_err *err);
/* A product of a linear layer: as the tape is told to compute. */
void lb_node_linear(lb_grad *g, lb_gemm a);
static inline size_t lb_node_count(const lb_var *v) { return (size_t)v->n * (size_t)v->k; }
#endif
