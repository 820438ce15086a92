/* cli/cmd_verify.c – `lowbit verify`: is a folder what it says and what was meant? */
#include "cli/cmd.h"
#include "eval/target.h"
#include "quant/verify.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static bool print_json(const char *dir, const char *base, const lb_verify_report *r, lb_err *err)
{
    json_t *list = json_array();
    for (int i = 0; i < r->n; i++) {
        const lb_verify_module *v = &r->p[i];
        json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i, s:s, s:o, s:b, s:b}", "name", v->name, "layer",
                                              v->layer, "n", v->n, "k", v->k, "format", v->format, "error",
                                              number(v->error), "hash", v->hashed, "foreign", v->foreign));
    }
    json_t *j =
        json_pack("{s:s, s:b, s:i, s:i, s:i, s:i, s:b, s:f, s:o, s:s?, s:b, s:o, s:s}", "model", dir, "verified", 1,
                  "tensors", r->n_tensor, "linears", r->n, "quantized", r->n_quantized, "hashes", r->n_hashed, "record",
                  r->has_record, "bits_per_weight", r->bpw, "error_mean", number(r->error_mean), "against", base,
                  "moved", r->moved, "modules", list, "version", lb_version());
    return lb_cmd_print_json(j, err);
}

static void print_layers(const lb_verify_report *r)
{
    printf("layer  relative squared error of the weights, linear by linear\n");
    for (int i = 0; i < r->n; i++) {
        if (i == 0 || r->p[i].layer != r->p[i - 1].layer) {
            if (r->p[i].layer < 0) printf("%s head ", i ? "\n" : "");
            else printf("%s%5d ", i ? "\n" : "", r->p[i].layer);
        }
        printf(" %.3g", r->p[i].error);
    }
    printf("\nworst: %s %.3g; block %d with %.3g on average\n", r->p[r->worst].name, r->p[r->worst].error,
           r->worst_layer, r->worst_layer_error);
}

static void print_text(const char *dir, const char *base, const lb_verify_report *r)
{
    int foreign = 0;
    for (int i = 0; i < r->n; i++) foreign += r->p[i].foreign;
    printf("%s: verified. %d tensors, %d linear layers, %d of them quantized, %.3f bits per weight as executed", dir, r->n_tensor,
           r->n, r->n_quantized, r->bpw);
    if (r->n_hashed) printf("; %d hashes of the quantizer match", r->n_hashed);
    else if (r->n_quantized) printf("; no lowbit-quantize.json, so nothing says what was meant");
    if (foreign) printf("; %d in another program's layout", foreign);
    printf("\n");
    if (base && r->moved)
        printf("its weights are not the base's any more: the method moved numbers between layers; lowbit doctor "
               "compares what the models do\n");
    else if (base && r->worst >= 0) print_layers(r);
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    const char *base = NULL;
    bool done;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"against", 0, LB_ARG_STR, &base, "DIR", "the model it was made from: relative error of each layer", 0, 0,
         false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_verify, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!lb_cmd_need_model(&c, err)) return false;
    lb_progress_mode mode;
    lb_target t = {0};
    lb_verify_report r;
    lb_exec *ex = NULL;
    bool ok =
        lb_cmd_progress(&c, &mode, err) && (ex = lb_cmd_exec(&c, err)) != NULL && lb_target_open(&t, c.model, ex, err);
    if (ok) {
        lb_progress p;
        lb_progress_start(&p, mode, "layers", 0);
        ok = lb_verify(c.model,
                       &(lb_verify_opt){.base = base, .progress = &p, .stop = (volatile const int *)&lb_cmd_stop}, ex,
                       &r, err);
        lb_progress_end(&p);
    }
    if (ok && c.json) ok = print_json(c.model, base, &r, err);
    else if (ok) print_text(c.model, base, &r);
    if (ok) lb_verify_free(&r);
    lb_target_close(&t);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_verify = {"verify", "read a model folder again: is it what it says and what was meant?",
                                  "lowbit verify out/abacus-w3 --against models/abacus-5m", run};
