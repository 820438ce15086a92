/* study/pages_style.c – what the evaluation pages have beside the style of all reports: filters, matrix, answers.
 *
 * Filters are radio buttons before the matrix and rules that hide rows: they work without scripts. Sorting is the only
 * script; where none runs, the rows stay in the order of the file. */
#include "study/pages_parts.h"

const char lb_pages_rules[] =
    "code{font:.92em ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;background:var(--soft);"
    "border-radius:4px;padding:.1em .3em;overflow-wrap:anywhere;white-space:pre-wrap;unicode-bidi:isolate}\n"
    "nav b{margin-right:1em}.box td,.box th{padding:.42em .55em}\n"
    "tr.group+tr>*{border-top:0}th small.o{display:block;font-weight:400}\n"
    /* filters */
    ".f{position:absolute;opacity:0;width:1px;height:1px}"
    ".f+label{display:inline-block;margin:0 .35em .4em 0;padding:.3em .75em;border:1px solid var(--grid);"
    "border-radius:99px;font-size:.875rem;cursor:pointer}"
    ".f:checked+label{background:var(--s0);color:var(--page);border-color:var(--s0)}"
    ".f:focus-visible+label{outline:2px solid var(--s0);outline-offset:2px}\n"
    "#f1:checked~.box tbody tr:not(.fd),#f2:checked~.box tbody tr:not(.fr),#f3:checked~.box tbody tr:not(.ft),"
    "#f4:checked~.box tbody tr:not(.fu),#f5:checked~.box tbody tr:not(.fn){display:none}\n"
    /* matrix */
    ".box.tall{max-height:85vh;overflow:auto}"
    "table.matrix{width:auto;min-width:min(100%,40em)}.matrix td,.matrix th{padding:.22em .5em}"
    ".matrix td{text-align:center}.matrix td a{display:block;color:inherit;text-decoration:none;min-width:1.6em}"
    ".matrix td a:hover,.matrix td a:focus-visible{outline:2px solid var(--s0);outline-offset:1px;border-radius:3px}"
    ".matrix td i{font-style:normal;font-size:.8em;color:var(--muted);display:block;line-height:1}"
    ".matrix thead th{position:sticky;top:0;background:var(--page);z-index:1;text-align:center}"
    ".matrix thead th:first-child{left:0;z-index:2;text-align:left}"
    ".matrix tbody th{max-width:17em;min-width:8em}"
    ".matrix tbody th small{display:block;color:var(--muted);font-weight:400;overflow:hidden;text-overflow:ellipsis;"
    "white-space:nowrap;unicode-bidi:isolate}"
    ".matrix .v span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:15em;text-align:left;"
    "overflow:hidden;line-height:1.15}"
    ".matrix button{float:none;border:0;background:none;padding:0;font-weight:600;font-size:inherit;min-height:0;color:inherit}"
    ".matrix button::after{content:' ↕';color:var(--muted);font-weight:400}"
    ".matrix [aria-sort] button{color:var(--s0);text-decoration:underline}"
    ".matrix .x{color:var(--muted)}\n"
    /* problems and answers */
    "section.p{border-top:1px solid var(--grid);margin-top:2.6em}section.p h2{border:0;margin-top:.9em;padding:0}"
    "section.p h2 small,section.p h3 small{font-weight:400;font-size:.875rem;color:var(--muted)}"
    "section.p h2 a,section.p h3 a{color:inherit;text-decoration:none}"
    ".t{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;font-size:.9rem;line-height:1.5;max-width:60em;"
    "border-left:3px solid var(--grid);padding:.1em 0 .1em .9em;margin:.5em 0}"
    ".t:target,section:target>h3{background:var(--soft)}"
    "article{margin:.9em 0 1.4em}article p{margin:.2em 0;font-size:.9rem;max-width:60em}"
    "article .t{font:.8125rem/1.5 ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    "article details .t{color:var(--muted)}summary{font-size:.9rem}article summary{padding:.2em 0;font-weight:400}"
    ".cut{display:block;margin:.4em 0;color:var(--s1);font-size:.85em}\n"
    "ul.chips{list-style:none;padding:0;margin:.6em 0;display:flex;flex-wrap:wrap;gap:.3em;font-size:.85rem}"
    "ul.chips a{display:block;padding:.15em .6em;border:1px solid var(--grid);border-radius:99px;color:inherit;"
    "text-decoration:none}ul.chips a.h{background:rgb(var(--heat)/calc(var(--l,0)*.5))}"
    "table.readings td{vertical-align:top}table.readings .w{white-space:normal;text-align:left;min-width:11em;"
    "max-width:24em;overflow-wrap:anywhere}\n"
    "@media (max-width:600px){.matrix tbody th{max-width:9.5em;min-width:6em}.matrix td,.matrix th{padding:.3em .4em}}\n"
    "@media print{.f+label{display:none}.box.tall{max-height:none}}\n";

/* A click on a head sorts by it, hardest first, and again the other way. A cell's value is what its tint says. */
const char lb_pages_sort_script[] =
    "(function(){var d=document,t=d.querySelector('table.matrix');if(!t)return;\n"
    "var b=t.tBodies[0],h=Array.from(t.tHead.rows[0].cells),up=1,by=0;\n"
    "function value(r,i){var c=r.cells[i];if(i===0)return +r.getAttribute('data-n');\n"
    "if(c.className==='x')return 1e9;if(c.className==='k')return parseFloat(c.textContent);\n"
    "return 1-(+c.style.getPropertyValue('--l')||0)}\n"
    "function sort(i){up=by===i?-up:1;by=i;var a=Array.from(b.rows).map(function(r){"
    "return [value(r,i),+r.getAttribute('data-n'),r]});\n"
    "a.sort(function(x,y){return up*(x[0]-y[0])||x[1]-y[1]});a.forEach(function(x){b.append(x[2])});\n"
    "h.forEach(function(c,j){if(j===i)c.setAttribute('aria-sort',up===1?'ascending':'descending');"
    "else c.removeAttribute('aria-sort')})}\n"
    "h.forEach(function(c,i){var k=d.createElement('button');k.type='button';while(c.firstChild)k.append(c.firstChild);"
    "k.onclick=function(){sort(i)};c.append(k)})})();\n";
