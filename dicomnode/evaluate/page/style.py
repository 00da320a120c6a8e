"""The style sheet of the page: light, dark and on paper; on a telephone of 360 pixels and on A4.

Colours of lines are told apart by people who see no red or green, too (after Okabe and Ito), and lines differ
in their dashes, marks in their forms.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Final

_LIGHT: Final = """
--paper:#fff;--ink:#1b1f24;--faint:#59616b;--edge:#d3d8de;--soft:#f3f5f7;--grid:#e6e9ed;
--bad:#a3160f;--bad-paper:#fdecea;--c0:#0a5ca8;--c1:#b84a00;--c2:#00725a;--c3:#8a3a9c;
--good:10,92,168;--wrong:184,60,0;color-scheme:light"""

_DARK: Final = """
--paper:#14171b;--ink:#e8ebef;--faint:#a4adb8;--edge:#3a424c;--soft:#1e2329;--grid:#2a3038;
--bad:#ff9d94;--bad-paper:#3b1613;--c0:#74b8f7;--c1:#ffa566;--c2:#54d1aa;--c3:#dba2ee;
--good:64,140,215;--wrong:225,105,40;color-scheme:dark"""

_PAGE: Final = """
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:72rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:.2rem 0 .6rem}
h2{font-size:1.25rem;margin:2.2rem 0 .6rem;padding-top:.8rem;border-top:2px solid var(--edge)}
h3{font-size:1.05rem;margin:0 0 .3rem}
p{margin:.3rem 0}
ul{margin:.4rem 0;padding-left:1.3rem}
header p{color:var(--faint)}
.kind{text-transform:uppercase;letter-spacing:.06em;font-size:.8rem}
.faint{color:var(--faint)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1rem;align-items:start}
.card{border:1px solid var(--edge);border-radius:.5rem;padding:1rem;background:var(--soft)}
.card.warned{border:2px solid var(--bad)}
.lead-name{color:var(--faint)}
.lead{font-size:2.6rem;font-weight:700;line-height:1.1}
.lead.none{font-size:1.2rem}
.lead-at{font-size:1.2rem;font-weight:700}
.warned .lead-at{color:var(--bad)}
.warned .lead{color:var(--bad)}
.beside{color:var(--faint)}
.also{list-style:none;padding:.5rem 0 0;margin:.5rem 0 0;border-top:1px solid var(--edge);font-size:.92rem}
td small{display:block;color:var(--faint);white-space:normal}
.alarm{margin:.8rem 0;padding:.7rem .9rem;background:var(--bad-paper);color:var(--ink);
border-left:.4rem solid var(--bad)}
.sign{font-weight:700;color:var(--bad)}
.scroll{overflow-x:auto;margin:.2rem 0 .8rem}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
.above{font-weight:600;margin:1rem 0 0;font-size:.95rem}
th,td{padding:.3rem .7rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--edge);
overflow-wrap:normal}
thead th{border-bottom:2px solid var(--edge);font-weight:600}
tbody th{font-weight:400;min-width:9rem}
.n{text-align:right}
td.n{white-space:nowrap}
.plots,.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,25rem),1fr));gap:1rem;
align-items:start;margin:1rem 0}
figure{margin:0;padding:.8rem;border:1px solid var(--edge);border-radius:.5rem;min-width:0}
figcaption{font-weight:600;margin-bottom:.4rem}
figure p{font-size:.88rem;color:var(--faint)}
figure svg{display:block;width:100%;height:auto;max-width:30rem}
img{display:block;max-width:100%;height:auto}
.small-pictures{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.4rem;margin:.3rem 0 1rem}
.legend{list-style:none;padding:0;font-size:.88rem}
.legend li{display:flex;gap:.5rem;align-items:center}
.legend svg.swatch{flex:none;width:28px;height:14px}
details{margin:.4rem 0;font-size:.9rem}
summary{cursor:pointer;color:var(--c0)}
dl{display:grid;grid-template-columns:minmax(7rem,auto) 1fr;gap:.3rem 1rem;font-size:.92rem}
dt{color:var(--faint)}
dd{margin:0}
footer{margin-top:2rem;font-size:.85rem;color:var(--faint)}
"""

_PLOTS: Final = """
svg text{fill:var(--ink);font-size:13px;font-family:inherit}
svg .tick{font-size:12px;fill:var(--faint)}
svg .note{font-size:12px;fill:var(--faint);paint-order:stroke;stroke:var(--paper);stroke-width:3px}
svg .small{font-size:11px}
svg .strong{font-weight:700}
svg .middle{text-anchor:middle}
svg .end{text-anchor:end}
.frame{fill:none;stroke:var(--edge)}
.grid{stroke:var(--grid)}
.rule{fill:none;stroke:var(--faint);stroke-dasharray:5 4}
.zero{fill:none;stroke:var(--ink)}
.median{stroke:var(--c1);stroke-width:3}
.line{fill:none;stroke-width:2.2;stroke-linejoin:round}
.thin{stroke-width:1.2}
.bar{fill:none;stroke-width:1.6}
.dot{stroke:var(--paper);stroke-width:.8;fill-opacity:.82}
.open{fill:none;stroke-width:2}
.l0{stroke:var(--c0)}.l1{stroke:var(--c1);stroke-dasharray:9 3}
.l2{stroke:var(--c2);stroke-dasharray:3 3}.l3{stroke:var(--c3);stroke-dasharray:11 3 2 3}
.bar.l0,.bar.l1,.bar.l2,.bar.l3{stroke-dasharray:none}
.d0{fill:var(--c0)}.d1{fill:var(--c1)}.d2{fill:var(--c2)}
.d3.open{fill:none;stroke:var(--c3)}
.cell{stroke:var(--edge)}
"""

_PAPER: Final = """
@page{size:A4;margin:14mm}
body{padding:0;max-width:none;font-size:10.5pt}
.plots,.gallery{grid-template-columns:1fr 1fr}
figure,.card,.alarm,tr{break-inside:avoid}
h2,.above{break-after:avoid}
details{display:none}
.scroll{overflow:visible}
td.n{white-space:normal}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
"""


def _shades() -> str:
    """Nine shades of a cell: of what was called rightly, and of what was not."""
    made = []
    for n in range(9):
        opacity = f"{0.04 + 0.66 * n / 8:.2f}"
        made.append(
            f".right{n}{{fill:rgba(var(--good),{opacity})}}.wrong{n}{{fill:rgba(var(--wrong),{opacity})}}"
        )
    return "\n".join(made)


STYLE: Final = (
    f":root{{{_LIGHT}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}\n"
    f"@media print{{:root{{{_LIGHT}}}}}\n"
    f"{_PAGE}{_PLOTS}{_shades()}\n@media print{{{_PAPER}}}\n"
)

POLICY: Final = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode('ascii')}'"
)
"""Content Security Policy: nothing from outside, no script, this style sheet alone."""
