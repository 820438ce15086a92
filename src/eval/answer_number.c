/* eval/answer_number.c – decimals, repeating decimals and powers of ten to rationals. */
#include "eval/answer_number.h"
#include "eval/answer_tree.h"

bool lb_number_parse(const char *s, fmpq_t out)
{
    char digit[LB_TREE_BYTES + 64];
    size_t n = 0, n_frac = 0, n_rep = 0;
    enum { WHOLE, FRACTION, REPEATING } where = WHOLE;
    long ten = 0;
    for (; *s && *s != 'e' && *s != 'E'; s++) {
        if (*s == '.') where = FRACTION;
        else if (*s == '(') where = REPEATING;
        else if (*s != ')' && n < sizeof digit - 1)
            digit[n++] = *s, n_frac += where == FRACTION, n_rep += where == REPEATING;
    }
    if (*s) {
        bool negative = s[1] == '-';
        for (s += 1 + (s[1] == '-' || s[1] == '+'); *s && ten <= LB_NUMBER_EXPONENT; s++) ten = 10 * ten + (*s - '0');
        if (negative) ten = -ten;
    }
    if (n > LB_NUMBER_DIGITS || ten > LB_NUMBER_EXPONENT || ten < -LB_NUMBER_EXPONENT) return false;
    digit[n] = 0;
    fmpz_t a, b;
    fmpz_init(a), fmpz_init(b);
    fmpz_set_str(a, n ? digit : "0", 10);
    if (n_rep) {                           /* 0.x(y) = (xy − x) / (10^|y| − 1) / 10^|x| */
        digit[n - n_rep] = 0;
        if (n > n_rep) fmpz_set_str(b, digit, 10);
        fmpz_sub(a, a, b);
        fmpz_set_ui(b, 10), fmpz_pow_ui(b, b, n_rep);
        fmpz_sub_ui(b, b, 1);
        fmpq_set_fmpz_frac(out, a, b);
    } else {
        fmpq_set_fmpz(out, a);
    }
    ten -= (long)n_frac;
    fmpz_set_ui(b, 10), fmpz_pow_ui(b, b, (ulong)(ten < 0 ? -ten : ten));
    if (ten >= 0) fmpq_mul_fmpz(out, out, b);
    else fmpq_div_fmpz(out, out, b);
    fmpz_clear(a), fmpz_clear(b);
    return true;
}
