/* online.c – fuzz target: the "lowbit" object of a config.json. What is read must be written and read again as the same. */
#include "model/online.h"
#include <stdlib.h>
#include <string.h>

static bool same(const lb_online *a, const lb_online *b)
{
    for (int s = 0; s < LB_N_SITE; s++)
        if (a->transform[s] != b->transform[s]) return false;
    return a->act.kind == b->act.kind && strcmp(a->kv, b->kv) == 0 &&
           (a->act.kind == LB_ACT_NONE ||
            (a->act.bits == b->act.bits && a->act.clip_lo == b->act.clip_lo && a->act.clip_hi == b->act.clip_hi));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    lb_err e = {0};
    lb_online on, again;
    json_t *config = lb_json_parse((const char *)data, size, "fuzz", &e);
    if (config && lb_online_parse(&on, config, "fuzz", &e)) {
        for (int s = 0; s < LB_N_SITE; s++)
            if ((unsigned)on.transform[s] > LB_TRANSFORM_KRON) abort();
        if (!lb_act_check(&on.act, &e)) abort();
        json_t *o = lb_online_json(&on), *whole = json_object();
        if (o) json_object_set_new(whole, "lowbit", o);
        char *text = json_dumps(whole, JSON_REAL_PRECISION(17));
        json_t *read = text ? lb_json_parse(text, strlen(text), "again", &e) : NULL;
        if (!read || !lb_online_parse(&again, read, "again", &e) || !same(&on, &again)) abort();
        json_decref(read);
        free(text);
        json_decref(whole);
    } else if (e.code == LB_OK) abort(); /* a refusal says why */
    json_decref(config);
    return 0;
}
#include "fuzz/replay.inc"
