#include <fmt/format.h>

#include "skipattn/experiments/report/assets.h"

namespace skipattn::experiments {

namespace {

// Variants' colours: Okabe and Ito's colour-blind-safe set (2008), darkened on white and lightened
// on black until each has a contrast of 3:1 or more to the page (WCAG 1.4.11).
constexpr const char* kLight = R"(color-scheme:light;
--page:#fbfbf9;--card:#fff;--ink:#1c1e21;--soft:#5c6168;--line:#e3e3de;--grid:#ededE8;--accent:#0a5ca8;
--c0:#5f6368;--c1:#0067b0;--c2:#cf4d00;--c3:#00805d;--c4:#a8437f;--c5:#94690a;--c6:#2b86b8;--c7:#7a4fb0;
--heat:#0b4f8a;--own:#eceff2;--on-heat:#fff;
--better:#00684b;--better-bg:#dff3ec;--worse:#a63a00;--worse-bg:#fdeadf;--unsure:#4d5258;--unsure-bg:#ececea;
--notice-bg:#fff4d6;--notice:#6b4a00;)";
constexpr const char* kDark = R"(color-scheme:dark;
--page:#121417;--card:#1a1d21;--ink:#e6e7e9;--soft:#a0a6ad;--line:#30343a;--grid:#272b30;--accent:#7cbcf5;
--c0:#a3a8ae;--c1:#56b4f0;--c2:#f58a4b;--c3:#2fc79b;--c4:#e08cbc;--c5:#e6b84c;--c6:#9ad0ee;--c7:#b99aea;
--heat:#74bdf7;--own:#262a30;--on-heat:#0b1016;
--better:#6fdcb9;--better-bg:#12362c;--worse:#ffad80;--worse-bg:#43220f;--unsure:#c3c8ce;--unsure-bg:#2c3036;
--notice-bg:#3a2f10;--notice:#ffdf8f;)";

constexpr const char* kPage = R"(
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header{max-width:1180px;margin:0 auto;padding:0 24px}
header{display:flex;gap:24px;align-items:flex-start;justify-content:space-between;padding-top:32px}
h1{font-size:27px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em;text-wrap:balance}
h2{font-size:18px;margin:44px 0 4px;letter-spacing:-.005em}
h3{font-size:14px;margin:0;font-weight:650}
p{margin:4px 0;max-width:76ch}
.over{font-size:12px;letter-spacing:.06em;text-transform:uppercase;color:var(--soft);margin:0 0 6px}
.soft,figcaption p,.note{color:var(--soft);font-size:13px}
code,.routing,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86em}
button{font:inherit;font-size:13px;color:var(--ink);background:var(--card);border:1px solid var(--line);border-radius:7px;padding:5px 12px;cursor:pointer;white-space:nowrap}
button:hover{border-color:var(--soft)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.notice{background:var(--notice-bg);color:var(--notice);border-radius:8px;padding:8px 14px;margin:14px 0 0;max-width:none;font-weight:600}
.verdicts{list-style:none;margin:22px 0 0;padding:0;display:grid;gap:12px}
.verdicts li{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--c);border-radius:8px;padding:13px 18px}
.verdicts p{max-width:none}
.says{font-size:17px;line-height:1.4;margin:0}
.pill{display:inline-block;border-radius:99px;padding:1px 10px;font-size:12.5px;font-weight:650;white-space:nowrap;background:var(--unsure-bg);color:var(--unsure)}
.pill.better{background:var(--better-bg);color:var(--better)}
.pill.worse{background:var(--worse-bg);color:var(--worse)}
.problem{color:var(--worse)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;list-style:none;font-size:13px}
.legend svg,.swatch{width:26px;height:12px;vertical-align:-1px;margin-right:6px;display:inline-block}
.grid2{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px;margin-top:14px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px 10px;min-width:0}
figcaption{margin-bottom:8px}
figure>svg,.maps svg{width:100%;height:auto;display:block}
.missing{color:var(--soft);font-style:italic}
details{margin-top:8px;font-size:13px}
summary{cursor:pointer;color:var(--soft)}
summary:hover{color:var(--ink)}
.scroll{overflow:auto;max-height:440px;margin-top:6px}
.wide .scroll{max-height:none}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}
th{font-weight:600}
th:first-child,td:first-child{text-align:left;padding-left:2px}
thead th{color:var(--soft);font-weight:500;font-size:12px;position:sticky;top:0;background:var(--card);vertical-align:bottom}
td small,th small{display:block;color:var(--soft);font-weight:400;font-size:11.5px}
th .routing{display:block;font-weight:400;color:var(--soft);white-space:normal;overflow-wrap:anywhere;min-width:150px;max-width:260px}
.words td,.words th{text-align:left;white-space:normal}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:6px 16px;margin-top:14px}
.maps{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:8px 14px;max-width:640px}
.maps h4{margin:0 0 2px;font-size:12.5px;font-weight:500;color:var(--soft)}
.scale{display:inline-block;width:120px;height:10px;border-radius:3px;vertical-align:-1px;margin:0 6px;background:linear-gradient(90deg,var(--own),var(--heat))}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:10px 0;font-size:14px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;max-height:320px;overflow:auto;background:var(--own);border-radius:6px;padding:10px 12px;margin:8px 0}
footer{color:var(--soft);font-size:12.5px;margin:40px 0 48px}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
#tip{position:fixed;z-index:9;pointer-events:none;background:var(--card);color:var(--ink);border:1px solid var(--line);border-radius:7px;box-shadow:0 4px 16px rgba(0,0,0,.18);padding:7px 11px;font-size:12.5px;line-height:1.45;max-width:min(340px,92vw);font-variant-numeric:tabular-nums}
#tip[hidden]{display:none}
#tip b{display:block;font-weight:600}
#tip i{display:inline-block;width:9px;height:9px;border-radius:50%;background:var(--c);margin-right:6px}
)";

constexpr const char* kCharts = R"(
svg text{font-size:11.5px;fill:var(--soft);font-family:inherit;font-variant-numeric:tabular-nums}
svg .label{fill:var(--soft)}
svg .name{font-weight:650;fill:var(--ink);font-size:13px}
svg .value{fill:var(--ink);font-size:12px}
svg .why{font-style:italic}
.grid{stroke:var(--grid)}.tick,.base{stroke:var(--soft)}
.zero{stroke:var(--ink);stroke-width:1.2;stroke-dasharray:2 3}
.s0{--c:var(--c0)}.s1{--c:var(--c1)}.s2{--c:var(--c2)}.s3{--c:var(--c3)}.s4{--c:var(--c4)}.s5{--c:var(--c5)}.s6{--c:var(--c6)}.s7{--c:var(--c7)}
.line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.dashed .line{stroke-dasharray:6 4}
.faint .line{stroke-width:1;opacity:.38}
.band{fill:var(--c);opacity:.15}
.bar{fill:none;stroke:var(--c);stroke-width:1.4}
.mark{fill:var(--c);stroke:var(--card);stroke-width:1;vector-effect:non-scaling-stroke}
.seed{fill:var(--card);stroke:var(--c);stroke-width:1.3}
.row,.hover{fill:transparent}
.hover{cursor:crosshair}
.cursor line{stroke:var(--soft);stroke-dasharray:2 2}
.cursor circle{fill:var(--c);stroke:var(--card);stroke-width:1.5}
.own{fill:var(--own)}.heat{fill:var(--heat)}.none{fill:var(--card);stroke:var(--line)}
.cross{stroke:var(--soft);fill:none}
.cell text{font-size:10.5px;text-anchor:middle;fill:var(--ink)}
.cell .on{fill:var(--on-heat)}
.cell:hover rect{stroke:var(--ink);stroke-width:1.5}
@media (max-width:760px){
main,header{padding:0 14px}
header{padding-top:20px}
h1{font-size:22px}
.grid2{grid-template-columns:minmax(0,1fr)}
figure{padding:12px 10px 8px}
svg text{font-size:14px}
svg .name{font-size:16px}svg .value{font-size:14.5px}
.cell text{font-size:11px}
.says{font-size:15.5px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}
}
@media print{
body{font-size:11px;background:#fff}
#theme,#download,.data,#tip{display:none}
figure,.verdicts li,.card{break-inside:avoid}
h2{break-after:avoid;margin-top:24px}
.scroll{max-height:none;overflow:visible}
details:not([open]){display:none}
main,header{max-width:none;padding:0}
}
)";

}  // namespace

std::string report_style() {
  return fmt::format(
      ":root{{{0}}}\n"
      "@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{1}}}}}\n"
      "@media screen{{:root[data-theme=dark]{{{1}}}}}\n{2}{3}",
      kLight, kDark, kPage, kCharts);
}

}  // namespace skipattn::experiments
