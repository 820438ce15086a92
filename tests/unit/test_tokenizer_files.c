/* test_tokenizer_files.c – tokenizer.json files that are broken, strange or hostile, and texts that are. */
#define _POSIX_C_SOURCE 200809L
#include "test.h"
#include "text/tokenizer.h"
#include "tiny_tokenizer.h"
#include <time.h>

#define SPLIT(pattern) \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern \
    "\"},\"behavior\":\"Isolated\"," \
    "\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}"
#define NO_FLAGS TINY_FLAGS(false, false, false, false, false)
#define BOS(ids) \
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{" \
    "\"id\":\"A\",\"type_id\":0}}]," \
    "\"pair\":[],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[" ids "],\"tokens\":[\"<s>\"]}}}"

typedef struct bad_file {
    tiny t;
    lb_code code;
    const char *says;
} bad_file;

static const bad_file bad_files[] = {
    /* vocabulary */
    {{.vocab = "{}"}, LB_EFORMAT, "none for byte 0x00"},
    {{.vocab = "[]"}, LB_EFORMAT, "'vocab' is an array"},
    {{.vocab = "null"}, LB_EFORMAT, "'vocab' is null"},
    {{.without_byte = 'A'}, LB_EFORMAT, "none for byte 0x41"},
    {{.more_vocab = ",\"ab\":2147483648"}, LB_EFORMAT, "'ab' is 2147483648, wanted 0 to"},
    {{.more_vocab = ",\"ab\":9223372036854775807"}, LB_EFORMAT, "wanted 0 to"},
    {{.more_vocab = ",\"ab\":18446744073709551616"}, LB_EFORMAT, "real number, wanted an integer"},
    {{.more_vocab = ",\"ab\":-1"}, LB_EFORMAT, "'ab' is -1"},
    {{.more_vocab = ",\"ab\":256.5"}, LB_EFORMAT, "a real number, wanted an integer"},
    {{.more_vocab = ",\"ab\":\"256\""}, LB_EFORMAT, "a string, wanted an integer"},
    {{.more_vocab = ",\"ab\":256,\"cd\":256"}, LB_EFORMAT, "id 256 is given twice"},
    {{.more_vocab = ",\"ab\":256,\"ab\":257"}, LB_EFORMAT, "duplicate object key"},
    /* merges */
    {{.more_vocab = ",\"ab\":256", .merges = "[[\"a\",\"b\"],[\"ab\",\"xyz\"]]"},
     LB_EFORMAT,
     "merge 1 is 'ab' + 'xyz', but 'vocab' does not have its right part"},
    {{.more_vocab = ",\"ab\":256", .merges = "[\"xyz ab\"]"}, LB_EFORMAT, "does not have its left part"},
    {{.more_vocab = ",\"ab\":256", .merges = "[[\"ab\",\"ab\"]]"}, LB_EFORMAT, "does not have its result"},
    {{.more_vocab = ",\"ab\":256", .merges = "[\"a b c\"]"}, LB_EFORMAT, "wanted two parts"},
    {{.more_vocab = ",\"ab\":256", .merges = "[\"ab\"]"}, LB_EFORMAT, "wanted two parts"},
    {{.more_vocab = ",\"ab\":256", .merges = "[[\"a\"]]"}, LB_EFORMAT, "merge 0 is an array"},
    {{.more_vocab = ",\"ab\":256", .merges = "[[\"a\",\"b\",\"c\"]]"}, LB_EFORMAT, "merge 0 is an array"},
    {{.more_vocab = ",\"ab\":256", .merges = "[[\"a\",\"b\"],\"a b\"]"}, LB_EFORMAT, "wanted one spelling"},
    {{.more_vocab = ",\"ab\":256", .merges = "[7]"}, LB_EFORMAT, "merge 0 is an integer"},
    {{.merges = "{}"}, LB_EFORMAT, "'merges' is an object"},
    /* model options */
    {{.options = "\"type\":\"Unigram\""}, LB_EUNSUPPORTED, "'Unigram'"},
    {{.options = "\"type\":\"WordPiece\""}, LB_EUNSUPPORTED, "'WordPiece'"},
    {{.options = "\"byte_fallback\":true"}, LB_EUNSUPPORTED, "'byte_fallback'"},
    {{.options = "\"dropout\":0.1"}, LB_EUNSUPPORTED, "'dropout'"},
    {{.options = "\"continuing_subword_prefix\":\"##\""}, LB_EUNSUPPORTED, "'continuing_subword_prefix'"},
    {{.options = "\"end_of_word_suffix\":\"</w>\""}, LB_EUNSUPPORTED, "'end_of_word_suffix'"},
    {{.options = "\"ignore_merges\":3"}, LB_EFORMAT, "'ignore_merges' is an integer"},
    /* components */
    {{.normalizer = "{\"type\":\"NFKC\"}"}, LB_EUNSUPPORTED, "normalizer 'NFKC'"},
    {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}"},
     LB_EUNSUPPORTED,
     "'Lowercase'"},
    {{.normalizer = "\"NFC\""}, LB_EFORMAT, "normalizer is a string"},
    {{.decoder = "{\"type\":\"Metaspace\"}"}, LB_EUNSUPPORTED, "decoder 'Metaspace'"},
    {{.decoder = "null"}, LB_EUNSUPPORTED, "decoder is null"},
    {{.pre = "{\"type\":\"Metaspace\"}"}, LB_EUNSUPPORTED, "'Metaspace'"},
    {{.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[" TINY_BYTE_LEVEL ",{\"type\":\"Digits\"}]}"},
     LB_EUNSUPPORTED,
     "'Digits' after ByteLevel"},
    {{.pre = "{\"type\":\"Digits\"}"}, LB_EUNSUPPORTED, "no ByteLevel"},
    {{.pre = "null"}, LB_EFORMAT, "pre_tokenizer is null"},
    {{.pre = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Sideways\"}"},
     LB_EUNSUPPORTED,
     "'Sideways'"},
    {{.pre = "{\"type\":\"Split\",\"pattern\":\"a\",\"behavior\":\"Isolated\"}"}, LB_EFORMAT, "pattern is a string"},
    {{.post = "{\"type\":\"RobertaProcessing\"}"}, LB_EUNSUPPORTED, "'RobertaProcessing'"},
    {{.post = BOS("999")}, LB_EFORMAT, "not below 259"},
    {{.post = BOS("-1")}, LB_EFORMAT, "not below 259"},
    {{.post =
          "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],\"special_tokens\":{}}"},
     LB_EFORMAT,
     "no 'ids'"},
    {{.post = "{\"type\":\"TemplateProcessing\",\"single\":[],\"special_tokens\":{}}"},
     LB_EUNSUPPORTED,
     "leaves the text out"},
    {{.post = "{\"type\":\"Sequence\",\"processors\":[" BOS("1") "," BOS("2") "]}"},
     LB_EUNSUPPORTED,
     "second TemplateProcessing"},
    /* added tokens */
    {{.added = "7"}, LB_EFORMAT, "added token 0 is an integer"},
    {{.added = "{\"id\":259}"}, LB_EFORMAT, "'content' is missing"},
    {{.added = "{\"id\":259,\"content\":\"<x>\",\"lstrip\":false}"}, LB_EFORMAT, "is missing"},
    {{.added = TINY_ADDED(-4, "<x>", NO_FLAGS)}, LB_EFORMAT, "'id' is -4"},
    {{.added = TINY_ADDED(4294967296, "<x>", NO_FLAGS)}, LB_EFORMAT, "'id' is 4294967296"},
    {{.more_vocab = ",\"ab\":257", .added = TINY_ADDED(258, "<x>", NO_FLAGS)},
     LB_EFORMAT,
     "would get id 257, which is taken"},
    {{.normalizer = "{\"type\":\"NFC\"}",
      .added = TINY_ADDED(259, "\\u00e9", TINY_FLAGS(false, false, false, true, false)) "," TINY_ADDED(
          260, "e\\u0301", TINY_FLAGS(false, false, false, true, false))},
     LB_EFORMAT,
     "one normal form"},
    /* patterns */
    {{.pre = SPLIT("\\\\s*")}, LB_EUNSUPPORTED, "match nothing"},
    {{.pre = SPLIT("")}, LB_EUNSUPPORTED, "match nothing"},
    {{.pre = SPLIT("a|")}, LB_EUNSUPPORTED, "match nothing"},
    {{.pre = SPLIT("(a+)+b")}, LB_EUNSUPPORTED, "a repeated group at byte 4"},
    {{.pre = SPLIT("a**")}, LB_EUNSUPPORTED, "a second quantifier"},
    {{.pre = SPLIT("a{2}{3}")}, LB_EUNSUPPORTED, "a mark after a repeat count"},
    {{.pre = SPLIT("a{1,100000}")}, LB_EUNSUPPORTED, "above 1000"},
    {{.pre = SPLIT("a{99999999999999999999}")}, LB_EUNSUPPORTED, "a repeat count"},
    {{.pre = SPLIT("*a")}, LB_EUNSUPPORTED, "an unescaped sign"},
    {{.pre = SPLIT("a.b")}, LB_EUNSUPPORTED, "an unescaped sign"},
    {{.pre = SPLIT("\\\\bfoo")}, LB_EUNSUPPORTED, "an escape"},
    {{.pre = SPLIT("\\\\w+")}, LB_EUNSUPPORTED, "an escape"},
    {{.pre = SPLIT("\\\\1a")}, LB_EUNSUPPORTED, "an escape"},
    {{.pre = SPLIT("\\\\p{Han}+")}, LB_EUNSUPPORTED, "general category"},
    {{.pre = SPLIT("\\\\p{^L}")}, LB_EUNSUPPORTED, "general category"},
    {{.pre = SPLIT("(?<=a)b")}, LB_EUNSUPPORTED, "a group of this kind"},
    {{.pre = SPLIT("(?i)a")}, LB_EUNSUPPORTED, "a group of this kind"},
    {{.pre = SPLIT("(?i:ss)")}, LB_EUNSUPPORTED, "a ligature"},
    {{.pre = SPLIT("(?i:k)")}, LB_EUNSUPPORTED, "this character under"},
    {{.pre = SPLIT("[[:alpha:]]")}, LB_EUNSUPPORTED, "a class inside a class"},
    {{.pre = SPLIT("[a-z&&[^x]]")}, LB_EUNSUPPORTED, "an intersection"},
    {{.pre = SPLIT("[z-a]")}, LB_EUNSUPPORTED, "backwards"},
    {{.pre = SPLIT("[\\\\s-z]")}, LB_EUNSUPPORTED, "starts with a class"},
    {{.pre = SPLIT("[^\\\\S]")}, LB_EUNSUPPORTED, "\\S inside a class"},
    {{.pre = SPLIT("[a")}, LB_EUNSUPPORTED, "a class without an end"},
    {{.pre = SPLIT("(a")}, LB_EUNSUPPORTED, "a group without an end"},
    {{.pre = SPLIT("a)")}, LB_EUNSUPPORTED, "a ')' without"},
    {{.pre = SPLIT("a\\\\")}, LB_EUNSUPPORTED, "an escape"},
    {{.pre = SPLIT("\\\\x{110000}")}, LB_EUNSUPPORTED, "a code point escape"},
    {{.pre = SPLIT("((((((((((((((((((a))))))))))))))))))")}, LB_EUNSUPPORTED, "nested this deep"},
    {{.pre = SPLIT("[\\\\x{11f00}-\\\\x{11fff}]")}, LB_EUNSUPPORTED, "newer than Unicode 14"},
};

static void bad_files_are_named_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        const bad_file *b = &bad_files[i];
        lb_err err = {0};
        lb_tokenizer *t = tiny_open(b->t, &err);
        if (t || err.code != b->code || !strstr(err.msg, b->says) || strncmp(err.msg, "tiny", 4) != 0)
            fail_msg("file %zu: wanted code %d and '%s', got %s%d '%s'", i, b->code, b->says, t ? "a tokenizer, " : "",
                     err.code, err.msg);
    }
}

static void truncated_files_are_errors(void **state)
{
    (void)state;
    lb_buf b = tiny_json((tiny){.added = TINY_ADDED(259, "<x>", NO_FLAGS)});
    for (size_t n = 0; n < b.n; n++) {
        lb_err err = {0};
        assert_null(lb_tokenizer_parse(b.p, n, "cut", &err));
        assert_int_equal(err.code, LB_EFORMAT);
    }
    lb_buf_free(&b);
    lb_err err = {0};
    assert_null(lb_tokenizer_open("tests/no/such/model", &err));
    assert_int_equal(err.code, LB_EIO);
}

static lb_ids encode(const lb_tokenizer *t, const char *text, size_t n, unsigned flags)
{
    lb_err err = {0};
    lb_ids ids = {0};
    assert_ok(lb_tokenizer_encode(t, text, n, flags, &ids, &err), err);
    return ids;
}

static void expect_ids(const lb_tokenizer *t, const char *text, unsigned flags, const int *want, size_t n)
{
    lb_ids ids = encode(t, text, strlen(text), flags);
    if (ids.n != n || (n && memcmp(ids.p, want, n * sizeof *want) != 0))
        fail_msg("'%s': %zu ids, wanted %zu; the first is %d", text, ids.n, n, ids.n ? ids.p[0] : -1);
    lb_ids_free(&ids);
}
#define EXPECT(t, text, flags, ...) \
    expect_ids(t, text, flags, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

/* What is odd but allowed means what it means to the reference. */
static void odd_files_have_a_meaning(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_tokenizer *t = tiny_open((tiny){0}, &err);
    assert_ok(t, err);
    EXPECT(t, "the", 0, 257);
    EXPECT(t, " the", 0, ' ', 257); /* t+h comes before space+t */
    assert_int_equal(lb_tokenizer_size(t), 259);
    lb_tokenizer_close(t);

    /* merges that make each other's parts: strings only grow, so nothing can turn in a circle */
    t = tiny_open((tiny){.more_vocab = ",\"aa\":256,\"aaa\":257,\"aaaa\":258",
                         .merges = "[\"#version: 0.2\",\"aa aa\",\"a aa\",\"aa a\",\"a a\"]"},
                  &err);
    assert_ok(t, err);
    EXPECT(t, "aaaaa", 0, 257, 256); /* aa a a a, aaa a a, aaa aa: aa+aa never stand side by side */
    lb_tokenizer_close(t);

    /* a pair listed twice has its last rank: b+c is now before a+b */
    t = tiny_open(
        (tiny){.more_vocab = ",\"ab\":256,\"bc\":257", .merges = "[[\"a\",\"b\"],[\"b\",\"c\"],[\"a\",\"b\"]]"}, &err);
    assert_ok(t, err);
    EXPECT(t, "abc", 0, 'a', 257);
    lb_tokenizer_close(t);

    /* an entry that no merge makes is text only for ignore_merges */
    for (int ignore = 0; ignore < 2; ignore++) {
        t = tiny_open((tiny){.more_vocab = ",\"abc\":256", .options = ignore ? "\"ignore_merges\":true" : NULL}, &err);
        assert_ok(t, err);
        if (ignore) EXPECT(t, "abc", 0, 256);
        else EXPECT(t, "abc", 0, 'a', 'b', 'c');
        lb_tokenizer_close(t);
    }

    /* gaps in the ids; ids nobody has are empty text */
    t = tiny_open((tiny){.more_vocab = ",\"ab\":1000", .merges = "[[\"a\",\"b\"]]"}, &err);
    assert_ok(t, err);
    EXPECT(t, "ab", 0, 1000);
    assert_int_equal(lb_tokenizer_size(t), 1001);
    lb_buf out = {0};
    assert_ok(
        lb_tokenizer_decode(t, (const int[]){'x', 999, -1, INT32_MAX, INT32_MIN, 1001, 1000}, 7, false, &out, &err),
        err);
    assert_string_equal(lb_buf_cstr(&out), "xab");
    lb_buf_free(&out);
    lb_tokenizer_close(t);

    /* the same content twice, an empty one, one inside another; the longest wins, in the middle of text too */
    t = tiny_open(
        (tiny){.added = TINY_ADDED(259, "<x>", NO_FLAGS) "," TINY_ADDED(260, "", NO_FLAGS) "," TINY_ADDED(
                   261, "<x><y>", NO_FLAGS) "," TINY_ADDED(262, "<x>",
                                                           TINY_FLAGS(false, false, false, false,
                                                                      true)) "," TINY_ADDED(7, "the", NO_FLAGS)},
        &err);
    assert_ok(t, err);
    EXPECT(t, "a<x><y>b<x>", LB_ENCODE_SPECIAL, 'a', 260, 'b', 259);
    EXPECT(t, "<x>", 0, '<', 'x', '>'); /* a user's text is no instruction unless the caller says so */
    EXPECT(t, "athe", LB_ENCODE_SPECIAL, 'a', 257); /* the vocabulary's id, not the file's 7 */
    assert_true(lb_tokenizer_is_special(t, 259));
    assert_false(lb_tokenizer_is_special(t, 260));
    assert_int_equal(lb_tokenizer_id(t, "<x><y>"), 260);
    assert_int_equal(lb_tokenizer_id(t, "Ġt"), 258);
    assert_int_equal(lb_tokenizer_id(t, " t"), -1);
    assert_int_equal(lb_tokenizer_id(t, ""), -1);
    assert_int_equal(lb_tokenizer_id(t, "\xff"), -1);
    lb_tokenizer_close(t);

    t = tiny_open((tiny){.post = BOS("65,66")}, &err);
    assert_ok(t, err);
    EXPECT(t, "", LB_ENCODE_BOS, 65, 66);
    EXPECT(t, "c", LB_ENCODE_BOS, 65, 66, 'c');
    EXPECT(t, "c", LB_ENCODE_SPECIAL, 'c');
    lb_tokenizer_close(t);
}

/* Each maximal ill-formed part is one U+FFFD, as Python's errors='replace' has it. */
static void broken_utf8_is_replaced(void **state)
{
    (void)state;
    static const struct { const char *broken; size_t n; const char *read;
    } texts[] = {
        {"a\xff"
         "b",
         3, "a\uFFFDb"},
        {"\xe2\x82", 2, "\uFFFD"},
        {"\xe2\x82x", 3, "\uFFFDx"},
        {"\xc0\x80", 2, "\uFFFD\uFFFD"},
        {"\xed\xa0\x80", 3, "\uFFFD\uFFFD\uFFFD"},
        {"\xf0\x9f\x98\xe2\x82\xac", 6, "\uFFFD€"},
        {"\xf4\x90\x80\x80", 4, "\uFFFD\uFFFD\uFFFD\uFFFD"},
        {"\xf0\x80\x80", 3, "\uFFFD\uFFFD\uFFFD"},
        {"\x80\x80", 2, "\uFFFD\uFFFD"},
    };
    lb_err err = {0};
    lb_tokenizer *t = tiny_open((tiny){0}, &err);
    assert_ok(t, err);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lb_ids ids = encode(t, texts[i].broken, texts[i].n, 0);
        lb_buf out = {0};
        assert_ok(lb_tokenizer_decode(t, ids.p, ids.n, false, &out, &err), err);
        assert_string_equal(lb_buf_cstr(&out), texts[i].read);
        expect_ids(t, texts[i].read, 0, ids.p, ids.n);
        lb_ids_free(&ids);
        lb_buf_free(&out);
    }
    lb_tokenizer_close(t);
}

/* Characters that PCRE2 10.42 does not know yet are letters, digits and symbols all the same (emoji of Unicode 15 too).
 */
static void new_characters_have_their_class(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_tokenizer *t = tiny_open((tiny){.pre = SPLIT("\\\\p{L}\\\\p{S}\\\\p{Nd}t")}, &err);
    assert_ok(t, err);
    const char *text = "\U00031350\U0001FAE8\U0001E4F0the"; /* Lo So Nd t, cut off from he if all three are known */
    lb_ids ids = encode(t, text, strlen(text), 0);
    assert_int_equal(ids.n, 15);
    lb_ids_free(&ids);
    lb_tokenizer_close(t);
}

static double cpu_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* A megabyte of anything takes less than two seconds with the patterns of the known models. */
static void long_runs_stay_fast(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a",           " ",    "\n",     " \n",          "\t ", "0",       "'",          "'s",
        "<|im_start|", "\xff", "\u0301", "\u0301\u0323", "的",  "👨\u200d", "\U00011f04", "\u1100\u1161\u11a8",
        "A="};
    enum { N = 1 << 20 };
    char *text = malloc(N + 1);
    lb_err err = {0};
    lb_tokenizer *t = lb_tokenizer_open(ABACUS_DIR, &err);
    assert_ok(t, err);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = 0, k = strlen(units[i]);
        for (; n + k <= N; n += k) memcpy(text + n, units[i], k);
        text[n++] = 'x';
        double t0 = cpu_s();
        lb_ids ids = encode(t, text, n, LB_ENCODE_SPECIAL);
        double took = cpu_s() - t0;
        if (took > 2) fail_msg("a megabyte of '%s' took %.2f s", units[i], took);
        lb_ids_free(&ids);
    }
    lb_tokenizer_close(t);
    free(text);
}

/* A pattern that is quadratic on a text ends in an error, and what was in the list of ids stays. */
static void slow_patterns_are_stopped(void **state)
{
    (void)state;
    enum { N = 400000 };
    char *text = malloc(N);
    memset(text, 'a', N);
    lb_err err = {0};
    lb_ids ids = {0};
    lb_tokenizer *t = tiny_open((tiny){.pre = SPLIT("a(?=a*[bc])")}, &err);
    assert_ok(t, err);
    assert_true(lb_ids_push(&ids, 42, &err));
    double t0 = cpu_s();
    assert_false(lb_tokenizer_encode(t, text, N, 0, &ids, &err));
    assert_int_equal(err.code, LB_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "takes too long"));
    assert_true(cpu_s() - t0 < 4);
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.p[0], 42);
    lb_ids_free(&ids);
    lb_tokenizer_close(t);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_named_errors),  cmocka_unit_test(truncated_files_are_errors),
        cmocka_unit_test(odd_files_have_a_meaning),    cmocka_unit_test(broken_utf8_is_replaced),
        cmocka_unit_test(new_characters_have_their_class), cmocka_unit_test(long_runs_stay_fast),
        cmocka_unit_test(slow_patterns_are_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
