/* study/page.c – the shell of a page, figures, and cells. */
#include "study/page.h"
#include "study/report_parts.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- shell ---- */

void lb_page_start(lb_page *p, const char *title, const char *rules)
{
    lb_buf *b = p->b;
    lb_buf_str(b, "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
                  "<meta charset=\"utf-8\"/>\n" LB_PAGE_MARK "\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                  "<meta name=\"color-scheme\" content=\"light dark\"/>\n");
    lb_html_element(b, "title", "", title);
    lb_buf_byte(b, '\n');
    lb_report_style(b, rules);
    lb_buf_str(b, "</head>\n<body>\n<main>\n");
}

void lb_page_end(lb_page *p, const char *script)
{
    lb_buf_str(p->b, "</main>\n");
    lb_report_script(p->b, script);
    lb_buf_str(p->b, "</body>\n</html>\n");
}

void lb_page_heading(lb_page *p, const char *id, const char *title, const char *about)
{
    lb_buf_str(p->b, "<h2 id=\"");
    lb_html_text(p->b, id);
    lb_buf_str(p->b, "\">");
    lb_html_text(p->b, title);
    lb_buf_str(p->b, "</h2>\n");
    if (*about) lb_html_element(p->b, "p", "class=\"m\"", about);
    lb_buf_byte(p->b, '\n');
}

void lb_page_fact(lb_buf *b, const char *name, const char *value)
{
    if (!*value) return;
    lb_buf_str(b, "<li><span class=\"m\">");
    lb_html_text(b, name);
    lb_buf_str(b, "</span> <b>");
    lb_html_text(b, value);
    lb_buf_str(b, "</b></li>\n");
}

void lb_page_link(lb_buf *b, const char *href, const char *text)
{
    lb_buf_str(b, "<a href=\"");
    for (const char *p = href; *p; p++) {
        bool plain = isalnum((unsigned char)*p) || strchr("-._~/#", *p);
        lb_buf_fmt(b, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
    lb_buf_str(b, "\">");
    lb_html_text(b, text);
    lb_buf_str(b, "</a>\n");
}

/* ---- figures ---- */

static void figure(lb_page *p, lb_figure *f)
{
    char id[24];
    lb_buf_str(p->b, "<figure><figcaption>");
    lb_html_element(p->b, "b", "", f->plot.title);
    lb_buf_str(p->b, "<span>");
    lb_html_text(p->b, f->caption);
    lb_buf_str(p->b, ".</span></figcaption>\n");
    snprintf(id, sizeof id, "p%dw", p->n_plot);
    p->ok = p->ok && lb_plot_svg(&f->plot, 600, id, "wide", p->b, p->err);
    snprintf(id, sizeof id, "p%dn", p->n_plot);
    p->ok = p->ok && lb_plot_svg(&f->plot, 356, id, "narrow", p->b, p->err);
    lb_buf_str(p->b, "</figure>\n");
    if (p->ok && p->png_dir) {
        char path[1200];
        snprintf(path, sizeof path, "%.1000s/%s.png", p->png_dir, f->plot.name);
        p->ok = lb_plot_png(&f->plot, 600, path, p->err);
    }
    p->n_plot++;
    lb_plot_free(&f->plot);
}

void lb_page_plot(lb_page *p, bool there, lb_figure *f)
{
    if (!there) return;
    if (!p->plots_open) lb_buf_str(p->b, "<div class=\"plots\">\n");
    p->plots_open = true;
    figure(p, f);
}

void lb_page_plots_end(lb_page *p)
{
    if (p->plots_open) lb_buf_str(p->b, "</div>\n");
    p->plots_open = false;
}

/* ---- tables ---- */

void lb_table_start(lb_buf *b, const char *name)
{
    lb_buf_str(b, "<div class=\"box\" role=\"region\" tabindex=\"0\" aria-label=\"");
    lb_html_text(b, name);
    lb_buf_str(b, "\"><table>\n<thead><tr>");
}

void lb_table_head(lb_buf *b, const char *name, const char *small)
{
    lb_buf_str(b, "<th scope=\"col\">");
    lb_html_text(b, name);
    if (*small) lb_html_element(b, "small", "", small);
    lb_buf_str(b, "</th>");
}

void lb_table_body(lb_buf *b) { lb_buf_str(b, "</tr></thead>\n<tbody>\n"); }
void lb_table_end(lb_buf *b) { lb_buf_str(b, "</tbody></table></div>\n"); }

void lb_cell_start(lb_buf *b, const char *attributes)
{
    lb_buf_fmt(b, "<td%s%s>", *attributes ? " " : "", attributes);
}

void lb_cell(lb_buf *b, const char *attributes, const char *fmt, double v)
{
    char text[64];
    if (isfinite(v)) snprintf(text, sizeof text, fmt, v);
    else snprintf(text, sizeof text, "–");
    lb_cell_start(b, attributes);
    lb_buf_fmt(b, text[0] == '-' ? "−%s</td>" : "%s</td>", text + (text[0] == '-'));
}

void lb_pm(lb_buf *b, double v, double se)
{
    double shown = fabs(v) < 0.05 ? 0 : v;
    if (!isfinite(v)) return;
    lb_buf_fmt(b, "%s%.1f <span class=\"pm\">± ", shown < 0 ? "−" : "", fabs(shown));
    if (isfinite(se)) lb_buf_fmt(b, "%.1f</span>", se);
    else lb_buf_str(b, "?</span>");
}

void lb_readings(lb_buf *b, double acc, double strict, double strict_se, double lenient, double lenient_se)
{
    if (!isfinite(strict) || !isfinite(lenient) || (strict == acc && lenient == acc)) return;
    lb_buf_str(b, "<small class=\"o\">strict ");
    lb_pm(b, 100 * strict, 100 * strict_se);
    lb_buf_str(b, "</small><small class=\"o\">lenient ");
    lb_pm(b, 100 * lenient, 100 * lenient_se);
    lb_buf_str(b, "</small>");
}

void lb_cell_pm(lb_buf *b, const char *attributes, double v, double se)
{
    lb_cell_start(b, attributes);
    lb_pm(b, v, se);
    lb_buf_str(b, "</td>");
}

void lb_cell_number_pm(lb_buf *b, const char *fmt, double v, double se)
{
    char text[64] = "–", error[64] = "";
    if (isfinite(v)) snprintf(text, sizeof text, fmt, v);
    if (isfinite(v) && isfinite(se)) snprintf(error, sizeof error, fmt, se);
    lb_buf_fmt(b, "<td>%s%s%s%s</td>", text, *error ? " <span class=\"pm\">± " : "", error, *error ? "</span>" : "");
}

const char *lb_tint(double lost, double deepest, char out[64])
{
    double l = lost / deepest;
    if (!(l > 0.02)) return "";
    snprintf(out, 64, "class=\"h\" style=\"--l:%.2f\"", l > 1 ? 1 : l);
    return out;
}
