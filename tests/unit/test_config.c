/* test_config.c – config.json: what is read, what is refused and by which name. */
#include "test.h"
#include "base/buf.h"
#include "model/config.h"

static const char base[] = "\"model_type\":\"%s\",\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
                           "\"num_key_value_heads\":2,"
                           "\"intermediate_size\":96,\"vocab_size\":100,\"max_position_embeddings\":128";

/* Parses {base, extra} and checks the code, and that the message holds `says`. */
static void check(const char *arch, const char *extra, lb_code code, const char *says)
{
    char text[2048], head[1024];
    lb_err e = {0};
    lb_config c;
    snprintf(head, sizeof head, base, arch);
    snprintf(text, sizeof text, "{%s%s%s}", head, *extra ? "," : "", extra);
    json_t *j = lb_json_parse(text, strlen(text), "config.json", &e);
    if (!j) fail_msg("%s: %s", text, e.msg);
    bool ok = lb_config_parse(&c, j, "config.json", &e);
    if (ok != (code == LB_OK) || (!ok && (e.code != code || !strstr(e.msg, says))))
        fail_msg("%s\n gave %d %s, wanted %d %s", extra, e.code, e.msg, code, says);
    if (ok) lb_config_free(&c);
    json_decref(j);
}

static void what_lowbit_does_not_do_is_named(void **state)
{
    (void)state;
    check("qwen3", "", LB_OK, "");
    check("gpt_neox", "", LB_EUNSUPPORTED, "gpt_neox");
    check("qwen3", "\"hidden_act\":\"gelu\"", LB_EUNSUPPORTED, "gelu");
    check("qwen2", "\"sliding_window\":4096,\"use_sliding_window\":false", LB_OK, "");
    check("qwen2", "\"sliding_window\":4096,\"use_sliding_window\":true", LB_EUNSUPPORTED, "sliding_window");
    check("llama", "\"sliding_window\":4096", LB_EUNSUPPORTED, "sliding_window");
    check("qwen3", "\"layer_types\":[\"full_attention\",\"sliding_attention\"]", LB_EUNSUPPORTED, "sliding_attention");
    check("llama", "\"rope_scaling\":{\"rope_type\":\"longrope\",\"factor\":4}", LB_EUNSUPPORTED, "longrope");
    check("llama", "\"partial_rotary_factor\":0.5", LB_EUNSUPPORTED, "partial_rotary_factor");
    check("qwen3", "\"torch_dtype\":\"float8_e4m3fn\"", LB_EUNSUPPORTED, "float8");
    check("qwen3_moe",
          "\"num_experts\":4,\"num_experts_per_tok\":2,\"moe_intermediate_size\":32,\"n_shared_experts\":1",
          LB_EUNSUPPORTED, "n_shared_experts");
}

static void contradictions_and_nonsense_are_errors(void **state)
{
    (void)state;
    check("qwen3", "\"head_dim\":7", LB_EFORMAT, "head_dim");
    check("qwen3", "\"head_dim\":0", LB_EFORMAT, "head_dim");
    check("qwen3", "\"rms_norm_eps\":\"small\"", LB_EFORMAT, "rms_norm_eps");
    check("llama", "\"rope_scaling\":{\"rope_type\":\"linear\"}", LB_EFORMAT, "factor");
    check("llama", "\"rope_scaling\":\"yes\"", LB_EFORMAT, "rope_scaling");
    check("llama",
          "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":1}",
          LB_EFORMAT, "high_freq_factor");
    check("llama", "\"rope_theta\":0", LB_EFORMAT, "rope_theta");
    check("qwen3_moe", "\"num_experts\":4,\"num_experts_per_tok\":5,\"moe_intermediate_size\":32", LB_EFORMAT,
          "num_experts_per_tok");
    check("qwen3_moe",
          "\"num_experts\":4,\"num_experts_per_tok\":2,\"moe_intermediate_size\":32,\"mlp_only_layers\":[2]",
          LB_EFORMAT, "mlp_only_layers");
    check("qwen3_moe", "\"num_experts\":4,\"num_experts_per_tok\":2,\"moe_intermediate_size\":32,\"mlp_only_layers\":1",
          LB_EFORMAT, "'mlp_only_layers' is an integer");
    check("qwen3", "\"layer_types\":\"sliding_attention\"", LB_EFORMAT, "'layer_types' is a string");
    check("qwen3", "\"layer_types\":null", LB_OK, "");
    lb_err e = {0};
    lb_config c;
    static const char *const bad[] = {
        "[]", "{}", "{\"model_type\":\"qwen3\"}", "{\"model_type\":3}",
        "{\"model_type\":\"qwen3\",\"hidden_size\":-1}", "{\"model_type\":\"qwen3\",\"hidden_size\":1e30}",
        "{\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":2147483648}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *j = lb_json_parse(bad[i], strlen(bad[i]), "c", &e);
        assert_non_null(j);
        assert_false(lb_config_parse(&c, j, "c", &e));
        assert_int_equal(e.code, LB_EFORMAT);
        json_decref(j);
    }
}

/* The fields of `text` over the defaults, for a vocabulary of 100. */
static lb_gen_config gen(const char *text, lb_code code, const char *says)
{
    lb_err e = {0};
    lb_gen_config g = lb_gen_config_default();
    json_t *j = lb_json_parse(text, strlen(text), "g", &e);
    if (!j) fail_msg("%s: %s", text, e.msg);
    bool ok = lb_gen_config_parse(&g, j, 100, "g", &e);
    if (ok != (code == LB_OK) || (!ok && (e.code != code || !strstr(e.msg, says))))
        fail_msg("%s: %d %s", text, e.code, e.msg);
    json_decref(j);
    return g;
}

static void generation_config_is_checked(void **state)
{
    (void)state;
    lb_gen_config g = gen("{}", LB_OK, "");
    assert_true(!g.sample && g.temperature == 1 && g.top_p == 1 && g.min_p == 0 && g.repetition_penalty == 1 &&
                g.top_k == 0);
    assert_true(g.bos == -1 && g.n_eos == 0);
    g = gen("{\"do_sample\":true,\"temperature\":0.5,\"top_k\":20,\"top_p\":null,\"eos_token_id\":[3,99],\"bos_token_"
            "id\":0}",
            LB_OK, "");
    assert_true(g.sample && g.temperature == 0.5f && g.top_k == 20 && g.top_p == 1 && g.n_eos == 2 && g.eos[1] == 99 &&
                g.bos == 0);
    gen("[]", LB_EFORMAT, "an array, wanted an object");
    gen("{\"temperature\":-1}", LB_EFORMAT, "'temperature' is -1");
    gen("{\"temperature\":\"hot\"}", LB_EFORMAT, "'temperature' is a string");
    gen("{\"top_p\":1.5}", LB_EFORMAT, "'top_p' is 1.5");
    gen("{\"top_k\":-1}", LB_EFORMAT, "'top_k' is -1");
    gen("{\"repetition_penalty\":0}", LB_EFORMAT, "'repetition_penalty'");
    gen("{\"do_sample\":1}", LB_EFORMAT, "'do_sample'");
    gen("{\"eos_token_id\":100}", LB_EFORMAT, "eos_token_id");
    gen("{\"eos_token_id\":[1,-1]}", LB_EFORMAT, "eos_token_id");
    gen("{\"eos_token_id\":\"</s>\"}", LB_EFORMAT, "a string");
    gen("{\"eos_token_id\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", LB_EFORMAT, "17 tokens");
    gen("{\"bos_token_id\":100}", LB_EFORMAT, "bos_token_id");
}

static void generation_config_of_the_embedded_model(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_config c;
    lb_gen_config g;
    assert_ok(lb_config_load(&c, ABACUS_DIR, &e), e);
    assert_string_equal(c.arch->name, "qwen3");
    assert_ok(lb_gen_config_load(&g, ABACUS_DIR, &c, &e), e);
    assert_true(g.sample && fabsf(g.temperature - 0.6f) < 1e-6f && fabsf(g.top_p - 0.95f) < 1e-6f && g.top_k == 0);
    assert_int_equal(g.n_eos, 2);
    assert_int_equal(g.eos[0], 1035);
    lb_config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lowbit_does_not_do_is_named), cmocka_unit_test(contradictions_and_nonsense_are_errors),
        cmocka_unit_test(generation_config_is_checked), cmocka_unit_test(generation_config_of_the_embedded_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
