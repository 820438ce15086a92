/* ct_config.c – fuzz target: a config.json with its quantization_config: parsing, matching, setting the key as text. */
#include "store/ct_config.h"
#include "num/num.h"
#include "store/folder.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    lb_err e = {0};
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    json_t *v = lb_json_parse(text, strlen(text), "fuzz", &e);
    const json_t *qc = json_object_get(v, "quantization_config");
    lb_ct_config *c = qc ? lb_ct_config_parse(qc, "fuzz", &e) : NULL;
    static const char *const names[] = {"lm_head", "model.layers.0.mlp.up_proj", "model.layers.11.self_attn.q_proj",
                                        ""};
    for (int i = 0; c && i < 4; i++) {
        const lb_ct_scheme *s;
        if (lb_ct_config_find(c, names[i], "Linear", &s, &e) && s && !lb_num_of_bits(s->bits)) abort();
    }
    lb_ct_config_free(c);
    json_t *one = json_pack("{s:s}", "a", "b");
    for (int set = 0; set < 2 && json_is_object(v);
         set++) { /* what was valid stays valid, and has the key or has not */
        char *out = lb_json_set_text(text, "quantization_config", set ? one : NULL, "fuzz", &e);
        if (!out) continue;
        json_t *o = lb_json_parse(out, strlen(out), "fuzz", &e);
        if (!o || json_equal(json_object_get(o, "quantization_config"), one) != set) abort();
        json_object_del(v, "quantization_config");
        json_object_del(o, "quantization_config");
        /* a whole number beyond 64 bits makes reals of all numbers of a file, so it may make a difference where it went */
        json_t *exact = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        if (exact && !json_equal(o, v)) abort();
        json_decref(exact);
        json_decref(o);
        free(out);
    }
    json_decref(one);
    json_decref(v);
    free(text);
    return 0;
}
#include "fuzz/replay.inc"
