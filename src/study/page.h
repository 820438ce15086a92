/* study/page.h – what every page of a report is made of: its shell, headings, facts, figures, cells of tables.
 *
 * A page is written into a buffer from top to bottom. What comes from files goes through lb_html_text; attributes and
 * class names are ours. A number that may be unknown is NaN and is shown as a dash. */
#ifndef LB_STUDY_PAGE_H
#define LB_STUDY_PAGE_H
#include "study/figure.h"
#include "study/html.h"

typedef struct lb_page {
    lb_buf *b;                       /* borrowed: where it goes */
    const char *png_dir;             /* NULL: plots are not written as PNG */
    int n_plot;
    bool plots_open;                 /* between the first figure of a row and lb_page_plots_end */
    bool ok;
    lb_err *err;
} lb_page;

/* From the doctype to <main>, with the style of all reports and `rules` after it ("" for none). */
void lb_page_start(lb_page *p, const char *title, const char *rules);
/* The line of the head by which pages of ours are known again. */
#define LB_PAGE_MARK "<meta name=\"generator\" content=\"lowbit report\"/>"
/* From </main> on: the switch of colours, and `script` ("" for none) after it. Scripts hold neither '<' nor '&'. */
void lb_page_end(lb_page *p, const char *script);

void lb_page_heading(lb_page *p, const char *id, const char *title, const char *about);
/* One <li> of <ul class="facts">; nothing for an empty value. */
void lb_page_fact(lb_buf *b, const char *name, const char *value);
/* href: a path of ours or of the user's, and perhaps #id; what an address cannot hold is escaped. */
void lb_page_link(lb_buf *b, const char *href, const char *text);

/* Figures side by side where there is room. f is made if `there`, is drawn in both widths, and freed. */
void lb_page_plot(lb_page *p, bool there, lb_figure *f);
void lb_page_plots_end(lb_page *p);

/* ---- tables ---- */

void lb_table_start(lb_buf *b, const char *name);           /* up to the first head */
void lb_table_head(lb_buf *b, const char *name, const char *small);
void lb_table_body(lb_buf *b);                              /* after the last head */
void lb_table_end(lb_buf *b);
/* "<td attributes>" with v by fmt, a minus sign that is one, a dash for NaN. */
void lb_cell(lb_buf *b, const char *attributes, const char *fmt, double v);
/* "97.6 ± 0.7"; nothing for NaN; "± ?" where the error cannot be told. No number stands alone. */
void lb_pm(lb_buf *b, double v, double se);
/* The strict and the lenient reading under an accuracy (all fractions), if they are known and one of them differs. */
void lb_readings(lb_buf *b, double acc, double strict, double strict_se, double lenient, double lenient_se);
void lb_cell_start(lb_buf *b, const char *attributes);
/* lb_pm as a cell. */
void lb_cell_pm(lb_buf *b, const char *attributes, double v, double se);
/* Both by fmt, for numbers that are no per cents: a dash for NaN. */
void lb_cell_number_pm(lb_buf *b, const char *fmt, double v, double se);
/* The attribute that tints a cell by how much is lost there (a fraction): `deepest` is the deepest tint. */
const char *lb_tint(double lost, double deepest, char out[64]);
#endif
