/* study/report_style.c – how the page looks: one style sheet, from the palette, and the switch between light and dark.
 *
 * Colours are variables, set for light, for dark by the system's wish, and for either by the switch. Everything scrolls
 * inside its own box; plots come in two widths, of which the one that fits is shown, so that text in them is never
 * scaled down. Without scripts the page is the same except that it has no switch. */
#include "study/report_parts.h"

static void colours(lb_buf *b, const lb_palette *p)
{
    lb_buf_fmt(b, "--page:#%06x;--text:#%06x;--muted:#%06x;--grid:#%06x;", p->page, p->text, p->muted, p->grid);
    for (int i = 0; i < LB_PLOT_INKS; i++) lb_buf_fmt(b, "--s%d:#%06x;", i, p->ink[i]);
}

static const char rules[] =
    "*{box-sizing:border-box}\n"
    "html{-webkit-text-size-adjust:100%;text-size-adjust:100%}\n"
    "body{margin:0;background:var(--page);color:var(--text);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Noto Sans','DejaVu Sans',sans-serif}\n"
    "main{max-width:1160px;margin:0 auto;padding:24px 20px 64px}\n"
    "h1{font-size:1.75rem;line-height:1.2;margin:.2em 0 .3em}\n"
    "h2{font-size:1.3rem;margin:2.4em 0 .5em;padding-top:.8em;border-top:1px solid var(--grid)}\n"
    "h3{font-size:1.05rem;margin:1.8em 0 .4em}\n"
    "p{max-width:46em;margin:.5em 0}\n"
    ".m,.note{color:var(--muted)}.note{font-size:.875rem}\n"
    "ul.facts{list-style:none;padding:0;margin:1em 0;display:flex;flex-wrap:wrap;gap:.3em 1.6em;font-size:.9rem}\n"
    "ul.facts b{font-weight:600}\n"
    "ul.points{padding-left:1.2em;max-width:50em}ul.points li{margin:.35em 0}\n"
    "nav{font-size:.9rem;margin:1em 0}nav a{display:inline-block;margin:0 1em .3em 0}\n"
    "a{color:var(--s0)}\n"
    ".box{overflow-x:auto;margin:.8em 0;"
    "border:1px solid var(--grid);border-radius:6px;-webkit-overflow-scrolling:touch}\n"
    "summary{cursor:pointer;padding:.6em 0;font-weight:600;color:var(--s0)}\n"
    "summary:focus-visible,.box:focus-visible,button:focus-visible,a:focus-visible{"
    "outline:2px solid var(--s0);outline-offset:2px}\n"
    "table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.42em .7em;text-align:right;white-space:nowrap;vertical-align:baseline}\n"
    "th{font-weight:600}thead th{border-bottom:1px solid var(--muted);vertical-align:bottom}\n"
    "thead small{display:block;font-weight:400;color:var(--muted)}\n"
    "tbody tr+tr>*{border-top:1px solid var(--grid)}\n"
    "th:first-child,td.l,th.l{text-align:left}\n"
    "tbody th{position:sticky;left:0;background:var(--page);font-weight:500;max-width:19em;white-space:normal;"
    "overflow-wrap:break-word;min-width:9em}\n"
    "tr.base>*{background:var(--soft)}tr.group th{color:var(--muted);font-weight:600}\n"
    "td.err{text-align:left;color:var(--s1)}td.err span{display:block;white-space:normal;max-width:min(54vw,48em);"
    "overflow-wrap:break-word}\n"
    "td.h{background:rgb(var(--heat)/calc(var(--l,0)*.5))}\n"
    "td small.o{display:block}"
    "td small,.pm{color:var(--muted);font-size:.85em}\n"
    ".c0{color:var(--s2)}.c1{color:var(--s4)}.c2{color:var(--s1)}.c0,.c1,.c2{font-weight:600}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,500px),1fr));"
    "gap:8px 36px;align-items:start}\n"
    "figure{margin:1em 0;min-width:0}figcaption{margin-bottom:.5em}figcaption b{display:block;font-weight:600}\n"
    "figcaption span{font-size:.875rem;color:var(--muted);display:block;max-width:44em}\n"
    "svg{display:block;width:100%;height:auto;max-width:600px;font-family:inherit;overflow:visible}\n"
    "svg path{fill:none;stroke-linecap:butt}svg.narrow{display:none}"
    "svg text{paint-order:stroke;stroke:var(--page);stroke-width:3px;stroke-linejoin:round}\n"
    "@media (max-width:600px){main{padding:14px 14px 48px}h1{font-size:1.45rem}svg.wide{display:none}"
    "svg.narrow{display:block;max-width:440px}tbody th{max-width:11em}th,td{padding:.42em .55em}}\n"
    "@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}\n"
    "button{float:right;font:inherit;font-size:.85rem;color:var(--text);background:var(--soft);"
    "border:1px solid var(--grid);border-radius:6px;padding:.3em .8em;min-height:36px;cursor:pointer}\n"
    "@media print{button,nav{display:none}.box{overflow:visible}}\n";

static const char dark[] = "--soft:#1d2127;--heat:255 151 82;color-scheme:dark;";
static const char light[] = "--soft:#f3f5f7;--heat:194 78 0;color-scheme:light;";

void lb_report_style(lb_buf *b, const char *rules_after)
{
    lb_buf_str(b, "<style>\n:root{");
    colours(b, &lb_palette_light);
    lb_buf_fmt(b, "%s}\n@media (prefers-color-scheme:dark){:root:not([data-theme=light]){", light);
    colours(b, &lb_palette_dark);
    lb_buf_fmt(b, "%s}}\n:root[data-theme=dark]{", dark);
    colours(b, &lb_palette_dark);
    lb_buf_fmt(b, "%s}\n%s", dark, rules);
    static const struct { const char *name, *variable;
    } named[] = {{"t", "text"}, {"m", "muted"}, {"g", "grid"}};
    for (int i = 0; i < LB_PLOT_INKS; i++)
        lb_buf_fmt(b, "svg .k%d{stroke:var(--s%d)}svg .f%d{fill:var(--s%d)}\n", i, i, i, i);
    for (int i = 0; i < 3; i++)
        lb_buf_fmt(b, "svg .k%s{stroke:var(--%s)}svg .f%s{fill:var(--%s)}\n", named[i].name, named[i].variable,
                   named[i].name, named[i].variable);
    lb_buf_str(b, rules_after);
    lb_buf_str(b, "</style>\n");
}

/* The switch appears only where scripts run. No '<' or '&' is in it, so that it is XML as it stands. */
void lb_report_script(lb_buf *b, const char *script)
{
    lb_buf_str(b,
               "<script>\n"
               "(function(){var d=document,r=d.documentElement,b=d.createElement('button');\n"
               "function dark(){var t=r.getAttribute('data-theme');return t?t==='dark':"
               "matchMedia('(prefers-color-scheme: dark)').matches}\n"
               "function say(){b.textContent=dark()?'Light':'Dark';b.setAttribute('aria-label','Switch to '+"
               "(dark()?'light':'dark')+' colours')}\n"
               "b.type='button';b.onclick=function(){r.setAttribute('data-theme',dark()?'light':'dark');say()};say();\n"
               "d.querySelector('main').prepend(b)})();\n");
    lb_buf_str(b, script);
    lb_buf_str(b, "</script>\n");
}
