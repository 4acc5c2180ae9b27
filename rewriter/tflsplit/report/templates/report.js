"use strict";
// Says what is under the pointer in the charts. Everything on the page is there without it.
(() => {
  const data = JSON.parse(document.getElementById("charts").textContent);
  const tip = document.getElementById("tip");
  const bytes = (n) => (n < 1024 ? `${n} B` : `${(n / 1024).toFixed(1)} KiB`);
  const ms = (us) => `${(us / 1000).toFixed(us < 10000 ? 2 : 1)} ms`;
  const name = (layer) => (layer < 0 ? "" : `#${layer} ${data.layers[layer]}`);

  function gantt(x, y, box) {
    const rank = Math.floor((y - 22) / 26);
    const us = ((x - 58) / (box.width - 66)) * data.latency_us;
    const bar = (data.gantt[rank] || []).find((b) => b[2] <= us && us < b[3]);
    if (!bar) return "";
    const [kind, layer, start, end, sending] = bar;
    const parts = kind === "exchange" ? ` (send ${ms(sending)}, wait ${ms(end - start - sending)})` : "";
    return `rank ${rank}: ${kind}, ${ms(end - start)} from ${ms(start)}${parts}\n${name(layer)}`;
  }

  function ram(x, y, box, rank) {
    const d = data.ram[rank];
    const at = Math.floor(((x - 60) / (box.width - 68)) * d.live.length);
    if (!(at in d.ops)) return "";
    const total = d.tail + d.live[at] + d.scratch[at];
    return (
      `${bytes(total)} at node ${at}, ${d.ops[at]}\n${name(d.layers[at])}\n` +
      `activations ${bytes(d.live[at])}, scratch ${bytes(d.scratch[at])}, tail ${bytes(d.tail)}`
    );
  }

  const readers = { gantt, ram };
  for (const svg of document.querySelectorAll("svg[data-chart]")) {
    const read = readers[svg.dataset.chart];
    svg.addEventListener("pointermove", (event) => {
      const seen = svg.getBoundingClientRect();
      const box = svg.viewBox.baseVal;
      const scale = box.width / seen.width;
      const x = (event.clientX - seen.left) * scale;
      const y = (event.clientY - seen.top) * scale;
      const text = read(x, y, box, Number(svg.dataset.rank)).trim();
      tip.hidden = !text;
      tip.textContent = text;
      const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
    });
    svg.addEventListener("pointerleave", () => (tip.hidden = true));
  }
})();
