/* text/template_value.h – the values of a running template, its memory and its limits.
 *
 * Internal to the template interpreter. Everything made in one rendering lives in one pool and dies with it. Values
 * other than namespaces are never changed once they are visible to the template, so they are shared freely. */
#ifndef LB_TEXT_TEMPLATE_VALUE_H
#define LB_TEXT_TEMPLATE_VALUE_H
#include "text/template.h"

/* Chunks of zeroed memory, freed together. */
typedef struct tpl_pool {
    struct tpl_chunk *chunks;   /* owned */
    char *at;                   /* free part of the newest chunk */
    size_t left, used, limit;   /* bytes */
} tpl_pool;
void *lb_tpl_pool_alloc(tpl_pool *p, size_t n);   /* 16-byte aligned; NULL at the limit or without memory */
void lb_tpl_pool_free(tpl_pool *p);

typedef enum tpl_kind {
    TPL_MISSING,   /* an argument that was not given; never visible to a template */
    TPL_UNDEF, TPL_NONE, TPL_BOOL, TPL_INT, TPL_REAL, TPL_STR,
    TPL_LIST, TPL_TUPLE, TPL_RANGE, TPL_VIEW /* dict.items() … */, TPL_ITER /* generators: no length, used once */,
    TPL_DICT, TPL_NS, TPL_LOOP, TPL_MACRO, TPL_FUNC, TPL_METHOD
} tpl_kind;

typedef struct tpl_str {
    const char *p;      /* valid UTF-8, not NUL-terminated */
    size_t n, n_cp;     /* bytes, code points */
    bool safe;          /* came from |safe or |escape: '+' escapes the other side, as MarkupSafe does */
} tpl_str;

typedef struct tpl_val {
    tpl_kind kind;
    union {
        bool b;
        int64_t i;
        double d;
        const tpl_str *s;
        struct tpl_seq *seq;            /* LIST, TUPLE, RANGE, VIEW, ITER */
        struct tpl_dict *dict;          /* DICT, NS */
        struct tpl_loop *loop;
        struct tpl_macro *macro;
        const struct tpl_builtin *fn;
        const struct tpl_method *method;
        const struct tpl_undef *undef;
    };
} tpl_val;

typedef struct tpl_seq {
    tpl_val *v;
    size_t n, cap;
    size_t at;                     /* ITER: the next item */
    const char *type;              /* VIEW: "dict_items" … */
    int64_t start, stop, step;     /* RANGE: for printing */
} tpl_seq;

typedef struct tpl_pair { tpl_val key, val; } tpl_pair;
typedef struct tpl_dict { tpl_pair *v; size_t n, cap; } tpl_dict;      /* in order of insertion */
typedef struct tpl_loop { const tpl_seq *items; size_t i; tpl_val changed; } tpl_loop;
typedef struct tpl_method { tpl_val self; const struct tpl_builtin *fn; } tpl_method;

/* Why a value is undefined: "'name' is undefined", "'dict object' has no attribute 'name'", or a hint. With a type and
 * a hint: "'name' of a 'type': hint". */
typedef struct tpl_undef {
    const char *hint;       /* or NULL */
    const char *type;       /* of the object that was asked, or NULL */
    const tpl_str *name;    /* or NULL */
} tpl_undef;

/* One rendering. */
typedef struct tpl_rt {
    const lb_template *t;
    lb_err *err;
    tpl_pool pool;
    lb_buf *out;             /* where print goes now: the result, or a macro's or block's capture */
    size_t n_pending;        /* bytes in all live captures and the result */
    int line;                /* of the node being evaluated, for messages */
    int64_t steps;
    int depth, n_macro;      /* evaluations and macro calls inside each other */
    int64_t t0_ns;
    tpl_val *globals;        /* [names of the template], MISSING where vars has none */
} tpl_rt;

/* ---- failure and limits ---- */
bool lb_tpl_fail(tpl_rt *rt, lb_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool lb_tpl_type_error(tpl_rt *rt, const char *what, tpl_val v);    /* "what: 'int' object", LB_EFORMAT */
bool lb_tpl_undef_error(tpl_rt *rt, tpl_val v);                     /* the undefined value's own message */
bool lb_tpl_step_slow(tpl_rt *rt);
static inline bool lb_tpl_step(tpl_rt *rt, size_t n)
{
    int64_t before = rt->steps;
    rt->steps += n > LB_TEMPLATE_MAX_STEPS ? LB_TEMPLATE_MAX_STEPS + 1 : (int64_t)n;
    return before >> 10 == rt->steps >> 10 || lb_tpl_step_slow(rt);
}
/* The price of reading n bytes of text. */
static inline bool lb_tpl_step_bytes(tpl_rt *rt, size_t n) { return lb_tpl_step(rt, n >> 8); }
int64_t lb_tpl_clock_ns(void);

/* ---- making values; false (NULL) with the limit's or LB_ENOMEM message ---- */
void *lb_tpl_alloc(tpl_rt *rt, size_t count, size_t elem);
bool lb_tpl_str_ref(tpl_rt *rt, const char *p, size_t n, tpl_val *out);    /* borrows the text */
bool lb_tpl_str_copy(tpl_rt *rt, const char *p, size_t n, tpl_val *out);
bool lb_tpl_str_take(tpl_rt *rt, lb_buf *b, tpl_val *out);                 /* copies, and frees b either way */
bool lb_tpl_str_room(tpl_rt *rt, size_t n);                                /* may one string be n bytes long? */
bool lb_tpl_str_mark(tpl_rt *rt, tpl_val v, bool safe, tpl_val *out);
bool lb_tpl_seq_new(tpl_rt *rt, tpl_kind kind, size_t cap, tpl_val *out);
bool lb_tpl_push(tpl_rt *rt, tpl_seq *s, tpl_val v);
bool lb_tpl_pair_new(tpl_rt *rt, tpl_val a, tpl_val b, tpl_val *out);      /* a tuple of two */
bool lb_tpl_dict_new(tpl_rt *rt, tpl_kind kind, tpl_val *out);
bool lb_tpl_dict_put(tpl_rt *rt, tpl_dict *d, tpl_val key, tpl_val v);
bool lb_tpl_dict_find(tpl_rt *rt, const tpl_dict *d, tpl_val key, const tpl_val **found);  /* *found NULL: absent */
bool lb_tpl_undef_new(tpl_rt *rt, const char *hint, const char *type, const tpl_str *name, tpl_val *out);
bool lb_tpl_from_json(tpl_rt *rt, const json_t *j, int depth, tpl_val *out);   /* strings borrowed from j */
static inline tpl_val lb_tpl_bool(bool b) { return (tpl_val){.kind = TPL_BOOL, .b = b}; }
static inline tpl_val lb_tpl_int(int64_t i) { return (tpl_val){.kind = TPL_INT, .i = i}; }
static inline tpl_val lb_tpl_real(double d) { return (tpl_val){.kind = TPL_REAL, .d = d}; }
static inline tpl_val lb_tpl_none(void) { return (tpl_val){.kind = TPL_NONE}; }

/* ---- asking values ---- */
const char *lb_tpl_type(tpl_val v);                /* Python's name of the type */
bool lb_tpl_truth(tpl_val v);
static inline bool lb_tpl_is_seq(tpl_val v) { return v.kind >= TPL_LIST && v.kind <= TPL_VIEW; }
static inline bool lb_tpl_is_num(tpl_val v) { return v.kind >= TPL_BOOL && v.kind <= TPL_REAL; }
static inline bool lb_tpl_is_int(tpl_val v) { return v.kind == TPL_BOOL || v.kind == TPL_INT; }
static inline int64_t lb_tpl_as_int(tpl_val v) { return v.kind == TPL_BOOL ? v.b : v.i; }       /* is_int only */
static inline double lb_tpl_as_real(tpl_val v) { return v.kind == TPL_REAL ? v.d : (double)lb_tpl_as_int(v); }
static inline bool lb_tpl_str_is(const tpl_str *s, const char *lit)
{
    return s->n == __builtin_strlen(lit) && !__builtin_memcmp(s->p, lit, s->n);
}
bool lb_tpl_hashable(tpl_val v);                    /* may it be a dict's key? */
bool lb_tpl_equal(tpl_rt *rt, tpl_val a, tpl_val b, int depth, bool *out);
bool lb_tpl_less(tpl_rt *rt, tpl_val a, tpl_val b, int depth, bool *out);      /* a < b; mixed types are an error */
bool lb_tpl_length(tpl_rt *rt, tpl_val v, int64_t *out);
bool lb_tpl_items(tpl_rt *rt, tpl_val v, const tpl_seq **out);                 /* what `for` visits; empties an ITER */

/* ---- text: Python's str(), repr() and json.dumps(), code points, case (template_text.c, template_case.c) ---- */
bool lb_tpl_put_str(tpl_rt *rt, lb_buf *b, tpl_val v);
bool lb_tpl_put_repr(tpl_rt *rt, lb_buf *b, tpl_val v, int depth);
bool lb_tpl_to_str(tpl_rt *rt, tpl_val v, tpl_val *out);      /* a TPL_STR: itself, or str(v) */
typedef struct tpl_json_opt {
    bool ascii, sort_keys, pretty;
    const tpl_str *indent;               /* pretty: one level */
    const tpl_str *item_sep, *key_sep;   /* NULL: Python's defaults */
} tpl_json_opt;
bool lb_tpl_put_json(tpl_rt *rt, lb_buf *b, tpl_val v, const tpl_json_opt *opt);
void lb_tpl_put_escaped(lb_buf *b, const tpl_str *s);         /* HTML, as MarkupSafe */

uint32_t lb_tpl_cp(const char *p, const char *end, int *n);   /* the code point at p and its length in bytes */
size_t lb_tpl_cp_count(const char *p, size_t n);
size_t lb_tpl_cp_offset(const tpl_str *s, size_t i_cp);       /* byte offset of the i-th code point */
bool lb_tpl_utf8_ok(const char *p, size_t n);
bool lb_tpl_is_space(uint32_t c);                             /* str.isspace() */
size_t lb_tpl_skip_space(const char *p, size_t n);            /* bytes of white space at the start */
size_t lb_tpl_trim_space(const char *p, size_t n);            /* bytes left without the white space at the end */

typedef enum tpl_case { TPL_LOWER, TPL_UPPER, TPL_CAPITALIZE, TPL_TITLE } tpl_case;
bool lb_tpl_recase(tpl_rt *rt, const tpl_str *s, tpl_case how, tpl_val *out);
bool lb_tpl_is_cased(const tpl_str *s, bool upper);           /* str.isupper(), str.islower() */
#endif
