#include "skipattn/experiments/report/assets.h"

namespace skipattn::experiments {

std::string report_script() {
  return R"JS('use strict';
(() => {
  const root = document.documentElement;
  const tip = document.getElementById('tip');

  // Light and dark: the system's choice until the button is pressed; nothing is remembered.
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark'
                                        : matchMedia('(prefers-color-scheme: dark)').matches;
  const button = document.getElementById('theme');
  const name = () => { button.textContent = dark() ? 'Light' : 'Dark'; };
  button.hidden = false;
  button.addEventListener('click', () => { root.dataset.theme = dark() ? 'light' : 'dark'; name(); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', name);
  name();

  const download = document.getElementById('download');
  download.hidden = false;
  download.addEventListener('click', () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(
        new Blob([document.getElementById('data').textContent], {type: 'application/json'}));
    link.download = 'comparison.json';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  const place = event => {
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    let left = event.clientX + 16, top = event.clientY + 16;
    if (left + box.width > innerWidth - 8) left = Math.max(8, event.clientX - box.width - 16);
    if (top + box.height > innerHeight - 8) top = Math.max(8, event.clientY - box.height - 16);
    tip.style.left = left + 'px';
    tip.style.top = top + 'px';
  };
  const line = (text, mark) => {
    const row = document.createElement('div');
    if (mark) { const dot = document.createElement('i'); dot.className = mark; row.append(dot); }
    row.append(text);
    return row;
  };
  const head = text => { const b = document.createElement('b'); b.textContent = text; return b; };

  // Charts: the nearest point's values, a line and dots at it.
  const cursorSpace = document.querySelector('svg') && document.querySelector('svg').namespaceURI;
  const shape = (kind, attributes) => {
    const node = document.createElementNS(cursorSpace, kind);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    return node;
  };
  document.querySelectorAll('.hover').forEach(area => {
    const svg = area.ownerSVGElement, cursor = svg.querySelector('.cursor');
    let points = null;
    const leave = () => { tip.hidden = true; cursor.replaceChildren(); };
    area.addEventListener('pointerleave', leave);
    area.addEventListener('pointermove', event => {
      points = points || JSON.parse(area.dataset.points);
      const x = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
      let best = points[0];
      for (const p of points) if (Math.abs(p[0] - x) < Math.abs(best[0] - x)) best = p;
      const top = +area.dataset.top, bottom = +area.dataset.bottom;
      cursor.replaceChildren(shape('line', {x1: best[0], x2: best[0], y1: top, y2: bottom}));
      for (const [, , mark, y] of best[2]) {
        if (y < top || y > bottom) continue;
        const dot = shape('g', {class: mark});
        dot.append(shape('circle', {cx: best[0], cy: y, r: 4}));
        cursor.append(dot);
      }
      tip.replaceChildren(head(best[1]), ...best[2].map(([who, text, mark]) => line(who + '  ' + text, mark)));
      place(event);
    });
  });

  // Everything else that has something to say.
  document.querySelectorAll('[data-tip]').forEach(node => {
    node.addEventListener('pointermove', event => {
      tip.replaceChildren(line(node.dataset.tip));
      place(event);
    });
    node.addEventListener('pointerleave', () => { tip.hidden = true; });
  });
})();
)JS";
}

}  // namespace skipattn::experiments
