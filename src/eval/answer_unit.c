/* eval/answer_unit.c – the words behind a number. */
#include "eval/answer_tree.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

bool lb_unit_changes_value(const char *s)
{
    static const char *const stop[] = {
        "tens", "hundreds", "thousands", "millions", "billions", "trillions", "dozens", "score", "half", "halves", "third",
        "thirds", "fourth", "fourths", "fifth", "fifths", "sixth", "sixths", "seventh", "sevenths", "eighth", "eighths",
        "ninth", "ninths", "tenth", "tenths", "twelfth", "twelfths", "hundredth", "hundredths", "thousandth",
        "thousandths", "millionth", "millionths", "squared", "cubed", "doubled", "tripled", "halved", "root", "twos",
        "threes", "fours", "fives", "sixes", "sevens", "eights", "nines", "one", "two", "three", "four", "five", "six",
        "seven", "eight", "nine", "ten", "zero", "fewer", "out", "imaginary", "infinity",
        "factorial", "plus", "minus", "times", "over", "divided", "or", "and", "if", "when", "where", "for", "not",
        "no", "more", "less", "greater", "than", "least", "most", "about", "approximately", "mod", "modulo", "base",
        "remainder", "to", "between", "negative", "positive", "except", "percent", NULL};
    while (*s) {
        size_t n = strcspn(s, " ,;.()-\t\n");
        if (n == 1 && isalpha((unsigned char)*s) && !strchr("mgslLhJNWKVCFAa", *s)) return true;   /* 5\text{ i} */
        for (int i = 0; stop[i]; i++)
            if (strlen(stop[i]) == n && !strncasecmp(stop[i], s, n)) return true;
        s += n + (s[n] != 0);
    }
    return false;
}

const char *lb_unit_multiple(const char *s, size_t *n)
{
    static const char *const word[][2] = {{"hundred", "100"}, {"thousand", "1000"}, {"million", "1000000"},
        {"billion", "1000000000"}, {"trillion", "1000000000000"}, {"dozen", "12"}};
    for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
        *n = strlen(word[i][0]);
        if (!strncasecmp(s, word[i][0], *n) && (!s[*n] || s[*n] == ' ')) return word[i][1];
    }
    return NULL;
}

/* One name for units that have several. */
static const char *unit_name(const char *s)
{
    static const char *const same[][2] = {
        {"hr", "hour"}, {"hrs", "hour"}, {"min", "minute"}, {"mins", "minute"}, {"sec", "second"}, {"secs", "second"},
        {"cm", "centimeter"}, {"mm", "millimeter"}, {"km", "kilometer"}, {"m", "meter"}, {"metre", "meter"},
        {"centimetre", "centimeter"}, {"kilometre", "kilometer"}, {"kg", "kilogram"}, {"g", "gram"}, {"ft", "foot"},
        {"feet", "foot"}, {"inches", "inch"}, {"in", "inch"}, {"yd", "yard"}, {"lb", "pound"}, {"lbs", "pound"},
        {"oz", "ounce"}, {"ml", "milliliter"}, {"mph", "mile/hour"}, {"sq", "square"}, {"per", "/"}, {"cents", "cent"},
        {"h", "hour"}, {"s", "second"}, {"kph", "kilometer/hour"}, {"kmh", "kilometer/hour"},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!strcmp(same[i][0], s)) return same[i][1];
    return s;
}

static bool add(char *unit, size_t size, const char *s)
{
    if (strlen(unit) + strlen(s) + 1 > size) return false;
    strcat(unit, s);
    return true;
}

bool lb_unit_add(char *unit, size_t size, const char *s)
{
    const char *power = "";
    while (*s) {
        char word[32];
        size_t n = strcspn(s, " .,-~/\t\n"), k = 0;
        for (; k < n && k + 1 < sizeof word; k++) word[k] = s[k] >= 'A' && s[k] <= 'Z' ? (char)(s[k] + 32) : s[k];
        word[k] = 0;
        bool slash = s[n] == '/';
        s += n + (s[n] != 0);
        const char *name = unit_name(word);
        if (name == word && k > 3 && word[k - 1] == 's' && word[k - 2] != 's') {
            word[k - 1] = 0;
            name = unit_name(word);
        }
        if (!strcmp(name, "square") || !strcmp(name, "cubic")) {
            power = name[0] == 's' ? "2" : "3";
            continue;
        }
        if (k && !(add(unit, size, name) && add(unit, size, power))) return false;
        if (k) power = "";
        if (slash && !add(unit, size, "/")) return false;
    }
    return add(unit, size, power);
}
