/* quant/allocate.h – mixed precision: which layer gets how many bits, so that the damage is least under a budget.
 *
 * Each layer has choices, each with the bits it takes in the file (scales, zero points and padding counted) and a cost,
 * usually the KL that is measured when this layer alone is quantized so. Costs of layers add up, which is what
 * second-order arguments and measurements say of small errors. Picking one choice per layer is the multiple-choice
 * knapsack problem; it is solved exactly by dynamic programming over the budget in units of the greatest common divisor
 * of all sizes, which for the shapes of models is large. */
#ifndef LB_QUANT_ALLOCATE_H
#define LB_QUANT_ALLOCATE_H
#include "num/dtype.h"
#include "quant/scheme.h"

typedef struct lb_choice {
    lb_scheme scheme;
    int64_t bits;                    /* > 0: of the whole layer, in the file */
    double cost;                     /* finite; less is better; need not fall with the bits */
} lb_choice;

typedef struct lb_alloc_layer {
    const char *name;                /* for messages; borrowed */
    int64_t n_weight;                /* > 0 */
    const lb_choice *choice;         /* [n_choice], in any order; borrowed */
    int n_choice;                    /* 1 … 255 */
} lb_alloc_layer;

typedef struct lb_allocation {
    double bpw;                      /* bits per weight of what was picked; ≤ the target */
    double cost;                     /* sum of the picked costs */
} lb_allocation;

/* pick[i] is the choice of layer i. Among equal costs the fewest bits. LB_EUSAGE if even the smallest choices exceed
 * target_bpw (saying how much they take), or for a cost that is not finite. Where the sizes have no large common
 * divisor (more than 2^26 cells of the table) they are rounded up to a coarser unit: the budget is then kept as well,
 * but the result may be up to one unit a layer away from the best. */
bool lb_allocate(const lb_alloc_layer *l, int n, double target_bpw, int *pick, lb_allocation *out, lb_err *err);

/* Bits that a layer [n,k] takes in a checkpoint whose other weights are of `dtype`. */
int64_t lb_scheme_bits(const lb_scheme *s, int n, int k, lb_dtype dtype);

/* Writes a regex that matches this module's name and no other: a pattern of lb_tensor_rule. False if it is too long. */
enum { LB_PATTERN_TEXT = 512 };
bool lb_module_pattern(const char *module, char out[LB_PATTERN_TEXT]);
#endif
