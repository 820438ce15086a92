/* quant/verify.h – whether a model folder is what it says, and what the quantizer meant.
 *
 * Everything is read again with the reader that everybody uses: every tensor that config.json wants is there in its
 * shape, every number is finite, packed weights unpack and pack to the same bytes and survive the layout in which they
 * are executed. If the folder has lowbit-quantize.json, the codes, scales and zero points of each module are those
 * whose hash the method left there. Against a base: how far each weight is from the one it stands for. */
#ifndef LB_QUANT_VERIFY_H
#define LB_QUANT_VERIFY_H
#include "base/progress.h"
#include "kern/exec.h"

typedef struct lb_verify_module {
    char *name;                      /* owned */
    int layer, n, k;
    char format[16];                 /* "int3", "bf16" */
    double error;                    /* ‖ŵ−w‖²/‖w‖² against the base; NaN if not compared */
    bool hashed;                     /* the record has its hash, and it is right */
    bool foreign;                    /* readable, but laid out as another program writes it */
} lb_verify_module;

typedef struct lb_verify_report {
    lb_verify_module *p;             /* [n] linear layers of the blocks, and the head where it is quantized; owned */
    int n, n_quantized, n_hashed, n_tensor;
    bool has_record;
    bool moved;                      /* weights cannot be compared: a method moved numbers between layers */
    double bpw;
    double error_mean;               /* over the modules that were compared; NaN if none was */
    int worst, worst_layer;          /* index of the module, number of the block of the largest error; −1 */
    double worst_layer_error;        /* mean over the modules of that block */
} lb_verify_report;

typedef struct lb_verify_opt {
    const char *base;                /* folder of the unquantized model, or NULL */
    lb_progress *progress;           /* started by the caller; counts modules; NULL: silent */
    volatile const int *stop;        /* nonzero: stop with LB_ESTOPPED; NULL: never */
} lb_verify_opt;

/* LB_EVERIFY for what reads back different from what was meant, LB_ENUMERIC for a NaN or infinity, LB_EFORMAT for what
 * is missing or of the wrong shape, by name. */
bool lb_verify(const char *dir, const lb_verify_opt *o, lb_exec *ex, lb_verify_report *out, lb_err *err);
void lb_verify_free(lb_verify_report *r);
#endif
