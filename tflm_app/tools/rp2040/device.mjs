// SPDX-License-Identifier: Apache-2.0
// One chip as a process of its own, wired to others by sockets that it was given.
//
//   node device.mjs RP2040JS IMAGE [link0=FD] [link1=FD] [link3=FD] [control=FD] [--] key=value …
//
// RP2040JS: the emulator's index.js. Links 0 and 1 are UART0 and UART1; link 3 is the host's, whose
// port is the console, on standard output, where it is not wired. A control socket takes QEMU's
// `system_reset`, and `hang`. The words behind `--` are the program's arguments. Its exit status is the process's.
// Time is the chip's own, which is slower than the wall's while it computes; asleep it follows it.

import fs from "node:fs";
import net from "node:net";
import { performance } from "node:perf_hooks";
import { pathToFileURL } from "node:url";
import { Chip } from "./chip.mjs";

const SLICE_MS = 5;
const SLICE_NANOS = 200_000;
const HOST_LINK = 3;

const [emulator, image, ...words] = process.argv.slice(2);
const split = words.indexOf("--");
const descriptors = Object.fromEntries(words.slice(0, split).map((word) => word.split("=")));
const { RP2040 } = await import(pathToFileURL(emulator));

const sockets = {};
const sent = { 0: [], 1: [], [HOST_LINK]: [] };
const uartFree = [0, 0];
const inbox = []; // [link, data]: what sockets have brought since the chip last ran
let wake = () => {};

const chip = new Chip(RP2040, fs.readFileSync(image), {
  commandLine: ["firmware", ...words.slice(split + 1)].join(" "),
  seconds: () => Math.floor(Date.now() / 1000),
  onUart: (index, byte) => sent[index].push(byte),
  onHost: (byte) => sent[HOST_LINK].push(byte),
  onText: (text) => process.stderr.write(text),
  holdsBack: true,
});

// Bytes arrive one after the other from now on, at the wire's rate.
function take(link, data) {
  for (const byte of data) {
    if (link === HOST_LINK) {
      chip.host.feed(byte, chip.nanos);
      continue;
    }
    uartFree[link] = Math.max(uartFree[link], chip.nanos) + chip.characterNanos(link);
    chip.arrive(link, byte, uartFree[link]);
  }
}

function connect(name, descriptor) {
  const socket = new net.Socket({ fd: Number(descriptor), readable: true, writable: true });
  socket.on("error", () => {}); // the other end is gone: a wire without a board
  socket.on("data", (data) => {
    if (name === "control") {
      if (data.includes("system_reset")) chip.boot();
      if (data.includes("hang")) chip.hang();
    } else {
      inbox.push([Number(name.slice("link".length)), data]);
    }
    wake();
  });
  return socket;
}

for (const [name, descriptor] of Object.entries(descriptors)) sockets[name] = connect(name, descriptor);

function give() {
  for (const [link, bytes] of Object.entries(sent)) {
    if (!bytes.length) continue;
    const out = sockets[`link${link}`] ?? (Number(link) === HOST_LINK ? process.stdout : null);
    out?.write(Buffer.from(bytes));
    bytes.length = 0;
  }
}

// Until something arrives, or for a moment.
const pause = (milliseconds) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    wake = () => {
      clearTimeout(timer);
      setImmediate(resolve);
    };
  });

while (chip.exitCode === null) {
  for (const [link, data] of inbox.splice(0)) take(link, data);
  const begin = performance.now();
  while (chip.exitCode === null && !chip.isAsleep && performance.now() - begin < SLICE_MS) {
    chip.run(chip.nanos + SLICE_NANOS, true);
  }
  give();
  if (!chip.isAsleep) {
    await new Promise((resolve) => setImmediate(resolve));
    continue;
  }
  const asleep = performance.now();
  if (!inbox.length) await pause(1);
  chip.mcu.clock.tick((performance.now() - asleep) * 1e6);
}
give();
const { exitCode } = chip;
for (const socket of Object.values(sockets)) socket.end();
setTimeout(() => process.exit(exitCode), 50); // what was written leaves first
