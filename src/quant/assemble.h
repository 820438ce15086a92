/* quant/assemble.h – the output folder from the model and the finished layers. Internal to quant/. */
#ifndef LB_QUANT_ASSEMBLE_H
#define LB_QUANT_ASSEMBLE_H
#include "quant/workdir.h"

/* Writes the complete folder to `to` (an lb_outdir's temporary one), reads it back and compares. Fills *rep. */
bool lb_assemble(lb_quant_run *r, const lb_workdir *w, const char *from, const char *to, lb_quantize_report *rep,
                 lb_err *err);
#endif
