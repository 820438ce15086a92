/* eval/answer_words.c – numbers in words: twenty-one, one hundred and five apples, third. */
#include "eval/answer_tree.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_WORDS = 12, MAX_REST = 3, MAX_BYTES = 120 };

typedef struct number_word {
    const char *name, *ordinal;
    int value;
} number_word;

static const number_word small[] = {
    {"zero", NULL, 0},           {"one", "first", 1},          {"two", "second", 2},        {"three", "third", 3},
    {"four", "fourth", 4},       {"five", "fifth", 5},         {"six", "sixth", 6},         {"seven", "seventh", 7},
    {"eight", "eighth", 8},      {"nine", "ninth", 9},         {"ten", "tenth", 10},        {"eleven", "eleventh", 11},
    {"twelve", "twelfth", 12},   {"thirteen", "thirteenth", 13}, {"fourteen", "fourteenth", 14},
    {"fifteen", "fifteenth", 15}, {"sixteen", "sixteenth", 16}, {"seventeen", "seventeenth", 17},
    {"eighteen", "eighteenth", 18}, {"nineteen", "nineteenth", 19}, {"twenty", "twentieth", 20},
    {"thirty", "thirtieth", 30}, {"forty", "fortieth", 40},    {"fifty", "fiftieth", 50},   {"sixty", "sixtieth", 60},
    {"seventy", "seventieth", 70}, {"eighty", "eightieth", 80}, {"ninety", "ninetieth", 90},
};
static const struct { const char *name; long long value; } large[] = {
    {"thousand", 1000}, {"million", 1000000}, {"billion", 1000000000}};

typedef struct words {
    struct { const char *s; size_t n; bool hyphen; } word[MAX_WORDS]; /* hyphen: in front of it */
    int n;
} words;

/* Letters in words, one space or hyphen between them; nothing else. */
static bool split(const char *s, const char *end, words *w)
{
    w->n = 0;
    for (bool hyphen = false; s < end; s++) {
        const char *e = s;
        while (e < end && isalpha((unsigned char)*e)) e++;
        if (e == s || w->n == MAX_WORDS) return false;
        w->word[w->n].s = s, w->word[w->n].n = (size_t)(e - s), w->word[w->n++].hyphen = hyphen;
        if (e == end) return true;
        if (*e != ' ' && *e != '-') return false;
        hyphen = *e == '-', s = e;
    }
    return false;
}

static bool is(const words *w, int i, const char *name)
{
    return i < w->n && strlen(name) == w->word[i].n && !strncasecmp(name, w->word[i].s, w->word[i].n);
}

static const number_word *find(const words *w, int i, bool ordinal)
{
    for (size_t k = 0; k < sizeof small / sizeof *small; k++) {
        const char *name = ordinal ? small[k].ordinal : small[k].name;
        if (name && is(w, i, name)) return &small[k];
    }
    return NULL;
}

/* Whether it may follow what was read: twenty five, two hundred five, not five twenty. */
static bool fits(int group, int value)
{
    return value && value < 10 ? group % 10 == 0 && group % 100 != 10 : group % 100 == 0 && (value || !group);
}

static long long scale(const words *w, int i)
{
    for (size_t k = 0; k < sizeof large / sizeof *large; k++)
        if (is(w, i, large[k].name)) return large[k].value;
    return 0;
}

/* The number at the begin: how many words it takes, 0 if none. */
static int read_number(const words *w, long long *value, bool *ordinal)
{
    long long total = 0, least = 1000000000000, by;
    int group = 0, i = 0;
    bool open = false;                   /* a group was begun: three, three hundred */
    *ordinal = false;
    for (; i < w->n && !*ordinal; i++) {
        const number_word *x = find(w, i, false);
        bool and = i > 0 && is(w, i, "and") && (is(w, i - 1, "hundred") || scale(w, i - 1)) && find(w, i + 1, false);
        if (and) continue;
        if (x && fits(group, x->value) && !(open && group == 0)) {
            group += x->value, open = true;
        } else if (is(w, i, "hundred") && group >= 1 && group <= 9) {
            group *= 100;
        } else if (open && (by = scale(w, i)) != 0 && by < least) {
            total += group * by, least = by, group = 0, open = false;
        } else if ((i == 0 || w->word[i].hyphen) && (x = find(w, i, true)) != NULL && fits(group, x->value)) {
            group += x->value, *ordinal = true;
        } else {
            break;
        }
    }
    *value = total + group;
    return i;
}

static bool names_number(const words *w, int i)
{
    return find(w, i, false) || find(w, i, true) || scale(w, i) || is(w, i, "hundred");
}

bool lb_words_to_number(const char *s, size_t n, char *out, size_t size)
{
    words w;
    long long value;
    bool ordinal;
    const char *end = s + n;
    if (n > MAX_BYTES) return false;
    if (n > 7 && !memcmp(s, "\\text{", 6) && end[-1] == '}') s += 6, end--;
    if (!split(s, end, &w)) return false;
    bool minus = w.n > 1 && (is(&w, 0, "minus") || is(&w, 0, "negative"));
    if (minus) memmove(w.word, w.word + 1, (size_t)--w.n * sizeof *w.word);
    int k = read_number(&w, &value, &ordinal);
    if (!k || w.n - k > MAX_REST || (ordinal && (k < w.n || minus))) return false;
    for (int i = k; i < w.n; i++)
        if (w.word[i].n < 2 || names_number(&w, i) || (i == k && w.word[i].hyphen)) return false;
    int m = snprintf(out, size, "%s%lld", minus ? "-" : "", value);
    if (m > 0 && (size_t)m < size && k < w.n)
        m += snprintf(out + m, size - (size_t)m, "\\text{ %.*s}", (int)(end - w.word[k].s), w.word[k].s);
    return m > 0 && (size_t)m < size;
}
