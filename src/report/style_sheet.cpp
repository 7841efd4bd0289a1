// The look of the page. Colours: Okabe and Ito's set, lightened for the dark scheme; told apart by
// eyes of every kind, and by dashes.
#include "report/page.h"

namespace kd {

const char* const kStyleSheet = R"css(
:root{--page:#f7f7f5;--card:#fff;--ink:#1b1d21;--soft:#5b616b;--rule:#dfe1e4;--grid:#e9eaec;
--c1:#0072b2;--c2:#c44601;--c3:#00785a;--c4:#9a6a00;--c5:#a3527f;--c6:#4a4f57;--paper:#fff;
--good:#00785a;--note:#4a6178;--warning:#8a5a00;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--page:#14161a;--card:#1c1f25;--ink:#e8eaed;--soft:#a2a9b4;
--rule:#343941;--grid:#2a2e36;--c1:#5bb4ee;--c2:#ff9a5c;--c3:#3fcfa4;--c4:#f0c04a;--c5:#e59ac6;
--c6:#b8bfc9;--paper:#1c1f25;--good:#3fcfa4;--note:#9db8d2;--warning:#f0c04a;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main{max-width:1320px;margin:0 auto;padding:40px 28px 64px}
h1{font-size:clamp(1.4rem,1rem + 1.7vw,2.1rem);line-height:1.22;font-weight:650;max-width:32em;
letter-spacing:-.012em;margin:0 0 10px;text-wrap:balance}
h2{font-size:1.2rem;line-height:1.3;font-weight:650;margin:48px 0 14px;overflow-wrap:anywhere}
h3{font-size:.95rem;font-weight:650;margin:0 0 12px}
.run>h3{margin:36px 0 2px}
.run{border-top:1px solid var(--rule);margin-top:48px}
.run>h2{margin-top:28px}
.eyebrow{margin:0 0 10px;font-size:.8rem;font-weight:600;color:var(--c1)}
.sub{color:var(--soft);margin:0 0 14px;font-size:.9rem;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(178px,1fr));gap:1px;margin:26px 0;
background:var(--rule);border:1px solid var(--rule);border-radius:10px;overflow:hidden}
.tile{background:var(--card);padding:16px 18px 14px}
.tile dt{font-size:.83rem;color:var(--soft)}
.tile dd{margin:0}
.tile b{font-size:1.8rem;line-height:1.3;font-weight:620;letter-spacing:-.02em}
.unit{margin-left:.3em;color:var(--soft)}
.detail{display:block;font-size:.83rem;color:var(--soft)}
.findings{list-style:none;margin:0 0 20px;padding:0;max-width:62em}
.findings li{display:grid;grid-template-columns:5.4rem 1fr;gap:0 12px;padding:9px 0;
border-bottom:1px solid var(--rule)}
.findings li:first-child{border-top:1px solid var(--rule)}
.tag{font-size:.83rem;font-weight:650;line-height:1.8}
.tag::before{display:inline-block;width:1.35em}
.good .tag{color:var(--good)}.good .tag::before{content:"✓"}
.note .tag{color:var(--note)}.note .tag::before{content:"·"}
.warning .tag{color:var(--warning)}.warning .tag::before{content:"!"}
.bad .tag{color:var(--bad)}.bad .tag::before{content:"✗"}
.scroll{overflow-x:auto}
.scroll:focus-visible{outline:2px solid var(--c1);outline-offset:2px}
.sheet{overflow:hidden;background:var(--card);border:1px solid var(--rule);border-radius:10px}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.85rem;line-height:1.35}
.about{margin:0;color:var(--soft);padding:10px 12px;font-size:.83rem}
th,td{padding:9px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
thead th{font-weight:600;color:var(--soft);white-space:normal;vertical-align:bottom;
min-width:5em}
th:first-child{text-align:left;position:sticky;left:0;background:var(--card);font-weight:600;
max-width:15rem;overflow-wrap:break-word;white-space:normal;min-width:10.5em;
border-right:1px solid var(--rule)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(390px,100%),1fr));gap:16px;
margin:16px 0}
figure{margin:0;padding:16px 18px;background:var(--card);border:1px solid var(--rule);
border-radius:10px;break-inside:avoid;min-width:0}
@media (min-width:900px){.wide{grid-column:span 2}
.wide .pair{display:grid;grid-template-columns:1fr 1fr;gap:0 20px}.wide h4{grid-row:1;margin:0}}
figcaption{font-size:.83rem;line-height:1.45;color:var(--soft);margin-top:10px}
svg{display:block;margin:0 auto;font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums;max-width:100%;height:auto}
text{fill:var(--soft)}
.label,.legend,.number{fill:var(--ink)}
figure h4{margin:0 0 6px;font-size:.83rem;font-weight:400;color:var(--soft)}
figure svg+h4{margin-top:18px}
.grid{stroke:var(--grid)}.axis{stroke:var(--soft)}
.ideal{stroke:var(--ink);stroke-dasharray:4 4}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.s1{stroke:var(--c1)}.s2{stroke:var(--c2);stroke-dasharray:7 3}
.s3{stroke:var(--c3);stroke-dasharray:2 3}.s4{stroke:var(--c4);stroke-dasharray:9 3 2 3}
.s5{stroke:var(--c5);stroke-dasharray:4 2}.s6{stroke:var(--c6);stroke-dasharray:1 2}
.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}
.f6{fill:var(--c6)}
.bar,.right,.gain{fill:var(--c1)}.wrong,.loss{fill:var(--c2)}
.gap{fill:var(--c2);fill-opacity:.22;stroke:var(--c2);stroke-width:1}
.gap.above{fill:var(--paper);fill-opacity:.45}
.count{fill:var(--soft);fill-opacity:.55}
.fitted{fill:var(--paper);stroke:var(--ink);stroke-width:1.6}
.cell{font-size:10px;fill:var(--ink)}.cell.strong{fill:var(--paper);font-weight:600}
.worsts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(390px,100%),1fr));gap:16px}
.worst{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:14px 18px;
break-inside:avoid}
.worst h4{margin:0 0 10px;font-size:.95rem;display:flex;flex-wrap:wrap;gap:0 12px;
justify-content:space-between;overflow-wrap:anywhere}
.worst h4 span{font-weight:400;color:var(--soft);font-size:.86rem}
.worst ul{list-style:none;margin:0;padding:0;display:grid;gap:10px;
grid-template-columns:repeat(auto-fill,minmax(72px,1fr))}
.worst li{font-size:.8rem;line-height:1.3;min-width:0}
.worst img,.blank{display:block;width:100%;aspect-ratio:1;object-fit:contain;border-radius:6px;
background:var(--grid);image-rendering:pixelated;margin-bottom:5px}
.guess{display:block;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.sure{color:var(--soft)}
details{margin-top:24px;background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:0 18px}
summary{cursor:pointer;padding:13px 0;font-weight:600;font-size:.95rem}
details h4{margin:14px 0 6px;font-size:.86rem}
.folders{margin:0;padding:0;list-style:none;font-size:.86rem;overflow-wrap:anywhere}
.folders span{color:var(--soft)}
.pairs{display:grid;grid-template-columns:minmax(8em,max-content) 1fr;gap:2px 18px;margin:0 0 16px;
font-size:.86rem}
.pairs dt{color:var(--soft)}.pairs dd{margin:0;overflow-wrap:anywhere}
@media (max-width:620px){main{padding:24px 16px 48px}.tiles{grid-template-columns:1fr 1fr}
.tile:last-child:nth-child(odd){grid-column:1/-1}.tile{padding:12px 14px}.tile b{font-size:1.45rem}
.findings li{grid-template-columns:1fr}figure{padding:14px 12px}svg{font-size:12.8px}
th:first-child{max-width:8.5rem;min-width:6.5em}}
@media print{:root{--page:#fff}body{font-size:12px}main{max-width:none;padding:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.scroll{overflow:visible}table{font-size:7px}th,td{padding:3px 4px}thead th{min-width:0}
th:first-child{position:static}h2,h3{break-after:avoid}tr{break-inside:avoid}}
)css";

}  // namespace kd
