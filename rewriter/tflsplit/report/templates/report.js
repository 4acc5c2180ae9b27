"use strict";
// Zoom, messages and the critical path in the Gantt chart; one selected layer in all charts and in
// the table, which sorts, filters and folds.  Every number on the page is there without it.
(() => {
  const data = JSON.parse(document.getElementById("charts").textContent);
  const one = (id) => document.getElementById(id);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const bytes = (n) => (n < 1024 ? `${n} B` : `${(n / 1024).toFixed(1)} KiB`);
  const ms = (us) => `${(us / 1000).toFixed(us < 10000 ? 2 : 1)} ms`;
  const name = (layer) => (layer < 0 ? "" : `#${layer} ${data.layers[layer]}`);
  const drawn = (tag, kind, attributes, into) => {
    const made = document.createElementNS(document.querySelector("svg").namespaceURI, tag);
    made.setAttribute("class", kind);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    into.append(made);
    return made;
  };
  const TOP = 22, ROW = 26;
  let chosen = -1;

  // ---- Gantt ----
  const view = one("gantt").querySelector(".window");
  const chart = view.querySelector(".chart");
  const over = drawn("svg", "over", {}, chart);
  const hand = { rank: 0, at: -1 };
  let zoom = 1;

  const pixels = () => chart.clientWidth / data.latency_us;
  const middle = (rank) => TOP + ROW * rank + ROW / 2;

  function ticks() {
    for (const old of all(".tick", chart)) old.remove();
    const least = 80 / pixels() / 1000;
    const decade = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map((m) => m * decade).find((s) => s >= least);
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    const end = data.latency_us / 1000;
    const from = Math.max(0, Math.floor(view.scrollLeft / pixels() / 1000 / step) - 1);
    for (let i = from; i < from + 60 && (i + 0.4) * step < end; i++) {
      const tick = document.createElement("span");
      tick.className = i ? "t tick" : "t tick first";
      tick.style.left = `${(100 * i * step) / end}%`;
      tick.style.top = "0px";
      tick.textContent = `${(i * step).toFixed(digits)} ms`;
      chart.append(tick);
    }
  }

  function arrow([from, to, start, end, layer]) {
    const [x1, y1, x2, y2] = [start * pixels(), middle(from), end * pixels(), middle(to)];
    drawn("path", "message", { d: `M${x1} ${y1}L${x2} ${y2}` }, over);
    const angle = Math.atan2(y2 - y1, x2 - x1);
    const at = (turn) => `${x2 - 7 * Math.cos(angle + turn)} ${y2 - 7 * Math.sin(angle + turn)}`;
    drawn("path", "head", { d: `M${x2} ${y2}L${at(0.4)}L${at(-0.4)}z`, "data-layer": layer }, over);
  }

  function overlay() {
    over.replaceChildren();
    over.setAttribute("viewBox", `0 0 ${chart.clientWidth} ${chart.clientHeight}`);
    const [left, right] = [view.scrollLeft / pixels(), (view.scrollLeft + view.clientWidth) / pixels()];
    const visible = (start, end) => end >= left && start <= right;
    data.gantt.forEach((row, rank) => {
      for (const [, layer, start, end] of row) {
        if (layer !== chosen || chosen < 0 || !visible(start, end)) continue;
        const width = Math.max(2, (end - start) * pixels());
        drawn("rect", "chosen", { x: start * pixels(), y: TOP + ROW * rank + 1, width, height: ROW - 2 }, over);
      }
    });
    if (one("show-path").checked) path(visible);
    const wanted = one("show-messages").checked
      ? data.messages.filter(([, , start, end]) => visible(start, end))
      : data.messages.filter(([, , start, end, layer]) => layer === chosen && chosen >= 0 && visible(start, end));
    wanted.slice(0, 400).forEach(arrow);
    const bar = (data.gantt[hand.rank] || [])[hand.at];
    if (bar) {
      const box = { x: bar[2] * pixels(), y: TOP + ROW * hand.rank + 2, height: ROW - 4 };
      drawn("rect", "hand", { ...box, width: Math.max(3, (bar[3] - bar[2]) * pixels()) }, over);
    }
    return wanted.length;
  }

  function path(visible) {
    const last = data.gantt.length - 1;
    const y = (rank) => (rank > last ? TOP - 2 : TOP + ROW * rank + ROW - 3);
    let outline = "";
    for (const [rank, , start, end] of data.path) {
      if (!visible(start, end)) continue;
      outline += `${outline ? "L" : "M"}${start * pixels()} ${y(rank)}L${end * pixels()} ${y(rank)}`;
    }
    if (outline) drawn("path", "path", { d: outline }, over);
  }

  function draw() {
    ticks();
    const count = overlay();
    const many = count > 400 ? `; 400 of ${count} messages, zoom in for all` : "";
    one("gantt-says").textContent = `${zoom === 1 ? "" : `${zoom} times as wide`}${many}`;
  }

  function zoomed(factor, at = view.clientWidth / 2) {
    const wanted = factor ? Math.min(256, Math.max(1, zoom * factor)) : 1;
    const us = (view.scrollLeft + at) / pixels();
    zoom = wanted;
    chart.style.setProperty("--zoom", zoom);
    view.scrollLeft = us * pixels() - at;
    draw();
  }

  function say(rank, bar) {
    const [kind, layer, start, end, sending] = bar;
    const parts = kind === "exchange" ? ` (send ${ms(sending)}, wait ${ms(end - start - sending)})` : "";
    return `rank ${rank}: ${kind}, ${ms(end - start)} from ${ms(start)}${parts}\n${name(layer)}`;
  }

  const found = (rank, us) => (data.gantt[rank] || []).findIndex((b) => b[2] <= us && us < b[3]);

  function moved(rank, at) {
    hand.rank = Math.min(data.gantt.length - 1, Math.max(0, rank));
    const row = data.gantt[hand.rank];
    hand.at = Math.min(row.length - 1, Math.max(0, at));
    const bar = row[hand.at];
    if (!bar) return;
    const x = bar[2] * pixels();
    if (x < view.scrollLeft || x > view.scrollLeft + view.clientWidth - 20) view.scrollLeft = x - view.clientWidth / 3;
    draw();
    one("gantt-says").textContent = say(hand.rank, bar).replace("\n", ", ");
  }

  const KEYS = {
    "+": () => zoomed(2), "=": () => zoomed(2), "-": () => zoomed(0.5), "0": () => zoomed(0),
    ArrowRight: () => moved(hand.rank, hand.at + 1),
    ArrowLeft: () => moved(hand.rank, hand.at - 1),
    ArrowDown: () => along(1),
    ArrowUp: () => along(-1),
    Enter: () => { const bar = data.gantt[hand.rank][hand.at]; if (bar) select(bar[1]); },
    Escape: () => select(-1),
  };

  function along(by) {
    const bar = data.gantt[hand.rank][Math.max(0, hand.at)];
    const rank = Math.min(data.gantt.length - 1, Math.max(0, hand.rank + by));
    moved(rank, bar ? found(rank, bar[2]) : 0);
  }

  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomed(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - view.getBoundingClientRect().left);
  }, { passive: false });
  view.addEventListener("scroll", () => requestAnimationFrame(draw));
  addEventListener("resize", draw);
  for (const button of all("[data-zoom]")) {
    button.addEventListener("click", () => zoomed({ in: 2, out: 0.5, all: 0 }[button.dataset.zoom]));
  }
  for (const id of ["show-path", "show-messages"]) one(id).addEventListener("change", draw);

  // ---- What is under the pointer ----
  const tip = one("tip");

  function ganttAt(x, y, width) {
    const rank = Math.floor((y - TOP) / ROW);
    const at = found(rank, (x / width) * data.latency_us);
    return at < 0 ? null : { text: say(rank, data.gantt[rank][at]), layer: data.gantt[rank][at][1], rank };
  }

  function ramAt(x, y, width, rank) {
    const d = data.ram[rank];
    const at = Math.floor((x / width) * d.live.length);
    if (!(at in d.ops)) return null;
    const total = d.tail + d.live[at] + d.scratch[at];
    const text =
      `${bytes(total)} at node ${at}, ${d.ops[at]}\n${name(d.layers[at])}\n` +
      `activations ${bytes(d.live[at])}, scratch ${bytes(d.scratch[at])}, structures ${bytes(d.tail)}`;
    return { text, layer: d.layers[at], rank };
  }

  const readers = { gantt: ganttAt, ram: ramAt };
  for (const each of all("[data-chart]")) {
    const at = (event) => {
      const seen = each.getBoundingClientRect();
      const [x, y] = [event.clientX - seen.left, event.clientY - seen.top];
      return readers[each.dataset.chart](x, y, seen.width, Number(each.dataset.rank));
    };
    each.addEventListener("pointermove", (event) => {
      const here = at(event);
      tip.hidden = !here;
      if (!here) return;
      tip.textContent = here.text.trim();
      const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
    });
    each.addEventListener("pointerleave", () => (tip.hidden = true));
    each.addEventListener("click", (event) => { const here = at(event); if (here) select(here.layer); });
  }

  // ---- One layer, everywhere ----
  function select(layer, scroll = false) {
    chosen = layer === chosen ? -1 : layer;
    for (const row of rows) row.classList.toggle("chosen", Number(row.dataset.layer) === chosen);
    for (const each of all('[data-chart="ram"]')) {
      const svg = each.querySelector("svg");
      for (const old of all(".chosen", svg)) old.remove();
      const d = data.ram[Number(each.dataset.rank)];
      d.layers.forEach((of, node) => {
        if (of !== chosen || chosen < 0) return;
        const width = 1000 / d.live.length;
        drawn("rect", "chosen", { x: width * node, y: 16, width, height: 138 }, svg);
      });
    }
    draw();
    if (chosen < 0) return;
    const row = one(`layer-${chosen}`);
    if (row.hidden) { one("layer-find").value = ""; folded = false; arrange(); }
    if (scroll) row.scrollIntoView({ block: "center" });
    one("gantt-says").textContent = `selected: ${name(chosen)} (Esc: none)`;
  }

  // ---- Layers: sort, filter, fold ----
  const body = one("layer-table").querySelector("tbody");
  const rows = all("tr[data-layer]", body);
  const order = one("layer-order");
  const number = (row, key) => Number(key === "index" ? row.dataset.layer : row.dataset[key]);
  let folded = false, key = "index", down = false;

  function before(a, b) {
    const words = { way: (r) => r.dataset.way, name: (r) => r.querySelector("th").title };
    const by = words[key]
      ? words[key](a).localeCompare(words[key](b))
      : number(a, key) - number(b, key);
    return (down ? -by : by) || number(a, "index") - number(b, "index");
  }

  function arrange() {
    for (const old of all("tr.group", body)) old.remove();
    const words = one("layer-find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const sorted = [...rows].sort(before);
    let shown = 0;
    for (const row of sorted) {
      const text = `#${row.dataset.layer} ${row.querySelector("th").title} ${row.innerText}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
      body.append(row);
    }
    if (folded) fold(sorted.filter((row) => !row.hidden));
    one("layer-says").textContent = shown < rows.length ? `${shown} of ${rows.length} layers` : "";
    one("layer-fold").setAttribute("aria-pressed", folded);
    for (const head of all("th[data-sort]")) {
      const mine = head.dataset.sort === key;
      head.setAttribute("aria-sort", mine ? (down ? "descending" : "ascending") : "none");
    }
    if ([...order.options].some((option) => option.value === key)) order.value = key;
  }

  function fold(visible) {
    const groups = [];
    for (const row of visible) {
      const group = groups[groups.length - 1];
      if (group && group[0].dataset.way === row.dataset.way) group.push(row);
      else groups.push([row]);
    }
    for (const group of groups.filter((each) => each.length > 1)) {
      const [first, last] = [group[0], group[group.length - 1]];
      const sum = (of) => group.reduce((total, row) => total + number(row, of), 0);
      const head = document.createElement("tr");
      head.className = "group";
      const cell = document.createElement("td");
      cell.colSpan = 8;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent =
        `#${first.dataset.layer} to #${last.dataset.layer}: ${group.length} layers by ${first.dataset.way}, ` +
        `${ms(sum("time"))}, ${(sum("macs") / 1e6).toFixed(2)} M MACs`;
      const open = (yes) => {
        button.setAttribute("aria-expanded", yes);
        for (const row of group) row.hidden = !yes;
      };
      button.addEventListener("click", () => open(first.hidden));
      cell.append(button);
      head.append(cell);
      first.before(head);
      open(false);
    }
  }

  function sort(by) {
    down = by === key ? !down : ["time", "macs", "weights"].includes(by);
    key = by;
    arrange();
  }

  for (const head of all("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head.dataset.sort));
  }
  order.addEventListener("change", () => sort(order.value));
  one("layer-find").addEventListener("input", arrange);
  one("layer-fold").addEventListener("click", () => { folded = !folded; arrange(); });
  for (const row of rows) {
    row.addEventListener("click", (event) => {
      if (!event.target.closest("summary, a, button")) select(Number(row.dataset.layer));
    });
  }
  const follow = () => {
    const found = /^#layer-(\d+)$/.exec(location.hash);
    if (found && Number(found[1]) !== chosen) select(Number(found[1]), true);
  };
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => { if (event.key === "Escape" && chosen >= 0) select(-1); });

  one("gantt-tools").hidden = one("layer-tools").hidden = false;
  arrange();
  draw();
  follow();
})();
