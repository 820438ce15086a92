/* safetensors.c – fuzz target: the header parser, over the whole file in memory. What it accepts must hold together. */
#include "store/st_header.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lb_st_header h;
    lb_err e = {0};
    if (!lb_st_parse_header(data, size, "fuzz", &h, &e)) {
        if (e.code == LB_OK || !e.msg[0]) abort();
        return 0;
    }
    size_t total = 0;
    for (size_t i = 0; i < h.n; i++) {
        const lb_tensor *t = &h.t[i];
        size_t at;
        if (i && strcmp(h.t[i - 1].name, t->name) >= 0) abort();
        if (t->data < data + h.data_at || t->data + t->size_bytes > data + size) abort();
        if (!lb_tensor_check_finite(t, &at) && lb_tensor_need_finite(t, &e)) abort();
        total += t->size_bytes;
    }
    if (total != size - h.data_at) abort();
    lb_st_header_free(&h);
    return 0;
}
#include "fuzz/replay.inc"
