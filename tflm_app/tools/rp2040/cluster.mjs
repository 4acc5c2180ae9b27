// SPDX-License-Identifier: Apache-2.0
// Several chips in one process, in lock-step: the same run, instruction for instruction, every time.
//
//   node cluster.mjs RP2040JS IMAGE WORLD_SIZE [drops=RATE] [seed=N] [seconds=S] -- key=value …
//
// UART1 of each rank leads to UART0 of the next one, the last one's to the first (two are wired once).
// Bytes take their time on the wire; one of 1/RATE is lost, the same ones for the same seed. The words
// behind `--` are every program's arguments. Ends with one line of JSON: how each rank ended, what it
// printed, and what it took.

import fs from "node:fs";
import { pathToFileURL } from "node:url";
import { Chip } from "./chip.mjs";

const STEP_NANOS = 5_000; // less than a character takes at 1 Mbaud: none arrives before it was sent

// xorshift32 (Marsaglia 2003): a number from 0 to 1.
function random(seed) {
  let state = (seed * 2654435761 + 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state / 2 ** 32;
  };
}

// One direction: what leaves a UART arrives at another a character later, in order.
class Wire {
  constructor(from, to, rate, seed) {
    Object.assign(this, { from, to, rate, random: random(seed), free: 0, bytes: 0, dropped: 0 });
  }

  send(byte) {
    const { chip, uart } = this.from;
    this.free = Math.max(this.free, chip.nanos) + chip.characterNanos(uart);
    this.bytes++;
    if (this.random() < this.rate) this.dropped++;
    else this.to.chip.arrive(this.to.uart, byte, this.free);
  }
}

function ring(chips, rate, seed) {
  const wires = [];
  for (let rank = 0; rank < (chips.length === 2 ? 1 : chips.length); rank++) {
    const ends = [
      { chip: chips[rank], uart: 1 },
      { chip: chips[(rank + 1) % chips.length], uart: 0 },
    ];
    wires.push(new Wire(...ends, rate, seed * 1000 + 2 * rank));
    wires.push(new Wire(...ends.reverse(), rate, seed * 1000 + 2 * rank + 1));
  }
  return wires;
}

const [emulator, image, size, ...words] = process.argv.slice(2);
const split = words.indexOf("--");
const options = Object.fromEntries(words.slice(0, split).map((word) => word.split("=")));
const { RP2040 } = await import(pathToFileURL(emulator));
const file = fs.readFileSync(image);
const worldSize = Number(size);
const texts = Array.from({ length: worldSize }, () => []);

const chips = texts.map((text, rank) => {
  const ranks = [`rank=${rank}`, `world_size=${worldSize}`];
  return new Chip(RP2040, file, {
    commandLine: ["firmware", ...ranks, ...words.slice(split + 1)].join(" "),
    seconds: () => 1000 + rank,
    onUart: (uart, byte) => wireOf[rank][uart]?.send(byte),
    onHost: (byte) => text.push(byte),
    onText: (line) => text.push(...Buffer.from(line)),
  });
});
const wires = ring(chips, Number(options.drops ?? 0), Number(options.seed ?? 0));
const wireOf = chips.map((chip) =>
  [0, 1].map((uart) => wires.find(({ from }) => from.chip === chip && from.uart === uart)),
);

let nanos = 0;
const end = Number(options.seconds ?? 60) * 1e9;
while (chips.some((chip) => chip.exitCode === null) && nanos < end) {
  nanos += STEP_NANOS;
  for (const chip of chips) chip.run(nanos);
}

const ranks = chips.map((chip, rank) => ({
  status: chip.exitCode,
  console: Buffer.from(texts[rank]).toString().split("\n").slice(0, -1),
  instructions: chip.instructions,
  overrun_bytes: chip.lostBytes,
}));
const total = (key) => wires.reduce((sum, wire) => sum + wire[key], 0);
const result = { ranks, nanos, sent_bytes: total("bytes"), dropped_bytes: total("dropped") };
process.stdout.write(`${JSON.stringify(result)}\n`);
