/* quant/workdir.h – OUT.partial: the finished layers of a quantization.
 *
 *     plan.json                      what is being made of which model: another run does not go on with these layers
 *     layer-00007.safetensors        tensors of block 7 that differ from the model's; number n_layer is lm_head
 *     layer-00007.json               its record (the file's hash; of each module its hash and error); written last: a layer
 *                                    is finished when this is there
 *
 * One run at a time: the folder is locked. */
#ifndef LB_QUANT_WORKDIR_H
#define LB_QUANT_WORKDIR_H
#include "base/json.h"
#include "quant/parts.h"
#include "quant/run.h"

typedef struct lb_workdir {
    char *path;                  /* owned */
    int fd;                      /* locked; −1: closed */
} lb_workdir;

/* LB_EUSAGE if the folder belongs to another plan, or another process works in it; nothing is left to close then. */
bool lb_workdir_open(lb_workdir *w, const char *out_dir, lb_quant_run *r, lb_err *err);
bool lb_workdir_has(const lb_workdir *w, int layer);
/* Adds the hash of the tensors to the record. */
bool lb_workdir_put(lb_workdir *w, int layer, const lb_parts *parts, json_t *record, lb_err *err);
/* NULL with an error; the caller closes or releases them. LB_EVERIFY for tensors that are not what the record says. */
lb_store *lb_workdir_tensors(const lb_workdir *w, int layer, lb_err *err);
json_t *lb_workdir_record(const lb_workdir *w, int layer, lb_err *err);
/* The settings as plan.json has them: for the output's record. A new reference, or NULL. */
json_t *lb_workdir_plan(const lb_workdir *w, lb_err *err);
void lb_workdir_close(lb_workdir *w, bool remove_it);
#endif
